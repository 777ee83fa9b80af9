"""Random orders of rows, without a table: any place at the same cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance.data._order.arrays import GraphOps, NumPyOps, Ops
from tfimbalance.data._order.words import GOLDEN, words

# As many words as fit the second cache beside a few scratch arrays.
AT_ONCE = 16_384
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
        sides = (self.size, self.left, self.right)
        return Sizes(*(ops.unsigned(ops.take(ops.array(side), k)) for side in sides))


def shuffled(ops: Ops, position: Any, sizes: Sizes, key: Any, *, few: bool = True) -> Any:
    """Return which row stands at each position of the random order that ``key`` names.

    A Feistel network on a grid of ``left`` by ``right`` places, walked on until the place is one of
    the ``size`` rows (Black & Rogaway, Ciphers with arbitrary finite domains, CT-RSA 2002).
    Positions are unsigned; ``few`` says that there may be orders of 6 rows or fewer.
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


def in_passes(
    word: int, places: NDArray[np.int64], num_rows: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
    """Yield the rows at some places of passes over all rows, and the key of each one's pass."""
    ops = NumPyOps
    sizes = Sizes.of([num_rows]).pick(ops, np.zeros(1, np.int64))
    for start in range(0, len(places), AT_ONCE):
        number, place = np.divmod(places[start : start + AT_ONCE], num_rows)
        key = words(ops, ops.array([word], unsigned=True), ops.unsigned(number))
        few = num_rows <= _FEW
        yield ops.signed(shuffled(ops, ops.unsigned(place), sizes, key, few=few)), key


def mixed_rows(rows: Any, size: int, word: Any) -> Any:
    """Return the numbers of some rows, every ``size`` of them in a random order."""
    number = tf.range(rows)
    drawn = words(GraphOps, word, GraphOps.unsigned(number))
    by_stretch = tf.argsort(GraphOps.signed(GraphOps.shift(drawn, 1)))
    return tf.gather(by_stretch, tf.argsort(tf.gather(number, by_stretch) // size, stable=True))
