"""Labels of rows, in memory or in a graph -> the class of each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_same_length, some_classes
from tfimbalance._labels import class_ids
from tfimbalance.statistics import ClassStatistics


def row_classes(name: str, labels: Any, num_rows: int) -> tuple[ClassStatistics, NDArray[Any]]:
    """Return how many rows each class has, and the class of each row.

    Args:
        name: what errors call the labels.
        labels: class ids or one-hot rows.
        num_rows: how many rows there are.
    """
    if isinstance(labels, (dict, tuple)):
        raise bad_value(
            name,
            expected="one class a row",
            received=f"a {type(labels).__name__} of several outputs",
            remedy='Say which of them it is: labels=y["click"].',
        )
    if hasattr(labels, "__len__"):
        check_same_length(name, len(labels), reference="y", expected=num_rows)
    shape = np.shape(labels)
    if len(shape) == 2 and shape[1] > 1 and (np.asarray(labels).sum(axis=1) != 1).any():
        raise bad_value(
            name,
            expected="one class a row",
            received=f"rows of shape {shape} that are not one-hot",
            remedy="Of rows with several labels, say which class each is of: labels=...",
        )
    ids, num_classes = class_ids(labels)
    if ids.ndim != 1:
        raise bad_value(
            name,
            expected="one class a row",
            received=f"labels of shape {shape}",
            remedy="Say which class each row is of: labels=...",
        )
    if not ids.size:
        raise bad_value(name, expected="at least one row", received="no rows")
    counts = np.bincount(ids, minlength=num_classes)
    if np.count_nonzero(counts) < 2:
        raise bad_value(
            name,
            expected="rows of at least two classes",
            received=f"{len(ids)} rows, all of {some_classes(np.flatnonzero(counts))}",
        )
    return ClassStatistics(counts), ids


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
            remedy='Say which to balance by: label_fn=lambda x, y: y["click"].',
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
