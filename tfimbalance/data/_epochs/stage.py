"""A change of every batch of a dataset, drawn anew in each epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfimbalance._checks import bad_value, check_flag, check_integer, some_classes
from tfimbalance.data._epochs.pipeline import Pipeline, options, owners
from tfimbalance.data._order.arrays import GraphOps
from tfimbalance.data._order.words import seed_word, words
from tfimbalance.data._rows.calls import call, plain
from tfimbalance.data._rows.labels import RowLabels, check_elements
from tfimbalance.data._rows.tensors import taken, with_rows

Change = Callable[[tuple[Any, ...], Any], tuple[Any, ...]]


class Stage(Pipeline):
    """Batches of a dataset, changed by a function of the batch and a word drawn for it."""

    def __init__(self, dataset: tf.data.Dataset, change: Change, seed: int, epoch: int) -> None:
        size = int(dataset.cardinality())
        super().__init__(size if size > 0 else None, epoch)
        if size == tf.data.INFINITE_CARDINALITY:
            self.cardinality = size
        self.source, self._change, self._seed = dataset, change, seed

    def epoch_dataset(self, epoch: tf.Tensor) -> tf.data.Dataset:
        batches = self.changed(epoch)
        if self.steps is not None or self.cardinality == tf.data.INFINITE_CARDINALITY:
            return batches
        # Nothing follows, but to find that out says that the epoch is over.
        nothing = plain(lambda _: batches.take(0))
        ended = tf.data.Dataset.range(1).map(call(self.end_epoch, tf.int64, epoch))
        return batches.concatenate(ended.flat_map(nothing))

    def changed(self, epoch: tf.Tensor) -> tf.data.Dataset:
        of_seed = np.uint64(seed_word(self._seed))
        of_epoch = words(GraphOps, of_seed, GraphOps.unsigned(epoch)[None])

        def change(index: Any, element: Any) -> Any:
            return self._change(element, words(GraphOps, of_epoch, GraphOps.unsigned(index)))

        numbered = self.source.enumerate()
        return numbered.map(plain(change), num_parallel_calls=tf.data.AUTOTUNE)

    def stateless(self) -> tf.data.Dataset:
        """Return a dataset that calls into no Python; all its epochs are the first."""
        return self.changed(tf.constant(self.epoch, tf.int64)).with_options(options())


def change_rows(
    dataset: Any,
    make: Callable[[Any, tf.Tensor, Any], Any],
    classes: Sequence[int],
    label_fn: Callable[..., Any] | None,
    seed: int,
    initial_epoch: int,
    in_graph: bool,
) -> tf.data.Dataset:
    """Return a dataset whose ``x`` is made anew in some classes, by ``make(rows, ids, word)``."""
    spec = check_elements(dataset, "batches ")
    sizes = {
        part.shape[0] if part.shape.rank else "none"
        for part in tf.nest.flatten(spec)
        if part.shape.rank is not None
    } - {None}
    if "none" in sizes or len(sizes) > 1:
        raise bad_value(
            "dataset",
            expected="batches of rows, whose first axis is that of the rows",
            received=f"elements {spec}",
            remedy="dataset.batch(batch_size).",
        )
    labels = RowLabels(label_fn)
    chosen = _checked_classes(classes, dataset, label_fn, labels)

    def change(element: tuple[Any, ...], word: Any) -> tuple[Any, ...]:
        x, *others = element
        ids = _checked_ids(labels.classes(element))
        is_chosen = tf.reduce_any(ids[:, None] == tf.constant(chosen, tf.int64), axis=1)
        numbers = tf.where(is_chosen)[:, 0]
        rows = tf.nest.map_structure(lambda part: taken(part, numbers), x)
        made = make(rows, tf.gather(ids, numbers), word)

        def put(part: Any, old: Any, new: Any) -> Any:
            return part if new is old else with_rows(part, numbers, new)

        return (tf.nest.map_structure(put, x, rows, made), *others)

    stage = Stage(dataset, change, check_integer("seed", seed, minimum=0), initial_epoch)
    return stage.stateless() if check_flag("in_graph", in_graph) else stage.dataset()


def _checked_ids(ids: tf.Tensor) -> tf.Tensor:
    """Refuse rows without a class, which would stay as they are in silence."""
    check = tf.debugging.Assert(
        tf.reduce_all(ids >= 0),
        [
            "`dataset`: expected a class id or a one-hot row in every label. Received: fractions,",
            "negative numbers or several labels a row. Say which class each row has: label_fn=...,",
            "such as lambda x, y: tf.argmax(y, axis=-1) for soft rows.",
        ],
    )
    with tf.control_dependencies([check]):
        return tf.identity(ids)


def _checked_classes(
    classes: Any, dataset: tf.data.Dataset, label_fn: Any, labels: RowLabels
) -> list[int]:
    if isinstance(classes, (str, bytes)) or not hasattr(classes, "__len__") or not len(classes):
        raise bad_value("classes", expected="class ids such as [1]", received=repr(classes))
    chosen = [check_integer("classes", k, minimum=0) for k in classes]
    shape = labels.spec(dataset).shape
    known = None if label_fn else _known_classes(dataset)
    if shape.rank == 2 and 1 < shape[-1] <= max(chosen):
        known = list(range(shape[-1]))
    wrong = [k for k in chosen if known is not None and k not in known]
    if wrong:
        raise bad_value(
            "classes",
            expected=f"classes of the dataset, which has {some_classes(known or [])}",
            received=some_classes(wrong),
        )
    return chosen


def _known_classes(dataset: tf.data.Dataset) -> list[int] | None:
    """Return the classes of a dataset, if it knows them beforehand."""
    for owner in owners(dataset):
        sampling = getattr(owner, "class_sampling", None)
        if sampling is not None and getattr(owner, "knows_classes", True):
            return [int(k) for k in np.flatnonzero(sampling().read.counts)]
    return None
