"""Sizes of tables, and draws that are counted beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_entry, bad_value, check_integer


def checked_size(argument: str, size: Any) -> int:
    """Return a number of places, which int32 numbers."""
    number = check_integer(argument, size, minimum=1)
    if number >= 2**31 - 1:
        raise bad_value(argument, expected="an integer below 2**31 - 1", received=number)
    return number


def checked_counts(counts: Any, num_items: int | None) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return ids and the draws of each, of ``{id: draws}`` or of one number an item."""
    if hasattr(counts, "items"):
        by_id = dict(counts.items())  # A pandas series, too.
        ids = np.asarray([*by_id]) if by_id else np.zeros(0, np.int64)
        draws = _as_array([*by_id.values()])
    elif num_items is None:
        received = f"a {type(counts).__name__}"
        raise bad_value("counts", expected="{id: draws}, as ids are hashed", received=received)
    else:
        ids, draws = np.arange(num_items), _as_array(counts)
    if draws.shape != ids.shape or draws.dtype.kind not in "iuf":
        raise bad_value(
            "counts",
            expected=f"a number for each of {len(ids)} items",
            received=f"{draws.dtype} of shape {draws.shape}",
        )
    wrong = ~((draws >= 0) & (draws < 2**62) & (draws == np.floor(draws)))
    if wrong.any():
        expected = "whole numbers of draws, at least 0"
        raise bad_entry("counts", draws, wrong, expected=expected, where="for item", numbers=ids)
    return ids, draws.astype(np.int64)


def _as_array(counts: Any) -> NDArray[Any]:
    try:
        return np.asarray(counts)
    except ValueError:
        raise bad_value("counts", expected="one number an item", received="lists") from None
