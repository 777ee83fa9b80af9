"""Rows of dense, ragged and sparse tensors: stacked, taken by number, replaced, or none."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def stacked(first: Any, second: Any) -> Any:
    """Return the rows of one tensor and those of another."""
    if isinstance(first, tf.SparseTensor):
        return tf.sparse.concat(0, [first, second], expand_nonconcat_dims=True)
    return tf.concat([first, second], axis=0)


def taken(rows: Any, index: Any) -> Any:
    """Return some rows, also more than once."""
    if not isinstance(rows, tf.SparseTensor):
        return tf.gather(rows, index)
    number = rows.indices[:, 0]
    lengths = tf.math.bincount(
        tf.cast(number, tf.int32), minlength=tf.cast(rows.dense_shape[0], tf.int32), dtype=tf.int64
    )
    entries = tf.RaggedTensor.from_row_lengths(tf.range(tf.size(number, tf.int64)), lengths)
    chosen = tf.gather(entries, index)
    inner = tf.gather(rows.indices[:, 1:], chosen.flat_values)
    return tf.SparseTensor(
        tf.concat([chosen.value_rowids()[:, None], inner], axis=1),
        tf.gather(rows.values, chosen.flat_values),
        tf.concat([[tf.size(index, tf.int64)], rows.dense_shape[1:]], axis=0),
    )


def no_rows(specs: Any) -> Any:
    """Return a batch of no rows, for a structure of batches."""

    def none_of(spec: Any) -> Any:
        if isinstance(spec, tf.RaggedTensorSpec):
            inner = spec.shape[spec.ragged_rank + 1 :].as_list() or None
            kind = {"inner_shape": inner, "row_splits_dtype": spec.row_splits_dtype}
            return tf.ragged.constant([], spec.dtype, ragged_rank=spec.ragged_rank, **kind)
        shape = [0, *(n or 0 for n in spec.shape.as_list()[1:])]
        if isinstance(spec, tf.SparseTensorSpec):
            indices = tf.zeros([0, len(shape)], tf.int64)
            return tf.SparseTensor(indices, tf.zeros([0], spec.dtype), tf.constant(shape, tf.int64))
        # Of a length that only a run knows, so that `scan` traces its step once.
        unknown = tf.compat.v1.placeholder_with_default
        return unknown(tf.zeros(shape, spec.dtype), [None, *spec.shape[1:]])

    return tf.nest.map_structure(none_of, specs)


def with_rows(batch: Any, numbers: Any, rows: Any) -> Any:
    """Return a batch in which the rows of some numbers are others."""
    if not isinstance(batch, (tf.SparseTensor, tf.RaggedTensor)):
        return tf.ensure_shape(
            tf.tensor_scatter_nd_update(batch, numbers[:, None], rows), batch.shape
        )
    length = batch.dense_shape[0] if isinstance(batch, tf.SparseTensor) else batch.nrows()
    order = tf.range(length, dtype=tf.int64)
    new = length + tf.range(tf.size(numbers, tf.int64), dtype=tf.int64)
    order = tf.tensor_scatter_nd_update(order, numbers[:, None], new)
    return taken(stacked(batch, rows), order)
