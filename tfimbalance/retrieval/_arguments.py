"""Sizes of tables, arrays of any backend, and draws (or positives) that are counted by item."""

from __future__ import annotations

import contextlib
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_entry, bad_value, check_integer
from tfimbalance.statistics import ClassStatistics


def checked_size(argument: str, size: Any) -> int:
    """Return a number of places, which int32 numbers."""
    number = check_integer(argument, size, minimum=1)
    if number >= 2**31 - 1:
        raise bad_value(argument, expected="an integer below 2**31 - 1", received=number)
    return number


def as_numpy(argument: str, x: Any, expected: str) -> NDArray[Any]:
    """Return an array or a tensor of any backend as NumPy's, or raise."""
    if type(x).__name__ not in ("SparseTensor", "RaggedTensor"):
        with contextlib.suppress(TypeError, ValueError):
            is_tensor = keras.ops.is_tensor(x)
            return np.asarray(keras.ops.convert_to_numpy(x) if is_tensor else x)
    raise bad_value(argument, expected=expected, received=f"a {type(x).__name__}")


def read_counts(
    counts: Any, num_items: int | None, *, whole: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return ids and the count of each, of ``{id: count}`` or of one number an item."""
    if isinstance(counts, ClassStatistics):
        counts = counts.counts
    if hasattr(counts, "items"):  # A mapping or a pandas series is by item, not by position.
        pairs = [*counts.items()]
        ids = np.asarray([item for item, _ in pairs]) if pairs else np.zeros(0, np.int64)
        counts = [count for _, count in pairs]
    elif num_items is None:
        received = f"a {type(counts).__name__}"
        raise bad_value("counts", expected="{id: draws}, as ids are hashed", received=received)
    else:
        ids = np.arange(num_items)
    expected = f"a number for each of {len(ids):,} items"
    array = as_numpy("counts", counts, expected) if len(ids) else np.zeros(0)
    if array.shape != ids.shape or array.dtype.kind not in "iuf":
        received = f"shape {array.shape} of dtype {array.dtype}"
        remedy = "Count them: np.bincount(item_of_each_positive, minlength=num_items)."
        raise bad_value("counts", expected=expected, received=received, remedy=remedy)
    once, times = np.unique(ids, return_counts=True)
    if len(once) < len(ids):
        raise bad_value(
            "counts",
            expected="each item once",
            received=f"{once[times > 1][0]} more than once",
            remedy="Of a series: counts.groupby(level=0).sum().",
        )
    wrong = ~((array >= 0) & (array < 2**53) & ((array == np.floor(array)) | (not whole)))
    if wrong.any():
        expected = f"{'whole ' * whole}numbers of at least 0"
        raise bad_entry("counts", array, wrong, expected=expected, where="for item", numbers=ids)
    return ids, array
