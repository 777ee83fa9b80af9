"""One array of the user's structure, as rows to gather by number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Gather = Callable[[NDArray[Any]], list[NDArray[Any]]]


@dataclass(frozen=True)
class Leaf:
    """One array of the user's structure, and what a batch of its rows is.

    ``gather`` runs in NumPy and fills tensors of ``dtypes`` and row shapes ``shapes``; ``build``
    makes the batch of them. Without ``gather``, ``build`` gathers in TensorFlow; ``as_tensors``
    makes such a leaf. One that is ``on_disk`` is asked for sorted, distinct rows.
    """

    num_rows: int
    build: Callable[[Any, list[Any]], Any] = lambda rows, parts: parts[0]
    gather: Gather | None = None
    as_tensors: Callable[[], Leaf] | None = None
    on_disk: bool = False
    dtypes: tuple[tf.DType, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    row_bytes: int = 0
    stackable: bool = True

    def flat(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return rows of a leaf of one NumPy array, each as a line of numbers."""
        assert self.gather is not None
        return self.gather(rows)[0].reshape(len(rows), -1)


def array_leaf(
    num_rows: int,
    dtype: np.dtype[Any],
    row_shape: tuple[int, ...],
    gather: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    on_disk: bool = True,
    as_tensors: Callable[[], Leaf] | None = None,
) -> Leaf:
    """Return rows that are gathered as one NumPy array."""
    row_bytes = bytes_of(dtype, row_shape)
    return Leaf(
        num_rows=num_rows,
        gather=lambda rows: [gather(rows)],
        as_tensors=as_tensors,
        on_disk=on_disk,
        dtypes=(tf.string if dtype.kind in "OSU" else tf.as_dtype(dtype),),
        shapes=(row_shape,),
        row_bytes=row_bytes,
        stackable=row_bytes > 0,  # tf.data crashes when it unbatches rows of nothing.
    )


def tensor_leaf(tensor: Any, num_rows: int, *, stackable: bool = True) -> Leaf:
    """Return rows that are gathered from a dense or ragged tensor in TensorFlow."""
    return Leaf(
        num_rows=num_rows,
        build=lambda rows, parts: tf.gather(tensor, rows),
        stackable=stackable and 0 not in tensor.shape[1:],
    )


def bytes_of(dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> int:
    """Return how many bytes a row has."""
    return int(dtype.itemsize * np.prod(row_shape, dtype=np.int64))
