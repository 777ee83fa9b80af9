"""Balanced batches of rows in memory."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfimbalance._checks import bad_value, check_integer, check_same_length
from tfimbalance._labels import class_ids
from tfimbalance.data._plan import BalancedPlan
from tfimbalance.data._shares import resolve_shares
from tfimbalance.data._sources import Rows
from tfimbalance.statistics import class_statistics

# Measured: fewer, larger calls into Python cost less; larger still and the first batch waits.
_ROWS_PER_PLAN = 65_536
_BYTES_PER_BLOCK = 2**22


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
            They are indexed, not copied (but for strings).
        y: labels, emitted as they are: class ids ``(rows,)`` or ``(rows, 1)``, or one-hot. Anything
            with a row axis if ``labels`` is given.
        batch_size: rows a batch, at least one for every class that has a share.
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
    structure = {"x": x, "y": y}
    if sample_weight is not None:
        structure["sample_weight"] = sample_weight
    num_shards = check_integer("num_shards", num_shards, minimum=1)
    if check_integer("shard_index", shard_index, minimum=0) >= num_shards:
        raise bad_value(
            "shard_index", expected=f"below num_shards={num_shards}", received=shard_index
        )
    rows = Rows(structure)
    named, by = ("y", y) if labels is None else ("labels", labels)
    plan = _plan(named, by, rows.num_rows, batch_size, class_shares, seed)
    steps = math.ceil(rows.num_rows / (batch_size * num_shards))
    if steps_per_epoch is not None:
        steps = check_integer("steps_per_epoch", steps_per_epoch, minimum=1)
    pipeline = _Pipeline(plan, rows, steps, initial_epoch, num_shards, shard_index)
    return pipeline.dataset()


def _plan(
    name: str, labels: Any, num_rows: int, batch_size: int, class_shares: Any, seed: int
) -> BalancedPlan:
    if isinstance(labels, (dict, tuple)):
        raise bad_value(
            name,
            expected="one class a row",
            received=f"a {type(labels).__name__} of several outputs",
            remedy='Say which to balance by: labels=y["click"].',
        )
    if hasattr(labels, "__len__"):
        check_same_length(name, len(labels), reference="y", expected=num_rows)
    stats = class_statistics(labels)
    ids, _ = class_ids(labels)
    if ids.ndim != 1:
        raise bad_value(
            name,
            expected="one class a row",
            received=f"labels of shape {np.shape(labels)}",
            remedy="Say which class each row is of: labels=...",
        )
    shares = resolve_shares(class_shares, stats.counts)
    with_share = sum(share > 0 for share in shares)
    if batch_size < with_share:
        raise bad_value(
            "batch_size",
            expected=f"at least {with_share}, one row for each class that has a share",
            received=batch_size,
            remedy="Raise batch_size, or give fewer classes a share: class_shares={class: share}.",
        )
    return BalancedPlan(ids, stats.num_classes, shares, batch_size, seed)


class _Pipeline:
    """The plan and the rows as a `tf.data.Dataset` whose epochs continue one another."""

    def __init__(
        self,
        plan: BalancedPlan,
        rows: Rows,
        steps: int,
        initial_epoch: int,
        num_shards: int,
        shard_index: int,
    ) -> None:
        self._plan, self._rows, self._steps = plan, rows, steps
        self._epoch = initial_epoch
        self._num_shards, self._shard_index = num_shards, shard_index
        batch_bytes = max(1, rows.row_bytes * plan.batch_size)
        most = max(1, _ROWS_PER_PLAN // (plan.batch_size * num_shards))
        self._block = (
            min(most, max(1, _BYTES_PER_BLOCK // batch_bytes), steps) if rows.stackable else 1
        )
        self._blocks_per_plan = max(1, most // self._block)

    def dataset(self) -> tf.data.Dataset:
        # The epoch is read when an iterator starts, and carried as an element: a checkpoint of the
        # iterator then holds it. `stateful=False` is what allows the checkpoint.
        epochs = tf.data.Dataset.range(1).map(_calls(self._read_epoch))
        dataset = epochs.flat_map(_plain(self._epoch_dataset))
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(self._steps))
        options = tf.data.Options()
        options.deterministic = True
        # The default rewrites copy captured tensors.
        options.experimental_optimization.apply_default_optimizations = False
        dataset = dataset.with_options(options)
        # What runs in NumPy knows this object weakly: TensorFlow keeps every such function for the
        # life of the process, and must not keep the data with it.
        dataset._tfimbalance = self
        return dataset

    def _epoch_dataset(self, epoch: tf.Tensor) -> tf.data.Dataset:
        per_plan = self._block * self._blocks_per_plan
        plans = tf.data.Dataset.range(math.ceil(self._steps / per_plan))
        width = self._block * self._plan.batch_size
        blocks = plans.map(_calls(self._row_numbers, epoch, shape=[None, width])).unbatch()
        # Blocks are fetched ahead, not batches: handing each from thread to thread would cost more
        # than cutting it from its block.
        batches = blocks.map(_plain(self._gather), num_parallel_calls=tf.data.AUTOTUNE).prefetch(1)
        if self._block > 1:
            batches = batches.unbatch()
        batches = batches.take(self._steps)
        # Handing out the last batch ends the epoch: the element that chooses it says so. A `map`
        # over the batches would do the same at a cost for each.
        ordinary = tf.data.Dataset.from_tensors(tf.constant(0, tf.int64)).repeat(self._steps - 1)
        last = tf.data.Dataset.range(1).map(_calls(self._end_epoch, epoch))
        return tf.data.Dataset.choose_from_datasets([batches], ordinary.concatenate(last))

    def _gather(self, numbers: tf.Tensor) -> tuple[Any, ...]:
        gather = _weak(self._rows.gather)
        parts = tf.numpy_function(gather, [numbers], self._rows.dtypes, stateful=False)
        return self._rows.build(numbers, list(parts), self._block)

    def _row_numbers(self, epoch: np.int64, index: np.int64) -> np.ndarray[Any, Any]:
        """Row numbers of one stretch of an epoch, a block of batches a line."""
        first = int(index) * self._block * self._blocks_per_plan
        batches = min(self._block * self._blocks_per_plan, self._steps - first)
        shards = self._num_shards
        start = (int(epoch) * self._steps + first) * shards
        rows = self._plan.rows(start, batches * shards)[self._shard_index :: shards]
        # The epoch's last block may be short: what fills it up is never handed out.
        missing = -batches % self._block
        filled = np.concatenate([rows, np.broadcast_to(rows[:1], (missing, rows.shape[1]))])
        return filled.reshape(-1, self._block * self._plan.batch_size).astype(np.int64)

    def _read_epoch(self, index: np.int64) -> np.int64:
        return np.int64(self._epoch)

    def _end_epoch(self, epoch: np.int64, index: np.int64) -> np.int64:
        self._epoch = int(epoch) + 1
        return np.int64(0)


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keep a function from being rewritten by autograph, which takes longer than a first batch."""
    converted: Callable[..., Any] = tf.autograph.experimental.do_not_convert(function)
    return converted


def _calls(
    function: Callable[..., Any], *first: tf.Tensor, shape: Sequence[int | None] = ()
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a dataset function that calls into NumPy with ``first`` and the element."""

    def call(index: tf.Tensor) -> tf.Tensor:
        result = tf.numpy_function(_weak(function), [*first, index], tf.int64, stateful=False)
        return tf.ensure_shape(result, shape)

    return _plain(call)


def _weak(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls a method without keeping its object alive."""
    reference = weakref.WeakMethod(method)

    def call(*args: Any) -> Any:
        alive = reference()
        if alive is None:
            raise RuntimeError(
                "The dataset of tfimbalance.data.balanced_batches is gone. Keep a reference to it, "
                "or to one made from it, for as long as its batches are read."
            )
        return alive(*args)

    return call
