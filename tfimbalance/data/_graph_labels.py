"""Labels in a graph -> class ids."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfimbalance._checks import bad_value


def check_label_spec(spec: Any, batched: bool) -> tf.TensorSpec:
    """Return what labels of a batch of rows are, or say why they are none."""
    numeric = isinstance(spec, tf.TensorSpec) and (
        spec.dtype.is_integer or spec.dtype.is_bool or spec.dtype.is_floating
    )
    if not numeric:
        raise bad_value(
            "labels",
            expected="one class a row",
            received=f"{spec}",
            remedy='Say which to balance by: labels=lambda x, y: y["click"].',
        )
    if spec.shape.rank not in (1, 2) or (spec.shape.rank == 2 and spec.shape[-1] is None):
        raise bad_value(
            "labels",
            expected="a class id or a one-hot row for each row",
            received=f"shape {spec.shape} for {'each element' if batched else 'a batch'}",
            remedy="A dataset of batches takes batched=True, one of rows batched=False.",
        )
    return spec


def graph_class_ids(labels: Any) -> Any:
    """Return the class of each row, ``(rows,)``; -1 for what is none."""
    if labels.shape.rank == 2 and labels.shape[-1] != 1:
        ones = tf.equal(tf.cast(labels, tf.float64), 1.0)
        total = tf.reduce_sum(tf.abs(tf.cast(labels, tf.float64)), axis=-1)
        is_one_hot = tf.reduce_any(ones, axis=-1) & tf.equal(total, 1.0)
        return tf.where(is_one_hot, tf.argmax(ones, axis=-1), -1)
    flat = tf.reshape(labels, [-1])
    ids = tf.cast(flat, tf.int64)
    if not flat.dtype.is_floating:
        return ids
    return tf.where(tf.equal(tf.cast(ids, flat.dtype), flat), ids, -tf.ones_like(ids))
