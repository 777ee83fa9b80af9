"""Balanced batches of rows that pass by once."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import tensorflow as tf

from tfimbalance._checks import (
    bad_value,
    check_count,
    check_flag,
    check_integer,
    check_number,
    refuse_classes,
)
from tfimbalance.data._epochs.pipeline import options
from tfimbalance.data._rows.offset import ShareOffset, is_per_class, refuse_beside
from tfimbalance.data._stream.plan import StreamPlan
from tfimbalance.data._stream.source import StreamSource
from tfimbalance.data._stream.stream import Stream
from tfimbalance.offsets import natural_priors
from tfimbalance.shares import MANY_ROWS, check_batch_size, resolve_shares


def balanced_stream(
    dataset: tf.data.Dataset | Callable[[tf.Tensor], tf.data.Dataset],
    *,
    batch_size: int = 256,
    class_shares: str | Mapping[int, float] | Sequence[float] = "balanced",
    num_classes: int | None = None,
    num_rows: int | None = None,
    label_fn: Callable[..., Any] | None = None,
    offset: bool = False,
    per_class_offset: bool | None = None,
    priors: Any = None,
    batched: bool = False,
    rate: float = 1.0,
    shuffle_size: int = 0,
    buffer_size: int | None = None,
    max_warmup: int = 1_000_000,
    seed: int = 0,
    initial_epoch: int = 0,
    in_graph: bool = False,
) -> tf.data.Dataset:
    """Make balanced batches of a dataset that is read once, row after row.

    Use it for what does not fit in memory or has no row numbers: TFRecord files, generators, logs.
    For arrays, also on disk, `balanced_batches` is faster and draws every row equally often.

    Every batch has its exact quota. A class that brings more rows than are due is thinned evenly.
    One that brings fewer hands out each new row once, then the rows in a buffer in turns: no row
    comes twice while the buffer holds one that has not come. Never sort a source by class: until
    every class has come nothing is handed out, and rows beyond the buffer are lost. A warning says
    so if those are more than 5% of the rows; `class_sampling` says how many they are. Nor should
    rare rows come in bursts, as in the order of time: those of one burst are reused until the next
    and learnt by heart. Shuffle files and rows, or take a smaller ``rate``.

    The model learns probabilities for the sampled shares. After reading, `class_sampling` says what
    was read and handed out, and `ClassSampling` what to add to the logits. No offset undoes that
    rare rows reused very often are learnt by heart: a smaller ``rate`` reuses them less.

    Args:
        dataset: rows, ``(x, y)`` or ``(x, y, sample_weight)``, of any structure: nested, sparse,
            ragged, serialized examples. Or a function that makes it from the number of the epoch,
            an integer or a tensor, so that each epoch has its own order, after a restart as well:
            ``lambda epoch: files.shuffle(100, seed=epoch).interleave(tf.data.TFRecordDataset)``.
            (TensorFlow cannot save an iterator over a ``shuffle`` in such a function; a job that
            was killed then starts again at the epoch.)
        batch_size, class_shares: as `balanced_batches`; ``"natural"`` shares thin alone.
        num_classes: how many classes there are. By default as many as ``class_shares`` names or
            one-hot ``y`` is wide, else 2.
        num_rows: rows of an epoch of ``dataset``, where it does not know them itself (batches,
            files, generators); then `fit` knows the steps of an epoch. That there are fewer is an
            error, and that there are more as soon as they are read.
        label_fn: a function of the elements of ``dataset`` that returns the class, where ``y`` is
            not a class itself: ``lambda x, y: y["click"]``.
        offset, per_class_offset: as `balanced_batches`.
        priors: of the classes in ``dataset``, which the offset refers to and a stream does not know
            before it is read: `ClassStatistics`, counts or probabilities; or one number, that of
            the positives.
        batched: whether ``dataset`` holds batches of rows, of any size. They are faster to read
            than single rows; a few thousand rows each are best.
        rate: rows handed out for a row read. 1 reuses a rare row as often as it takes; less thins
            the frequent classes instead, ``2 * prior`` of them without reusing any rare row.
        shuffle_size: rows that are mixed with one another, anew in each epoch; 0 takes them as they
            come. It needs no buffer but these rows, and an iterator can be saved.
        buffer_size: rows kept, in equal parts of all classes; 4,096 by default, or as many as 2 MB
            hold. A rare row is reused while the buffer holds it.
        max_warmup: rows to wait for a class that has not come, before an error says so. What is
            owed for them follows at twice the rate.
        seed: decides which rows are thinned.
        initial_epoch: epoch to start with; thinning differs from epoch to epoch.
        in_graph: True makes a dataset that calls into no Python and can be sent to a tf.data
            service. `class_sampling` then has nothing to say, all epochs thin alike, and each
            worker has exact quotas and a buffer of its own.

    Returns:
        A `tf.data.Dataset` of batches ``(x, y)`` or ``(x, y, sample_weight)``. It has
        ``ceil(rate * rows / batch_size)`` batches and knows that if it knows its rows. A
        `tf.train.Checkpoint` of its iterator holds the buffer and the place in ``dataset``. Each
        new iterator starts with an empty buffer: ``balanced_stream(dataset.repeat())`` with
        ``fit(steps_per_epoch=...)`` goes on with a full one. Memory: about six times the buffer and
        a chunk, which is 8,192 rows, 4 MB if that is less, or a batch if that is more. Of 1 GB of
        rows in batches of 8,192 x 512 bytes, 26 MB were measured.

    Shapes:
        rows ``(...)`` become ``(batch_size, ...)``; no batch is smaller.

    Raises:
        ValueError: for shares that do not sum to 1, labels of unknown shape, an element that is no
            ``(x, y)``, or a batch smaller than the number of classes.
        tf.errors.InvalidArgumentError: while reading, for a label that is no class, a class that
            does not come, or another number of rows than ``num_rows``.

    Example:
        >>> import tensorflow as tf
        >>> import tfimbalance as tfi
        >>> rows = tf.data.Dataset.range(1000).map(lambda i: (i, tf.cast(i % 100 == 7, tf.int32)))
        >>> dataset = tfi.data.balanced_stream(rows, batch_size=10)
        >>> [int(tf.reduce_sum(y)) for _, y in dataset.take(3)], len(dataset)
        ([5, 5, 5], 100)

    References:
        King & Zeng, Logistic regression in rare events data, Political Analysis 2001.
    """
    batch_size = check_integer("batch_size", batch_size, minimum=1)
    seed = check_integer("seed", seed, minimum=0)
    max_warmup = check_integer("max_warmup", max_warmup, minimum=1)
    rate = check_number("rate", rate, minimum=0.0, exclusive=True)
    shuffle_size = check_integer("shuffle_size", shuffle_size, minimum=0)
    batched, in_graph = check_flag("batched", batched), check_flag("in_graph", in_graph)
    reader = StreamSource(dataset, label_fn, batched, batch_size, shuffle_size, num_rows)
    if reader.num_rows == 0:
        raise bad_value("dataset", expected="at least one row", received="a dataset of none")
    classes = _num_classes(num_classes, class_shares, reader.label_spec)
    group_of, shares = _groups(class_shares, classes)
    check_batch_size(batch_size, shares)
    chunk = reader.rows_per_chunk
    in_all = max(batch_size, chunk // 2)
    if buffer_size is not None:
        in_all = check_integer("buffer_size", buffer_size, minimum=1)
    fraction = Fraction(rate).limit_denominator(1_000_000)
    if fraction == 0:
        raise bad_value("rate", expected="a number of at least 1e-6", received=rate)
    kept = max(1, in_all // len(shares))
    plan = StreamPlan(group_of, shares, batch_size, fraction, kept, max_warmup, chunk)
    steps, patience = None, max_warmup
    if reader.num_rows is not None:
        steps = math.ceil(reader.num_rows * fraction / batch_size)
        patience = min(max_warmup, reader.num_rows)
    beside = None
    if not check_flag("offset", offset):
        refuse_beside(per_class_offset=per_class_offset, priors=priors)
    else:
        per_class = is_per_class(per_class_offset, reader.label_spec.shape, classes)
        beside = _offset(class_shares, priors, classes, per_class)
    stream = Stream(plan, reader, steps, initial_epoch, seed, patience, beside)
    if not in_graph:
        return stream.dataset()
    if num_rows is not None:
        raise bad_value(
            "num_rows",
            expected="None, because a dataset made with in_graph=True has no length",
            received=num_rows,
        )
    # Its length is not asserted: a worker of a service sees a part of the rows.
    return stream.stateless().with_options(options())


def _offset(class_shares: Any, priors: Any, classes: int, per_class: bool) -> ShareOffset:
    if priors is None:
        raise bad_value(
            "priors",
            expected="those of the classes in the stream, beside offset=True",
            received=None,
            remedy="Count the labels once: priors=tfi.class_statistics(dataset).",
        )
    known = natural_priors(priors)
    check_count("priors", len(known), classes, "priors")
    counts = np.rint(known * MANY_ROWS).astype(np.int64)
    refuse_classes(
        "priors",
        counts == 0,
        expected=f"at least {1 / MANY_ROWS:g} for every class",
        found="less",
        remedy="What is so rare does not come: leave it out.",
    )
    return ShareOffset(resolve_shares(class_shares, counts), known, per_class)


def _num_classes(given: int | None, class_shares: Any, spec: tf.TensorSpec) -> int:
    if given is not None:
        return check_integer("num_classes", given, minimum=2)
    if spec.shape.rank == 2 and (spec.shape[-1] or 0) > 1:
        return int(spec.shape[-1])
    if hasattr(class_shares, "items"):
        named = [int(k) for k, _ in class_shares.items() if isinstance(k, numbers.Integral)]
        return max([1, *named]) + 1
    return 2 if isinstance(class_shares, str) else len(class_shares)


def _groups(class_shares: Any, classes: int) -> tuple[list[int], list[Fraction]]:
    """Return the group of each class and the share of each group."""
    if isinstance(class_shares, str) and class_shares == "natural":
        return [0] * classes, [Fraction(1)]
    # Classes that share the rest are one group: what comes keeps its own proportions.
    shares = resolve_shares(class_shares, np.ones(classes, np.int64))
    named = set(range(classes))
    if hasattr(class_shares, "items"):
        named = {int(k) for k, _ in class_shares.items()}
    own = [k for k in range(classes) if k in named and shares[k] > 0]
    rest = [k for k in range(classes) if k not in named]
    group_of = [-1] * classes
    for group, k in enumerate(own):
        group_of[k] = group
    for k in rest:
        group_of[k] = len(own)
    together = [sum((shares[k] for k in rest), Fraction(0))] if rest else []
    return group_of, [shares[k] for k in own] + together
