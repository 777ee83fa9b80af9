"""Corrections that are fitted on held-out rows."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from tfimbalance._checks import FloatArray, bad_value, checked_ignore_class
from tfimbalance._evaluation.rows import Evaluated
from tfimbalance.calibration._base import CalibrationLayer

Layer = TypeVar("Layer", bound="FittedCalibration")


class FittedCalibration(CalibrationLayer):
    """Base of the corrections that `fit` finds: a subclass writes `_fit`, of rows read once."""

    def fit(
        self: Layer,
        y_true: Any,
        y_pred: Any,
        *,
        sample_weight: Any = None,
        ignore_class: int | None = None,
    ) -> Layer:
        """Fit on held-out rows, which are all in memory (about 40 bytes an output); return self.

        Args:
            y_true: labels: 0 and 1, class ids, one-hot or multi-label rows.
            y_pred: what the layer will be given for those rows.
            sample_weight: one number a row, or None.
            ignore_class: label that does not count; of multi-label rows, each for itself.
        """
        rows = Evaluated.read(
            y_true,
            y_pred,
            sample_weight,
            ignore_class=checked_ignore_class(ignore_class),
            from_logits=self.from_logits,
            activation=self.activation,
        )
        if not len(rows.weight):
            raise bad_value(
                "y_true", expected="held-out rows that count", received="none: all are left out"
            )
        known = rows.weights > 0
        with_it = (rows.targets & known).any(axis=0)
        missing = np.flatnonzero(~(with_it & (~rows.targets & known).any(axis=0)))
        if missing.size:
            raise bad_value(
                "y_true",
                expected="held-out rows with and without each class",
                received=f"{len(rows.weight)} rows that have none of one kind for output "
                f"{missing[0]}",
                remedy="Hold out more rows, or stratify the split.",
            )
        self._fit(rows._replace(weight=rows.weight / rows.weight.mean()))
        return self

    def _fit(self, rows: Evaluated) -> None:
        """Set what is fitted; weights have a mean of 1."""
        raise NotImplementedError


def is_separated(nats: float, rows: Evaluated) -> bool:
    """Tell a fit that makes no errors: a ten-thousandth of the base rate's cross-entropy."""
    weights = rows.weights
    of_each = weights.mean(axis=0)
    rate = (weights * rows.targets).mean(axis=0) / of_each
    entropy = -np.log(rate) * rate
    if not rows.is_softmax:
        entropy = entropy - np.log1p(-rate) * (1.0 - rate)
    return nats < 1e-4 * float((of_each * entropy).sum())


def mean_nats(z: FloatArray, rows: Evaluated) -> tuple[float, FloatArray]:
    """Return the mean cross-entropy of logits, and its derivative in each of them."""
    from scipy.special import expit, log_softmax

    targets, weights = rows.targets, rows.weights / len(z)
    if rows.is_softmax:
        log_p = log_softmax(z, axis=1)
        p, nats = np.exp(log_p), -log_p * targets
    else:
        p, nats = expit(z), np.logaddexp(0.0, z) - z * targets
    return float((weights * nats).sum()), (p - targets) * weights
