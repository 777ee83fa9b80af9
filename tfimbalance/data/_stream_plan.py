"""Rows that pass by once -> balanced batches: which to keep, which to hand out. A graph alone."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfimbalance.data._ops import GraphOps
from tfimbalance.data._shares import Quota, Turns

# How much faster than usual batches follow that were owed while a class had not come.
_CATCH_UP = 2
_FEW_GROUPS = 8


# Rows come; all have come, and some may be owed; the same, for the last time.
COMING, OWED, LAST = 0, 1, 2


class Memory(NamedTuple):
    """What is known between one chunk of rows and the next, beside the rows that are kept."""

    classes: Any  # Of the rows kept, (kept,), group by group, within a group as they came.
    next_row: Any  # Where each group goes on reusing its rows, (groups,).
    read: Any  # Rows of each class so far, (classes,).
    drawn: Any  # Rows of each class handed out so far, (classes,).
    batch: Any  # Number of the next batch.
    credit: Any  # Rows owed, in units of 1 / (denominator of the rate).


class Choice(NamedTuple):
    """Row numbers in the pool of the rows kept and the chunk after them."""

    handed_out: Any  # (batches * batch_size,)
    kept: Any


class StreamPlan:
    """Chooses rows chunk by chunk.

    A group is a class with a share of its own, or all those that share the rest. Every batch holds
    its exact quota of every group. A group that brings more rows than are due is thinned evenly; of
    one that brings fewer, each new row is handed out, and the rows kept take turns after them. Of
    each group the newest rows are kept.

    Args:
        group_of: group of each class; -1 for a class that is left out.
        shares: of each group, adding up to 1.
        batch_size: rows a batch.
        rate: rows handed out for a row read.
        kept: rows of each group to keep.
        patience: rows to wait for a group that has not come.
        chunk: rows to hand out at once, at most, when the stream has ended.
    """

    def __init__(
        self,
        group_of: list[int],
        shares: list[Fraction],
        batch_size: int,
        rate: Fraction,
        kept: int,
        patience: int,
        chunk: int,
    ) -> None:
        equal = len(set(shares)) == 1
        self._slots: Turns | Quota = (
            Turns(len(shares), batch_size) if equal else Quota(shares, batch_size)
        )
        self.batch_size = batch_size
        self._group_of = np.array(group_of, np.int64)
        self._groups, self.num_classes = len(shares), len(group_of)
        self._rate, self._kept, self._patience = rate, kept, patience
        self._chunk = max(chunk, batch_size) * rate.denominator

    def start(self) -> Memory:
        zero = tf.constant(0, tf.int64)
        per_class = tf.zeros([self.num_classes], tf.int64)
        return Memory(
            tf.zeros([0], tf.int64), tf.zeros([self._groups], tf.int64), per_class, per_class,
            zero, zero,
        )  # fmt: skip

    def choose(
        self, memory: Memory, classes: Any, offset: Any, phase: Any
    ) -> tuple[Memory, Choice]:
        """Choose of the rows kept and a chunk's: which go out, which are kept.

        Args:
            memory: what `start` or this returned.
            classes: of the chunk's rows, ``(rows,)``.
            offset: where in each stretch the thinned rows stand, a random number in [0, 1).
            phase: `COMING`, or after all rows have come `OWED`, and the last time `LAST`.
        """
        classes = self._checked(classes)
        read = memory.read + self._count(classes)
        pool = tf.concat([memory.classes, classes], axis=0)
        groups = tf.gather(self._group_of, pool)
        # Rows by group: those kept from before, then the new ones, each as they came.
        order = self._by_group(groups)
        left_out = tf.reduce_sum(tf.cast(groups < 0, tf.int64))
        size = self._count(groups, self._groups)
        new = self._count(tf.gather(self._group_of, classes), self._groups)
        start = left_out + tf.cumsum(size, exclusive=True)
        batches, credit = self._batches(memory, tf.size(classes, tf.int64), size, read, phase)

        group, place = self._slots.slots(GraphOps, memory.batch, batches)
        group, place = tf.reshape(group, [-1]), tf.reshape(place, [-1])
        before = self._slots.before(GraphOps, memory.batch)
        due = self._slots.before(GraphOps, memory.batch + batches) - before
        inside = self._inside(
            place - tf.gather(before, group), group, due, size, new, memory, offset
        )
        handed_out = tf.gather(order, tf.gather(start, group) + inside)

        evicted = tf.maximum(size - self._kept, 0)
        zero = tf.zeros([1], tf.int64)
        rank = tf.range(tf.size(order, tf.int64), dtype=tf.int64) - tf.repeat(
            tf.concat([zero, start], axis=0), tf.concat([left_out[None], size], axis=0)
        )
        limit = tf.repeat(
            tf.concat([left_out[None], evicted], axis=0), tf.concat([left_out[None], size], axis=0)
        )
        kept = tf.boolean_mask(order, rank >= limit)
        memory = Memory(
            tf.gather(pool, kept),
            tf.maximum(self._next_row(due, size, new, memory) - evicted, 0),
            read,
            memory.drawn + self._count(tf.gather(pool, handed_out)),
            memory.batch + batches,
            credit,
        )
        return memory, Choice(handed_out, kept)

    def _by_group(self, groups: Any) -> Any:
        if self._groups > _FEW_GROUPS:
            return tf.argsort(groups, stable=True)
        # Faster than to sort; first what is left out.
        of_group = [tf.where(groups == g)[:, 0] for g in range(-1, self._groups)]
        return tf.cast(tf.concat(of_group, axis=0), tf.int32)

    def _checked(self, classes: Any) -> Any:
        outside = tf.boolean_mask(classes, (classes < 0) | (classes >= self.num_classes))
        check = tf.debugging.Assert(
            tf.equal(tf.size(outside), 0),
            [
                f"`labels`: expected class ids from 0 to {self.num_classes - 1}. Received:",
                outside[:1],
                "(-1: a fraction, or a row that is not one-hot). Say how many classes there are:",
                "num_classes=..., and whether the dataset holds batches: batched=True.",
            ],
        )
        with tf.control_dependencies([check]):
            return tf.identity(classes)

    def _batches(self, memory: Memory, rows: Any, size: Any, read: Any, phase: Any) -> Any:
        """Return how many batches follow now, and the rows still owed."""
        per_batch = self.batch_size * self._rate.denominator
        earned = rows * self._rate.numerator
        credit = memory.credit + earned
        most = tf.maximum(_CATCH_UP * earned, per_batch)
        most = tf.where(
            phase == COMING,
            most,
            tf.where(phase == OWED, tf.constant(self._chunk, tf.int64), credit),
        )
        last = phase == LAST
        # What is left at the end makes one more batch.
        due = (tf.minimum(credit, most) + tf.cast(last, tf.int64) * (per_batch - 1)) // per_batch
        never = tf.equal(size, 0)
        missing = tf.reduce_any(never)
        waited = (phase != COMING) | (tf.reduce_sum(read) > self._patience)
        by_group = tf.argmax(tf.cast(never, tf.int64))
        check = tf.debugging.Assert(
            ~(missing & waited),
            [
                "`class_shares`: expected rows of every class that has a share. Received: rows of",
                "each class",
                read,
                "and none of class",
                tf.gather(self._some_class(), by_group),
                f"in the whole stream or its first {self._patience} rows (max_warmup).",
                "Shuffle the files, raise max_warmup, or give that class a share of 0.",
            ],
            summarize=20,
        )
        with tf.control_dependencies([check]):
            batches = tf.where(missing, tf.zeros_like(due), due)
        return batches, tf.maximum(credit - batches * per_batch, 0)

    def _some_class(self) -> Any:
        return np.array([int(np.argmax(self._group_of == g)) for g in range(self._groups)])

    def _inside(
        self, j: Any, group: Any, due: Any, size: Any, new: Any, memory: Memory, offset: Any
    ) -> Any:
        """Return which row of its group comes j-th, counting from the oldest row kept."""
        due, size, new = (tf.gather(each, group) for each in (due, size, new))
        old = size - new
        thinned = tf.cast((tf.cast(j, tf.float64) + offset), tf.float64) * tf.cast(
            new / tf.maximum(due, 1), tf.float64
        )
        stretch = old + tf.minimum(tf.cast(thinned, tf.int64), tf.maximum(new - 1, 0))
        turn = j % tf.maximum(size, 1)
        again = (tf.gather(memory.next_row, group) + turn - new) % tf.maximum(old, 1)
        return tf.where(due <= new, stretch, tf.where(turn < new, old + turn, again))

    def _next_row(self, due: Any, size: Any, new: Any, memory: Memory) -> Any:
        """Return where the rows of each group go on taking turns, in the order they came."""
        old = size - new
        turn = due % tf.maximum(size, 1)
        again = (memory.next_row + turn - new) % tf.maximum(old, 1)
        return tf.where(due <= new, old * 0, tf.where(turn < new, old + turn, again))

    def _count(self, ids: Any, length: int | None = None) -> Any:
        ids = tf.boolean_mask(ids, ids >= 0)
        return tf.math.bincount(
            tf.cast(ids, tf.int32),
            minlength=length or self.num_classes,
            maxlength=length or self.num_classes,
            dtype=tf.int64,
        )
