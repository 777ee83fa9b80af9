"""Rows that stay on disk."""

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf

import tfimbalance as tfi
from tfimbalance.data._rows import files

ROWS = 3_000


def data():
    x = np.arange(ROWS, dtype="float32")[:, None] * [1, 10, 100]
    return x.astype("float32"), (np.arange(ROWS) % 50 == 7).astype("int64")


def check(dataset, batches=20):
    x, y = data()
    seen = []
    for rows, labels in dataset.take(batches):
        row = rows.numpy()[:, 0].astype(int)
        np.testing.assert_array_equal(rows, x[row])
        np.testing.assert_array_equal(labels, y[row])
        assert labels.numpy().sum() == len(labels) // 2
        seen.append(row)
    return np.stack(seen)


class Sliced:
    """As HDF5 and Zarr: slices alone, and it notes which."""

    def __init__(self, array):
        self.shape, self.dtype = array.shape, array.dtype
        self._array, self.slices = array, []

    def __len__(self):
        return len(self._array)

    def __getitem__(self, key):
        assert isinstance(key, slice)
        self.slices.append((key.start, key.stop))
        return self._array[key]


def test_hdf5(tmp_path):
    x, y = data()
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["x"], file["y"] = x, y
        file["name"] = [f"row {i}" for i in range(ROWS)]
        order = check(tfi.data.balanced_batches(file["x"], file["y"], batch_size=20))
        memory = check(tfi.data.balanced_batches(x, y, batch_size=20))
        np.testing.assert_array_equal(order, memory)
        both = {"row": np.arange(ROWS), "name": file["name"]}
        batch, _ = next(iter(tfi.data.balanced_batches(both, y, batch_size=8)))
        assert [n.decode() for n in batch["name"].numpy()] == [f"row {i}" for i in batch["row"]]


def test_slices_are_read_in_order_each_row_once(monkeypatch):
    """Sorted, never overlapping, and close rows in one read."""
    x, y = data()
    monkeypatch.setattr(files, "_GAP_BYTES", 12 * 4)  # Four rows.
    sliced = Sliced(x)
    iterator = iter(tfi.data.balanced_batches(sliced, y, batch_size=100, steps_per_epoch=1))
    sliced.slices.clear()
    rows = next(iterator)[0].numpy()[:, 0].astype(int)
    starts, stops = (np.array(ends) for ends in zip(*sliced.slices, strict=True))
    assert (starts[1:] >= stops[:-1] + 4).all()
    covered = np.concatenate([np.arange(a, b) for a, b in sliced.slices])
    assert set(rows) <= set(covered)


def test_a_memory_map_larger_than_memory_is_read_sorted(tmp_path, monkeypatch):
    x, y = data()
    file = np.memmap(tmp_path / "x", "float32", "w+", shape=x.shape)
    file[:] = x
    plain = check(tfi.data.balanced_batches(file, y, batch_size=20))
    monkeypatch.setattr(files.os, "sysconf", lambda name: 1)  # A byte of memory.
    assert files.is_larger_than_memory(file)
    assert not files.is_larger_than_memory(x)
    np.testing.assert_array_equal(check(tfi.data.balanced_batches(file, y, batch_size=20)), plain)


@pytest.mark.parametrize("kind", ["table", "columns", "file"])
def test_arrow(tmp_path, kind):
    x, y = data()
    columns = {"a": x[:, 0], "b": x[:, 1], "name": [f"row {i}" for i in range(ROWS)]}
    table = pa.table(columns)
    if kind == "file":
        with (
            pa.OSFile(str(tmp_path / "rows.arrow"), "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as writer,
        ):
            writer.write_table(table, max_chunksize=700)
        source = pa.memory_map(str(tmp_path / "rows.arrow"))
        table = pa.ipc.open_file(source).read_all()
    given = {name: table[name] for name in columns} if kind == "columns" else table
    dataset = tfi.data.balanced_batches(given, pa.array(y), batch_size=20)
    for batch, labels in dataset.take(10):
        row = batch["a"].numpy().astype(int)
        np.testing.assert_array_equal(batch["b"], row * 10)
        np.testing.assert_array_equal(labels, y[row])
        assert batch["name"].numpy()[0].decode() == f"row {row[0]}"
        assert batch["a"].dtype == tf.float32


def test_arrow_backed_frames():
    x, y = data()
    frame = pd.DataFrame(x, columns=list("abc")).convert_dtypes(dtype_backend="pyarrow")
    check(tfi.data.balanced_batches(frame.astype("float[pyarrow]"), y, batch_size=20))
    column = tfi.data.balanced_batches(
        pd.Series(np.arange(ROWS), dtype="int64[pyarrow]"), y, batch_size=20
    )
    rows, labels = next(iter(column))
    np.testing.assert_array_equal(labels, y[rows.numpy()])


def test_flags_beside_numbers_are_numbers():
    x, y = data()
    frame = pd.DataFrame(x, columns=list("abc")).assign(flag=y == 1)
    rows, labels = next(iter(tfi.data.balanced_batches(frame, y, batch_size=20)))
    assert rows.dtype == tf.float32
    np.testing.assert_array_equal(rows[:, 3], labels)


def test_lists_of_arrow_are_refused():
    lists = pa.array([[1.0, 2.0]] * ROWS)
    with pytest.raises(ValueError, match=r"column of list<item: double>.*np\.stack"):
        tfi.data.balanced_batches(pa.table({"l": lists}), data()[1])


def test_frames_of_text_say_what_to_do():
    _, y = data()
    frame = pd.DataFrame({"a": np.arange(ROWS, dtype="float32"), "city": ["x"] * ROWS})
    with pytest.raises(ValueError, match=r"other values: city.*dict\(frame\)"):
        tfi.data.balanced_batches(frame, y)
    batch, _ = next(iter(tfi.data.balanced_batches(dict(frame), y, batch_size=8)))
    assert batch["city"].dtype == tf.string
    with pytest.raises(ValueError, match=r"missing value in row 1.*fillna"):
        tfi.data.balanced_batches(pd.Series(["a", None] * (ROWS // 2)), y)


def test_missing_integers_are_refused():
    values = pd.Series([1, None] * (ROWS // 2), dtype="Int64")
    with pytest.raises(ValueError, match="missing value in row 1"):
        tfi.data.balanced_batches(values, data()[1])


def test_nulls_are_refused():
    values = pa.array([1.0, None] * (ROWS // 2))
    with pytest.raises(ValueError, match=r"1500 nulls.*fill_null"):
        tfi.data.balanced_batches({"x": values}, data()[1])


def test_files_cannot_be_tensors(tmp_path):
    x, y = data()
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["x"] = x
        with pytest.raises(ValueError, match="in_graph=True makes tensors"):
            tfi.data.balanced_batches(file["x"], y, in_graph=True)


def test_other_datasets_read_files_too(tmp_path):
    x, y = data()
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["x"] = x
        kept = tfi.data.weighted_undersampling(
            file["x"], y, keep_weight=0.1, batch_size=20, correction=None
        )
        for rows, labels in kept:
            row = rows.numpy()[:, 0].astype(int)
            np.testing.assert_array_equal(rows, x[row])
            np.testing.assert_array_equal(labels, y[row])
