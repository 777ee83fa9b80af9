"""Class shares -> how many rows of each class every batch holds.

All arithmetic is on integers, so that quotas are exact however long training goes on.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, some_classes

IntArray = NDArray[np.int64]

# Shares are kept as multiples of 1 / _FINEST at worst; products then still fit 64 bits.
_FINEST = 2**31
# How far from 1 a sum of shares may be, for the sake of thirds.
_SLACK = Fraction(1, 1_000_000)


def resolve_shares(class_shares: Any, counts: IntArray) -> list[Fraction]:
    """Turn the user's ``class_shares`` into one exact share a class, summing to 1."""
    if isinstance(class_shares, str):
        return _named(class_shares, counts)
    if hasattr(class_shares, "items"):  # A mapping or a pandas series: by class, not by position.
        return _from_mapping(class_shares, counts)
    values = np.asarray(class_shares, dtype=object).ravel().tolist()
    if len(values) != len(counts):
        raise bad_value(
            "class_shares",
            expected=f"{len(counts)} shares, one a class",
            received=f"{len(values)} shares",
        )
    shares = [_share(k, value) for k, value in enumerate(values)]
    _check_rows(dict(enumerate(shares)), counts)
    return _normalised(shares)


def _named(name: str, counts: IntArray) -> list[Fraction]:
    total, present = int(counts.sum()), int(np.count_nonzero(counts))
    if name == "natural":
        return [Fraction(int(count), total) for count in counts]
    if name == "balanced":
        return [Fraction(int(count > 0), present) for count in counts]
    raise bad_value(
        "class_shares",
        expected='"balanced", "natural", {class: share} or one share a class',
        received=repr(name),
    )


def _from_mapping(class_shares: Mapping[Any, Any], counts: IntArray) -> list[Fraction]:
    chosen: dict[int, Fraction] = {}
    for key, value in class_shares.items():
        if isinstance(key, bool) or not isinstance(key, numbers.Integral) or key < 0:
            raise bad_value(
                "class_shares", expected="integer class ids as keys", received=f"the key {key!r}"
            )
        chosen[int(key)] = _share(key, value)
    _check_rows(chosen, counts)
    rest = {k: int(count) for k, count in enumerate(counts) if k not in chosen and count > 0}
    if not rest:
        return _normalised([chosen.get(k, Fraction(0)) for k in range(len(counts))])
    left = 1 - sum(chosen.values())
    if left <= _SLACK:
        raise bad_value(
            "class_shares",
            expected="shares that sum to less than 1, because "
            f"{some_classes(list(rest))} share the rest",
            received=f"a sum of {float(1 - left):g}",
            remedy="Name every class, with 0 for those to leave out.",
        )
    total = sum(rest.values())
    return [
        chosen[k] if k in chosen else left * Fraction(rest.get(k, 0), total)
        for k in range(len(counts))
    ]


def _share(k: Any, value: Any) -> Fraction:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise bad_value(
            "class_shares", expected="shares of at least 0", received=f"{value!r} for class {k}"
        )
    share = Fraction(float(value)).limit_denominator(1_000_000_000)
    if share == 0 and value > 0:
        raise bad_value(
            "class_shares", expected="0, or at least 1e-9", received=f"{value!r} for class {k}"
        )
    return share


def _check_rows(shares: Mapping[int, Fraction], counts: IntArray) -> None:
    for k, share in shares.items():
        if share > 0 and (k >= len(counts) or counts[k] == 0):
            raise bad_value(
                "class_shares",
                expected="shares of classes that have rows",
                received=f"a share of {float(share):g} for class {k}, which has none",
                remedy="The labels hold " + some_classes(np.flatnonzero(counts)) + ".",
            )


def _normalised(shares: list[Fraction]) -> list[Fraction]:
    total = sum(shares, Fraction(0))
    if abs(total - 1) > _SLACK:
        raise bad_value(
            "class_shares",
            expected="shares that sum to 1",
            received=f"a sum of {float(total):g}",
            remedy="A mapping may name some classes only: the rest keeps its own proportions.",
        )
    return [share / total for share in shares]


class Quota:
    """How many rows of each class a batch holds, as a pure function of the batch's number.

    Every batch holds ``floor(batch_size * share)`` rows of a class or one more. Which classes get
    one more rotates: the fractions of the classes are laid end to end on a line, and batch ``b``
    takes every class under the points ``theta_b``, ``1 + theta_b``, ``2 + theta_b``, ... The
    offset ``theta_b = b * step mod cycle`` visits every multiple of ``1 / cycle`` once a cycle, in
    an order that is even at any length, so that each class gets its exact fraction.
    """

    def __init__(self, shares: list[Fraction], batch_size: int) -> None:
        exact = [share * batch_size for share in shares]
        whole = [math.floor(quota) for quota in exact]
        parts, self.cycle = _common_parts([q - w for q, w in zip(exact, whole, strict=True)])
        self.whole = np.asarray(whole, np.int64)
        # Right and left end of each class's stretch of the line, in units of 1 / cycle.
        self._right = np.cumsum(np.asarray(parts, np.int64))
        self._left = self._right - np.asarray(parts, np.int64)
        self._step = _even_step(self.cycle)
        self.rotates = self.cycle > 1

    def of(self, first: int, batches: int) -> IntArray:
        """Return the quotas of consecutive batches, ``(batches, classes)``."""
        base = np.broadcast_to(self.whole, (batches, len(self.whole)))
        if not self.rotates:
            return np.asarray(base)
        theta = self._theta(first, batches)[:, None]
        # Points of theta + integers that lie in [left, right): 0 or 1, as a stretch is below 1.
        return base + self._points(self._right, theta) - self._points(self._left, theta)

    def before(self, batch: int) -> IntArray:
        """Return how many rows of each class all batches before ``batch`` hold."""
        total = self.whole * batch
        if not self.rotates:
            return total
        cycles, rest = divmod(batch, self.cycle)
        total = total + (self._right - self._left) * cycles
        return total + self._seats(self._right, rest) - self._seats(self._left, rest)

    def _theta(self, first: int, batches: int) -> IntArray:
        start = first % self.cycle
        return ((start + np.arange(batches, dtype=np.int64)) * self._step) % self.cycle

    def _points(self, end: IntArray, theta: IntArray) -> IntArray:
        return (end - theta + self.cycle - 1) // self.cycle

    def _seats(self, end: IntArray, batches: int) -> IntArray:
        """Sum `_points` over the first ``batches`` of a cycle, in closed form.

        With ``end = whole * cycle + part`` a batch has ``whole`` points, and one more where
        ``theta < part``: a count of lattice points, ``floor_sum`` of both sides.
        """
        whole, part = end // self.cycle, end % self.cycle
        below = floor_sum(batches, self.cycle, self._step, np.zeros_like(part))
        above = floor_sum(batches, self.cycle, self._step, self.cycle - part)
        # floor((j s + c - p) / c) is floor(j s / c) + [theta_j >= p], for 0 < p <= c.
        return whole * batches + np.where(part > 0, batches - (above - below), 0)


def _common_parts(fractions: list[Fraction]) -> tuple[list[int], int]:
    cycle = 1
    for fraction in fractions:
        cycle = math.lcm(cycle, fraction.denominator)
        if cycle > _FINEST:
            return _rounded_parts(fractions)
    return [int(fraction * cycle) for fraction in fractions], cycle


def _rounded_parts(fractions: list[Fraction]) -> tuple[list[int], int]:
    """Round to multiples of 1 / _FINEST by largest remainder, keeping the sum exact."""
    parts = [math.floor(fraction * _FINEST) for fraction in fractions]
    missing = int(sum(fractions, Fraction(0)) * _FINEST) - sum(parts)
    gaps = sorted(range(len(parts)), key=lambda k: parts[k] - fractions[k] * _FINEST)
    for k in gaps[:missing]:
        parts[k] += 1
    return parts, _FINEST


def _even_step(cycle: int) -> int:
    """Return the step nearest the golden section of a cycle that visits all of it."""
    step = max(1, round(cycle * 0.6180339887498949))
    while math.gcd(step, cycle) != 1:
        step += 1
    return step


def floor_sum(n: int, m: int, a: int, b: IntArray) -> IntArray:
    """Return ``sum(floor((a * j + b) / m) for j in range(n))`` for each ``b >= 0``.

    Euclid's algorithm on the lattice below a line: about ``log(m)`` steps for any ``n``.
    """
    rows, slope, start = np.full(b.shape, n, np.int64), np.int64(a), b.astype(np.int64)
    modulus, total = np.int64(m), np.zeros(b.shape, np.int64)
    while True:
        total += (rows * (rows - 1) // 2) * (slope // modulus) + rows * (start // modulus)
        slope, start = slope % modulus, start % modulus
        top = slope * rows + start
        rows, start = top // modulus, top % modulus
        if slope == 0 or not rows.any():
            return total
        slope, modulus = modulus, slope
