"""The best items of each query, found chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Items that are scored at once: 64 MiB of float32 beside 1,024 queries.
CHUNK = 16_384


def best_items(
    scores_of: Callable[[slice], NDArray[Any]], num_items: int, k: int
) -> NDArray[np.int64]:
    """Return the ``k`` items of the largest scores of each row, the largest first.

    Of equal scores, the item that comes first wins. Items of score -inf are not offered: -1 stands
    in their place.
    """
    places, values = np.zeros((0, 0), np.int64), np.zeros((0, 0))
    for start in range(0, num_items, CHUNK):
        scores = scores_of(slice(start, min(start + CHUNK, num_items)))
        row, place = _candidates(scores, values[:, k - 1 :], k)
        counts = np.bincount(row, minlength=len(scores))
        at = np.arange(len(row)) - (counts.cumsum() - counts)[row]
        found = np.full((len(scores), counts.max()), -1)
        better = np.full(found.shape, -np.inf, scores.dtype)
        found[row, at], better[row, at] = place + start, scores[row, place]
        if start:
            # What was found earlier comes first, so that a stable sort keeps ties in order.
            found = np.concatenate([places, found], axis=1)
            better = np.concatenate([values, better], axis=1)
        order = np.argsort(-better, axis=1, kind="stable")[:, :k]
        places, values = (np.take_along_axis(x, order, axis=1) for x in (found, better))
    return np.where(values == -np.inf, -1, places)


def _candidates(scores: NDArray[Any], least: NDArray[Any], k: int) -> Any:
    """Return rows and places, in order, of what may be among the ``k`` largest of each row.

    ``least`` is what they must exceed, once a list is full: its columns are none until then.
    """
    size = scores.shape[1]
    if least.size:
        row, place = np.divmod(np.flatnonzero(scores > least), size)
        if len(row) == 0 or np.bincount(row).max() <= 4 * k:
            return row, place
    k = min(k, size)
    at_least = np.partition(scores, size - k, axis=1)[:, size - k, None]
    chosen = scores > at_least
    missing = k - chosen.sum(axis=1)
    # Of the ties at the end of the list, the first ones.
    row, place = np.divmod(np.flatnonzero(scores == at_least), size)
    first = np.arange(len(row)) - np.searchsorted(row, np.arange(len(scores)))[row] < missing[row]
    chosen[row[first], place[first]] = True
    return np.divmod(np.flatnonzero(chosen), size)
