"""What backends do in ways of their own: replicas, tables that change in place, words."""

from __future__ import annotations

import importlib
from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance._tensors import Tensor
from tfimbalance.retrieval._ids import integer_dtype

try:
    _in_stateless_scope = importlib.import_module(
        "keras.src.backend.common.stateless_scope"
    ).in_stateless_scope
except (ImportError, AttributeError):

    def _in_stateless_scope() -> bool:
        return False


def number_words(ids: Tensor, num_items: int | None = None) -> Tensor:
    """Return 63 bits of a hash of each word; integers as they are, in the widest dtype.

    Words are no ids of a given number of items.
    """
    if keras.backend.standardize_dtype(ids.dtype) != "string":
        return ops.cast(ids, integer_dtype())
    if num_items is not None:
        raise bad_value(
            "ids",
            expected=f"integers from 0 to {num_items - 1}",
            received="words",
            remedy="Leave out num_items to hash them.",
        )
    import tensorflow as tf

    return tf.strings.to_hash_bucket_fast(ids, 2**63 - 1)


def refuse_sizes(argument: str, x: Tensor, shape: tuple[Any, ...]) -> Tensor:
    """Return a tensor whose first sizes, known only when a graph of TensorFlow runs, are these.

    A reshape is no check: where sizes are not known before, TensorFlow takes some of them out.
    """
    if keras.backend.backend() != "tensorflow":
        return x
    import tensorflow as tf

    wanted = tf.stack([tf.cast(size, tf.int32) for size in shape])
    text = f"`{argument}`: sizes are not those of what it goes with."
    check = tf.debugging.assert_equal(tf.shape(x)[: len(shape)], wanted, text)
    with tf.control_dependencies([check]):
        return tf.identity(x)


class Replicas:
    """The replicas that take a step together: one, unless TensorFlow distributes it.

    Without ``gather`` each keeps its own rows.
    """

    def __init__(self, gather: bool) -> None:
        self.number = 1
        self._gathers = False
        if keras.backend.backend() == "tensorflow":
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
        return self.summed(number) if self._gathers else number * self.number

    def summed(self, number: Tensor) -> Tensor:
        """Return the sum of a number of each replica; without gathering, this one's."""
        return ops.sum(self.gathered(ops.reshape(number, (1,))))


def read(table: keras.Variable, rows: Tensor) -> Tensor:
    """Return rows of a table."""
    if not _in_place():
        return ops.take(table, rows, axis=0)
    import tensorflow as tf

    # Not of a tensor of all rows: where a variable changes in place, that would be a copy.
    return tf.raw_ops.ResourceGather(resource=_handles(table)[0], indices=rows, dtype=table.dtype)


def write(table: keras.Variable, rows: Tensor, values: Tensor) -> None:
    """Set rows of a table: in place on TensorFlow, where nothing else spares a copy of it."""
    values = ops.cast(values, table.dtype)
    if not _in_place():
        table.assign(ops.scatter_update(table, ops.expand_dims(rows, -1), values))
        return
    import tensorflow as tf

    for handle in _handles(table):
        tf.raw_ops.ResourceScatterUpdate(resource=handle, indices=rows, updates=values)


def add(number: keras.Variable, more: Any) -> None:
    """Add to a variable."""
    more = ops.cast(more, number.dtype)
    if not _in_place():
        number.assign(ops.convert_to_tensor(number) + more)
        return
    import tensorflow as tf

    for handle in _handles(number):
        tf.raw_ops.AssignAddVariableOp(resource=handle, value=more)


def _in_place() -> bool:
    return keras.backend.backend() == "tensorflow" and not _in_stateless_scope()


def _handles(variable: keras.Variable) -> list[Any]:
    """Return what to change of a variable: its copy on this replica, elsewhere all copies."""
    import tensorflow as tf

    value = variable.value
    context = tf.distribute.get_replica_context()
    on_replica = context is not None and context.num_replicas_in_sync > 1
    return [copy.handle for copy in ([value] if on_replica else getattr(value, "values", [value]))]
