"""Balanced batches of rows in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfimbalance._checks import check_integer
from tfimbalance.data._epochs.batches import BYTES_PER_READ, PlannedBatches
from tfimbalance.data._epochs.pipeline import options
from tfimbalance.data._epochs.schedule import check_shards
from tfimbalance.data._order.plan import BalancedPlan
from tfimbalance.data._order.sampling import ClassSampling
from tfimbalance.data._rows.calls import plain
from tfimbalance.data._rows.labels import row_classes
from tfimbalance.data._rows.rows import Rows
from tfimbalance.shares import check_batch_size, resolve_shares

_ENDLESS = 2**62


def balanced_batches(
    x: Any,
    y: Any,
    *,
    batch_size: int = 256,
    class_shares: str | Mapping[int, float] | Sequence[float] = "balanced",
    sample_weight: Any = None,
    labels: Any = None,
    steps_per_epoch: int | None = None,
    seed: int = 0,
    initial_epoch: int = 0,
    num_shards: int = 1,
    shard_index: int = 0,
    small_batches: bool = False,
    block_size: int = 1,
    in_graph: bool = False,
) -> tf.data.Dataset:
    """Make a dataset whose every batch holds the classes in the shares asked for.

    Use it when positives are so rare that most batches hold few or none: training then needs far
    fewer steps. What the model learns are probabilities for the *sampled* shares: the odds of a
    class are multiplied by its share over its prior. Undo that before serving, and validate on data
    at its natural rate.

    Every batch has its exact quota; where a share does not divide the batch, the remainder rotates.
    Within a class no row comes twice before all have come, and an epoch goes on where the last one
    ended. The order depends on ``seed`` and the number of the batch alone.

    Args:
        x: rows: arrays, pandas, SciPy sparse, ``np.memmap``, tensors, or dicts and tuples of them.
            They are indexed, not copied (but for strings). Memory maps of more than half of the
            memory, HDF5, Zarr and Arrow are read as rows are needed, sorted by position; rows of
            classes that come more than once an epoch then stay in memory, up to 256 MB of them.
        y: labels, emitted as they are: class ids ``(rows,)`` or ``(rows, 1)``, or one-hot. Anything
            with a row axis if ``labels`` is given.
        batch_size: rows a batch, at least as many as there are classes with a share. (A class whose
            share is less than a row of a batch comes in some batches, as evenly as can be.)
        class_shares: ``"balanced"`` (equal over the classes that have rows), ``"natural"`` (as in
            the data), a mapping (``{1: 0.2}``: the rest keeps its own proportions), or one share a
            class.
        sample_weight: one weight a row, the third component of every element; or None.
        labels: class of each row, where ``y`` is not a class itself (several outputs, masks).
        steps_per_epoch: batches an epoch; ``ceil(rows / batch_size)`` by default (an equal part of
            that for each of several shards). Say it here, not in ``fit``, which would start every
            call at the epoch's first batch.
        seed: decides the order.
        initial_epoch: epoch to start with; what ``fit(initial_epoch=...)`` is given on a restart.
            ``dataset.skip(n)`` starts one epoch n batches later.
        num_shards: split the batches among as many workers that each make this dataset: worker
            ``i`` of ``n`` takes batches ``i``, ``i + n``, ``i + 2 n``, ... of the one order. They
            share no batch and leave none out, however many epochs.
        shard_index: which of them this is, from 0.
        small_batches: True lets ``batch_size`` be smaller than the number of classes, which then
            take turns.
        block_size: rows of a class that are read together, for files larger than memory: neighbours
            in the file, as far as other classes do not stand between them. Take as many as have
            256 kB or more, 1,024 rows of 256 bytes: a disk then reads long stretches. They are
            mixed with those of the other runs in 32 MB of rows, which the first batch has to wait
            for. 1 mixes all rows of a class.
        in_graph: True makes a dataset that calls into no Python and can be sent to a tf.data
            service. It holds ``x`` and ``y`` as tensors and takes longer for the order, which is
            the same. An iterator of it starts at ``initial_epoch`` and has ``steps_per_epoch``
            batches; by default it does not end, and ``fit(steps_per_epoch=...)`` bounds epochs.

    Returns:
        A `tf.data.Dataset` of ``(x, y)`` or ``(x, y, sample_weight)`` batches, of known
        cardinality. The epoch advances when its last batch is handed out, so that a glance at the
        first batches does not use it up. (Where Keras glances before training, under a distribution
        strategy and on JAX, epochs of three steps or fewer are used up by its reading ahead.)
        A `tf.train.Checkpoint` of an iterator restores the rest of an epoch that has begun; between
        epochs, ``initial_epoch`` is the state.

    Shapes:
        every array ``(rows, ...)`` becomes ``(batch_size, ...)``; no batch is smaller.

    Raises:
        ValueError: for no rows, labels of one class, lengths that differ, shares that do not sum to
            1 or name a class without rows, or a batch smaller than the number of classes.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> x, y = np.arange(100.0), np.repeat([0, 1], [90, 10])
        >>> dataset = tfi.data.balanced_batches(x, y, batch_size=10)
        >>> [int(labels.numpy().sum()) for _, labels in dataset.take(3)], len(dataset)
        ([5, 5, 5], 10)
    """
    batch_size = check_integer("batch_size", batch_size, minimum=1)
    seed = check_integer("seed", seed, minimum=0)
    initial_epoch = check_integer("initial_epoch", initial_epoch, minimum=0)
    block_size = check_integer("block_size", block_size, minimum=1)
    shards = check_shards(num_shards, shard_index)
    structure = {"x": x, "y": y}
    if sample_weight is not None:
        structure["sample_weight"] = sample_weight
    rows = Rows(structure, as_tensors=in_graph)
    by = ("y", y) if labels is None else ("labels", labels)
    stats, ids = row_classes(*by, rows.num_rows)
    shares = resolve_shares(class_shares, stats.counts)
    if not small_batches:
        check_batch_size(batch_size, shares, or_turns=True)
    # What one read hands out of the class with the largest share.
    rows_per_read = BYTES_PER_READ // max(1, rows.row_bytes * batch_size) * batch_size
    window = int(max(rows_per_read, batch_size) * max(shares))
    plan = BalancedPlan(ids, stats.num_classes, shares, batch_size, seed, block_size, window)
    steps = math.ceil(rows.num_rows / (batch_size * num_shards))
    if steps_per_epoch is not None:
        steps = check_integer("steps_per_epoch", steps_per_epoch, minimum=1)
    if in_graph:
        limit = None if steps_per_epoch is None else steps
        return _in_graph(plan, rows, limit, initial_epoch * steps, shards)
    sampling = plan.class_sampling(steps * num_shards)
    again = np.flatnonzero(sampling.drawn.counts > sampling.read.counts)
    if rows.on_disk and again.size:
        rows.keep(np.flatnonzero(np.isin(ids, again)))
    batches = _Balanced(plan, rows, steps, initial_epoch, shards, reads=block_size > 1)
    return batches.dataset()


class _Balanced(PlannedBatches):
    """Balanced batches, which know how often each class comes."""

    def class_sampling(self) -> ClassSampling:
        """Return the rows of each class, in the data and in an epoch."""
        return self._plan.class_sampling(self._steps * self._num_shards)


def _in_graph(
    plan: BalancedPlan, rows: Rows, steps: int | None, epoch_steps: int, shards: tuple[int, int]
) -> tf.data.Dataset:
    """Batches by their number, out of a graph that calls into nothing."""
    num_shards, shard_index = shards

    def fetch(index: tf.Tensor) -> tuple[Any, ...]:
        number = (index + epoch_steps) * num_shards + shard_index
        return rows.fetch(plan.rows_in_graph(number, 1)[0])

    numbers = tf.data.Dataset.range(_ENDLESS if steps is None else steps)
    batches = numbers.map(plain(fetch), num_parallel_calls=tf.data.AUTOTUNE)
    if steps is None:
        batches = batches.apply(
            tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        )
    return batches.with_options(options(num_shards))
