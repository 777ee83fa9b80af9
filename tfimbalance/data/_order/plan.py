"""Which row stands in which place of which batch: a pure function of (seed, batch number)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance.data._order.arrays import GraphOps, NumPyOps, Ops
from tfimbalance.data._order.quota import Quota, Turns
from tfimbalance.data._order.sampling import ClassSampling
from tfimbalance.data._order.shuffle import AT_ONCE, Sizes, shuffled
from tfimbalance.data._order.words import seed_word, words
from tfimbalance.statistics import ClassStatistics

_FEW_CLASSES = 16


def _by_class(ids: NDArray[Any], num_classes: int) -> NDArray[Any]:
    """Return the row numbers of class 0, then those of class 1, and so on."""
    row_type = np.int32 if len(ids) < 2**31 else np.int64
    if num_classes <= _FEW_CLASSES:
        # A pass a class needs half of the memory of a sort.
        of_class = [np.flatnonzero(ids == k).astype(row_type) for k in range(num_classes)]
        return np.concatenate(of_class)
    # 16-bit integers are sorted by radix, many times faster; larger ones in two such sorts.
    order = np.argsort(ids.astype(np.uint16), kind="stable").astype(row_type)  # The low bits.
    if num_classes <= 2**16:
        return order
    return order[np.argsort((ids >> 16)[order].astype(np.uint16), kind="stable")]


class BalancedPlan:
    """Row numbers of balanced batches.

    Each class has an endless stream of its own rows: all of them in a random order, then all of
    them in another, so that none is starved and none comes twice within a pass. Batch ``b`` takes
    the next rows of every stream. How many rows a class gave before ``b`` has a closed form, and so
    has the random order, so that any batch can be had without the ones before it.
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
        # Shares of many classes are worth working out for many rows at a time only.
        self.rows_at_least = 0
        present = np.flatnonzero([share > 0 for share in shares])
        word = seed_word(seed)
        # Tables of classes are in the order of `slots`: many classes are looked up one by one.
        self._classes = np.arange(num_classes)
        if len({share for share in shares if share}) == 1:
            self._classes = np.random.Generator(np.random.PCG64(word)).permutation(present)
            self._slots: Turns | Quota = Turns(len(present), batch_size)
        else:
            self._slots = Quota(shares, batch_size)
            self.rows_at_least = 16 * num_classes
        self._seeds = words(NumPyOps, np.array([word], np.uint64), self._classes.astype(np.uint64))
        self._rows = _by_class(ids, num_classes)
        counts = np.bincount(ids, minlength=num_classes)
        self._read = ClassStatistics(counts)
        self._starts = (np.cumsum(counts) - counts)[self._classes]
        # Classes without rows or share are never drawn.
        self._counts = np.maximum(counts, 1)[self._classes]
        self._sizes = Sizes.of(self._counts)
        self._few = bool(counts[present].min() <= 6)

    def class_sampling(self, batches: int) -> ClassSampling:
        """Return the rows there are, and those of the first batches."""
        drawn = np.zeros_like(self._read.counts)
        drawn[self._classes] = self._slots.before(NumPyOps, batches)
        return ClassSampling(self._read, ClassStatistics(drawn))

    def rows(self, first: int, batches: int) -> NDArray[np.int64]:
        """Return the row numbers of consecutive batches, ``(batches, batch_size)``."""
        return self.rows_and_passes(first, batches)[0]

    def rows_and_passes(
        self, first: int, batches: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return row numbers, and how often each row came before, ``(batches, batch_size)``."""
        ops = NumPyOps
        classes, places = (x.ravel() for x in self._slots.slots(ops, first, batches))
        rows, passes = (np.empty(classes.size, np.int64) for _ in range(2))
        stretches = [np.arange(classes.size)]
        # What is the same for all rows of a class is worked out once.
        by_class = len(self._counts) <= _FEW_CLASSES
        if by_class:
            stretches = [np.flatnonzero(classes == k) for k in range(len(self._counts))]
        for at in stretches:
            for start in range(0, len(at), AT_ONCE):
                some = at[start : start + AT_ONCE]
                k = classes[some[:1] if by_class else some]
                rows[some], passes[some] = self._lookup(ops, k, places[some])
        shape = (batches, self.batch_size)
        return rows.reshape(shape), passes.reshape(shape)

    def rows_in_graph(self, first: tf.Tensor, batches: int) -> tf.Tensor:
        """Return the same in a TensorFlow graph that calls into nothing."""
        ops = GraphOps
        classes, places = self._slots.slots(ops, first, batches)
        rows, _ = self._lookup(ops, tf.reshape(classes, [-1]), tf.reshape(places, [-1]))
        return tf.reshape(rows, [batches, self.batch_size])

    def _lookup(self, ops: Ops, k: Any, place: Any) -> tuple[Any, Any]:
        """Return rows at some places of the streams of ``k``, as `slots` has them, and passes."""
        place, count = ops.unsigned(place), ops.unsigned(ops.take(ops.array(self._counts), k))
        number = place // count
        seed = ops.take(ops.array(self._seeds, unsigned=True), k)
        key = words(ops, seed, number)
        sizes = self._sizes.pick(ops, k)
        place = shuffled(ops, place - number * count, sizes, key, few=self._few)
        index = ops.take(ops.array(self._starts), k) + ops.signed(place)
        return ops.signed(ops.take(self._rows, index)), ops.signed(number)
