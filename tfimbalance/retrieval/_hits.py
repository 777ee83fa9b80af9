"""Rows of a batch with the same item: as many as there are where rows are shuffled, or more."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._tensors import Tensor
from tfimbalance.retrieval._backend import number_words
from tfimbalance.retrieval._frequency import counted
from tfimbalance.retrieval._ids import integer_dtype


class HitCounter(keras.layers.Layer):
    """Counts pairs of rows of a batch with the same item, beside those of independent draws.

    Of B draws from Q, with s2 = sum Q^2 and s3 = sum Q^3, which are means over the draws:

        expected = B (B - 1) / 2 * s2
        variance = B (B - 1) / 2 * s2 (1 - s2) + B (B - 1) (B - 2) (s3 - s2^2)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Replicas have batches of their own; what is kept is their mean.
        self._sums = self.add_weight(
            name="hits",
            shape=(4,),
            initializer="zeros",
            dtype="float32",
            autocast=False,
            trainable=False,
            aggregation="mean",
        )
        self.built = True

    def call(self, ids: Tensor, log_q: Tensor, real: Tensor | None = None) -> None:
        """Add a batch but for its padding; its log Q is that of all batches before."""
        ids, q = number_words(ops.reshape(ids, (-1,))), ops.exp(ops.reshape(log_q, (-1,)))
        rows, padding = ops.cast(ops.shape(ids)[0], "float32"), 0.0
        if real is not None:
            ids = ops.where(real, ids, np.iinfo(integer_dtype()).min)
            q = ops.where(real, q, 0.0)
            padding = ops.sum(ops.cast(ops.logical_not(real), "float32"))
        _, times, _ = counted(ids, ops.zeros_like(ids))
        hits = (ops.sum(ops.cast(times - 1, "float32")) - padding * (padding - 1.0)) / 2.0
        rows = rows - padding
        # Not divided by the rows, of which there may be none.
        s2, s3 = (ops.divide_no_nan(ops.sum(part), rows) for part in (q, q * q))
        pairs = rows * (rows - 1.0) / 2.0
        variance = pairs * (s2 * (1.0 - s2) + 2.0 * (rows - 2.0) * (s3 - s2 * s2))
        # Frequencies of the first batches are guesses, of half a draw an item.
        known = ops.cast(self._sums[0] >= 10.0 * rows, "float32")
        new = ops.stack([hits, pairs * s2, ops.maximum(variance, 0.0)])
        new = ops.where(ops.isfinite(new), new, 0.0)
        self._sums.assign_add(ops.concatenate([rows[None], known * new]))

    def excess(self) -> tuple[float, float] | None:
        """Return the pairs that were found and those expected, if chance does not explain more.

        Chance ends at five standard deviations; but the frequencies are estimates, and of many
        batches a few per cent are as many: it must be a twentieth more.
        """
        sums = ops.convert_to_numpy(ops.convert_to_tensor(self._sums))
        _, found, expected, variance = np.asarray(sums, "float64")
        beyond = found - expected > 5.0 * np.sqrt(variance) and found > 1.05 * expected
        return (float(found), float(expected)) if beyond else None


class HitsCallback(keras.callbacks.Callback):
    """Looks at the hits after 100, 1,000, ... steps, and at the end of each epoch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look early: an epoch may take hours. On JAX the steps keep their state."""
        if batch + 1 in (100, 1_000, 10_000):
            self.model.warn_of_hits()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Look at all of the epoch."""
        self.model.warn_of_hits()
