"""Batches drawn by a sampler of imbalanced-learn, anew in every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance.data._epochs.batches import Blocks
from tfimbalance.data._epochs.schedule import Schedule
from tfimbalance.data._order.sampling import ClassSampling
from tfimbalance.data._order.shuffle import in_passes
from tfimbalance.data._order.words import seed_word
from tfimbalance.data._samplers.background import EpochDraws
from tfimbalance.data._samplers.drawing import Draw, Drawing


def resampled_batches(
    x: Any,
    y: Any,
    sampler: Any,
    *,
    batch_size: int = 256,
    sample_weight: Any = None,
    row_ids: Any = None,
    quantities: Sequence[Any] = (),
    steps_per_epoch: int | None = None,
    seed: int = 0,
    initial_epoch: int = 0,
    num_shards: int = 1,
    shard_index: int = 0,
) -> tf.data.Dataset:
    """Make a dataset of rows that a sampler of imbalanced-learn draws, anew in every epoch.

    Use it for SMOTE and its kin, and for under-sampling that sees other rows in each epoch. Drawing
    once before ``fit`` shows the same rows every time: few of the majority, or the same invented
    ones. To repeat rare rows alone, `balanced_batches` is faster and exact in every batch.

    Never resample validation or test data, and split *before* you resample: with copies of a row,
    or rows between two others, on both sides of a split, a model of pure noise scores well.
    Resampled classes have other odds: undo that before serving, as `ClassSampling` says.

    A thread draws the next epoch while this one trains. An epoch is one draw in a random order, a
    function of ``seed`` and its number alone.

    Args:
        x: rows. A sampler that looks at features needs an array of two axes, a pandas frame (a
            batch is one array of its columns) or a SciPy sparse matrix. `RandomOverSampler` and
            `RandomUnderSampler` take whatever `balanced_batches` takes.
        sampler: with ``fit_resample``; an imbalanced-learn pipeline too. It is cloned. Its
            ``random_state``, and that of anything in it, is replaced by one made of ``seed`` and
            the epoch; so is a ``random_state`` among the ``kw_args`` of a `FunctionSampler`.
            Transformers of a pipeline change ``x``: give validation data the same.
        sample_weight: one weight a row, the third component of every element; or None. Rows that
            the sampler makes get the mean weight of their class.
        row_ids: one integer a row; elements are then ``((x, row_ids), y)``. Rows that the sampler
            makes have -1.
        quantities: names or numbers of columns of whole numbers that may be interpolated all the
            same, such as ages. (A column of integers gets them cut to whole numbers.)
        steps_per_epoch: as `balanced_batches`; by default of the rows of the first epoch's draw.
        initial_epoch: as `balanced_batches`. Without ``steps_per_epoch``, epoch 0 is drawn once
            more to count its rows.
        y, batch_size, seed, num_shards, shard_index: as `balanced_batches`; ``seed`` decides
            draws, too. ``y`` holds class ids or is one-hot.

    Returns:
        A `tf.data.Dataset` of ``(x, y)`` or ``(x, y, sample_weight)`` batches, of known
        cardinality, whose state is that of `balanced_batches`. If the rows of a draw end before the
        epoch does, they come again in another order; of a draw with too many, a random part comes.

        A draw that selects rows is a list of their numbers. One that makes rows holds them in
        memory, those of two epochs at a time: 2 x rows of a draw x bytes a row, beside what the
        sampler itself needs. A sampler without randomness, such as `TomekLinks`, is asked once.
        After the last epoch one more draw may be under way; Python waits for it before it exits.

    Shapes:
        every array ``(rows, ...)`` becomes ``(batch_size, ...)``; no batch is smaller.

    Raises:
        ValueError: before training, for an object that is no sampler, labels of one class, lengths
            that differ, an ``x`` that the sampler cannot look at, columns that hold categories and
            would be interpolated, a draw of one class, ``sample_weight`` or ``row_ids`` with rows
            that cannot be traced (`FunctionSampler`, `ClusterCentroids`), and what the sampler
            itself refuses. In a later epoch that is a `RuntimeError`.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> from imblearn.over_sampling import SMOTE
        >>> x = np.random.default_rng(0).normal(size=(100, 2)).astype("float32")
        >>> y = np.repeat([0, 1], [90, 10])
        >>> dataset = tfi.data.resampled_batches(x, y, SMOTE(), batch_size=20)
        >>> len(dataset), sum(int(labels.numpy().sum()) for _, labels in dataset)
        (9, 90)

    References:
        Chawla et al., SMOTE, JAIR 2002, arXiv 1106.1813.
        Lemaitre, Nogueira & Aridas, Imbalanced-learn, JMLR 2017, arXiv 1609.06570.
    """
    schedule = Schedule.of(
        batch_size, steps_per_epoch, seed, initial_epoch, num_shards, shard_index
    )
    sampling = Drawing(x, y, sampler, sample_weight, row_ids, quantities, schedule.seed)
    num_rows = None
    if not schedule.steps and initial_epoch > 0 and sampling.varies:
        num_rows = sampling.count(0)
    first = sampling.start(initial_epoch)
    return _Resampled(sampling, first, schedule.over(num_rows or first.num_rows)).dataset()


class _Resampled(Blocks):
    """Draws, as batches."""

    def __init__(self, sampling: Drawing, first: Draw, schedule: Schedule) -> None:
        super().__init__(sampling.layout, schedule)
        self._sampled = sampling.class_sampling
        self.draws = EpochDraws(sampling.draw, schedule.epoch, first, ahead=sampling.varies)

    def class_sampling(self) -> ClassSampling:
        return self._sampled

    def numbers(self, epoch: int, first: int, count: int) -> list[NDArray[np.int64]]:
        draw, word = self.draws.get(epoch), seed_word(self._schedule.seed, epoch)
        places = self.places(first, count).ravel()
        rows = np.concatenate([rows for rows, _ in in_passes(word, places, draw.num_rows)])
        return [rows if draw.index is None else draw.index[rows]]

    def fetch(self, epoch: tf.Tensor, numbers: tf.Tensor) -> tuple[Any, ...]:
        return self._rows.fetch(numbers, self._block, self._gather, [epoch, numbers])

    def _gather(self, epoch: np.int64, rows: NDArray[np.int64]) -> list[NDArray[Any]]:
        return self.draws.get(int(epoch)).rows.gather(rows)
