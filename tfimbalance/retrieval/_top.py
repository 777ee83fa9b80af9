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
        found = _largest(scores, min(k, scores.shape[1]))
        values_found = np.take_along_axis(scores, found, axis=1)
        if start:
            # What was found earlier comes first, so that a stable sort keeps ties in order.
            found = np.concatenate([places, found + start], axis=1)
            values_found = np.concatenate([values, values_found], axis=1)
        order = np.argsort(-values_found, axis=1, kind="stable")[:, :k]
        places = np.take_along_axis(found, order, axis=1)
        values = np.take_along_axis(values_found, order, axis=1)
    return np.where(values == -np.inf, -1, places)


def _largest(scores: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Return where the ``k`` largest of each row stand, in order of place."""
    rows, size = scores.shape
    at_least = np.partition(scores, size - k, axis=1)[:, size - k, None]
    chosen = scores > at_least
    missing = k - chosen.sum(axis=1)
    # Of the ties at the end of the list, the first ones.
    row, place = np.nonzero(scores == at_least)
    begins = np.searchsorted(row, np.arange(rows))
    first = np.arange(len(row)) - begins[row] < missing[row]
    chosen[row[first], place[first]] = True
    return np.nonzero(chosen)[1].reshape(rows, k)
