"""Rows that pass by once -> balanced batches: which to keep, which to hand out. A graph alone."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfimbalance.data._order.arrays import GraphOps
from tfimbalance.data._order.quota import Quota, Turns
from tfimbalance.data._rows.tensors import no_rows

# How much faster than usual batches follow that were owed while a class had not come.
_CATCH_UP = 2
# Up to so many sorts of rows a pass each is faster than a sort.
_FEW_SORTS = 24
# Rows come; all have come, and some may be owed; the same, for the last time.
COMING, OWED, LAST = 0, 1, 2

# What a row of a group is: handed out before, thinned out, or waiting for a batch that is due.
_USED, _SPARE, _WAITING = 0, 1, 2


class Memory(NamedTuple):
    """What is known between chunks, beside the rows kept: used, spare and waiting ones by group."""

    classes: Any  # Of the rows kept, (kept,).
    used: Any  # How many rows of each group were handed out, (groups,).
    spare: Any  # How many were thinned out, and come before any row comes twice, (groups,).
    next_row: Any  # Where each group goes on reusing its rows, (groups,).
    read: Any  # Rows of each class so far, (classes,).
    drawn: Any  # Rows of each class handed out so far, (classes,).
    lost: Any  # Rows that the buffer did not hold until all classes had come.
    batch: Any  # Number of the next batch.
    credit: Any  # Rows owed, in units of 1 / (denominator of the rate).


class Choice(NamedTuple):
    """Row numbers in the pool of the rows kept and the chunk after them."""

    handed_out: Any  # (batches * batch_size,)
    kept: Any


class _Group(NamedTuple):
    """How many rows each group has in the pool, and how many of them batches take; (groups,)."""

    used: Any
    spare: Any
    waiting: Any
    new: Any
    accepted: Any  # Of the new ones: those that are due now or in the batch after.
    due: Any
    next_row: Any

    @property
    def size(self) -> Any:
        return self.used + self.spare + self.waiting + self.new

    def of(self, index: Any) -> _Group:
        """Return the numbers of a group for each index."""
        return _Group(*(tf.gather(part, index) for part in self))


class StreamPlan:
    """Chooses rows chunk by chunk.

    A group is a class with a share of its own, or all those that share the rest. Every batch holds
    its exact quota of every group. A group that brings more rows than are due is thinned evenly,
    and what is due of a batch that is not full yet waits for it. A group that brings fewer hands
    out each new row, then the spare ones, then those that came before, in turns: no row comes twice
    while one that is kept has not come.
    """

    def __init__(
        self,
        group_of: list[int],  # -1: left out.
        shares: list[Fraction],
        batch_size: int,
        rate: Fraction,
        kept: int,  # Rows of each group, or its quota of a batch if that is more.
        patience: int,  # Rows to wait for a group that has not come.
        chunk: int,  # Rows to hand out at once, at most, when the stream has ended.
    ) -> None:
        equal = len(set(shares)) == 1
        self._slots: Turns | Quota = (
            Turns(len(shares), batch_size) if equal else Quota(shares, batch_size)
        )
        self.batch_size = batch_size
        self._group_of = np.array(group_of, np.int64)
        self._groups, self.num_classes = len(shares), len(group_of)
        self._rate, self._patience = rate, patience
        quotas = [math.ceil(share * batch_size) for share in shares]
        self._room = np.maximum(np.array(quotas, np.int64), kept)
        self._per_batch = batch_size * rate.denominator
        self._chunk = max(chunk, batch_size) * rate.denominator

    def start(self) -> Memory:
        zero, none = tf.constant(0, tf.int64), no_rows(tf.TensorSpec([None], tf.int64))
        groups, classes = (tf.zeros([n], tf.int64) for n in (self._groups, self.num_classes))
        return Memory(none, groups, groups, groups, classes, classes, zero, zero, zero)

    def choose(
        self, memory: Memory, classes: Any, offset: Any, phase: Any
    ) -> tuple[Memory, Choice]:
        """Choose of the rows kept and a chunk's; thinning starts at ``offset``, in [0, 1)."""
        classes = self._checked(classes)
        read = memory.read + self._count(classes)
        pool = tf.concat([memory.classes, classes], axis=0)
        groups = tf.gather(self._group_of, pool)
        # Rows by group: those kept from before, then the new ones, each as they came.
        order = self._by(groups, self._groups)
        size = self._count(groups, self._groups)
        left_out = tf.size(order, tf.int64) - tf.reduce_sum(size)
        start = left_out + tf.cumsum(size, exclusive=True)
        batches, credit = self._batches(memory, tf.size(classes, tf.int64), size, read, phase)
        group = self._group_counts(memory, size, classes, batches, credit)
        slots = self._slots.slots(GraphOps, memory.batch, batches)
        of_slot, place = (tf.reshape(part, [-1]) for part in slots)
        number = place - tf.gather(self._slots.before(GraphOps, memory.batch), of_slot)
        inside = _handed_out(group.of(of_slot), number, offset)
        handed_out = tf.gather(order, tf.gather(start, of_slot) + inside)

        # What is left out stands before the first group.
        order = order[left_out:]
        row_group = tf.gather(groups, order)
        inside = tf.range(tf.size(order, tf.int64)) - tf.gather(start - left_out, row_group)
        turn = self._turn_of_new(group, start - left_out, tf.size(order, tf.int64), offset)
        kind = _kinds(group.of(row_group), inside, turn)
        sizes = tf.reshape(self._count(3 * row_group + kind, 3 * self._groups), [-1, 3])
        by_kind = self._by(3 * row_group + kind, 3 * self._groups)
        evicted = tf.maximum(size - self._room, 0)
        # The place of a row in its group is the same one, as groups stay where they are.
        stays = inside >= tf.gather(evicted, row_group)
        gone = tf.gather(kind, tf.gather(by_kind, _numbers_of(~stays)))
        lost = tf.math.count_nonzero(gone) * tf.cast(tf.reduce_any(size == 0), tf.int64)
        kept = tf.gather(order, tf.gather(by_kind, _numbers_of(stays)))
        used = tf.maximum(sizes[:, _USED] - evicted, 0)
        evicted_spare = tf.maximum(evicted - sizes[:, _USED], 0)
        memory = Memory(
            tf.gather(pool, kept),
            used,
            tf.maximum(sizes[:, _SPARE] - evicted_spare, 0),
            tf.maximum(_next_row(group) - evicted, 0),
            read,
            memory.drawn + self._count(tf.gather(pool, handed_out)),
            memory.lost + lost,
            memory.batch + batches,
            credit,
        )
        return memory, Choice(handed_out, kept)

    def _by(self, values: Any, number: int) -> Any:
        """Return the row numbers by their values, from -1 to ``number - 1``, each as they came."""
        if number > _FEW_SORTS:
            return tf.argsort(values, stable=True)
        of_value = [_numbers_of(values == value) for value in range(-1, number)]
        return tf.cast(tf.concat(of_value, axis=0), tf.int32)

    def _checked(self, classes: Any) -> Any:
        outside = tf.gather(classes, _numbers_of((classes < 0) | (classes >= self.num_classes)))
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
        earned = rows * self._rate.numerator
        credit = memory.credit + earned
        at_end = tf.where(phase == OWED, tf.constant(self._chunk, tf.int64), credit)
        while_coming = tf.maximum(_CATCH_UP * earned, self._per_batch)
        most = tf.where(phase == COMING, while_coming, at_end)
        # What is left at the end makes one more batch.
        left = tf.cast(phase == LAST, tf.int64) * (self._per_batch - 1)
        due = (tf.minimum(credit, most) + left) // self._per_batch
        never = tf.equal(size, 0)
        missing = tf.reduce_any(never)
        waited = (phase != COMING) | (tf.reduce_sum(read) > self._patience)
        missing_group, groups = tf.argmax(tf.cast(never, tf.int64)), range(self._groups)
        check = tf.debugging.Assert(
            ~(missing & waited),
            [
                "`class_shares`: expected rows of every class that has a share. Received: rows of",
                "each class",
                read,
                "and none of class",
                tf.gather([self._group_of.tolist().index(g) for g in groups], missing_group),
                f"in the whole stream or its first {self._patience} rows (max_warmup).",
                "Shuffle the files, raise max_warmup, or give that class a share of 0.",
            ],
            summarize=20,
        )
        with tf.control_dependencies([check]):
            batches = tf.where(missing, tf.zeros_like(due), due)
        return batches, tf.maximum(credit - batches * self._per_batch, 0)

    def _group_counts(
        self, memory: Memory, size: Any, classes: Any, batches: Any, credit: Any
    ) -> _Group:
        new = self._count(tf.gather(self._group_of, classes), self._groups)
        first, end, after = (
            self._slots.before(GraphOps, memory.batch + number)
            for number in (0, batches, batches + 1)
        )
        due = end - first
        waiting = size - new - memory.used - memory.spare
        # The part that is earned of a batch that is not full yet.
        part = tf.minimum(credit, self._per_batch)
        ahead = -(-(after - end) * part // self._per_batch)
        accepted = tf.clip_by_value(due + ahead - waiting, 0, new)
        return _Group(memory.used, memory.spare, waiting, new, accepted, due, memory.next_row)

    def _turn_of_new(self, group: _Group, start: Any, rows: Any, offset: Any) -> Any:
        """Return the turn of each new row that is accepted, and -1 for all other rows."""
        end = tf.cumsum(group.accepted)
        turn = tf.range(end[-1])
        of_row = tf.searchsorted(end, turn, "right", tf.int64)
        turn -= tf.gather(end - group.accepted, of_row)
        at = tf.gather(start, of_row) + _accepted_row(group.of(of_row), turn, offset)
        return tf.scatter_nd(at[:, None], turn + 1, rows[None]) - 1

    def _count(self, ids: Any, length: int | None = None) -> Any:
        # Ids below 0 do not count.
        return tf.math.unsorted_segment_sum(tf.ones_like(ids), ids, length or self.num_classes)


def _numbers_of(mask: Any) -> Any:
    return tf.squeeze(tf.where(mask), 1)


def _accepted_row(group: _Group, turn: Any, offset: Any) -> Any:
    """Return which row of its group is the new one of a turn: evenly spread over all new ones."""
    step = tf.cast(group.new, tf.float64) / tf.cast(tf.maximum(group.accepted, 1), tf.float64)
    row = tf.cast((tf.cast(turn, tf.float64) + offset) * step, tf.int64)
    first = group.used + group.spare + group.waiting
    return first + tf.minimum(row, tf.maximum(group.new - 1, 0))


def _handed_out(group: _Group, number: Any, offset: Any) -> Any:
    """Return which row of its group comes at each number: waiting, new, spare, used ones."""
    turn = number % tf.maximum(group.size, 1)
    of_new = turn - group.waiting
    of_spare = of_new - group.accepted
    again = (group.next_row + of_spare - group.spare) % tf.maximum(group.used, 1)
    row = tf.where(of_spare < group.spare, group.used + of_spare, again)
    row = tf.where(of_spare < 0, _accepted_row(group, of_new, offset), row)
    return tf.where(of_new < 0, group.used + group.spare + turn, row)


def _kinds(group: _Group, inside: Any, turn: Any) -> Any:
    """Return what each row of a group is afterwards; ``turn`` is that of the new ones."""
    of_spare, of_waiting = inside - group.used, inside - group.used - group.spare
    new_due = group.due - group.waiting
    is_new = of_waiting >= group.waiting
    waits = tf.where(is_new, turn >= new_due, of_waiting >= group.due)
    spares = tf.where(is_new, turn < 0, (of_spare >= new_due - group.accepted) & (of_waiting < 0))
    kind = tf.where(spares, _SPARE, tf.where(waits & (of_waiting >= 0), _WAITING, _USED))
    return tf.cast(tf.where(of_spare < 0, _USED, kind), tf.int64)


def _next_row(group: _Group) -> Any:
    """Return where each group goes on taking turns: with the next of its used rows, in order."""
    fresh = group.waiting + group.accepted + group.spare
    is_cycle = group.due > group.size
    turn = tf.where(is_cycle, group.due % tf.maximum(group.size, 1), group.due)
    again = group.next_row + turn - fresh
    again = tf.where(again > group.used, again - group.used, again)
    inside = tf.where(is_cycle, group.used + turn, group.next_row)
    return tf.where(turn <= fresh, inside, again)
