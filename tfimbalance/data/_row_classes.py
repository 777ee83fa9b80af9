"""Labels of rows in memory -> the class of each row."""

from __future__ import annotations

from typing import Any

import numpy as np
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
