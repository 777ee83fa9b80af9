"""Normalized entropy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance._tensors import Tensor
from tfimbalance.metrics._base import ratio
from tfimbalance.metrics._probabilities import ProbabilityMetric
from tfimbalance.metrics._rows import MetricRows
from tfimbalance.offsets import class_priors, is_per_label, positive_priors


@keras.saving.register_keras_serializable("tfimbalance")
class NormalizedEntropy(ProbabilityMetric):
    """Log loss relative to that of always predicting the base rate; below 1 is worth something.

    Use it for click and conversion models: the log loss alone falls with the base rate, whatever
    the model. It rewards calibration and ranking at once; relative information gain is
    ``1 - NE``. Against one ``priors`` it is 1 for the model that always says ``priors``.

        mean -(y log p + (1 - y) log(1 - p))  /  -(q log pi + (1 - q) log(1 - pi))          [1]

    with the base rate ``q`` of the data and ``pi = priors``, or ``pi = q`` by default, when the
    denominator is the entropy of the base rate. Classes: cross-entropies over all classes. Labels:
    the sum of their log losses over the sum of their entropies. Computed from logits, those of
    probabilities too, so that a wrong probability of 0 costs much, but not infinitely much.

    Args:
        priors: what is always predicted instead: the probability of a positive, one a label, the
            priors or counts of the classes, or `ClassStatistics`; of the training data, for
            instance. None: the base rate of the rows seen.
        from_logits, multi_label, ignore_class, name, dtype: as `AUC`. Prefer logits.

    Shapes:
        y_true, y_pred, sample_weight: as `AUC`. Returns a scalar of at least 0, without
            unit; NaN where all rows are of one class.

    Raises:
        ValueError: for a prior of another number of classes than ``y_pred`` or outside (0, 1),
            shapes that do not fit, or class ids outside ``y_pred`` (in a graph the result is NaN).

    Example:
        >>> import tfimbalance as tfi
        >>> metric = tfi.metrics.NormalizedEntropy()
        >>> round(float(metric([0, 0, 0, 1], [0.25, 0.25, 0.25, 0.25])), 4)
        1.0

    References:
        [1] He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, ADKDD 2014.
    """

    _direction = "down"

    def __init__(
        self,
        *,
        priors: Any = None,
        from_logits: bool = False,
        multi_label: bool = False,
        ignore_class: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, multi_label, ignore_class, name, dtype)
        read = positive_priors if self.multi_label or is_per_label(priors) else class_priors
        self.priors = None if priors is None else read(priors).tolist()

    def terms(self, rows: MetricRows) -> Tensor:
        """Return the nats of each class or label."""
        targets = rows.targets()
        if rows.kind == "classes":
            return -_where(targets, rows.log_probabilities())
        z = rows.log_odds()
        return _where(targets, ops.softplus(-z)) + _where(1.0 - targets, ops.softplus(z))

    def score(self, total: Tensor, rate: Tensor, counted: Tensor) -> Tensor:
        """Return the ratio of the two log losses."""
        pi = rate if self.priors is None else ops.convert_to_tensor(self._pi, dtype=rate.dtype)
        entropy = -_where(rate, ops.log(pi))
        if self._kind != "classes":
            entropy = entropy - _where(1.0 - rate, ops.log(1.0 - pi))
        if self._kind == "labels":
            total, entropy = (ops.where(counted, nats, 0.0) for nats in (total, entropy))
        return ratio(ops.sum(total), ops.sum(entropy))

    def _build(self, rows: MetricRows) -> None:
        if self.priors is not None:
            pi = np.atleast_1d(np.asarray(self.priors))
            if rows.kind == "binary":
                pi = pi[-1:] if pi.size == 2 else pi
            if pi.size not in ({1, rows.width} if rows.kind == "labels" else {rows.width}):
                raise bad_value(
                    "priors",
                    expected=f"{rows.width} numbers, as y_pred has {rows.width} columns",
                    received=f"{pi.size} numbers",
                )
            self._pi = np.broadcast_to(pi, (rows.width,))
        super()._build(rows)


def _where(share: Tensor, nats: Tensor) -> Tensor:
    """Return ``share * nats``, which is 0 where the share is, even beside infinite nats."""
    return ops.where(share == 0, 0.0, share * ops.where(share == 0, 0.0, nats))
