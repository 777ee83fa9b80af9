"""Brier score and Brier skill."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfimbalance._checks import check_flag
from tfimbalance._tensors import Tensor
from tfimbalance.metrics._base import mean_where, ratio
from tfimbalance.metrics._probabilities import ProbabilityMetric
from tfimbalance.metrics._rows import MetricRows


@keras.saving.register_keras_serializable("tfimbalance")
class BrierScore(ProbabilityMetric):
    """Mean squared error of probabilities; least for the true ones, so it cannot be cheated.

    Use it to judge calibration and ranking in one number, with ``skill=True`` when positives are
    rare: always predicting a base rate of 0.1% already scores 0.001. Its errors are dominated by
    the large probabilities; `NormalizedEntropy` looks at the small ones too.

        binary:  mean (p - y)**2          classes:  mean of the sum over classes of (p_k - y_k)**2
        skill:   1 - Brier / Brier of always predicting the base rate

    Equals `sklearn.metrics.brier_score_loss`, for binary and for classes with
    ``scale_by_half=False``; labels are averaged.

    Args:
        skill: whether to return the skill: 1 is perfect, 0 no better than the base rate. It is NaN
            where all rows are of one class.
        from_logits, multi_label, ignore_class, name, dtype: as `AUC`.

    Shapes:
        y_true, y_pred, sample_weight: as `AUC`. Returns a scalar.

    Raises:
        ValueError: for shapes that do not fit, or class ids outside ``y_pred`` (in a graph the
            result is NaN).

    Example:
        >>> import tfimbalance as tfi
        >>> metric = tfi.metrics.BrierScore()
        >>> round(float(metric([0, 1], [0.1, 0.8])), 4)  # (0.01 + 0.04) / 2
        0.025

    References:
        [1] Brier, Verification of Forecasts Expressed in Terms of Probability, Monthly Weather
            Review 1950.
    """

    _direction = "down"

    def __init__(
        self,
        *,
        skill: bool = False,
        from_logits: bool = False,
        multi_label: bool = False,
        ignore_class: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, multi_label, ignore_class, name, dtype)
        self.skill = check_flag("skill", skill)
        if self.skill:
            self._direction = "up"

    def terms(self, rows: MetricRows) -> Tensor:
        """Return squared errors."""
        return ops.square(rows.probabilities() - rows.targets())

    def score(self, total: Tensor, rate: Tensor, counted: Tensor) -> Tensor:
        """Return the Brier score or skill."""

        def over(errors: Tensor) -> Tensor:
            return mean_where(errors, counted) if self._kind == "labels" else ops.sum(errors)

        brier = over(total)
        return 1.0 - ratio(brier, over(rate * (1.0 - rate))) if self.skill else brier
