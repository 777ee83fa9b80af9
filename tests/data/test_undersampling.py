import keras
import numpy as np
import pytest
import tensorflow as tf

import tfimbalance as tfi

pytestmark = pytest.mark.slow

THREE = np.arange(4_000) % 3


def data(rows=4_000, positives=100):
    return np.arange(rows), np.repeat([0, 1], [rows - positives, positives])


def read(dataset):
    """Every component of an epoch, rows one after the other."""
    batches = [[part.numpy() for part in tf.nest.flatten(element)] for element in dataset]
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def first_pass(rows):
    """Up to the first row that comes again: positives are all kept, in a new order each pass."""
    seen = np.zeros(rows.max() + 1, bool)
    for i, row in enumerate(rows):
        if seen[row]:
            return i
        seen[row] = True
    return len(rows)


def logistic(x, y, offset=0.0, weight=1.0):
    """Newton's method for logit = a + b x + offset, in float64."""
    design, beta = np.stack([np.ones_like(x), x], axis=1), np.array([-4.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-(design @ beta + offset)))
        hessian = design.T @ (design * (weight * p * (1 - p))[:, None])
        step = np.linalg.solve(hessian, design.T @ (weight * (y - p)))
        beta = beta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            return beta
    raise AssertionError("Newton's method did not converge")


@pytest.mark.slow
def test_limits_of_negative_downsampling():
    """FORMULAS.md 5.2, on the very rows that are handed out: 200 trials of 40,000 rows each.

    logit = -5.2 + x; one negative a positive. An intercept varies by about .1 from trial to trial,
    so that the mean of 200 is known to about .007.
    """
    trials, size = 200, 40_000
    rng = np.random.default_rng(0)
    x = rng.normal(size=trials * size)
    y = (rng.random(len(x)) < 1 / (1 + np.exp(5.2 - x))).astype(np.int8)
    keep = y.mean() / (1 - y.mean())
    dataset = tfi.data.weighted_undersampling(
        np.arange(len(x)), y, keep_weight=keep, batch_size=2_000
    )
    rows, offset, _ = read(dataset)
    np.testing.assert_allclose(offset, -np.log(keep), rtol=1e-6)
    rows = rows[: first_pass(rows)]
    np.testing.assert_array_equal(np.sort(rows[y[rows] == 1]), np.flatnonzero(y))
    raw, with_offset, with_weight = (np.empty((trials, 2)) for _ in range(3))
    for trial in range(trials):
        own = rows[rows // size == trial]
        raw[trial] = logistic(x[own], y[own])
        with_offset[trial] = logistic(x[own], y[own], offset=-np.log(keep))
        weight = np.where(y[own] == 1, 1.0, 1 / keep)
        with_weight[trial] = logistic(x[own], y[own], weight=weight)
    assert raw[:, 0].mean() == pytest.approx(-0.5, abs=0.03)
    assert with_offset[:, 0].mean() == pytest.approx(-5.2, abs=0.02)
    assert with_offset[:, 1].mean() == pytest.approx(1.0, abs=0.02)
    ratio = with_offset[:, 1].var() / with_weight[:, 1].var()
    # "About half"; a ratio of variances of 200 trials is known to within a factor of 1.3.
    assert 0.5 / 1.5 < ratio < 0.5 * 1.5


@pytest.mark.slow
def test_a_model_trained_with_the_offset_is_calibrated_as_it_is():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100_000, 1)).astype("float32")
    y = rng.random(len(x)) < 1 / (1 + np.exp(4.0 - x[:, 0]))
    dataset = tfi.data.weighted_undersampling(x, y, keep_weight=0.05, batch_size=64)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    trained = tfi.layers.OffsetModel(model)
    trained.compile(keras.optimizers.Adam(0.03), keras.losses.BinaryCrossentropy(from_logits=True))
    trained.fit(dataset, epochs=6, verbose=0)
    p = keras.ops.sigmoid(model.predict(x, verbose=0, batch_size=10_000)).numpy()
    assert p.sum() / y.sum() == pytest.approx(1.0, abs=0.1)


def test_offset_model_is_saved_whole(tmp_path):
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model = tfi.layers.OffsetModel(inner)
    x, offset = np.ones((4, 3), "float32"), np.arange(8.0).reshape(4, 2)
    before = model.predict((x, offset), verbose=0)
    np.testing.assert_allclose(before, inner.predict(x, verbose=0) + offset, rtol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict((x, offset), verbose=0), before, rtol=1e-6)
    with pytest.raises(ValueError, match="ends in a sigmoid"):
        tfi.layers.OffsetModel(
            keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])
        )
    nested = keras.Sequential([keras.Sequential([keras.Input((3,)), keras.layers.Softmax()])])
    with pytest.raises(ValueError, match="ends in a softmax"):
        tfi.layers.OffsetModel(nested)
    with pytest.raises(ValueError, match="a Keras model"):
        tfi.layers.OffsetModel(lambda x: x)


@pytest.mark.parametrize("shape", [(4, 1), (4,), (4, 3), (1, 2)])
def test_an_offset_never_spreads_over_logits(shape):
    model = tfi.layers.OffsetModel(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match=r"shape of the logits.*per_class_offset"):
        model((np.ones((4, 3)), np.ones(shape)))
    with pytest.raises(ValueError, match=r"\(x, offset\).*trained\.model"):
        model(np.ones((4, 3)))


def test_two_units_take_an_offset_for_each_class():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50_000, 1)).astype("float32")
    y = (rng.random(len(x)) < 1 / (1 + np.exp(3.0 - x[:, 0]))).astype("int32")
    make = lambda **kw: tfi.data.weighted_undersampling(  # noqa: E731
        x, y, keep_weight=0.1, batch_size=100, **kw
    )
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    wrong, trained = tfi.layers.OffsetModel(model), tfi.layers.OffsetModel(model)
    wrong.compile("sgd", loss)
    with pytest.raises(ValueError, match="per_class_offset=True"):
        wrong.fit(make(), verbose=0)
    trained.compile(keras.optimizers.Adam(0.05), loss)
    trained.fit(make(per_class_offset=True), epochs=4, verbose=0)
    p = keras.ops.softmax(model.predict(x, verbose=0, batch_size=50_000)).numpy()[:, 1]
    assert p.mean() == pytest.approx(y.mean(), rel=0.1)


def test_weights_of_any_shape():
    x, y = data()
    weights = {"a": np.ones((len(x), 1)), "b": np.full(len(x), 2.0)}
    dataset = tfi.data.weighted_undersampling(
        x, {"a": y, "b": y}["a"], keep_weight=0.1, correction="weight", sample_weight=weights
    )
    _, labels, given = next(iter(dataset))
    inverse = np.where(labels, 1.0, 10.0)
    np.testing.assert_allclose(given["a"][:, 0], inverse, rtol=1e-6)
    np.testing.assert_allclose(given["b"], 2 * inverse, rtol=1e-6)


def test_kinds_of_weights_and_their_offsets():
    x, y = data()
    popularity = np.linspace(0.02, 0.5, len(x))

    def first(y=y, **arguments):
        (rows, offset), labels = next(
            iter(tfi.data.weighted_undersampling(x, y, batch_size=50, **arguments))
        )
        np.testing.assert_array_equal(labels, y[rows.numpy()])
        return rows.numpy(), offset.numpy()

    rows, offset = first(keep_weight={0: 0.1, 1: 0.5})
    np.testing.assert_allclose(offset, np.full((50, 1), np.log(0.5 / 0.1)), rtol=1e-6)
    rows, offset = first(keep_weight=popularity)
    np.testing.assert_allclose(offset[:, 0], -np.log(popularity[rows]), rtol=1e-6)
    same, of_function = first(keep_weight=lambda rows: popularity[rows])
    np.testing.assert_array_equal(same, rows)
    np.testing.assert_array_equal(of_function, offset)
    pilot = np.stack([popularity, 1 - popularity], axis=1)  # Local case-control.
    rows, offset = first(keep_weight=pilot)
    expected = np.log((1 - popularity) / popularity)[rows]
    np.testing.assert_allclose(offset[:, 0], expected, rtol=1e-5, atol=1e-6)
    classes = np.arange(len(x)) % 3
    rows, offset = first(y=classes, keep_weight={0: 0.1, 1: 0.5, 2: 1.0})
    np.testing.assert_allclose(offset, np.tile(np.log([0.1, 0.5, 1.0]), (50, 1)), rtol=1e-6)
    rows, offset = first(y=np.eye(2)[y], keep_weight=0.1)
    np.testing.assert_allclose(offset, np.tile(np.log([0.1, 1.0]), (50, 1)), rtol=1e-6)


def test_kept_with_the_probability_asked_for():
    x, y = data(40_000, 1_000)
    score = np.where(np.arange(len(x)) % 2, 0.3, 0.05)
    dataset = tfi.data.weighted_undersampling(
        x, y, keep_weight=score, batch_size=100, correction=None
    )
    epochs = [read(dataset)[0] for _ in range(3)]
    for rows in epochs:
        assert len(rows) == 100 * len(dataset)
        once = np.bincount(rows[: first_pass(rows)], minlength=len(x))
        assert (once[y == 1] == 1).all()
        for odd, probability in ((1, 0.3), (0, 0.05)):
            kept = once[(y == 0) & (np.arange(len(x)) % 2 == odd)]
            deviation = np.sqrt(probability * (1 - probability) / len(kept))
            assert abs(kept.mean() - probability) < 4 * deviation
    # Anew in each epoch: what one keeps says nothing of what the next does.
    kept = [np.bincount(rows, minlength=len(x))[y == 0] > 0 for rows in epochs[:2]]
    both = (kept[0] & kept[1]).mean()
    assert both == pytest.approx((0.3**2 + 0.05**2) / 2, abs=0.01)


def test_class_sampling_is_what_a_pass_keeps():
    x, y = data(40_000, 1_000)
    dataset = tfi.data.weighted_undersampling(x, y, keep_weight=0.1, correction=None)
    sampling = tfi.data.class_sampling(dataset)
    assert sampling.read.counts.tolist() == [39_000, 1_000]
    assert sampling.drawn.counts.tolist() == [3_900, 1_000]
    # Few rows are counted over many passes, so that shares stay what they are expected to be.
    y = np.repeat([0, 1], [997, 3])
    few = tfi.data.weighted_undersampling(x[:1000], y, keep_weight={0: 1e-4, 1: 0.1})
    sampling = tfi.data.class_sampling(few)
    np.testing.assert_allclose(sampling.rates, [1e-4, 0.1], rtol=0.01)
    assert float(sampling.shift()) == pytest.approx(np.log(1e-4 / 0.1), abs=0.01)


def test_weights_of_one_over_the_probability():
    x, y = data()
    weight = np.linspace(1.0, 2.0, len(x))
    dataset = tfi.data.weighted_undersampling(
        x, y, keep_weight=0.1, correction="weight", sample_weight=weight, batch_size=50
    )
    rows, labels, weights = read(dataset)
    np.testing.assert_allclose(weights, weight[rows] * np.where(labels, 1, 10), rtol=1e-6)


def test_anything_with_rows_passes_through():
    x, y = data()
    nested = {"row": x, "ragged": tf.RaggedTensor.from_row_lengths(np.repeat(x, x % 3), x % 3)}
    dataset = tfi.data.weighted_undersampling(nested, y, keep_weight=0.2, batch_size=16)
    for (batch, offset), labels in dataset.take(3):
        row = batch["row"].numpy()
        assert batch["ragged"].to_list() == [[i] * (i % 3) for i in row]
        np.testing.assert_array_equal(labels, y[row])
        assert offset.shape == (16, 1)


@pytest.mark.parametrize("step", [1, 5])
def test_resuming_gives_the_same_remaining_batches(step, tmp_path):
    x, y = data()
    make = lambda **kw: tfi.data.weighted_undersampling(  # noqa: E731
        x, y, keep_weight=0.1, batch_size=64, correction=None, **kw
    )
    first = make()
    read(first)
    whole = read(first)[0].reshape(-1, 64)
    np.testing.assert_array_equal(read(make(initial_epoch=1))[0].reshape(-1, 64), whole)
    second = make(initial_epoch=1)
    iterator = iter(second)
    for _ in range(step):
        next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "iterator"))
    restored = iter(make())
    tf.train.Checkpoint(iterator=restored).restore(path)
    rest = np.stack([rows.numpy() for rows, _ in restored])
    np.testing.assert_array_equal(rest, whole[step:])


def test_shards_split_the_batches():
    x, y = data()
    make = lambda **kw: tfi.data.weighted_undersampling(  # noqa: E731
        x, y, keep_weight=0.1, batch_size=16, correction=None, **kw
    )
    parts = [read(make(num_shards=2, shard_index=i))[0].reshape(-1, 16) for i in (0, 1)]
    together = np.stack(parts, axis=1).reshape(-1, 16)
    one = read(make())[0].reshape(-1, 16)
    np.testing.assert_array_equal(together[: len(one)], one[: len(together)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep_weight": 0.0}, "at least 1e-09"),
        ({"keep_weight": 1.5}, r"\[0, 1\]"),
        ({"keep_weight": {0: 0.5}}, "2 classes"),
        ({"keep_weight": np.ones(3)}, "3 rows"),
        ({"keep_weight": "all"}, "a finite number"),
        ({"y": np.zeros(4_000, int), "keep_weight": 0.1}, "at least two classes"),
        ({"keep_weight": np.full(4_000, -1.0)}, "at least 1e-09"),
        ({"keep_weight": np.ones((4_000, 3))}, "shape"),
        ({"keep_weight": 0.1, "y": THREE}, "more than two classes"),
        ({"keep_weight": 0.1, "correction": "both"}, '"offset", "weight"'),
        ({"keep_weight": 0.1, "x": np.ones(3)}, "3 rows"),
        (
            {
                "keep_weight": {0: 1, 1: 1, 2: 1},
                "y": np.arange(4_000) % 3,
                "per_class_offset": False,
            },
            "a logit each",
        ),
    ],
)
def test_bad_input_is_refused_at_once(arguments, message):
    x, y = data()
    with pytest.raises(ValueError, match=message):
        tfi.data.weighted_undersampling(**{"x": x, "y": y, **arguments})


def test_an_epoch_of_chosen_length_goes_on_with_the_next_pass():
    x, y = data(200, 10)
    kwargs = {"keep_weight": 0.1, "batch_size": 10, "seed": 1}
    short = tfi.data.weighted_undersampling(x, y, **kwargs)
    long = tfi.data.weighted_undersampling(x, y, steps_per_epoch=30, **kwargs)
    assert len(short) < 10
    assert len(long) == 30
    rows, _, labels = read(long)
    # Every pass brings all ten positives once.
    assert np.bincount(rows[labels == 1]).max() - 1 <= np.bincount(rows[labels == 1])[-10:].min()
    assert labels.sum() == pytest.approx(30 * 10 * 10 / (10 + 19), rel=0.2)
    np.testing.assert_array_equal(rows[: 10 * len(short)], read(short)[0])
