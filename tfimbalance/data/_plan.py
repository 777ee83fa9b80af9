"""Which row stands in which place of which batch: a pure function of (seed, batch number)."""

from __future__ import annotations

import math
import threading
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance.data._shares import Quota

# Rows of small classes are shuffled many passes at a time, to amortise seeding a generator.
_ROWS_PER_SHUFFLE = 4096
_SHUFFLED_ROWS_OF_SMALL_CLASSES = 2**20


_FEW_CLASSES = 16


def _by_class(ids: NDArray[Any], num_classes: int) -> NDArray[Any]:
    """Return the row numbers of class 0, then those of class 1, and so on."""
    row_type = np.int32 if len(ids) < 2**31 else np.int64
    if num_classes <= _FEW_CLASSES:
        # A pass a class needs half of the memory of a sort.
        of_class = [np.flatnonzero(ids == k).astype(row_type) for k in range(num_classes)]
        return np.concatenate(of_class)
    # 8- and 16-bit integers are sorted by radix, many times faster.
    narrow = ids.astype(np.min_scalar_type(num_classes - 1), copy=False)
    return np.argsort(narrow, kind="stable").astype(row_type, copy=False)


class BalancedPlan:
    """Row numbers of balanced batches.

    Each class has an endless stream of its own rows: all of them in a shuffled order, then all of
    them in another, so that none is starved and none comes twice within a pass. Batch ``b`` takes
    the next ``quota`` rows of every stream. How many rows a class gave before ``b`` has a closed
    form, so that any batch can be had without the ones before it.

    The last shuffle of each class is kept: one integer a row beside the one that groups rows by
    class. That memory is all the state there is, and it only saves work.

    Args:
        ids: class of each row, ``(rows,)``.
        num_classes: number of classes.
        shares: share of each class, summing to 1.
        batch_size: rows a batch.
        seed: decides every shuffle.
    """

    def __init__(
        self,
        ids: NDArray[Any],
        num_classes: int,
        shares: list[Fraction],
        batch_size: int,
        seed: int,
    ) -> None:
        self.batch_size = batch_size
        self._quota = Quota(shares, batch_size)
        self._seed = seed
        self._rows = _by_class(ids, num_classes)
        counts = np.bincount(ids, minlength=num_classes)
        ends = np.cumsum(counts)
        self._bounds = list(zip((ends - counts).tolist(), ends.tolist(), strict=True))
        small = min(_ROWS_PER_SHUFFLE, _SHUFFLED_ROWS_OF_SMALL_CLASSES // num_classes)
        self._passes = [max(1, small // max(count, 1)) for count in counts.tolist()]
        self._shuffles: dict[np.intp, tuple[int, NDArray[Any]]] = {}
        self._lock = threading.Lock()
        # Classes are spread over the batch, because a distribution strategy gives each replica a
        # contiguous part of it: place j holds entry (j * step) mod batch_size of the sorted batch.
        step = max(1, round(batch_size * 0.6180339887498949))
        while math.gcd(step, batch_size) != 1:
            step += 1
        self._place = (np.arange(batch_size) * step) % batch_size
        self._column = np.argsort(self._place)

    def rows(self, first: int, batches: int) -> NDArray[np.int64]:
        """Return the row numbers of consecutive batches, ``(batches, batch_size)``."""
        quotas = self._quota.of(first, batches)
        start, taken = self._quota.before(first), quotas.sum(axis=0)
        rows = np.empty((batches, self.batch_size), np.int64)
        if self._quota.rotates:
            # The class of every entry, batch by batch; a stable sort finds each class's entries.
            narrow = np.arange(quotas.shape[1], dtype=np.min_scalar_type(quotas.shape[1]))
            classes = np.repeat(np.tile(narrow, batches), quotas.ravel())
            streams = [self._stream(k, int(start[k]), int(taken[k])) for k in np.flatnonzero(taken)]
            in_batch_order = np.empty(rows.size, streams[0].dtype)
            in_batch_order[np.argsort(classes, kind="stable")] = np.concatenate(streams)
            rows[:] = in_batch_order.reshape(rows.shape)[:, self._place]
            return rows
        # Every batch has the same quotas: each class owns a block of columns.
        left = 0
        for k in np.flatnonzero(taken):
            quota = int(quotas[0, k])
            stream = self._stream(k, int(start[k]), int(taken[k]))
            rows[:, self._column[left : left + quota]] = stream.reshape(batches, quota)
            left += quota
        return rows

    def _stream(self, k: np.intp, start: int, length: int) -> NDArray[Any]:
        """Return ``length`` rows of class ``k``'s endless stream, from position ``start``."""
        low, high = self._bounds[k]
        size = (high - low) * self._passes[k]
        parts = []
        while length > 0:
            block, offset = divmod(start, size)
            part = self._shuffle(k, block)[offset : offset + length]
            parts.append(part)
            start, length = start + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _shuffle(self, k: np.intp, block: int) -> NDArray[Any]:
        """Return block number ``block`` of class ``k``'s stream: one or more shuffled passes."""
        with self._lock:
            known = self._shuffles.get(k)
        if known is not None and known[0] == block:
            return known[1]
        low, high = self._bounds[k]
        generator = np.random.Generator(np.random.PCG64([self._seed, int(k), block]))
        if self._passes[k] == 1:
            shuffled = generator.permutation(self._rows[low:high])
        else:
            passes = np.broadcast_to(self._rows[low:high], (self._passes[k], high - low))
            shuffled = generator.permuted(passes, axis=1).ravel()
        with self._lock:
            self._shuffles[k] = (block, shuffled)
        return shuffled
