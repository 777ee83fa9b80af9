"""The margins of a streaming confusion matrix, from which its metrics are made."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from tfimbalance._checks import check_number
from tfimbalance._tensors import Tensor
from tfimbalance.metrics._base import RowMetric, mean_where, ratio
from tfimbalance.metrics._grid import sums_by
from tfimbalance.metrics._rows import MetricRows


class ConfusionMetric(RowMetric):
    """Base of the metrics of a confusion matrix's diagonal and margins: a subclass writes `score`.

    They take 24 bytes a class in float64, where the square of 100,000 classes would fit nowhere.
    """

    _direction = "up"

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        from_logits: bool = False,
        multi_label: bool = False,
        ignore_class: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, multi_label, ignore_class, name, dtype)
        self.threshold = check_number(
            "threshold", threshold, minimum=0.0, maximum=1.0, exclusive=True
        )

    def score(self, correct: Tensor, actual: Tensor, predicted: Tensor) -> Tensor:
        """Return the metric of each label, from sums of weight, ``(labels, classes)``."""
        raise NotImplementedError

    def _build(self, rows: MetricRows) -> None:
        labels = rows.width if rows.kind == "labels" else 1
        classes = rows.width if rows.kind == "classes" else 2
        self._margins = self._sums("margins", (3, labels, classes))

    def _accumulate(self, rows: MetricRows, *more: Tensor) -> None:
        _, labels, classes = self._margins.shape
        actual, predicted = self._decisions(rows)
        column = ops.arange(labels, dtype="int32")
        weight = ops.broadcast_to(rows.weights, ops.shape(actual))
        correct = ops.where(actual == predicted, weight, 0.0 * weight)
        of_actual = sums_by(actual, column, [correct, weight], labels, classes)
        of_predicted = sums_by(predicted, column, [weight], labels, classes)
        self._margins.assign_add(ops.concatenate([of_actual, of_predicted]))

    def _decisions(self, rows: MetricRows) -> tuple[Tensor, Tensor]:
        """Return actual and predicted class ids, ``(rows, labels)``."""
        if rows.kind == "classes":
            predicted = ops.cast(ops.argmax(rows.given, axis=-1), "int32")
            return rows.ids()[:, None], predicted[:, None]
        limit = self.threshold
        if rows.from_logits:
            limit = math.log(limit) - math.log1p(-limit)
        return ops.cast(rows.target > 0.5, "int32"), ops.cast(rows.given >= limit, "int32")

    def _value(self) -> Tensor:
        margins = ops.unstack(ops.convert_to_tensor(self._margins), 3, axis=0)
        # A label that no row is known of is left out; NaN is not 0, and shows.
        return mean_where(self.score(*margins), ops.sum(margins[1], axis=-1) != 0)


class RecallMetric(ConfusionMetric):
    """Base of the metrics that look at the recall of each class (of a label: its positives)."""

    def _actual(self) -> Tensor:
        actual = ops.convert_to_tensor(self._margins)[1]
        return actual[:, 1] if self.multi_label else actual[0]

    def _recalls(self) -> Tensor:
        correct = ops.convert_to_tensor(self._margins)[0]
        return ratio(correct[:, 1] if self.multi_label else correct[0], self._actual())
