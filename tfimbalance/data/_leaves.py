"""One array of any kind -> a way to gather its rows by number, without copying the data first."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance._checks import bad_value
from tfimbalance._labels import first_row
from tfimbalance.data._files import (
    arrow_reader,
    is_arrow,
    is_larger_than_memory,
    is_sliced,
    sliced_reader,
)

Gather = Callable[[NDArray[Any]], list[NDArray[Any]]]


@dataclass(frozen=True)
class Leaf:
    """One array of the user's structure: how many rows, and what a batch of it is.

    ``gather`` runs in NumPy and fills tensors of ``dtypes`` and row shapes ``shapes``; ``build``
    makes the batch out of them. A leaf without ``gather`` is gathered by ``build`` in TensorFlow.
    One that is ``on_disk`` is asked for sorted rows, none of them twice. ``as_tensors`` makes of a
    leaf one without ``gather``.
    """

    num_rows: int
    build: Callable[[Any, list[Any]], Any]
    gather: Gather | None = None
    as_tensors: Callable[[], Leaf] | None = None
    on_disk: bool = False
    dtypes: tuple[tf.DType, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    row_bytes: int = 0
    stackable: bool = True


def open_leaf(name: str, value: Any) -> Leaf:
    """Describe one array, frame column, sparse matrix, memory map or tensor."""
    if isinstance(value, tf.RaggedTensor):
        return _tensor_leaf(value, int(value.nrows()), stackable=False)
    if isinstance(value, tf.SparseTensor):
        return _sparse_leaf(_csr_of(name, value))
    if hasattr(value, "tocsr"):
        return _sparse_leaf(value.tocsr())
    if tf.is_tensor(value) and value.dtype == tf.string:
        return _tensor_leaf(value, int(value.shape[0]), stackable=True)
    if is_arrow(value):
        return _arrow_leaf(name, value)
    if is_sliced(value):
        return _sliced_leaf(name, value)
    if hasattr(value, "iloc"):
        return _frame_leaf(name, value)
    array = _as_numpy(name, value)
    if array.dtype.kind in "OSU":
        return _tensor_leaf(_strings(name, array), len(array), stackable=True)
    return _dense_leaf(array)


def _as_numpy(name: str, value: Any) -> NDArray[Any]:
    array = value if isinstance(value, np.ndarray) else np.asarray(value)
    if array.ndim == 0:
        raise bad_value(
            name,
            expected="arrays with a row axis, or dicts and tuples of them",
            received=f"{type(value).__name__}",
        )
    _check_dtype(name, array.dtype)
    return array


def _check_dtype(name: str, dtype: np.dtype[Any]) -> None:
    if dtype.kind in "Mm":
        raise bad_value(
            name,
            expected="numbers, booleans or strings",
            received=f"dtype {dtype}",
            remedy="Convert times to numbers first: values.astype('int64').",
        )


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


def _dense_leaf(array: NDArray[Any]) -> Leaf:
    row_shape, buffers = array.shape[1:], _Buffers()
    dtype = array.dtype.newbyteorder("=")
    # `np.take` copies all of an array that is not laid out row by row, at every call.
    direct = array.flags.c_contiguous and array.dtype == dtype
    row_bytes = int(dtype.itemsize * np.prod(row_shape, dtype=np.int64))

    def gather(rows: NDArray[Any]) -> list[NDArray[Any]]:
        flat = buffers.take(len(rows) * row_bytes)
        out = flat.view(dtype).reshape(len(rows), *row_shape)
        if direct:
            # Row numbers are right by construction; "clip" lets NumPy write into `out` directly.
            np.take(array, rows, axis=0, out=out, mode="clip")
        else:
            out[:] = array[rows]
        return [out]

    return Leaf(
        num_rows=len(array),
        build=lambda rows, parts: parts[0],
        gather=gather,
        as_tensors=lambda: _tensor_leaf(tf.constant(array), len(array), stackable=True),
        on_disk=is_larger_than_memory(array),
        dtypes=(tf.as_dtype(dtype),),
        shapes=(row_shape,),
        row_bytes=row_bytes,
        stackable=row_bytes > 0,  # tf.data crashes when it unbatches rows of nothing.
    )


def _file_leaf(
    num_rows: int,
    dtype: np.dtype[Any],
    row_shape: tuple[int, ...],
    gather: Gather,
) -> Leaf:
    row_bytes = int(dtype.itemsize * np.prod(row_shape, dtype=np.int64))
    return Leaf(
        num_rows=num_rows,
        build=lambda rows, parts: parts[0],
        gather=gather,
        on_disk=True,
        dtypes=(tf.string if dtype.kind in "OSU" else tf.as_dtype(dtype),),
        shapes=(row_shape,),
        row_bytes=row_bytes,
        stackable=row_bytes > 0,
    )


def _sliced_leaf(name: str, value: Any) -> Leaf:
    dtype, row_shape = np.dtype(value.dtype), tuple(value.shape[1:])
    _check_dtype(name, dtype)
    read = sliced_reader(value, int(dtype.itemsize * np.prod(row_shape, dtype=np.int64)))

    def gather(rows: NDArray[Any]) -> list[NDArray[Any]]:
        out = np.empty((len(rows), *row_shape), dtype.newbyteorder("="))
        read(rows, out)
        return [out]

    return _file_leaf(len(value), dtype, row_shape, gather)


def _arrow_leaf(name: str, column: Any) -> Leaf:
    dtype, read = arrow_reader(name, column)
    _check_dtype(name, dtype)
    return _file_leaf(len(column), dtype, (), lambda rows: [read(rows)])


def _frame_leaf(name: str, frame: Any) -> Leaf:
    """Rows of a frame or series: one array of its columns, as it is to Keras.

    Columns that are NumPy's become that array; those of Arrow are taken row by row.
    """
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
        return open_leaf(name, frame.to_numpy())
    # Flags beside numbers are numbers, where pandas would make objects of both.
    dtype = np.result_type(*kinds)
    if all(isinstance(each, np.dtype) for each in dtypes):
        return open_leaf(name, frame.to_numpy(dtype))
    missing = np.asarray(frame.isna())
    if dtype.kind != "f" and missing.any():
        raise bad_value(
            name,
            expected="a value in every row, as integers and flags have none that means missing",
            received=f"a missing value in row {first_row(missing)}",
            remedy="Fill it first, frame.fillna(...), or convert to floats.",
        )
    row_shape = tuple(frame.shape[1:])
    return _file_leaf(len(frame), dtype, row_shape, lambda rows: [frame.iloc[rows].to_numpy(dtype)])


def _unused(buffers: list[NDArray[np.uint8]], references: int) -> NDArray[np.uint8] | None:
    """Return an array that nothing refers to but the list and this loop."""
    for raw in buffers:
        if sys.getrefcount(raw) == references:
            return raw
    return None


# How many references that makes differs between interpreters.
_REFERENCES = next(n for n in range(9) if _unused([np.empty(0, np.uint8)], n) is not None)


class _Buffers:
    """Memory that is used again once TensorFlow has let go of it.

    Fresh pages cost more than filling them. A buffer is free when nothing but this list refers to
    it. It starts on a 64-byte boundary, where TensorFlow takes memory over instead of copying it.
    """

    _MOST = 8

    def __init__(self) -> None:
        self._all: list[NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def take(self, size: int) -> NDArray[np.uint8]:
        with self._lock:
            raw = _unused(self._all, _REFERENCES)
            if raw is None or len(raw) != size + 64:
                raw = np.empty(size + 64, np.uint8)
                self._all = [*self._all[1 - self._MOST :], raw]
            start = -raw.ctypes.data % 64
            return raw[start : start + size]


def _tensor_leaf(tensor: Any, num_rows: int, *, stackable: bool) -> Leaf:
    stackable = stackable and 0 not in tensor.shape[1:]
    return Leaf(
        num_rows=num_rows,
        build=lambda rows, parts: tf.gather(tensor, rows),
        stackable=stackable,
    )


def _csr_of(name: str, tensor: tf.SparseTensor) -> Any:
    from scipy.sparse import csr_matrix  # Comes with scikit-learn.

    if tensor.shape.rank != 2:
        raise bad_value(
            name, expected="sparse tensors of rank 2", received=f"shape {tuple(tensor.shape)}"
        )
    if tensor.dtype not in (tf.float32, tf.float64, tf.bool) and not tensor.dtype.is_integer:
        raise bad_value(
            name,
            expected="sparse tensors of float32, float64, integers or booleans",
            received=f"dtype {tensor.dtype.name}",
            remedy="Cast it, or pass a dense or ragged tensor.",
        )
    row, column = tensor.indices.numpy().T
    return csr_matrix((tensor.values.numpy(), (row, column)), shape=tuple(tensor.shape))


def _sparse_leaf(matrix: Any) -> Leaf:
    if not matrix.has_canonical_format:
        # TensorFlow refuses indices that come twice or out of order.
        matrix = matrix.copy()
        matrix.sum_duplicates()
    num_rows, width = matrix.shape

    def gather(rows: NDArray[Any]) -> list[NDArray[Any]]:
        part = matrix[rows]
        index = np.repeat(np.arange(len(rows)), np.diff(part.indptr))
        return [np.stack([index, part.indices], axis=1).astype(np.int64), part.data]

    def build(rows: Any, parts: list[Any]) -> tf.SparseTensor:
        shape = tf.constant([rows.shape[0], width], tf.int64)
        return tf.SparseTensor(parts[0], parts[1], shape)

    return Leaf(
        num_rows=num_rows,
        build=build,
        gather=gather,
        as_tensors=lambda: _sparse_tensor_leaf(matrix),
        dtypes=(tf.int64, tf.as_dtype(matrix.dtype)),
        shapes=((2,), ()),
        stackable=False,
    )


def _sparse_tensor_leaf(matrix: Any) -> Leaf:
    num_rows, width = matrix.shape
    splits = tf.constant(matrix.indptr, tf.int64)
    columns = tf.RaggedTensor.from_row_splits(tf.constant(matrix.indices, tf.int64), splits)
    values = tf.RaggedTensor.from_row_splits(tf.constant(matrix.data), splits)

    def build(rows: Any, parts: list[Any]) -> tf.SparseTensor:
        column, value = tf.gather(columns, rows), tf.gather(values, rows)
        indices = tf.stack([column.value_rowids(), column.flat_values], axis=1)
        return tf.SparseTensor(indices, value.flat_values, [rows.shape[0], width])

    return Leaf(num_rows=num_rows, build=build, stackable=False)
