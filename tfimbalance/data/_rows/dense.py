"""Arrays in memory, as rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance.data._rows.files import is_larger_than_memory
from tfimbalance.data._rows.leaf import Leaf, array_leaf, bytes_of, tensor_leaf


def dense_leaf(array: NDArray[Any]) -> Leaf:
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
        on_disk=is_larger_than_memory(array),
        as_tensors=lambda: tensor_leaf(tf.constant(array), len(array)),
    )


def _aligned(size: int) -> NDArray[np.uint8]:
    """Return memory on a 64-byte boundary, where TensorFlow takes it over instead of copying it."""
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]
