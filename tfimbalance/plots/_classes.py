"""Predictions of several classes: which one the curves are of, and what is decided for each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_same_length
from tfimbalance.plots._scores import (
    FloatArray,
    check_class_id,
    read_ids,
    sigmoid,
    zero_one_rows,
)
from tfimbalance.statistics import ClassStatistics


@dataclass(frozen=True)
class Classes:
    """What was true and decided: class ids ``(rows,)``, or rows of labels ``(rows, width)``.

    ``y_true``, ``y_pred`` and ``column`` are what a picture of one class takes; ``column`` is its
    ``class_id``.
    """

    actual: NDArray[Any]
    decided: NDArray[Any]
    statistics: ClassStatistics
    class_id: int
    is_rarest: bool
    y_true: NDArray[Any]
    y_pred: FloatArray
    column: int | None


def read_classes(
    y_true: Any,
    predicted: FloatArray,
    *,
    from_logits: bool,
    class_id: int | None,
    multi_label: bool,
    threshold: float,
) -> Classes:
    """Check the labels beside predictions ``(rows, width)``, and choose the class of the curves."""
    rows, width = predicted.shape
    actual: NDArray[Any]
    decided: NDArray[Any]
    if multi_label:
        hit = zero_one_rows(y_true, width)
        if hit is None:
            raise bad_value(
                "y_true",
                expected=f"multi-label rows of shape (rows, {width})",
                received=f"shape {np.shape(y_true)}",
                remedy="For classes that exclude one another: multi_label=False.",
            )
        actual = hit
        decided = (sigmoid(predicted) if from_logits else predicted) >= threshold
        statistics = ClassStatistics(hit.sum(axis=0), len(hit), multi_label=True)
    else:
        actual = read_ids(y_true, num_classes=width)
        decided = predicted.argmax(axis=1)
        statistics = ClassStatistics(np.bincount(actual, minlength=width))
    check_same_length("y", len(actual), reference="x", expected=rows)
    rarest = _rarest(statistics)
    k = rarest if class_id is None else check_class_id(class_id, width)
    return Classes(
        actual,
        decided,
        statistics,
        class_id=k,
        is_rarest=k == rarest,
        # Logits of labels are one sigmoid each; those of classes belong together.
        y_true=actual[:, k] if multi_label else actual,
        y_pred=predicted[:, k] if multi_label else predicted,
        column=None if multi_label else k,
    )


def _rarest(statistics: ClassStatistics) -> int:
    """Return the class of the fewest rows of which there are some, and some that are not of it."""
    counts = statistics.counts
    usable = (counts > 0) & (counts < statistics.num_samples)
    return int(np.where(usable, counts, np.iinfo(np.int64).max).argmin())
