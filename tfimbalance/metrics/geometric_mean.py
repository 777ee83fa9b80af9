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
        threshold, from_logits, multi_label, ignore_class, name, dtype: as `BalancedAccuracy`.

    Shapes:
        y_true, y_pred, sample_weight: as `AUC`. Returns a scalar in [0, 1].

    Raises:
        ValueError: as `BalancedAccuracy`.

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
