"""Randomness as a function of a seed and a position: 64-bit words.

Nothing here has a state, so that any batch can be had without the ones before it, on any machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance.data._order.arrays import Ops

_WORD = 2**64 - 1
# Steele, Lea & Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def seed_word(*numbers: int) -> int:
    """Return a 64-bit word for integers such as a seed and an epoch."""
    word = 0
    for number in numbers:
        word = (word + (number + 1) * GOLDEN) & _WORD
        word = ((word ^ (word >> 30)) * _FIRST) & _WORD
        word = ((word ^ (word >> 27)) * _SECOND) & _WORD
        word ^= word >> 31
    return word


def words(ops: Ops, word: Any, number: Any) -> Any:
    """Return a 64-bit word for each unsigned ``number``, as independent draws."""
    x = word + (number + 1) * ops.array([GOLDEN], unsigned=True)
    x = (x ^ ops.shift(x, 30)) * ops.array([_FIRST], unsigned=True)
    x = (x ^ ops.shift(x, 27)) * ops.array([_SECOND], unsigned=True)
    return x ^ ops.shift(x, 31)


def uniforms(drawn: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return numbers in [0, 1) made of words, in NumPy."""
    return np.asarray((drawn >> np.uint64(11)) * 2.0**-53)
