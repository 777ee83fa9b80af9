"""Datasets that are in the epoch in which `fit` is."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfimbalance._checks import bad_value
from tfimbalance.data._epochs.pipeline import Pipeline, owners


class DatasetEpochs(keras.callbacks.Callback):
    """Keep the epochs of a dataset and of ``fit`` the same.

    Use it with `keras.callbacks.BackupAndRestore` and with ``fit(initial_epoch=...)``: a job that
    was killed then goes on with the rows that it would have seen, and ends with the same weights.
    Without it, a dataset made in a new process starts at its own ``initial_epoch``.

    ``BackupAndRestore`` has to save at the ends of epochs, its default: after a save in mid-epoch,
    Keras starts the epoch again from its first batch. Each epoch of ``fit`` has to be one of the
    dataset: set ``steps_per_epoch`` where the dataset is made, not in ``fit`` or by ``repeat()``.

    Args:
        dataset: of this package, or made from one or several by ``map``, ``prefetch``, ``zip`` and
            the like.

    Raises:
        ValueError: for a dataset of others, one that was made with ``in_graph=True`` or does not
            end; and in ``fit``, if the dataset is in a later epoch than ``fit``.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> x, y = np.zeros((100, 3)), np.repeat([0, 1], [90, 10])
        >>> dataset = tfi.data.balanced_batches(x, y, batch_size=10)
        >>> callback = tfi.callbacks.DatasetEpochs(dataset.prefetch(1))
        >>> callback.on_epoch_begin(7)  # As fit does.
    """

    def __init__(self, dataset: Any) -> None:
        super().__init__()
        found = list(owners(dataset)) if isinstance(dataset, tf.data.Dataset) else []
        self._pipelines = [owner for owner in found if isinstance(owner, Pipeline)]
        self._has_begun = False
        if found and int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
            raise bad_value(
                "dataset",
                expected="a dataset that ends, so that an epoch of fit is one of the dataset",
                received="one without end, as repeat() makes it",
                remedy="Leave out repeat(): every iteration goes on with the next epoch by itself. "
                "Its length is the steps_per_epoch that it is made with.",
            )
        if not self._pipelines:
            raise bad_value(
                "dataset",
                expected="a tf.data.Dataset of tfimbalance.data, or made from one",
                received=f"{dataset!r}",
                remedy="One made with in_graph=True starts at the initial_epoch it is given.",
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Put the dataset into this epoch."""
        for pipeline in self._pipelines:
            if self._has_begun and pipeline.epoch > epoch:
                raise bad_value(
                    "dataset",
                    expected=f"a dataset in epoch {epoch}, as fit is",
                    received=f"one in epoch {pipeline.epoch}",
                    remedy="Leave out repeat() and fit(steps_per_epoch=...): say steps_per_epoch "
                    "where the dataset is made.",
                )
            pipeline.epoch = epoch
        self._has_begun = True

    def on_train_end(self, logs: Any = None) -> None:
        """Let another ``fit`` start at any epoch."""
        self._has_begun = False
