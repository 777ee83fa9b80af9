import gc
import math
import weakref

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import tfimbalance as tfi


def data(*counts):
    """Rows numbered from 0, class by class: x is the number, y the class."""
    return np.arange(sum(counts)), np.repeat(np.arange(len(counts)), counts)


def rows_of(dataset, epochs=1):
    return [x.numpy() for _ in range(epochs) for x, *_ in dataset]


@given(
    counts=st.lists(st.integers(1, 80), min_size=2, max_size=6),
    extra=st.integers(0, 30),
    steps=st.integers(1, 9),
    seed=st.integers(0, 5),
)
@settings(max_examples=12)
def test_quotas_are_exact_and_nothing_is_starved(counts, extra, steps, seed):
    x, y = data(*counts)
    k, batch_size = len(counts), len(counts) + extra
    dataset = tfi.data.balanced_batches(
        x, y, batch_size=batch_size, steps_per_epoch=steps, seed=seed
    )
    batches = rows_of(dataset, epochs=3)
    assert len(batches) == 3 * steps
    drawn = np.zeros(len(x), int)
    for batch in batches:
        held = np.bincount(y[batch], minlength=k)
        assert held.sum() == batch_size
        assert held.min() >= batch_size // k
        assert held.max() <= -(-batch_size // k)
        np.add.at(drawn, batch, 1)
        # Without replacement until all are used: no row is ever two draws ahead of another.
        for label in range(k):
            of_class = drawn[y == label]
            assert of_class.max() - of_class.min() <= 1


@pytest.mark.parametrize("shares", ["balanced", "natural", {1: 0.2}, [0.7, 0.1, 0.2]])
def test_shares_hold_in_the_long_run(shares):
    x, y = data(700, 250, 50)
    dataset = tfi.data.balanced_batches(
        x, y, batch_size=30, class_shares=shares, steps_per_epoch=200
    )
    held = np.bincount(y[np.concatenate(rows_of(dataset))], minlength=3) / 6000
    wanted = {
        "balanced": [1 / 3] * 3,
        "natural": [0.7, 0.25, 0.05],
        str({1: 0.2}): [0.8 * 700 / 750, 0.2, 0.8 * 50 / 750],
    }.get(str(shares), shares)
    np.testing.assert_allclose(held, wanted, atol=4 / 6000)


def test_hundreds_of_classes():
    counts = np.random.default_rng(0).integers(1, 30, 300).tolist()
    x, y = data(*counts)
    dataset = tfi.data.balanced_batches(x, y, batch_size=640)
    seen = np.concatenate(rows_of(dataset, epochs=2))
    assert all((np.bincount(y[b]) >= 2).all() for b in rows_of(dataset))
    assert set(seen) == set(x)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "float32"])
@pytest.mark.parametrize("classes", [3, 40, 200])
def test_any_type_of_class_ids(classes, dtype):
    y = (np.arange(2_000) % classes).astype(dtype)
    dataset = tfi.data.balanced_batches(np.arange(2_000), y, batch_size=classes)
    for rows, labels in dataset.take(2):
        np.testing.assert_array_equal(labels, y[rows.numpy()])
        assert len(set(labels.numpy().tolist())) == classes


def test_an_epoch_is_one_pass_by_default_and_known():
    x, y = data(95, 6)
    dataset = tfi.data.balanced_batches(x, y, batch_size=8)
    assert int(dataset.cardinality()) == len(dataset) == math.ceil(101 / 8)
    assert len(list(dataset)) == math.ceil(101 / 8)
    assert dataset.element_spec[0].shape == (8,)


class Recorder(keras.Model):
    """A model that writes down the rows that reach its training step."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.rows = []

    def call(self, x):
        return self.dense(tf.cast(x, "float32")[:, None] / 1000.0)

    def train_step(self, data):
        tf.py_function(lambda rows: self.rows.append(rows.numpy()), [data[0]], [])
        return super().train_step(data)


@pytest.mark.parametrize(("strategy", "steps_per_epoch"), [(False, None), (True, 5)])
def test_epochs_of_fit_continue_one_another(strategy, steps_per_epoch):
    x, y = data(95, 6)
    arguments = {"batch_size": 8, "seed": 3}
    scope = tf.distribute.OneDeviceStrategy("CPU:0") if strategy else tf.distribute.get_strategy()
    with scope.scope():
        model = Recorder()
        model.compile("sgd", tfi.losses.BinaryFocalLoss(from_logits=True))
    dataset = tfi.data.balanced_batches(x, y, **arguments, steps_per_epoch=steps_per_epoch)
    model.fit(dataset, epochs=2, verbose=0)
    model.fit(dataset, epochs=2, verbose=0)
    one_long = tfi.data.balanced_batches(x, y, **arguments, steps_per_epoch=4 * len(dataset))
    np.testing.assert_array_equal(np.stack(model.rows), np.stack(rows_of(one_long)))
    assert set(np.concatenate(model.rows)) == set(x) or steps_per_epoch


def test_a_glance_does_not_use_up_an_epoch():
    x, y = data(95, 6)
    dataset = tfi.data.balanced_batches(x, y, batch_size=8)
    glance = next(iter(dataset))[0].numpy()
    np.testing.assert_array_equal(rows_of(dataset)[0], glance)


def test_resuming_gives_the_same_remaining_batches(tmp_path):
    x, y = data(95, 6)
    make = lambda **kw: tfi.data.balanced_batches(x, y, batch_size=8, **kw)  # noqa: E731
    first = make()
    whole = rows_of(first)
    # An iterator knows its epoch from its first batch on.
    iterator, paths = iter(first), {}
    for step in range(1, len(first) + 1):
        whole.append(next(iterator)[0].numpy())
        if step in (1, 7, 12):
            checkpoint = tf.train.Checkpoint(iterator=iterator)
            paths[step] = checkpoint.save(tmp_path / f"iterator {step}")
    assert next(iterator, None) is None
    whole = np.stack(whole + rows_of(first))
    # By epoch and step.
    for step in (0, *paths):
        again = make(initial_epoch=1)
        resumed = rows_of(again.skip(step)) + rows_of(again)
        np.testing.assert_array_equal(resumed, whole[len(first) + step :])
    # By a checkpoint of the iterator, restored into a new dataset: this epoch and the next.
    for step, path in paths.items():
        second = make()
        restored = iter(second)
        tf.train.Checkpoint(iterator=restored).restore(path)
        resumed = [x.numpy() for x, _ in restored] + rows_of(second)
        np.testing.assert_array_equal(resumed, whole[len(first) + step :])


def test_shards_split_the_batches_without_overlap_or_loss():
    x, y = data(95, 6)
    make = lambda **kw: tfi.data.balanced_batches(x, y, batch_size=8, **kw)  # noqa: E731
    parts = [rows_of(make(num_shards=2, shard_index=i), epochs=3) for i in (0, 1)]
    together = [batch for pair in zip(*parts, strict=True) for batch in pair]
    one = rows_of(make(steps_per_epoch=len(together)))
    np.testing.assert_array_equal(together, one)
    resumed = rows_of(make(num_shards=2, shard_index=1, initial_epoch=2))
    np.testing.assert_array_equal(resumed, parts[1][-len(resumed) :])


def test_the_data_are_let_go_with_the_dataset():
    x, y = np.random.default_rng(0).random((100, 3)), np.repeat([0, 1], [90, 10])
    watch = weakref.ref(x)
    dataset = tfi.data.balanced_batches(x, y, batch_size=8)
    iterator = iter(dataset.map(lambda x, y: (x * 2, y)).prefetch(1))
    del dataset, x
    gc.collect()
    assert len(list(iterator)) == 13  # A dataset made from it keeps it.
    del iterator
    gc.collect()
    assert watch() is None


@pytest.mark.parametrize("empty", [np.zeros((100, 0)), tf.zeros((100, 0), tf.string)])
def test_rows_of_nothing(empty):
    x, y = data(90, 10)
    for batch, _ in tfi.data.balanced_batches({"x": x, "none": empty}, y, batch_size=6):
        assert batch["none"].shape == (6, 0)


def test_sparse_rows_with_duplicates_are_summed():
    _x, y = data(90, 10)
    twice = scipy.sparse.csr_matrix((np.ones(200), np.zeros(200, int), np.arange(0, 201, 2)))
    for batch, _ in tfi.data.balanced_batches(twice, y, batch_size=6).take(2):
        np.testing.assert_array_equal(tf.sparse.to_dense(batch), np.full((6, 1), 2.0))


def test_another_seed_gives_other_batches():
    """The same seed gives the same bytes in another process: test_workers.py."""
    x, y = data(95, 6)
    one, same, other = (
        np.concatenate(rows_of(tfi.data.balanced_batches(x, y, batch_size=8, seed=seed)))
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_each_half_of_a_batch_is_balanced_too():
    """A distribution strategy gives each replica a contiguous part."""
    x, y = data(900, 100)
    for batch in rows_of(tfi.data.balanced_batches(x, y, batch_size=64)):
        assert abs(y[batch[:32]].sum() - 16) <= 2


def test_any_nested_x_stays_with_its_row():
    x, y = data(90, 10)
    frame = pd.DataFrame({"a": x, "b": x * 2})
    sparse = scipy.sparse.diags(x.astype("float32") + 1, format="csc")
    memmap_like = np.asfortranarray(np.stack([x, x, x], axis=1).astype("float16"))
    ragged = tf.RaggedTensor.from_row_lengths(np.repeat(x, x % 4), x % 4)
    nested = {
        "array": memmap_like,
        "pair": (tf.constant(x), [x.reshape(-1, 1), x]),
        "frame": frame,
        "column": frame["b"],
        "text": np.array([f"row {i}" for i in x]),
        "flag": x % 2 == 0,
        "ragged": ragged,
        "sparse": sparse,
        "sparse tensor": tf.sparse.from_dense(np.diag(x + 1)),
        "read only": np.broadcast_to(x[:, None], (100, 2)),
        "big endian": x.astype(">i4"),
    }
    dataset = tfi.data.balanced_batches(nested, y, batch_size=6, sample_weight=x / 2)
    for batch, label, weight in dataset.take(4):
        row = (weight.numpy() * 2).astype(int)
        np.testing.assert_array_equal(label, y[row])
        np.testing.assert_array_equal(batch["array"], memmap_like[row])
        np.testing.assert_array_equal(batch["pair"][0], row)
        np.testing.assert_array_equal(batch["pair"][1][0][:, 0], row)
        np.testing.assert_array_equal(batch["frame"], frame.to_numpy()[row])
        np.testing.assert_array_equal(batch["column"], row * 2)
        assert batch["text"].numpy()[0].decode() == f"row {row[0]}"
        np.testing.assert_array_equal(batch["flag"], row % 2 == 0)
        assert batch["ragged"].to_list() == [[i] * (i % 4) for i in row]
        for name in ("sparse", "sparse tensor"):
            dense = tf.sparse.to_dense(batch[name]).numpy()
            np.testing.assert_array_equal(dense, np.diag(x + 1)[row])
        np.testing.assert_array_equal(batch["read only"][:, 1], row)
        np.testing.assert_array_equal(batch["big endian"], row)


def test_batches_that_are_kept_do_not_change():
    """Buffers are used again, but only once nothing refers to them."""
    rng = np.random.default_rng(0)
    x, y = rng.random((4000, 64), dtype="float32"), np.repeat([0, 1], [3900, 100])
    dataset = tfi.data.balanced_batches(
        (x, np.arange(4000)), y, batch_size=1000, steps_per_epoch=99
    )
    kept = list(dataset)
    for (values, rows), _ in kept:
        np.testing.assert_array_equal(values, x[rows.numpy()])


def test_memmap(tmp_path):
    x = np.memmap(tmp_path / "x", "float32", "w+", shape=(500, 3))
    x[:] = np.arange(500)[:, None]
    y = np.repeat([0, 1], [480, 20])
    for values, labels in tfi.data.balanced_batches(x, y, batch_size=10).take(5):
        np.testing.assert_array_equal(y[values.numpy()[:, 0].astype(int)], labels)


@pytest.mark.parametrize(
    "as_given",
    [
        lambda y: y[:, None],
        lambda y: np.eye(2)[y],
        lambda y: y.astype(bool),
        lambda y: y[:, None].tolist(),
        pd.Series,
    ],
)
def test_labels_are_emitted_as_they_are(as_given):
    x, y = data(90, 10)
    given = as_given(y)
    for rows, labels in tfi.data.balanced_batches(x, given, batch_size=4):
        np.testing.assert_array_equal(labels, np.asarray(given)[rows.numpy()])


def test_several_outputs_are_balanced_by_the_labels_named():
    x, y = data(90, 10)
    outputs = {"click": y, "seconds": x * 0.5}
    for rows, out in tfi.data.balanced_batches(x, outputs, labels=y, batch_size=4):
        assert out["click"].numpy().sum() == 2
        np.testing.assert_array_equal(out["seconds"], rows.numpy() * 0.5)
    with pytest.raises(ValueError, match='labels=y\\["click"\\]'):
        tfi.data.balanced_batches(x, outputs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": np.zeros(100, int)}, "at least two classes"),
        ({"x": np.zeros(0), "y": np.zeros(0, int)}, "at least one row"),
        ({"y": np.repeat([0.0, np.nan], 50)}, "nan in row 50"),
        ({"y": np.repeat([0, -1], 50)}, "-1 in row 50"),
        ({"y": np.repeat([0, 0.5], 50)}, "0.5"),
        ({"x": np.zeros(99)}, "99 rows"),
        ({"x": {"a": np.zeros(100), "b": np.zeros(7)}}, "7 rows"),
        ({"sample_weight": np.ones(3)}, "`sample_weight`.*3 rows"),
        ({"batch_size": 1}, "at least 2, one row for each class"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 8.0}, "batch_size"),
        ({"steps_per_epoch": 0}, "steps_per_epoch"),
        ({"class_shares": {5: 0.5}}, "class 5, which has none"),
        ({"class_shares": [0.5, 0.9]}, "sum to 1"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"initial_epoch": -1}, "initial_epoch"),
        ({"x": 3.0}, "row axis"),
        ({"x": {"a": None}}, "None"),
        ({"y": {}, "labels": np.repeat([0, 1], [90, 10])}, "`y`.*at least one array"),
        ({"x": tf.sparse.from_dense([["a"]] * 100)}, "dtype string"),
        ({"labels": np.zeros(50, int)}, "`labels`.*50 rows"),
        ({"y": np.repeat([0, 3_000_000], [90, 10])}, "LabelEncoder"),
        ({"class_shares": {1: 4e-10}}, "at least 1e-9"),
        ({"shard_index": 1}, "below num_shards=1"),
    ],
)
def test_bad_input_is_refused_at_once(arguments, message):
    x, y = data(90, 10)
    with pytest.raises(ValueError, match=message):
        tfi.data.balanced_batches(**{"x": x, "y": y, **arguments})
