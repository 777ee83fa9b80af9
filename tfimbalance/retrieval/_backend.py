"""What backends do in ways of their own: tables that change in place, ids of replicas, words."""

from __future__ import annotations

import importlib
from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance._tensors import Tensor, as_numbers

try:
    _in_stateless_scope = importlib.import_module(
        "keras.src.backend.common.stateless_scope"
    ).in_stateless_scope
except (ImportError, AttributeError):

    def _in_stateless_scope() -> bool:
        return False


def integer_dtype() -> str:
    """Return the widest dtype of ids: int64, but int32 on JAX without ``jax_enable_x64``."""
    return str(keras.backend.standardize_dtype(ops.convert_to_tensor(np.zeros(1, "int64")).dtype))


def as_ids(ids: Any) -> Tensor:
    """Return a tensor of integers, or of words on TensorFlow; raise where ids would change."""
    if isinstance(ids, keras.KerasTensor):
        return _checked_kind(ids)
    if not ops.is_tensor(ids) and type(ids).__name__ not in ("SparseTensor", "RaggedTensor"):
        try:
            ids = np.asarray(ids)
        except ValueError:  # Rows of unequal length.
            raise _no_ids("rows of unequal length") from None
        if ids.dtype.kind in "iu" and ids.size:
            _check_width(ids)
        if ids.dtype.kind in "OSU" and keras.backend.backend() != "tensorflow":
            raise _no_ids("words, which TensorFlow alone has")
        if ids.dtype.kind not in "iuOSU":
            raise _no_ids(f"values of dtype {ids.dtype}")
        ids = ops.convert_to_tensor(ids)
    return _checked_kind(ids)


def _checked_kind(ids: Tensor) -> Tensor:
    kind = keras.backend.standardize_dtype(ids.dtype)
    if kind == "string":
        return ids
    ids = ids if isinstance(ids, keras.KerasTensor) else as_numbers("ids", ids)
    if "int" not in kind:
        raise _no_ids(f"values of dtype {kind}")
    return ids


def _check_width(ids: np.ndarray) -> None:
    bits = np.iinfo(integer_dtype())
    if bits.bits < 64 and (ids.max() > bits.max or ids.min() < bits.min):
        raise bad_value(
            "ids",
            expected="ids below 2**31 on JAX without 64-bit integers",
            received=max(abs(int(ids.max())), abs(int(ids.min()))),
            remedy='Start with jax.config.update("jax_enable_x64", True).',
        )


def _no_ids(received: str) -> ValueError:
    return bad_value(
        "ids",
        expected="a dense array of integers",
        received=received,
        remedy="Give them as int64: a float32 holds whole numbers to 16,777,216 only.",
    )


def number_words(ids: Tensor) -> Tensor:
    """Return 63 bits of a hash of each word; integers as they are, in the widest dtype."""
    if keras.backend.standardize_dtype(ids.dtype) != "string":
        return ops.cast(ids, integer_dtype())
    import tensorflow as tf

    return tf.strings.to_hash_bucket_fast(ids, 2**63 - 1)


def of_all_replicas(ids: Tensor) -> Tensor:
    """Return the ids of this replica behind those of the replicas before it, and before others."""
    if keras.backend.backend() != "tensorflow":
        return ids
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return ids
    return context.all_gather(ids, axis=0)


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
