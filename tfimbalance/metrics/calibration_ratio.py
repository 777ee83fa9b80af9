"""Calibration ratio."""

from __future__ import annotations

from typing import Any

import keras

from tfimbalance._tensors import Tensor
from tfimbalance.metrics._base import check_class_id, check_has_class, ratio
from tfimbalance.metrics._probabilities import ProbabilityMetric
from tfimbalance.metrics._rows import MetricRows


@keras.saving.register_keras_serializable("tfimbalance")
class CalibrationRatio(ProbabilityMetric):
    """Positives predicted over positives seen: 1 is right on average, 2 promises twice too many.

    Use it to catch what resampling, class weights and focal losses do to probabilities. 1 does not
    mean calibrated: errors of opposite sign cancel. `ExpectedCalibrationError` sees those.

        sum of weight * p / sum of weight * y

    Callbacks cannot tell whether more is better, as the best is 1: monitor something else.

    Args:
        class_id: the class or label whose ratio alone is returned, as a scalar. None: all of them.
        from_logits, multi_label, ignore_class, name, dtype: as `AUC`.

    Shapes:
        y_true, y_pred, sample_weight: as `AUC`. Returns a scalar for binary, and with
            ``class_id``; else ``(classes,)`` or ``(labels,)``. NaN where there are no positives.

    Raises:
        ValueError: for a ``class_id`` that does not exist, shapes that do not fit, or class ids
            outside ``y_pred`` (in a graph the result is NaN).

    Example:
        >>> import tfimbalance as tfi
        >>> metric = tfi.metrics.CalibrationRatio()
        >>> round(float(metric([0, 0, 0, 1], [0.2, 0.4, 0.5, 0.9])), 4)
        2.0

    References:
        [1] He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, ADKDD 2014.
    """

    def __init__(
        self,
        *,
        class_id: int | None = None,
        from_logits: bool = False,
        multi_label: bool = False,
        ignore_class: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, multi_label, ignore_class, name, dtype)
        self.class_id = check_class_id(class_id)

    def terms(self, rows: MetricRows) -> Tensor:
        """Return the probabilities."""
        return rows.probabilities()

    def score(self, total: Tensor, rate: Tensor, counted: Tensor) -> Tensor:
        """Return predicted over seen."""
        found, one = ratio(total, rate), 0 if self._kind == "binary" else self.class_id
        return found if one is None else found[one]

    def _build(self, rows: MetricRows) -> None:
        check_has_class(self.class_id, rows.width)
        super()._build(rows)
