"""Random orders of rows, without a table: any place at the same cost."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfimbalance.data._order.arrays import GraphOps, Ops
from tfimbalance.data._order.words import GOLDEN, words

# Orders of so few rows are drawn from all there are: too few for rounds to mix.
_FEW = 6
_ORDERS = np.array(
    [
        [*order, *range(n, _FEW)]
        for n in range(_FEW + 1)
        for order in itertools.permutations(range(n))
    ],
    np.int64,
)


_FIRST_ORDER = np.cumsum([0, *(math.factorial(n) for n in range(_FEW))])
_NUM_ORDERS = np.array([math.factorial(n) for n in range(_FEW + 1)])


@dataclass(frozen=True)
class Sizes:
    """How many rows are put in order, one number a class, and the sides of a grid around them."""

    size: Any
    left: Any
    right: Any

    @classmethod
    def of(cls, sizes: Any) -> Sizes:
        size = np.maximum(np.asarray(sizes, np.int64), 1)
        # Four at least: narrow grids mix badly. Even: odd circles would make even orders alone.
        left = np.array([(math.isqrt(n - 1) + 2) // 2 * 2 for n in size.tolist()], np.int64)
        left = np.maximum(left, 4)
        return cls(size, left, np.maximum(-(-size // left), 4))

    def pick(self, ops: Ops, k: Any) -> Sizes:
        return Sizes(*(ops.unsigned(ops.take(ops.array(side), k)) for side in self._sides))

    @property
    def _sides(self) -> tuple[Any, Any, Any]:
        return self.size, self.left, self.right


def shuffled(ops: Ops, position: Any, sizes: Sizes, key: Any, *, few: bool = True) -> Any:
    """Return which row stands at each position of a random order of ``size`` rows.

    A Feistel network on a grid of ``left`` by ``right`` places, walked on until the place is one of
    the rows [1]; no table, and any position at the same cost.

    Args:
        ops: NumPy or a graph.
        position: places in the order, unsigned, each below its ``size``.
        sizes: of the order at each place, or of all.
        key: which order, a word at each place, or for all.
        few: whether there may be orders of 6 rows or fewer.

    References:
        [1] Black & Rogaway, Ciphers with arbitrary finite domains, CT-RSA 2002.
    """

    def step(position: Any, left: Any, right: Any, key: Any) -> Any:
        x, y = position // right, position % right
        golden = ops.array([GOLDEN], unsigned=True)
        for _ in range(4):
            key = key + golden
            x = ops.half_round(x, y, left, key)
            key = key + golden
            y = ops.half_round(y, x, right, key)
        return x * right + y

    row = step(position, sizes.left, sizes.right, key)
    row = ops.until_inside(step, row, sizes.size, sizes.left, sizes.right, key)
    if not few:
        return row
    small = sizes.size <= _FEW
    n = ops.signed(ops.where(small, sizes.size, sizes.size * 0))
    orders = ops.unsigned(ops.take(ops.array(_NUM_ORDERS), n))
    which = ops.take(ops.array(_FIRST_ORDER), n) + ops.signed(ops.shift(key, 8) % orders)
    at = which * _FEW + ops.signed(ops.where(small, position, position * 0))
    exact = ops.unsigned(ops.take(ops.array(_ORDERS.ravel()), at))
    return ops.where(small, exact, row)


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


def mixed_rows(rows: Any, size: int, word: Any) -> Any:
    """Return the numbers of some rows, every ``size`` of them in a random order."""
    number = tf.range(rows)
    drawn = words(GraphOps, word, GraphOps.unsigned(number))
    by_stretch = tf.argsort(GraphOps.signed(GraphOps.shift(drawn, 1)))
    return tf.gather(by_stretch, tf.argsort(tf.gather(number, by_stretch) // size, stable=True))
