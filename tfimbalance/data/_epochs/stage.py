"""A change of every batch of a dataset, drawn anew in each epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfimbalance._checks import bad_value, check_integer, some_classes
from tfimbalance.data._epochs.pipeline import Pipeline, options, owners
from tfimbalance.data._order.arrays import GraphOps
from tfimbalance.data._order.words import seed_word, words
from tfimbalance.data._rows.calls import call, plain
from tfimbalance.data._rows.labels import RowLabels, check_dataset

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


def staged(
    dataset: tf.data.Dataset, change: Change, seed: int, initial_epoch: int, in_graph: bool
) -> tf.data.Dataset:
    """Return a dataset whose batches are changed; with ``in_graph``, without any Python."""
    stage = Stage(dataset, change, check_integer("seed", seed, minimum=0), initial_epoch)
    return stage.stateless() if in_graph else stage.dataset()


class Chosen:
    """The rows of a batch that are of some classes, by ``label_fn`` or ``y``."""

    def __init__(
        self, dataset: Any, classes: Sequence[int], label_fn: Callable[..., Any] | None
    ) -> None:
        check_dataset(dataset, "batches ")
        if isinstance(classes, (str, bytes)) or not hasattr(classes, "__len__") or not len(classes):
            raise bad_value("classes", expected="class ids such as [1]", received=repr(classes))
        self._classes = [check_integer("classes", k, minimum=0) for k in classes]
        self._labels = RowLabels(label_fn)
        shape = self._labels.spec(dataset).shape
        known = None if label_fn else _known_classes(dataset)
        if shape.rank == 2 and 1 < shape[-1] <= max(self._classes):
            known = list(range(shape[-1]))
        wrong = [k for k in self._classes if known is not None and k not in known]
        if wrong:
            raise bad_value(
                "classes",
                expected=f"classes of the dataset, which has {some_classes(known or [])}",
                received=some_classes(wrong),
            )

    def rows(self, element: tuple[Any, ...]) -> tuple[Any, Any]:
        """Return the numbers of the chosen rows of a batch, and their classes."""
        ids = self._labels.classes(element)
        is_chosen = tf.reduce_any(ids[:, None] == tf.constant(self._classes, tf.int64), axis=1)
        numbers = tf.where(is_chosen)[:, 0]
        return numbers, tf.gather(ids, numbers)


def _known_classes(dataset: tf.data.Dataset) -> list[int] | None:
    """Return the classes of a dataset, if it knows them beforehand."""
    for owner in owners(dataset):
        sampling = getattr(owner, "class_sampling", None)
        if sampling is not None and getattr(owner, "knows_classes", True):
            return [int(k) for k in np.flatnonzero(sampling().read.counts)]
    return None
