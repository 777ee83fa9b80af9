"""Recall of each class."""

from __future__ import annotations

from typing import Any

import keras

from tfimbalance._tensors import Tensor
from tfimbalance.metrics._base import check_class_id, check_has_class
from tfimbalance.metrics._confusion import RecallMetric
from tfimbalance.metrics._rows import MetricRows


@keras.saving.register_keras_serializable("tfimbalance")
class PerClassRecall(RecallMetric):
    """Recall of each class: which share of its rows was found.

    Use it to see which classes a mean hides. The vector goes into the history of `fit`; callbacks
    such as `keras.callbacks.EarlyStopping` monitor scalars, so give them a ``class_id``.

        correct_k / rows_k

    Equals `sklearn.metrics.recall_score(average=None)` for classes that have rows.

    Args:
        class_id: the class whose recall alone is returned, as a scalar. None: all of them.
        threshold, from_logits, multi_label, ignore_class, name, dtype: as `BalancedAccuracy`. The
            recall of a label is that of its positives.

    Shapes:
        y_true, y_pred, sample_weight: as `AUC`. Returns ``(classes,)`` (2 for binary)
            or ``(labels,)``, NaN for those without rows; a scalar with ``class_id``, and before
            the first row, when the number of classes is unknown.

    Raises:
        ValueError: for a ``class_id`` that does not exist, a threshold outside (0, 1), shapes that
            do not fit, or class ids outside ``y_pred`` (in a graph the result is NaN).

    Example:
        >>> import tfimbalance as tfi
        >>> metric = tfi.metrics.PerClassRecall()
        >>> found = metric([0, 0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.1, 0.9]])
        >>> [float(recall) for recall in found]
        [0.5, 1.0]
    """

    def __init__(
        self,
        *,
        class_id: int | None = None,
        threshold: float = 0.5,
        from_logits: bool = False,
        multi_label: bool = False,
        ignore_class: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            threshold=threshold,
            from_logits=from_logits,
            multi_label=multi_label,
            ignore_class=ignore_class,
            name=name,
            dtype=dtype,
        )
        self.class_id = check_class_id(class_id)

    def _build(self, rows: MetricRows) -> None:
        check_has_class(self.class_id, 2 if rows.kind == "binary" else rows.width)
        super()._build(rows)

    def _value(self) -> Tensor:
        recalls = self._recalls()
        return recalls if self.class_id is None else recalls[self.class_id]
