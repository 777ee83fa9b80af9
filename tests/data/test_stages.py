"""`augment` and `smote_mixup`: batches changed on the way."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfimbalance as tfi

pytestmark = pytest.mark.slow


def data(rows=400, positives=40):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3)).astype("float32")
    return x, np.repeat([0, 1], [rows - positives, positives])


def noise(x, seed):
    return x + tf.random.stateless_uniform(tf.shape(x), seed)


STAGES = {
    "augment": lambda dataset, **kw: tfi.data.augment(dataset, noise, **kw),
    "smote_mixup": lambda dataset, **kw: tfi.data.smote_mixup(dataset, fraction=1.0, **kw),
}
every = pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)


def batches_of(dataset):
    return np.stack([x.numpy() for x, _ in dataset])


@every
def test_only_the_rows_of_the_classes_change(stage):
    x, y = data()
    batches = tfi.data.balanced_batches((x, np.arange(len(x))), y, batch_size=20)
    if stage is STAGES["augment"]:
        stage = lambda dataset: tfi.data.augment(  # noqa: E731
            dataset, lambda x, seed: (noise(x[0], seed), x[1])
        )
    for (features, row), labels in stage(batches):
        same = (features.numpy() == x[row]).all(axis=1)
        np.testing.assert_array_equal(same, labels.numpy() == 0)
        np.testing.assert_array_equal(labels, y[row.numpy()])
        assert features.shape == (20, 3)


@every
def test_anew_in_each_epoch_and_the_same_in_each_run(stage):
    x, y = data()
    constant = tf.data.Dataset.from_tensors((x[-20:], y[-20:])).repeat(3)
    make = lambda **kw: stage(constant, **kw)  # noqa: E731
    dataset = make()
    assert int(dataset.cardinality()) == 3
    first, second = batches_of(dataset), batches_of(dataset)
    assert (first[0] != first[1]).any()
    assert (first != second).any()
    again = make()
    np.testing.assert_array_equal(batches_of(again), first)
    np.testing.assert_array_equal(batches_of(again), second)
    np.testing.assert_array_equal(batches_of(make(initial_epoch=1)), second)
    np.testing.assert_array_equal(batches_of(make(in_graph=True)), first)
    assert (batches_of(make(seed=1)) != first).any()


@every
@pytest.mark.parametrize("length", ["known", "unknown", "endless"])
def test_any_length(stage, length):
    x, y = data(positives=200)
    source = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(400, seed=0).batch(100)
    source = {
        "known": source,
        "unknown": source.filter(lambda x, y: True),
        "endless": source.repeat(),
    }[length]
    dataset = stage(source)
    assert int(dataset.cardinality()) == int(source.cardinality())
    assert len(batches_of(dataset.take(4))) == 4
    if length == "unknown":
        list(dataset)
        assert dataset._tfimbalance.epoch == 1


@every
def test_resuming_gives_the_same_remaining_batches(stage, tmp_path):
    x, y = data()
    make = lambda: stage(tfi.data.balanced_batches(x, y, batch_size=20))  # noqa: E731
    first = make()
    batches_of(first)
    iterator = iter(first)  # The second epoch.
    whole, paths = [], {}
    for rows, _ in iterator:
        whole.append(rows.numpy())
        if len(whole) in (1, 9):
            checkpoint = tf.train.Checkpoint(iterator=iterator)
            paths[len(whole)] = checkpoint.save(str(tmp_path / f"iterator {len(whole)}"))
    for step, path in paths.items():
        restored = iter(make())
        tf.train.Checkpoint(iterator=restored).restore(path)
        rest = [rows.numpy() for rows, _ in restored]
        np.testing.assert_array_equal(rest, whole[step:], err_msg=f"after {step}")


def test_mixed_rows_lie_between_near_rows_of_their_class():
    """On a line, a row and one of its 2 nearest enclose no more than 1 row of their class."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.random(60)).astype("float32")[:, None]
    y = np.arange(60) % 3
    source = tf.data.Dataset.from_tensors((x, y)).repeat(20)
    mixed = tfi.data.smote_mixup(source, classes=[1, 2], fraction=1.0, k_neighbors=2)
    lengths = []
    for rows, _ in mixed:
        new = rows.numpy()[:, 0]
        np.testing.assert_array_equal(new[y == 0], x[y == 0, 0])
        for k in (1, 2):
            own, line = x[y == k, 0], new[y == k]
            at = np.searchsorted(own, line)
            start = np.arange(len(own))
            assert (np.minimum(np.abs(at - start), np.abs(at - start - 1)) <= 2).all()
            lengths.append(np.abs(line - own))
    assert (np.stack(lengths[::2]) > 0).mean() > 0.99


def test_what_is_not_mixed():
    ids = np.arange(40)
    y = np.repeat([0, 1], 20)
    x = {
        "price": np.linspace(0.1, 0.9, 40, dtype="float32"),
        "one_hot": np.eye(4, dtype="float32")[ids % 4],
        "id": ids,
        "name": np.array([f"row {i}" for i in ids]),
    }
    source = tf.data.Dataset.from_tensors((x, y, np.ones(40)))
    for batch, _, _ in tfi.data.smote_mixup(source, fraction=1.0):
        assert (batch["price"].numpy() != x["price"])[20:].all()
        for name in ("one_hot", "id"):
            np.testing.assert_array_equal(batch[name], x[name])
        assert batch["name"].numpy()[3].decode() == "row 3"
    for batch, _, _ in tfi.data.smote_mixup(source, fraction=1.0, whole_numbers="mix"):
        assert (batch["one_hot"].numpy() != x["one_hot"]).any()
    half = tfi.data.smote_mixup(source.repeat(200), fraction=0.5)
    changed = np.stack([b["price"].numpy() != x["price"] for b, _, _ in half])[:, 20:]
    assert changed.mean() == pytest.approx(0.5, abs=0.05)


def test_a_row_without_neighbour_stays():
    x = np.array([[0.5], [1.5], [2.5]], "float32")
    source = tf.data.Dataset.from_tensors((x, [0, 0, 1]))
    for rows, _ in tfi.data.smote_mixup(source, fraction=1.0):
        np.testing.assert_array_equal(rows, x)


def test_augmentation_of_ragged_sparse_and_images():
    y = np.arange(12) % 3 == 0
    x = {
        "image": np.arange(12 * 16, dtype="float32").reshape(12, 4, 4, 1),
        "ragged": tf.ragged.constant([list(range(i % 4)) for i in range(12)]),
        "sparse": tf.sparse.from_dense(np.diag(np.arange(1, 13))),
    }
    source = tf.data.Dataset.from_tensor_slices((x, y)).batch(6)

    def flip(x):
        return {
            "image": tf.image.flip_left_right(x["image"]),
            "ragged": x["ragged"] + 100,
            "sparse": tf.sparse.map_values(lambda v: v * 10, x["sparse"]),
        }

    dataset = tfi.data.augment(source, flip)
    for number, (batch, labels) in enumerate(dataset):
        rows = np.arange(6) + 6 * number
        hit = labels.numpy()
        image = x["image"][rows]
        np.testing.assert_array_equal(batch["image"][hit], image[hit][:, :, ::-1])
        np.testing.assert_array_equal(batch["image"][~hit], image[~hit])
        expected = [[v + 100 * bool(h) for v in range(i % 4)] for i, h in zip(rows, hit)]
        assert batch["ragged"].to_list() == expected
        dense = tf.sparse.to_dense(batch["sparse"]).numpy()
        np.testing.assert_array_equal(dense[np.arange(6), rows], (rows + 1) * np.where(hit, 10, 1))


def test_keras_layers_augment_in_fit():
    x, y = data()
    images = np.repeat(x[:, :, None, None], 3, axis=2)
    batches = tfi.data.balanced_batches(images, y, batch_size=20)
    flip = keras.layers.RandomFlip(seed=0)
    dataset = tfi.data.augment(batches, lambda x: flip(x, training=True))
    model = keras.Sequential(
        [keras.Input((3, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model.compile("adam", tfi.losses.BinaryFocalLoss(from_logits=True))
    history = model.fit(dataset, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_layers_of_noise_know_that_they_train():
    x, y = data()
    make = lambda: tfi.data.balanced_batches(x, y, batch_size=20)  # noqa: E731
    for layer in (keras.layers.GaussianNoise(0.5), keras.Sequential([keras.layers.Dropout(0.5)])):
        changed = []
        for (rows, labels), (before, _) in zip(
            tfi.data.augment(make(), layer), make(), strict=True
        ):
            assert rows.shape == before.shape
            changed.append((rows.numpy() != before.numpy()).any(axis=1) == (labels.numpy() == 1))
        assert np.mean(changed) > 0.9


def test_a_class_that_is_not_there_is_refused():
    x, y = data()
    batches = tfi.data.balanced_batches(x, y, batch_size=20)
    for stage in STAGES.values():
        with pytest.raises(ValueError, match=r"has classes 0, 1.*class 7"):
            stage(batches.prefetch(1), classes=[7])


@pytest.mark.parametrize(
    "function",
    [
        lambda x, seed=None: noise(x, seed),
        lambda x, *, seed: noise(x, seed),
        lambda x, key: noise(x, key),
    ],
)
def test_a_seed_is_given_to_whoever_takes_one(function):
    x, y = data()
    constant = tf.data.Dataset.from_tensors((x[-20:], y[-20:])).repeat(3)
    expected = batches_of(tfi.data.augment(constant, noise))
    np.testing.assert_array_equal(batches_of(tfi.data.augment(constant, function)), expected)


def test_rows_far_from_zero_find_their_neighbours():
    start = 1.7e9 + np.arange(64) * 256.0  # As float32 can tell apart, by twos.
    x = start.astype("float32")[:, None]
    source = tf.data.Dataset.from_tensors((x, np.ones(64, int))).repeat(5)
    mixed = tfi.data.smote_mixup(source, fraction=1.0, k_neighbors=1, whole_numbers="mix")
    for rows, _ in mixed:
        assert np.abs(rows.numpy() - x).max() <= 256


def test_sampling_is_that_of_the_source():
    x, y = data()
    batches = tfi.data.balanced_batches(x, y, batch_size=20)
    sampling = tfi.data.class_sampling(STAGES["augment"](batches).prefetch(1))
    assert sampling.drawn.counts.tolist() == [200, 200]


BATCHES = tf.data.Dataset.from_tensors((np.zeros((4, 2), "float32"), [0, 1, 0, 1]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tfi.data.augment(BATCHES, lambda x: x[:, :1]), "same structure"),
        (lambda: tfi.data.augment(BATCHES, lambda x: tf.cast(x, "float64")), "same structure"),
        (lambda: tfi.data.augment(BATCHES, lambda x: (x, x)), "same structure"),
        (lambda: tfi.data.augment(BATCHES, 3), "a function"),
        (lambda: tfi.data.augment([1], lambda x: x), "tf.data.Dataset"),
        (lambda: tfi.data.augment(BATCHES.unbatch(), lambda x: x), "batches of rows"),
        (lambda: tfi.data.smote_mixup(BATCHES, classes=[]), "class ids"),
        (lambda: tfi.data.smote_mixup(BATCHES, classes="1"), "class ids"),
        (lambda: tfi.data.smote_mixup(BATCHES, fraction=2), "fraction"),
        (
            lambda: tfi.data.augment(
                BATCHES.map(lambda x, y: (x, tf.one_hot(y, 2))), lambda x: x, classes=[7]
            ),
            "which has classes 0, 1",
        ),
        (lambda: tfi.data.smote_mixup(BATCHES, k_neighbors=0), "k_neighbors"),
        (lambda: tfi.data.smote_mixup(BATCHES, whole_numbers="no"), "whole_numbers"),
        (
            lambda: tfi.data.smote_mixup(BATCHES.map(lambda x, y: (tf.cast(x, tf.int32), y))),
            "floating-point",
        ),
    ],
)
def test_bad_input_is_refused_at_once(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("positives", [2, 10, 100])
def test_copies_of_a_row_are_no_neighbours_of_it(positives):
    """Balanced batches hold each rare row many times."""
    x = np.random.default_rng(0).normal(size=(20 * positives, 4)).astype("float32")
    y = (np.arange(len(x)) < positives).astype(int)
    batches = tfi.data.balanced_batches(x, y, batch_size=256, steps_per_epoch=2)
    for rows, labels in tfi.data.smote_mixup(batches, fraction=1.0):
        new = rows.numpy()[labels.numpy() == 1]
        own = (new[:, None] == x[None, :positives]).all(axis=-1).any(axis=1)
        assert own.mean() < 0.02  # A step of 0 is a copy.


@pytest.mark.parametrize("stage", [tfi.data.augment, tfi.data.smote_mixup])
def test_labels_without_a_class_are_refused(stage):
    soft = np.eye(2, dtype="float32")[np.arange(20) % 2] * 0.9 + 0.05
    batches = tf.data.Dataset.from_tensor_slices((np.zeros((20, 2), "float32"), soft)).batch(5)
    arguments = (batches,) if stage is tfi.data.smote_mixup else (batches, lambda x: x)
    with pytest.raises(tf.errors.InvalidArgumentError, match="`dataset`: expected a class id"):
        list(stage(*arguments))
    by_largest = stage(*arguments, label_fn=lambda x, y: tf.argmax(y, axis=-1))
    assert len(list(by_largest)) == 4


def test_batches_without_a_rare_row_stay_as_they_are():
    x, y = np.arange(40, dtype="float32")[:, None] + 0.5, (np.arange(40) >= 30).astype(int)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(10)
    rows = [part.numpy() for part, _ in tfi.data.smote_mixup(batches, fraction=1.0)]
    np.testing.assert_array_equal(np.concatenate(rows)[:30], x[:30])
    assert not np.isin(rows[-1], x).all()


def test_equal_rows_of_other_classes_are_neighbours_of_their_own():
    x = np.array([[0.1], [0.2], [0.1], [0.2]], "float32")
    batches = tf.data.Dataset.from_tensor_slices((x, [1, 1, 2, 2])).batch(4)
    ((rows, _),) = tfi.data.smote_mixup(batches, classes=(1, 2), fraction=1.0)
    assert not np.isin(rows.numpy(), x).any()
