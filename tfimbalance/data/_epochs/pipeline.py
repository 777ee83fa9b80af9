"""Batches by their number -> a `tf.data.Dataset` whose epochs continue one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfimbalance._checks import check_integer
from tfimbalance.data._rows.calls import call, plain


class Pipeline:
    """An epoch's batches, and the number of the epoch that comes next.

    The epoch advances when its last batch is handed out, so that a glance at the first batches does
    not use it up. Where ``steps`` is None, unknown or without end, a subclass calls `end_epoch`.

    What runs in NumPy knows this object weakly, and the dataset holds it: TensorFlow keeps every
    such function for the life of the process, and must not keep the data with it.
    """

    def __init__(self, steps: int | None, initial_epoch: int, num_shards: int = 1) -> None:
        self.steps = steps
        self.cardinality = tf.data.UNKNOWN_CARDINALITY if steps is None else steps
        self.epoch = check_integer("initial_epoch", initial_epoch, minimum=0)
        self._num_shards = num_shards

    def epoch_dataset(self, epoch: tf.Tensor) -> tf.data.Dataset:
        """Return the batches of one epoch, at least ``steps`` of them."""
        raise NotImplementedError

    def dataset(self) -> tf.data.Dataset:
        # The epoch is read when an iterator starts, and carried as an element: a checkpoint of the
        # iterator then holds it. `stateful=False` is what allows the checkpoint.
        epochs = tf.data.Dataset.range(1).map(call(self._read_epoch, tf.int64))
        if self.steps is None:
            dataset = epochs.flat_map(plain(self.epoch_dataset))
        else:
            dataset = epochs.flat_map(plain(lambda epoch: self._limited(epoch, self.steps or 0)))
        if self.cardinality != tf.data.UNKNOWN_CARDINALITY:
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(self.cardinality))
        return held(dataset.with_options(options(self._num_shards)), self)

    def _limited(self, epoch: tf.Tensor, steps: int) -> tf.data.Dataset:
        batches = self.epoch_dataset(epoch).take(steps)
        # Handing out the last batch ends the epoch: the element that chooses it says so. A `map`
        # over the batches would do the same at a cost for each.
        ordinary = tf.data.Dataset.from_tensors(tf.constant(0, tf.int64)).repeat(steps - 1)
        last = tf.data.Dataset.range(1).map(call(self.end_epoch, tf.int64, epoch))
        return tf.data.Dataset.choose_from_datasets([batches], ordinary.concatenate(last))

    def _read_epoch(self, index: Any) -> Any:
        return index + self.epoch

    def end_epoch(self, epoch: Any, index: Any) -> Any:
        """Note that the next epoch is due; any element will do for ``index``."""
        self.epoch = int(epoch) + 1
        return index * 0


def options(num_shards: int = 1) -> tf.data.Options:
    """Return the options of all our datasets: in order, without copies of captured tensors."""
    chosen = tf.data.Options()
    # A strategy gives each worker its part of every batch, unless the dataset was made for one.
    policy = tf.data.experimental.AutoShardPolicy
    chosen.experimental_distribute.auto_shard_policy = policy.OFF if num_shards > 1 else policy.DATA
    chosen.deterministic = True
    # The default rewrites copy captured tensors.
    chosen.experimental_optimization.apply_default_optimizations = False
    return chosen


def held(dataset: tf.data.Dataset, owner: object) -> tf.data.Dataset:
    """Tie what a dataset calls into to its life, and to that of every dataset made from it."""
    dataset._tfimbalance = owner
    return dataset


def owners(dataset: tf.data.Dataset) -> Iterator[Any]:
    """Yield what `held` tied to a dataset and to those it was made from, the nearest first."""
    if hasattr(dataset, "_tfimbalance"):
        yield dataset._tfimbalance
        if hasattr(dataset._tfimbalance, "source"):
            yield from owners(dataset._tfimbalance.source)
    for source in dataset._inputs():
        yield from owners(source)
