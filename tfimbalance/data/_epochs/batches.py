"""Rows by a plan -> batches, fetched ahead in blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance.data._epochs.pipeline import Pipeline, batches_per_block
from tfimbalance.data._epochs.schedule import Schedule
from tfimbalance.data._order.plan import BalancedPlan
from tfimbalance.data._order.sampling import ClassSampling
from tfimbalance.data._rows.calls import call, plain
from tfimbalance.data._rows.rows import Rows

# Measured: fewer, larger calls into Python cost less; larger still and the first batch waits.
ROWS_PER_PLAN = 65_536


class PlannedBatches(Pipeline):
    """The plan and the rows, as batches.

    Args:
        plan: which rows.
        rows: how to fetch them.
        schedule: how many of them, for whom.

    A subclass may make something else of the rows' numbers in `fetch`, of their places among all
    that are ever handed out, and of how often each row came before, if it sets ``with_places``.
    """

    with_places = False

    def __init__(self, plan: BalancedPlan, rows: Rows, schedule: Schedule) -> None:
        super().__init__(schedule.steps, schedule.epoch, schedule.num_shards)
        self._plan, self._rows, self._schedule = plan, rows, schedule
        most = max(ROWS_PER_PLAN, plan.rows_at_least) // (plan.batch_size * schedule.num_shards)
        most = max(1, most)
        self._block = 1
        if rows.stackable:
            block = batches_per_block(rows.row_bytes * plan.batch_size, schedule.steps)
            self._block = min(block, most)
        self._blocks_per_plan = max(1, most // self._block)

    def epoch_dataset(self, epoch: tf.Tensor) -> tf.data.Dataset:
        """Return the batches of one epoch."""
        per_plan = self._block * self._blocks_per_plan
        plans = tf.data.Dataset.range(math.ceil(self._schedule.steps / per_plan))
        shape = [None, self._block * self._plan.batch_size * (3 if self.with_places else 1)]
        blocks = plans.map(call(self._row_numbers, tf.int64, epoch, shape=shape)).unbatch()
        # Blocks are fetched ahead, not batches: handing each from thread to thread would cost more
        # than cutting it from its block.
        batches = blocks.map(plain(self.fetch), num_parallel_calls=tf.data.AUTOTUNE).prefetch(1)
        return batches.unbatch() if self._block > 1 else batches

    def fetch(self, numbers: tf.Tensor) -> tuple[Any, ...]:
        """Make a block of batches of row numbers, with a leading axis unless it is one batch."""
        return self._rows.fetch(numbers, self._block)

    def _row_numbers(self, epoch: np.int64, index: np.int64) -> NDArray[np.int64]:
        """Row numbers of one stretch of an epoch, a block of batches a line."""
        steps, shards = self._schedule.steps, self._schedule.num_shards
        first = int(index) * self._block * self._blocks_per_plan
        batches = min(self._block * self._blocks_per_plan, steps - first)
        start = (int(epoch) * steps + first) * shards
        drawn = self._plan.rows_and_passes(start, batches * shards)
        rows, passes = (part[self._schedule.shard_index :: shards] for part in drawn)
        width = self._block * self._plan.batch_size
        if not self.with_places:
            return self._filled(rows).reshape(-1, width)
        number = start + self._schedule.shard_index + np.arange(batches) * shards
        places = number[:, None] * self._plan.batch_size + np.arange(self._plan.batch_size)
        parts = [self._filled(part).reshape(-1, width) for part in (rows, places, passes)]
        return np.concatenate(parts, axis=1)

    def _filled(self, batches: NDArray[np.int64]) -> NDArray[np.int64]:
        """Fill up an epoch's last block, which may be short, with what is never handed out."""
        missing = -len(batches) % self._block
        return np.concatenate([batches, np.broadcast_to(batches[:1], (missing, batches.shape[1]))])


class BalancedBatches(PlannedBatches):
    """Planned batches of classes, which know how often each class comes."""

    def class_sampling(self) -> ClassSampling:
        """Return the rows of each class, in the data and in an epoch."""
        return self._plan.class_sampling(self._schedule.steps * self._schedule.num_shards)
