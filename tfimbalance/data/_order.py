"""The random order of the rows of each class, in runs of neighbours if a disk is to read them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfimbalance.data._ops import Ops
from tfimbalance.data._random import Sizes, shuffled, words


class Order:
    """Orders of some numbers of rows.

    Args:
        counts: rows of each class.
        run: rows that stay together until they are mixed with those of other runs.
        window: rows of a class whose runs are mixed.
        few: whether a class that is asked for may have 6 rows or fewer.
    """

    def __init__(self, counts: Any, run: int = 1, window: int = 1, few: bool = True) -> None:
        self._counts = np.maximum(counts, 1)
        self._few = few
        self._run = run
        runs = -(-self._counts // run)
        self._window = max(1, window // run) * run
        self._sizes = Sizes.of(runs)
        # The last window of a class may be smaller than the others.
        last = (runs * run - 1) % self._window + 1
        windows = np.unique(last)
        self._windows = Sizes.of(np.append(windows, self._window))
        self._last = np.searchsorted(windows, last)

    def place(self, ops: Ops, k: Any, place: Any, key: Any) -> Any:
        """Return which row of class ``k`` stands at a place of the order ``key``; unsigned."""
        sizes = self._sizes.pick(ops, k)
        if self._run == 1:
            return shuffled(ops, place, sizes, key, few=self._few)
        # Runs of neighbours in a random order; then the rows of a window of runs, in another. The
        # last run is filled up with places that hold no row: those are walked on from.
        run, window = (ops.array([n], unsigned=True) for n in (self._run, self._window))
        last = ops.take(ops.array(self._last), k)
        whole = self._windows.size.size - 1

        def step(place: Any, padded: Any, key: Any, last: Any, *sides: Any) -> Any:
            number = place // window
            is_last = (number + 1) * window > padded
            sizes = self._windows.pick(ops, ops.where(is_last, last, last * 0 + whole))
            of_window = words(ops, key, number + 1)
            inside = shuffled(ops, place - number * window, sizes, of_window)
            place = number * window + inside
            return shuffled(ops, place // run, Sizes(*sides), key) * run + place % run

        others = (sizes.size * run, key, last, sizes.size, sizes.left, sizes.right)
        count = ops.unsigned(ops.take(ops.array(self._counts), k))
        return ops.until_inside(step, step(place, *others), count, *others)
