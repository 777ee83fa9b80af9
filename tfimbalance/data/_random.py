"""Randomness as a function of a seed and a position: 64-bit words, and orders of rows.

Nothing here has a state, so that any batch can be had without the ones before it, on any machine.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance.data._ops import Ops

_WORD = 2**64 - 1
# Steele, Lea & Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

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


def seed_word(*numbers: int) -> int:
    """Return a 64-bit word for integers such as a seed and an epoch."""
    word = 0
    for number in numbers:
        word = (word + (number + 1) * _GOLDEN) & _WORD
        word = ((word ^ (word >> 30)) * _FIRST) & _WORD
        word = ((word ^ (word >> 27)) * _SECOND) & _WORD
        word ^= word >> 31
    return word


def words(ops: Ops, word: Any, number: Any) -> Any:
    """Return a 64-bit word for each unsigned ``number``, as independent draws."""
    x = word + (number + 1) * ops.array([_GOLDEN], unsigned=True)
    x = (x ^ ops.shift(x, 30)) * ops.array([_FIRST], unsigned=True)
    x = (x ^ ops.shift(x, 27)) * ops.array([_SECOND], unsigned=True)
    return x ^ ops.shift(x, 31)


def uniforms(drawn: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return numbers in [0, 1) made of words, in NumPy."""
    return np.asarray((drawn >> np.uint64(11)) * 2.0**-53)


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
        golden = ops.array([_GOLDEN], unsigned=True)
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
