"""Labels of rows, in memory or in a graph -> the class of each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_same_length, some_classes
from tfimbalance._labels import class_ids
from tfimbalance.data._rows.calls import plain
from tfimbalance.statistics import ClassStatistics

NAME_LABELS = 'Say which class each row is of: labels=y["click"].'


def row_classes(
    name: str, labels: Any, num_rows: int | None = None, remedy: str = NAME_LABELS
) -> tuple[ClassStatistics, NDArray[Any]]:
    """Return how many rows each class has, and the class of each row, of ids or one-hot rows."""

    def not_one(received: str) -> ValueError:
        return bad_value(name, expected="one class a row", received=received, remedy=remedy)

    if isinstance(labels, (dict, tuple)):
        raise not_one(f"a {type(labels).__name__} of several outputs")
    if isinstance(labels, (tf.RaggedTensor, tf.SparseTensor)) or hasattr(labels, "tocsr"):
        raise bad_value(
            name,
            expected="a dense array of labels",
            received=f"a {type(labels).__name__}",
            remedy="Take the class of each row first, such as y.argmax(axis=1) of one-hot rows.",
        )
    try:
        shape = np.shape(labels)
    except ValueError:
        raise not_one("rows that differ in length") from None
    if num_rows is not None and shape:
        check_same_length(name, shape[0], reference="y", expected=num_rows)
    if len(shape) == 2 and shape[1] > 1 and (np.asarray(labels).sum(axis=1) != 1).any():
        raise not_one(f"rows of shape {shape} that are not one-hot")
    ids, num_classes = class_ids(labels)
    if ids.ndim != 1:
        raise not_one(f"labels of shape {shape}")
    if not ids.size:
        raise bad_value(name, expected="at least one row", received="no rows")
    counts = np.bincount(ids, minlength=num_classes)
    if np.count_nonzero(counts) < 2:
        raise bad_value(
            name,
            expected="rows of at least two classes",
            received=f"{len(ids)} rows of {some_classes(np.flatnonzero(counts))} alone",
        )
    return ClassStatistics(counts), ids


def check_elements(dataset: Any, parts: str = "", remedy: str = "") -> tuple[Any, ...]:
    """Return the specs of ``(x, y[, sample_weight])``, or raise if elements are something else."""
    spec = dataset.element_spec if isinstance(dataset, tf.data.Dataset) else None
    if hasattr(spec, "_fields"):
        remedy = "Map the named tuple: dataset.map(lambda element: (element.x, element.y))."
    elif spec is not None:
        remedy = ""
    if not isinstance(spec, tuple) or hasattr(spec, "_fields") or len(spec) not in (2, 3):
        raise bad_value(
            "dataset",
            expected=f"a tf.data.Dataset of {parts}(x, y) or (x, y, sample_weight)",
            received=type(dataset).__name__ if spec is None else f"elements {spec}",
            remedy=remedy,
        )
    return spec


class RowLabels:
    """The class of each row of a dataset's elements: ``y``, or what ``label_fn`` returns."""

    def __init__(self, label_fn: Callable[..., Any] | None) -> None:
        self._labels = label_fn or (lambda x, y, *weight: y)

    def spec(self, dataset: tf.data.Dataset, *, of_batches: bool = True) -> tf.TensorSpec:
        """Return what labels of a dataset of batches are, or raise if they are none."""
        spec = dataset.map(plain(lambda *element: self._labels(*element))).element_spec
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
                received=f"shape {spec.shape} for {'each element' if of_batches else 'a batch'}",
                remedy="A dataset of batches takes batched=True, one of rows batched=False.",
            )
        return spec

    def classes(self, element: Any) -> tf.Tensor:
        """Return the class of each row of a batch, ``(rows,)``; -1 where a label is no class."""
        labels = self._labels(*element)
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
