"""Balanced batches of rows in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfimbalance._checks import check_flag
from tfimbalance.data._epochs.batches import BalancedBatches
from tfimbalance.data._epochs.schedule import Schedule
from tfimbalance.data._order.plan import BalancedPlan
from tfimbalance.data._rows.offset import ShareOffset, is_per_class, refuse_beside
from tfimbalance.data._rows.rows import LabelledRows
from tfimbalance.shares import check_batch_size, resolve_shares


def balanced_batches(
    x: Any,
    y: Any,
    *,
    batch_size: int = 256,
    class_shares: str | Mapping[int, float] | Sequence[float] = "balanced",
    sample_weight: Any = None,
    labels: Any = None,
    offset: bool = False,
    per_class_offset: bool | None = None,
    steps_per_epoch: int | None = None,
    seed: int = 0,
    initial_epoch: int = 0,
    num_shards: int = 1,
    shard_index: int = 0,
    small_batches: bool = False,
    in_graph: bool = False,
) -> tf.data.Dataset:
    """Make a dataset whose every batch holds the classes in the shares asked for.

    Use it when positives are so rare that most batches hold few or none: training then needs far
    fewer steps. The model learns probabilities for the *sampled* shares: the odds of a class are
    multiplied by its share over its prior. Undo that before serving, or train with the offset; and
    validate on data at its natural rate.

    Every batch has its exact quota; where a share does not divide the batch, the remainder rotates.
    Within a class no row comes twice before all have come, and an epoch goes on where the last one
    ended. The order depends on ``seed`` and the number of the batch alone.

    Args:
        x: rows: arrays, pandas, SciPy sparse, ``np.memmap``, tensors, or dicts and tuples of them.
            They are indexed, not copied (but for strings). HDF5, Zarr, Arrow and memory maps of
            more than half of the memory are read as rows are needed, sorted by position.
        y: labels, emitted as they are: class ids ``(rows,)`` or ``(rows, 1)``, or one-hot; anything
            with a row axis if ``labels`` is given.
        batch_size: rows a batch, at least as many as there are classes with a share. (A class whose
            share is less than a row of a batch comes in some batches, as evenly as possible.)
        class_shares: ``"balanced"`` (equal over the classes that have rows), ``"natural"`` (as in
            the data), a mapping (``{1: 0.2}``: the rest keeps its own proportions), or one share a
            class.
        sample_weight: one weight a row, the third component of every element; or None.
        labels: class of each row, where ``y`` is not a class itself (several outputs, masks).
        offset: True puts what the shares do to the logits beside ``x``, for
            `tfimbalance.layers.OffsetModel`: elements are ``((x, offset), y)``, and the model
            inside learns probabilities of the *data*, which need no correction. A function of
            `augment` then gets ``(x, offset)``.
        per_class_offset: whether the offset is one number for each class, for a softmax,
            ``(batch_size, num_classes)`` instead of ``(batch_size, 1)`` for one logit. By default
            it is for one-hot ``y`` and more than two classes.
        steps_per_epoch: batches an epoch; ``ceil(rows / batch_size)`` by default, divided by
            ``num_shards``. Say it here, not in ``fit``, which would start every call at the epoch's
            first batch.
        seed: decides the order.
        initial_epoch: epoch to start with; what ``fit(initial_epoch=...)`` is given on a restart.
            ``dataset.skip(n)`` starts one epoch n batches later.
        num_shards: number of workers that each make this dataset: worker ``i`` of ``n`` takes
            batches ``i``, ``i + n``, ``i + 2 n``, ... of the one order. They share no batch and
            leave none out, however many epochs.
        shard_index: which worker this is, from 0.
        small_batches: True lets ``batch_size`` be smaller than the number of classes, which then
            take turns.
        in_graph: True makes a dataset that calls into no Python and can be sent to a tf.data
            service. It holds ``x`` and ``y`` as tensors and computes the same order more slowly. An
            iterator starts at ``initial_epoch`` and has ``steps_per_epoch`` batches; by default it
            does not end, and ``fit(steps_per_epoch=...)`` bounds epochs.

    Returns:
        A `tf.data.Dataset` of ``(x, y)`` or ``(x, y, sample_weight)`` batches, of known
        cardinality. An epoch ends when its last batch is handed out: a glance at the first batches
        does not use it up. (Where Keras glances before training, under a distribution strategy and
        on JAX, its reading ahead uses up epochs of three steps or fewer.) Between epochs,
        ``initial_epoch`` is the state; a `tf.train.Checkpoint` of an iterator restores the rest of
        an epoch that has begun.

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
    schedule = Schedule.of(
        batch_size, steps_per_epoch, seed, initial_epoch, num_shards, shard_index
    )
    in_graph = check_flag("in_graph", in_graph)
    rows, stats, ids = LabelledRows.read(x, y, sample_weight, labels, as_tensors=in_graph)
    shares = resolve_shares(class_shares, stats.counts)
    if not check_flag("small_batches", small_batches):
        check_batch_size(batch_size, shares, or_turns=True)
    beside = None
    if not check_flag("offset", offset):
        refuse_beside(per_class_offset=per_class_offset)
    else:
        shape = np.shape(y if labels is None else labels)
        per_class = is_per_class(per_class_offset, shape, stats.num_classes)
        beside = ShareOffset(shares, stats.priors, per_class)
    plan = BalancedPlan(ids, stats.num_classes, shares, batch_size, seed)
    batches = BalancedBatches(plan, rows, schedule.over(rows.num_rows), beside)
    return batches.stateless(is_endless=not schedule.steps) if in_graph else batches.dataset()
