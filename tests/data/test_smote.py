import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.neighbors import NearestNeighbors

import tfimbalance as tfi

pytestmark = pytest.mark.slow


def data(counts=(570, 30), width=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(sum(counts), width)), np.repeat(np.arange(len(counts)), counts)


def drawn(x, y, epochs=1, **arguments):
    """Rows of every class in some epochs: the features, and which row they are of."""
    dataset = tfi.data.smote_batches({"x": x, "row": np.arange(len(y))}, y, **arguments)
    batches = [(b["x"].numpy(), b["row"].numpy()) for _ in range(epochs) for b, _ in dataset]
    values, rows = (np.concatenate(part) for part in zip(*batches, strict=True))
    return values, rows


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("k", [1, 5, 1000])
def test_new_rows_lie_between_a_row_and_one_of_its_nearest(k, dtype):
    x, y = data()
    x = x.astype(dtype)
    values, rows = drawn(x, y, k_neighbors=k, batch_size=20, epochs=2)
    own = x[y == 1]
    size = min(k, len(own) - 1)
    near = NearestNeighbors(n_neighbors=size).fit(own).kneighbors(return_distance=False)
    tolerance = {"float16": 3e-3, "float32": 1e-6, "float64": 1e-12}[dtype]
    for value, row in zip(values.astype("float64"), rows, strict=True):
        if y[row] == 0:
            np.testing.assert_array_equal(value, x[row])
            continue
        start, ends = x[row].astype("float64"), own[near[row - 570]].astype("float64")
        # How far towards each end, and how far from the line there.
        step = ends - start
        far = ((value - start) * step).sum(axis=1) / (step**2).sum(axis=1)
        off = np.abs(start + far[:, None] * step - value).max(axis=1)
        assert ((off < tolerance) & (far > -tolerance) & (far < 1 + tolerance)).any()
    assert values.dtype == dtype


@pytest.mark.parametrize("steps", [None, 7, 60])
def test_each_row_comes_as_it_is_once_an_epoch(steps):
    x, y = data()
    arguments = {"batch_size": 20, "steps_per_epoch": steps}
    for epoch in range(3):
        values, rows = drawn(x, y, initial_epoch=epoch, **arguments)
        itself = (values == x[rows]).all(axis=1)
        times = np.bincount(rows[itself], minlength=len(x))
        assert (times[y == 1] == 1).all()
        # No two of the others are the same.
        made = values[~itself]
        assert len(np.unique(made, axis=0)) == len(made)


@pytest.mark.parametrize("size", [2, 3, 5, 6, 7])
def test_classes_of_a_few_rows(size):
    x, y = data((300, size))
    values, rows = drawn(x, y, batch_size=20)
    own = x[y == 1]
    low, high = own.min(axis=0) - 1e-9, own.max(axis=0) + 1e-9
    assert ((values[y[rows] == 1] >= low) & (values[y[rows] == 1] <= high)).all()


def test_a_class_of_one_row_is_refused():
    x, y = data((300, 40, 1))
    with pytest.raises(ValueError, match=r"one row of class 2.*balanced_batches"):
        tfi.data.smote_batches(x, y)


def test_classes_that_are_not_repeated_stay_as_they_are():
    x, y = data((300, 200, 20))
    values, rows = drawn(x, y, class_shares="natural", batch_size=26)
    np.testing.assert_array_equal(values, x[rows])


def test_neighbours_far_from_zero():
    """Times in seconds: a float32 would not tell one from the next."""
    x = (1.7e9 + np.arange(400) + 0.5)[:, None]
    y = (np.arange(400) % 20 == 3).astype(int)
    values, rows = drawn(x, y, k_neighbors=1, batch_size=20)
    assert np.abs(values - x[rows]).max() <= 20
    assert (np.abs(values - x[rows]).max(axis=1)[y[rows] == 1] > 0).mean() > 0.8


def test_features_say_what_is_near():
    x, y = data((200, 20), 1)
    order = np.arange(220.0)[:, None] * [1, 2]
    values, rows = drawn(x, y, k_neighbors=1, features=order, batch_size=20)
    for value, row in zip(values[:, 0], rows, strict=True):
        if y[row]:
            ends = [x[row + s, 0] for s in (-1, 1) if 200 <= row + s < 220]
            assert any(
                min(x[row, 0], e) - 1e-12 <= value <= max(x[row, 0], e) + 1e-12 for e in ends
            )


def test_what_is_no_float_stays_and_all_floats_move_alike():
    x, y = data()
    nested = {
        "a": x,
        "b": x[:, :1] * 3.0,
        "image": np.repeat(x[:, :, None], 2, axis=2).astype("float32"),
        "id": np.arange(600),
        "name": np.array([f"row {i}" for i in range(600)]),
        "tags": tf.RaggedTensor.from_row_lengths(np.repeat(np.arange(600), 2), np.full(600, 2)),
    }
    weight = np.arange(600) / 2
    dataset = tfi.data.smote_batches(nested, np.eye(2)[y], batch_size=20, sample_weight=weight)
    for batch, labels, weights in dataset:
        row = batch["id"].numpy()
        np.testing.assert_array_equal(labels, np.eye(2)[y[row]])
        np.testing.assert_array_equal(weights, row / 2)
        np.testing.assert_allclose(batch["b"][:, 0], batch["a"].numpy()[:, 0] * 3.0, rtol=1e-9)
        np.testing.assert_allclose(batch["image"][:, :, 1], batch["a"], rtol=1e-5, atol=1e-6)
        assert batch["name"].numpy()[0].decode() == f"row {row[0]}"
        assert batch["tags"].to_list() == [[i, i] for i in row]
    sampling = tfi.data.class_sampling(dataset)
    assert sampling.drawn.counts.tolist() == [300, 300]


def test_whole_numbers_are_refused_unless_they_are_quantities():
    x, y = data()
    age, flag = np.arange(600) % 80, np.arange(600) % 2
    table = np.column_stack([x, age, flag]).astype("float32")
    with pytest.raises(ValueError, match=r"columns 2, 3 of whole numbers.*quantities"):
        tfi.data.smote_batches(table, y)
    with pytest.raises(ValueError, match=r"column 3 of whole numbers"):
        tfi.data.smote_batches(table, y, quantities=[2])
    tfi.data.smote_batches(table, y, quantities=[2, 3])
    frame = pd.DataFrame({"a": x[:, 0], "age": age.astype(float)})
    tfi.data.smote_batches(frame, y, quantities=["age"])
    several = {"a": x, "b": table[:, 2:]}
    tfi.data.smote_batches(several, y, quantities={"b": [0, 1]})
    for wrong, message in (([99], "99"), (["who"], "who"), (slice(None), "numbers of columns")):
        with pytest.raises(ValueError, match=message):
            tfi.data.smote_batches(table, y, quantities=wrong)
    with pytest.raises(ValueError, match="a dictionary by array"):
        tfi.data.smote_batches(several, y, quantities=[0, 1])
    with pytest.raises(ValueError, match="'id'"):
        tfi.data.smote_batches({"a": x, "id": flag}, y, quantities={"id": [0]})


def test_the_order_is_that_of_balanced_batches():
    x, y = data()
    _, rows = drawn(x, y, batch_size=20)
    same = tfi.data.balanced_batches(np.arange(600), y, batch_size=20)
    np.testing.assert_array_equal(rows, np.concatenate([r for r, _ in same]))
    parts = [drawn(x, y, batch_size=20, num_shards=2, shard_index=i)[1] for i in (0, 1)]
    together = np.stack([part.reshape(-1, 20) for part in parts], axis=1).ravel()
    np.testing.assert_array_equal(together[: len(rows)], rows[: len(together)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": np.arange(600)}, "a dense floating-point array"),
        ({"y": np.zeros(600, int)}, "at least two classes"),
        ({"y": {"a": np.zeros(600)}}, r'labels=y\["click"\]'),
        ({"x": np.full((600, 2), np.nan)}, "NaN or infinity in row 570"),
        ({"features": np.zeros(600)}, r"shape \(rows, width\)"),
        ({"features": np.array([["a"]] * 600)}, "numbers of shape"),
        ({"features": np.zeros((3, 2))}, "3 rows"),
        ({"k_neighbors": 0}, "k_neighbors"),
        ({"batch_size": 1}, "at least 2"),
        ({"x": np.zeros((3, 2))}, "3 rows"),
    ],
)
def test_bad_input_is_refused_at_once(arguments, message):
    x, y = data()
    with pytest.raises(ValueError, match=message):
        tfi.data.smote_batches(**{"x": x, "y": y, **arguments})


def test_quantities_of_nested_rows_are_found_by_their_column():
    rng = np.random.default_rng(0)
    x, age = rng.normal(size=(60, 2)), rng.integers(20, 60, (60, 1)).astype(float)
    y = np.arange(60) % 6 == 0
    wide = [x, np.hstack([x, age])]
    for rows, quantities in ((wide, {1: [2]}), (wide, {1: [-1]}), ({"a": (x, age)}, {1: [0]})):
        batches = tfi.data.smote_batches(rows, y, batch_size=12, quantities=quantities)
        for array in tf.nest.flatten(next(iter(batches))[0]):
            assert np.isfinite(array).all()


@pytest.mark.parametrize("make", ["smote_batches", "smote_mixup"])
def test_rows_of_float16_that_are_far_apart_stay_finite(make):
    """Their difference is no number of float16, and what lies between them is."""
    rng = np.random.default_rng(0)
    x = (np.where(rng.random((400, 2)) < 0.5, 6e4, -6e4) + 0.5).astype("float16")
    y = (np.arange(400) < 10).astype(int)
    if make == "smote_batches":
        rows = tfi.data.smote_batches(x, y, batch_size=100, quantities=[0, 1])
    else:
        batches = tfi.data.balanced_batches(x, y, batch_size=100)
        rows = tfi.data.smote_mixup(batches, fraction=1.0, whole_numbers="mix")
    made = np.concatenate([batch.numpy() for batch, _ in rows])
    assert np.isfinite(made).all()
    assert (np.abs(made.astype("float32")) < 5e4).any()
