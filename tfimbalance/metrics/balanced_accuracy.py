"""Balanced accuracy."""

from __future__ import annotations

import keras

from tfimbalance._tensors import Tensor
from tfimbalance.metrics._base import mean_where, ratio
from tfimbalance.metrics._confusion import ConfusionMetric


@keras.saving.register_keras_serializable("tfimbalance")
class BalancedAccuracy(ConfusionMetric):
    """Accuracy in which every class counts the same, however rare: the mean of their recalls.

    Use it where classes matter equally. It hides how many false alarms a recall costs when
    positives are rare: look at `AveragePrecision` or `MatthewsCorrelation` as well.

        mean over classes k that have rows of  correct_k / rows_k

    Equals `sklearn.metrics.balanced_accuracy_score`; a constant prediction scores 1 / classes.

    Args:
        threshold: probability from which on a row (or label) is predicted positive, in (0, 1).
            With ``from_logits`` it is compared as a logit. Classes take the largest prediction.
        multi_label: whether the last axis holds labels that do not exclude one another; the result
            is then the mean over labels of the binary metric.
        from_logits, ignore_class, name, dtype: as `AUC`.

    Shapes:
        y_true, y_pred, sample_weight: as `AUC`. Returns a scalar in [0, 1].

    Raises:
        ValueError: for a threshold outside (0, 1), shapes that do not fit, or class ids outside
            ``y_pred`` (in a graph the result is NaN).

    Example:
        >>> import tfimbalance as tfi
        >>> metric = tfi.metrics.BalancedAccuracy()
        >>> round(float(metric([0, 0, 0, 1], [0.1, 0.2, 0.7, 0.9])), 4)  # (2/3 + 1) / 2
        0.8333

    References:
        [1] Brodersen et al., The Balanced Accuracy and Its Posterior Distribution, ICPR 2010.
    """

    def score(self, correct: Tensor, actual: Tensor, predicted: Tensor) -> Tensor:
        """Return the mean recall."""
        return mean_where(ratio(correct, actual), actual != 0)
