"""One array of the user's structure, as rows to gather by number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

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
