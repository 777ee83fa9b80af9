"""Geometric mean of the recalls."""

from __future__ import annotations

import keras
from keras import ops

from tfimbalance._tensors import Tensor
from tfimbalance.metrics._base import mean_where, ratio
from tfimbalance.metrics._confusion import ConfusionMetric


@keras.saving.register_keras_serializable("tfimbalance")
class GeometricMean(ConfusionMetric):
    """Geometric mean of the classes' recalls: a class that is never found makes it 0.

    Use it where no class may be given up. With many classes it is 0 most of the time and says
    little: use `BalancedAccuracy` or `ManyMediumFewRecall` there.

        (product over the K classes that have rows of  correct_k / rows_k) ** (1 / K)

    Equals `imblearn.metrics.geometric_mean_score` where every predicted class has rows; that
    function counts a class without rows as a recall of 0, which is undefined and left out here.

    Args:
        threshold: probability from which on a row (or label) is predicted positive, in (0, 1).
            With ``from_logits`` it is compared as a logit. Classes take the largest prediction.
        from_logits: whether ``y_pred`` are logits.
        multi_label: whether the last axis holds labels that do not exclude one another; the result
            is then the mean over labels of the binary metric.
        name, dtype: as `keras.metrics.Metric`; sums are kept in float64 where there is float64.

    Shapes:
        y_true, y_pred, sample_weight: as `BalancedAccuracy`. Returns a scalar in [0, 1].

    Raises:
        ValueError: for a threshold outside (0, 1), shapes that do not fit, or class ids outside
            ``y_pred`` (in a graph the result is NaN).

    Example:
        >>> import tfimbalance as tfi
        >>> metric = tfi.metrics.GeometricMean()
        >>> round(float(metric([0, 0, 0, 0, 1], [0.1, 0.2, 0.6, 0.7, 0.9])), 4)  # sqrt(1/2 * 1)
        0.7071

    References:
        [1] Kubat and Matwin, Addressing the Curse of Imbalanced Training Sets, ICML 1997.
    """

    def score(self, correct: Tensor, actual: Tensor, predicted: Tensor) -> Tensor:
        """Return the geometric mean of the recalls."""
        return ops.exp(mean_where(ops.log(ratio(correct, actual)), actual != 0))
