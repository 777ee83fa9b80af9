"""Rows of all replicas of `tf.distribute`, where rows of one compete with those of the others."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance._tensors import Tensor


class Replicas:
    """The replicas that take a step together: one, unless TensorFlow distributes it."""

    def __init__(self, gather: bool) -> None:
        self.number = 1
        self._gathers = False
        backend = keras.backend.backend()
        if backend == "torch" and gather:
            raise bad_value(
                "across_replicas",
                expected="False on PyTorch, whose processes know nothing of each other here",
                received="True",
                remedy="Gather the embeddings before, or train with the batch of one process.",
            )
        if backend == "tensorflow":
            import tensorflow as tf

            self._context: Any = tf.distribute.get_replica_context()
            self.number = tf.distribute.get_strategy().num_replicas_in_sync
            self._gathers = gather and self.number > 1 and self._context is not None

    def gathered(self, rows: Tensor) -> Tensor:
        """Return the rows of all replicas, in their order. Gradients flow back to each."""
        if not self._gathers:
            return rows
        kind = keras.backend.standardize_dtype(rows.dtype)
        if kind == "string":
            raise bad_value(
                "ids",
                expected="integers beside across_replicas=True, as TensorFlow gathers no words",
                received="words",
                remedy="Number the items in the dataset: keras.layers.StringLookup.",
            )
        # Nor does it gather flags.
        whole = ops.cast(rows, "int32") if kind == "bool" else rows
        return ops.cast(self._context.all_gather(whole, axis=0), kind)

    def before(self, rows: Tensor) -> Tensor | int:
        """Return how many rows stand before those of this replica."""
        if not self._gathers:
            return 0
        sizes = self._context.all_gather(ops.reshape(ops.shape(rows)[0], (1,)), axis=0)
        index = ops.cast(self._context.replica_id_in_sync_group, "int32")
        return ops.sum(ops.where(ops.arange(self.number) < index, sizes, 0))

    def total(self, number: Tensor) -> Tensor:
        """Return what to divide by, so that the sum of all replicas' gradients is that of a mean.

        Without gathering it is the mean of the replicas' means, as Keras has it.
        """
        if not self._gathers:
            return number * self.number
        return ops.sum(self._context.all_gather(ops.reshape(number, (1,)), axis=0))
