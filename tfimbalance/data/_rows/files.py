"""Arrays that stay on disk: rows of memory maps, HDF5 and Arrow, read in order of position."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance._checks import bad_value
from tfimbalance.data._rows.leaf import Leaf, array_leaf, bytes_of


def check_dtype(name: str, dtype: np.dtype[Any]) -> None:
    if dtype.kind in "Mm":
        raise bad_value(
            name,
            expected="numbers, booleans or strings",
            received=f"dtype {dtype}",
            remedy="Convert times to numbers first: values.astype('int64').",
        )
    try:
        tf.as_dtype(dtype)
    except TypeError:
        raise bad_value(
            name,
            expected="numbers of up to 64 bits, booleans or strings",
            received=f"dtype {dtype}",
            remedy="Convert it: values.astype('float64'); fields of a record each by its name.",
        ) from None


# Read rows between two that are wanted rather than ask twice.
_GAP_BYTES = 2**16
# Rows of a slice that is read whole before the wanted rows are picked out.
_SLICE_BYTES = 2**24


def is_larger_than_memory(array: NDArray[Any]) -> bool:
    """Tell whether a memory map is so large that its rows will come from the disk."""
    if not isinstance(array, np.memmap):
        return False
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Not a Unix.
        return False
    return array.nbytes > memory // 2


def is_sliced(value: Any) -> bool:
    """Tell an HDF5, Zarr or similar array, which reads slices, from what is in memory."""
    in_memory = ("__dlpack__", "to_numpy", "numpy")
    return all(hasattr(value, name) for name in ("shape", "dtype", "__getitem__", "__len__")) and (
        not any(hasattr(value, name) for name in in_memory)
    )


def is_arrow(value: Any) -> bool:
    """Tell a column of Arrow from other arrays."""
    return all(hasattr(value, name) for name in ("null_count", "take", "type", "to_numpy"))


def is_arrow_table(value: Any) -> bool:
    """Tell a table of Arrow, which is a dictionary of its columns."""
    return hasattr(value, "column_names") and hasattr(value, "column")


def sliced_leaf(name: str, value: Any) -> Leaf:
    """Return rows of an array that reads slices."""
    dtype, row_shape = np.dtype(value.dtype), tuple(value.shape[1:])
    check_dtype(name, dtype)
    row_bytes = max(1, bytes_of(dtype, row_shape))
    gap, longest = max(1, _GAP_BYTES // row_bytes), max(1, _SLICE_BYTES // row_bytes)

    def gather(rows: NDArray[Any]) -> NDArray[Any]:
        out = np.empty((len(rows), *row_shape), dtype.newbyteorder("="))
        left = 0
        while left < len(rows):
            # As far as rows are close together.
            stretch = rows[left : left + longest]
            apart = np.flatnonzero((np.diff(stretch) > gap) | (stretch[1:] - stretch[0] >= longest))
            right = left + (int(apart[0]) + 1 if apart.size else len(stretch))
            first, last = int(rows[left]), int(rows[right - 1])
            part = np.asarray(value[first : last + 1])
            out[left:right] = part if len(part) == right - left else part[rows[left:right] - first]
            left = right
        return out

    return array_leaf(len(value), dtype, row_shape, gather)


def arrow_leaf(name: str, column: Any) -> Leaf:
    """Return rows of a column of Arrow."""
    if getattr(column.type, "num_fields", 0):
        raise bad_value(
            name,
            expected="Arrow columns of numbers, flags or strings",
            received=f"a column of {column.type}",
            remedy="Lists of one length make an array, np.stack(column.to_numpy()), others a "
            "ragged tensor, tf.ragged.constant(column.to_pylist()).",
        )
    if column.null_count:
        raise bad_value(
            name,
            expected="a value in every row",
            received=f"an Arrow column with {column.null_count} nulls",
            remedy="Fill them first: pyarrow.compute.fill_null(column, value).",
        )

    def gather(rows: NDArray[Any]) -> NDArray[Any]:
        import pyarrow  # The column is one of its own.

        taken = column.take(pyarrow.array(rows))
        if hasattr(taken, "combine_chunks"):
            return np.asarray(taken.to_numpy())
        return np.asarray(taken.to_numpy(zero_copy_only=False))

    dtype = gather(np.zeros(1, np.int64)).dtype
    check_dtype(name, dtype)
    return array_leaf(len(column), dtype, (), gather)
