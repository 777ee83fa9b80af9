"""One array of any kind -> a way to gather its rows by number, without copying the data first."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance._checks import bad_value
from tfimbalance._labels import first_row
from tfimbalance.data._rows import files
from tfimbalance.data._rows.leaf import Leaf, array_leaf, bytes_of, tensor_leaf
from tfimbalance.data._rows.sparse import csr_of, sparse_leaf


def open_leaf(name: str, value: Any) -> Leaf:
    """Describe one array, frame column, sparse matrix, memory map or tensor."""
    if isinstance(value, tf.RaggedTensor):
        return tensor_leaf(value, int(value.nrows()), stackable=False)
    if isinstance(value, tf.SparseTensor):
        return sparse_leaf(csr_of(name, value))
    if hasattr(value, "tocsr"):
        if len(value.shape) != 2:
            raise bad_value(
                name, expected="sparse arrays of two axes", received=f"shape {value.shape}"
            )
        return sparse_leaf(value.tocsr())
    if tf.is_tensor(value) and value.dtype == tf.string and value.shape.rank:
        return tensor_leaf(value, int(value.shape[0]))
    if files.is_arrow(value):
        return files.arrow_leaf(name, value)
    if files.is_sliced(value):
        return files.sliced_leaf(name, value)
    if hasattr(value, "iloc"):
        value = _open_frame(name, value)
        if isinstance(value, Leaf):
            return value
    array = _as_numpy(name, value)
    if array.dtype.kind in "OSU":
        return tensor_leaf(_strings(name, array), len(array))
    return _dense_leaf(array)


def _as_numpy(name: str, value: Any) -> NDArray[Any]:
    try:
        array = value if isinstance(value, np.ndarray) else np.asarray(value)
    except (TypeError, ValueError):
        array = np.zeros(())
    if array.ndim == 0:
        raise bad_value(
            name,
            expected="arrays with a row axis, or dicts and tuples of them",
            received=f"{type(value).__name__}",
        )
    files.check_dtype(name, array.dtype)
    if isinstance(value, np.ma.MaskedArray) and (masked := np.ma.getmaskarray(value)).any():
        raise bad_value(
            name,
            expected="a value in every row",
            received=f"a masked value in row {first_row(masked)}",
            remedy="Fill it first: array.filled(...).",
        )
    return array


def _strings(name: str, array: NDArray[Any]) -> tf.Tensor:
    try:
        return tf.constant(array, dtype=tf.string)
    except (TypeError, ValueError):
        raise bad_value(
            name,
            expected="numbers, booleans or strings",
            received=f"a column of mixed objects such as {array.ravel()[0]!r}",
            remedy="Convert it first, for example frame.astype('float32').",
        ) from None


def _open_frame(name: str, frame: Any) -> Leaf | NDArray[Any]:
    """Return the one array of a frame's or series' columns; those of Arrow are taken by row."""
    dtypes = [frame.dtype] if frame.ndim == 1 else list(frame.dtypes)
    kinds = [getattr(dtype, "numpy_dtype", dtype) for dtype in dtypes]
    numeric = [isinstance(kind, np.dtype) and kind.kind in "biuf" for kind in kinds]
    if frame.ndim == 2 and not all(numeric):
        other = [str(c) for c, number in zip(frame.columns, numeric, strict=True) if not number]
        raise bad_value(
            name,
            expected="a frame of numbers and flags, which becomes one array",
            received=f"columns of other values: {', '.join(other[:5])}"
            + (", ..." if len(other) > 5 else ""),
            remedy="Pass the columns one by one, dict(frame), or encode these: "
            "frame[column].astype('category').cat.codes.",
        )
    if not all(numeric):
        missing = np.asarray(frame.isna())
        if missing.any():
            raise bad_value(
                name,
                expected="a value in every row",
                received=f"a missing value in row {first_row(missing)}",
                remedy="Fill it first: series.fillna('missing').",
            )
        return np.asarray(frame.to_numpy())
    # Flags beside numbers are numbers, where pandas would make objects of both.
    dtype = np.result_type(*kinds)
    if frame.ndim == 2 and dtype.kind == "f":
        _check_exact(name, frame, dtype)
    if all(isinstance(each, np.dtype) for each in dtypes):
        return np.asarray(frame.to_numpy(dtype))
    missing = np.asarray(frame.isna())
    if dtype.kind != "f" and missing.any():
        raise bad_value(
            name,
            expected="a value in every row, as integers and flags have none that means missing",
            received=f"a missing value in row {first_row(missing)}",
            remedy="Fill it first, frame.fillna(...), or convert to floats.",
        )
    row_shape = tuple(frame.shape[1:])
    return array_leaf(len(frame), dtype, row_shape, lambda rows: frame.iloc[rows].to_numpy(dtype))


def _check_exact(name: str, frame: Any, dtype: np.dtype[Any]) -> None:
    """Refuse integers that the floats beside them would round, such as ids of 64 bits."""
    most = 2 ** (np.finfo(dtype).nmant + 1)
    for place, column in enumerate(frame.columns):
        values = frame.iloc[:, place]
        if values.dtype.kind not in "iu" or not len(values):
            continue
        largest = max(int(values.max()), -int(values.min()))
        if largest > most:
            raise bad_value(
                name,
                expected=f"integers that {dtype.name} can hold, because the frame becomes one "
                "array of its columns",
                received=f"{largest} in column {column!r}",
                remedy="Pass the columns one by one, dict(frame): each then keeps its dtype.",
            )


def _dense_leaf(array: NDArray[Any]) -> Leaf:
    row_shape, dtype = array.shape[1:], array.dtype.newbyteorder("=")
    # `np.take` copies all of an array that is not laid out row by row, at every call.
    direct = array.flags.c_contiguous and array.dtype == dtype
    row_bytes = bytes_of(dtype, row_shape)

    def gather(rows: NDArray[Any]) -> NDArray[Any]:
        out = _aligned(len(rows) * row_bytes).view(dtype).reshape(len(rows), *row_shape)
        if direct:
            # Row numbers are right by construction; "clip" lets NumPy write into `out` directly.
            np.take(array, rows, axis=0, out=out, mode="clip")
        else:
            out[:] = array[rows]
        return out

    return array_leaf(
        len(array),
        dtype,
        row_shape,
        gather,
        on_disk=files.is_larger_than_memory(array),
        as_tensors=lambda: tensor_leaf(tf.constant(array), len(array)),
    )


def _aligned(size: int) -> NDArray[np.uint8]:
    """Return memory on a 64-byte boundary, where TensorFlow takes it over instead of copying it."""
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]
