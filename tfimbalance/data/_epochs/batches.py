"""Rows by number -> batches, fetched ahead in blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance.data._epochs.pipeline import Pipeline, options
from tfimbalance.data._epochs.schedule import Schedule
from tfimbalance.data._order.plan import BalancedPlan
from tfimbalance.data._order.sampling import ClassSampling
from tfimbalance.data._rows.calls import call, plain
from tfimbalance.data._rows.offset import ShareOffset
from tfimbalance.data._rows.rows import Rows

# Measured: fewer, larger calls into Python cost less; larger still and the first batch waits.
ROWS_PER_PLAN = 65_536
_BYTES_PER_BLOCK = 2**22  # Measured.


class Blocks(Pipeline):
    """Batches of rows by number, fetched in blocks of some batches.

    A subclass says which rows in `numbers`. It may say more of each row, ``per_row`` numbers in
    all, and make something else of a block of them in `fetch`.
    """

    per_row = 1

    def __init__(
        self, rows: Rows, schedule: Schedule, rows_at_least: int = 0, bytes_beside: int = 0
    ) -> None:
        super().__init__(schedule.steps, schedule.epoch, schedule.num_shards)
        self._rows, self._schedule = rows, schedule
        together = schedule.batch_size * schedule.num_shards
        most = max(1, max(ROWS_PER_PLAN, rows_at_least) // together)
        self._block = 1
        if rows.stackable:
            row_bytes = rows.row_bytes + bytes_beside
            fitting = _BYTES_PER_BLOCK // max(1, row_bytes * schedule.batch_size)
            self._block = min(max(1, fitting), schedule.steps, most)
        self._per_plan = most - most % self._block

    def epoch_dataset(self, epoch: tf.Tensor) -> tf.data.Dataset:
        # Blocks are fetched ahead, not batches: handing each from thread to thread would cost more
        # than cutting it from its block.
        fetch = plain(lambda numbers: self.fetch(epoch, numbers))
        blocks = self.blocks(epoch).map(fetch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(1)
        return blocks.unbatch() if self._block > 1 else blocks

    def blocks(self, epoch: tf.Tensor) -> tf.data.Dataset:
        """Return the numbers of the rows of each block."""
        stretches = tf.data.Dataset.range(math.ceil(self._schedule.steps / self._per_plan))
        shape = [None, self._block * self._schedule.batch_size * self.per_row]
        return stretches.map(call(self._stretch, tf.int64, epoch, shape=shape)).unbatch()

    def _stretch(self, epoch: np.int64, index: np.int64) -> NDArray[np.int64]:
        first = int(index) * self._per_plan
        # The last block may go beyond the epoch's end; what is there is never handed out.
        left = math.ceil((self._schedule.steps - first) / self._block) * self._block
        parts = self.numbers(int(epoch), first, min(self._per_plan, left))
        width = self._block * self._schedule.batch_size
        return np.concatenate([part.reshape(-1, width) for part in parts], axis=1)

    def numbers(self, epoch: int, first: int, count: int) -> list[NDArray[np.int64]]:
        """Return ``per_row`` numbers of each row of ``count`` batches of this worker's epoch."""
        raise NotImplementedError

    def places(self, first: int, count: int) -> NDArray[np.int64]:
        """Return the places of rows of this worker's batches among those of all workers."""
        schedule = self._schedule
        batches = (first + np.arange(count)) * schedule.num_shards + schedule.shard_index
        return batches[:, None] * schedule.batch_size + np.arange(schedule.batch_size)

    def fetch(self, epoch: tf.Tensor, numbers: tf.Tensor) -> tuple[Any, ...]:
        """Make a block of batches of its numbers, with a leading axis unless it is one batch."""
        return self._rows.fetch(numbers, self._block)


class PlannedBatches(Blocks):
    """Batches by a plan; beside each row its place and how often it came before."""

    def __init__(
        self, plan: BalancedPlan, rows: Rows, schedule: Schedule, bytes_beside: int = 0
    ) -> None:
        super().__init__(rows, schedule, plan.rows_at_least, bytes_beside)
        self._plan = plan

    def numbers(self, epoch: int, first: int, count: int) -> list[NDArray[np.int64]]:
        shards, first = self._schedule.num_shards, epoch * self._schedule.steps + first
        drawn = self._plan.rows_and_passes(first * shards, count * shards)
        rows, passes = (part[self._schedule.shard_index :: shards] for part in drawn)
        return [rows, self.places(first, count), passes][: self.per_row]


class BalancedBatches(PlannedBatches):
    """Planned batches of classes, which know how often each class comes."""

    def __init__(
        self,
        plan: BalancedPlan,
        rows: Rows,
        schedule: Schedule,
        offset: ShareOffset | None = None,
    ) -> None:
        super().__init__(plan, rows, schedule, 0 if offset is None else offset.num_bytes)
        self._offset = offset

    def class_sampling(self) -> ClassSampling:
        """Return the rows of each class, in the data and in an epoch."""
        return self._plan.class_sampling(self._schedule.steps * self._schedule.num_shards)

    def fetch(self, epoch: tf.Tensor, numbers: tf.Tensor) -> tuple[Any, ...]:
        element = super().fetch(epoch, numbers)
        if self._offset is None:
            return element
        lead = [self._block] if self._block > 1 else []
        return self._offset.beside(element, *lead, self._schedule.batch_size)

    def stateless(self, *, is_endless: bool) -> tf.data.Dataset:
        """Return the batches from the first epoch on, without a call into Python."""
        schedule = self._schedule

        def fetch(index: tf.Tensor) -> tuple[Any, ...]:
            step = index + schedule.epoch * schedule.steps
            number = step * schedule.num_shards + schedule.shard_index
            element = self._rows.fetch(self._plan.rows_in_graph(number, 1)[0])
            offset, size = self._offset, schedule.batch_size
            return element if offset is None else offset.beside(element, size)

        steps = tf.data.Dataset.range(schedule.steps)
        numbers = tf.data.Dataset.counter() if is_endless else steps
        batches = numbers.map(plain(fetch), num_parallel_calls=tf.data.AUTOTUNE)
        return batches.with_options(options(schedule.num_shards))
