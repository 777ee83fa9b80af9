"""Class shares -> how many rows of each class every batch holds.

All arithmetic is on integers, so that quotas are exact however long training goes on.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from tfimbalance.data._order.arrays import Ops

# Shares are kept as multiples of 1 / _FINEST at worst; products then still fit 64 bits.
_FINEST = 2**31


class Turns:
    """Equal shares: some classes take turns, one row each.

    Any stretch of the cycle holds a class ``floor`` or ``ceil`` of its share, and so does a batch.
    """

    def __init__(self, num_classes: int, batch_size: int) -> None:
        self._num_classes, self._batch_size = num_classes, batch_size

    def slots(self, ops: Ops, first: Any, batches: int) -> tuple[Any, Any]:
        """Return the turn of each row of some batches, and how many rows came before in it."""
        number = first * self._batch_size + ops.arange(batches * self._batch_size)
        turn, place = number % self._num_classes, number // self._num_classes
        shape = [batches, self._batch_size]
        return ops.reshape(turn, shape), ops.reshape(place, shape)

    def before(self, ops: Ops, batch: Any) -> Any:
        """Return how many rows all batches before ``batch`` hold, for each turn."""
        rows, turns = batch * self._batch_size, self._num_classes
        return rows // turns + ops.signed(ops.arange(turns) < rows % turns)


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
        self.batch_size = batch_size
        self.whole = np.asarray(whole, np.int64)
        # Right and left end of each class's stretch of the line, in units of 1 / cycle.
        self._right = np.cumsum(np.asarray(parts, np.int64))
        self._left = self._right - np.asarray(parts, np.int64)
        self._step = _even_step(self.cycle)
        # Classes that every batch holds, and those rows of a batch: class, and which of its rows.
        self._steady = np.flatnonzero(self.whole)
        self._fixed = np.repeat(np.arange(len(self._steady)), self.whole[self._steady])
        ends = np.cumsum(self.whole[self._steady])
        self._rank = np.arange(len(self._fixed)) - np.repeat(
            ends - self.whole[self._steady], self.whole[self._steady]
        )
        self._extras = batch_size - len(self._fixed)
        # Classes are spread over the batch, because a distribution strategy gives each replica a
        # contiguous part of it: place j holds entry (j * step) mod batch_size of the sorted batch.
        self._place = (np.arange(batch_size) * _even_step(batch_size)) % batch_size

    def slots(self, ops: Ops, first: Any, batches: int) -> tuple[Any, Any]:
        """Return the class of each row of some batches, and how many rows of it came before."""
        whole, batch = ops.array(self.whole), ops.arange(batches)[:, None]
        before = self.before(ops, first)
        steady, fixed = ops.array(self._steady), ops.array(self._fixed)
        shape = [batches, len(self._fixed)]
        classes = ops.broadcast(ops.take(steady, fixed)[None], shape)
        places = ops.take(before, classes) + batch * ops.take(whole, classes)
        places = places + ops.array(self._rank)
        if not self._extras:
            # Every batch has the same quotas.
            return self._spread(ops, classes), self._spread(ops, places)
        theta = self._theta(ops, first, batches)[:, None]
        if len(self._steady):
            # Of each class that every batch holds: its extra rows in the batches above.
            left, right = (ops.take(ops.array(e), steady) for e in (self._left, self._right))
            above = ops.running_sum(self._points(right, theta) - self._points(left, theta))
            index = ops.arange(batches)[:, None] * len(self._steady) + fixed[None]
            places = places + ops.take(ops.reshape(above, [-1]), index)
        points = theta + ops.arange(self._extras)[None] * self.cycle
        extra = ops.signed(ops.searchsorted(ops.array(self._right), points, "right"))
        flat = ops.reshape(extra, [-1])
        order = ops.argsort(flat)
        by_class = ops.take(flat, order)
        rank = ops.arange(batches * self._extras) - ops.signed(
            ops.searchsorted(by_class, by_class, "left")
        )
        rank = ops.reshape(ops.put(order, rank), [batches, self._extras])
        extra_places = ops.take(before, extra) + (batch + 1) * ops.take(whole, extra) + rank
        classes, places = ops.concat([classes, extra]), ops.concat([places, extra_places])
        return self._spread(ops, classes), self._spread(ops, places)

    def _spread(self, ops: Ops, x: Any) -> Any:
        return ops.columns(x, ops.array(self._place))

    def before(self, ops: Ops, batch: Any) -> Any:
        """Return how many rows of each class all batches before ``batch`` hold."""
        total = ops.array(self.whole) * batch
        if not self._extras:
            return total
        cycles, rest = batch // self.cycle, batch % self.cycle
        left, right = ops.array(self._left), ops.array(self._right)
        total = total + (right - left) * cycles
        return total + self._seats(ops, right, rest) - self._seats(ops, left, rest)

    def _theta(self, ops: Ops, first: Any, batches: int) -> Any:
        return ((first % self.cycle + ops.arange(batches)) * self._step) % self.cycle

    def _points(self, end: Any, theta: Any) -> Any:
        return (end - theta + self.cycle - 1) // self.cycle

    def _seats(self, ops: Ops, end: Any, batches: Any) -> Any:
        """Sum `_points` over the first ``batches`` of a cycle, in closed form.

        With ``end = whole * cycle + part`` a batch has ``whole`` points, and one more where
        ``theta < part``: a count of lattice points, ``floor_sum`` of both sides.
        """
        whole, part = end // self.cycle, end % self.cycle
        below = floor_sum(batches, self.cycle, self._step, part * 0)
        above = floor_sum(batches, self.cycle, self._step, self.cycle - part)
        # floor((j s + c - p) / c) is floor(j s / c) + [theta_j >= p], for 0 < p <= c.
        return whole * batches + ops.where(part > 0, batches - (above - below), part * 0)


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


def floor_sum(n: Any, m: int, a: int, b: Any) -> Any:
    """Return ``sum(floor((a * j + b) / m) for j in range(n))`` for each ``b >= 0``, by Euclid."""
    # About log(m) steps for any n: the lattice points below a line.
    rows, start, total = n + b * 0, b, b * 0
    while True:
        total = total + (rows * (rows - 1) // 2) * (a // m) + rows * (start // m)
        a, start = a % m, start % m
        if a == 0:
            return total
        top = a * rows + start
        rows, start = top // m, top % m
        a, m = m, a
