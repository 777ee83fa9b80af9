"""What batches hold, as it was given: structures, labels; and what is refused."""

import gc
import weakref

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf
from imblearn.under_sampling import RandomUnderSampler

import tfimbalance as tfi

pytestmark = pytest.mark.slow


def data(*counts):
    """Rows numbered from 0, class by class: x is the number, y the class."""
    return np.arange(sum(counts)), np.repeat(np.arange(len(counts)), counts)


def rows_of(dataset, epochs=1):
    return [x.numpy() for _ in range(epochs) for x, *_ in dataset]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "float32"])
@pytest.mark.parametrize("classes", [3, 40, 200])
def test_any_type_of_class_ids(classes, dtype):
    y = (np.arange(2_000) % classes).astype(dtype)
    dataset = tfi.data.balanced_batches(np.arange(2_000), y, batch_size=classes)
    for rows, labels in dataset.take(2):
        np.testing.assert_array_equal(labels, y[rows.numpy()])
        assert len(set(labels.numpy().tolist())) == classes


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


def test_what_is_hidden_under_a_mask_is_never_handed_out():
    hidden = np.ma.masked_array(np.ones(100), mask=np.arange(100) == 7)
    with pytest.raises(ValueError, match=r"`x`: .* a masked value in row 7.*filled"):
        tfi.data.balanced_batches(hidden, np.arange(100) % 2, batch_size=10)
    assert next(iter(tfi.data.balanced_batches(hidden[8:], np.arange(92) % 2, batch_size=10)))


@pytest.mark.parametrize("weight", [np.nan, -1.0, np.inf, "1"])
def test_weights_that_are_none_are_refused(weight):
    x, y = np.zeros((100, 1)), np.arange(100) % 2
    weights = np.ones(100).astype(object if weight == "1" else float)
    weights[3] = weight
    if weight == "1":
        weights = weights.astype(str)
    given = {"batch_size": 10, "sample_weight": weights}
    for make in (
        lambda: tfi.data.balanced_batches(x, y, **given),
        lambda: tfi.data.smote_batches(x, y, **given),
        lambda: tfi.data.resampled_batches(x, y, RandomUnderSampler(), **given),
        lambda: tfi.data.weighted_undersampling(x, y, keep_weight=0.5, correction=None, **given),
    ):
        with pytest.raises(ValueError, match="`sample_weight`"):
            make()
