"""Matthews correlation."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from tfimbalance._tensors import Tensor
from tfimbalance.metrics._base import ratio
from tfimbalance.metrics._confusion import ConfusionMetric


@keras.saving.register_keras_serializable("tfimbalance")
class MatthewsCorrelation(ConfusionMetric):
    """Correlation of predicted with actual classes: 1 is right, 0 is no better than chance.

    Use it as one number for decisions at a threshold when all four cells of the confusion matrix
    matter. It depends on the base rate, so compare models on the same data only.

        (c - sum_k p_k t_k) / sqrt((1 - sum_k p_k**2) (1 - sum_k t_k**2))                 [1]

    with the shares ``c`` of correct rows, ``p_k`` predicted as and ``t_k`` of class k. Equals
    `sklearn.metrics.matthews_corrcoef`: 0 where all rows are, or are predicted, of one class.

    Args:
        threshold, from_logits, multi_label, ignore_class, name, dtype: as `BalancedAccuracy`.

    Shapes:
        y_true, y_pred, sample_weight: as `AUC`. Returns a scalar in [-1, 1].

    Raises:
        ValueError: as `BalancedAccuracy`.

    Example:
        >>> import tfimbalance as tfi
        >>> metric = tfi.metrics.MatthewsCorrelation()
        >>> round(float(metric([0, 0, 1, 1], [0.1, 0.7, 0.6, 0.9])), 4)  # 1 / sqrt(3)
        0.5774

    References:
        [1] Gorodkin, Comparing Two K-Category Assignments by a K-Category Correlation Coefficient,
            Computational Biology and Chemistry 2004.
    """

    def score(self, correct: Tensor, actual: Tensor, predicted: Tensor) -> Tensor:
        """Return the correlation."""
        total = ops.sum(actual, axis=-1, keepdims=True)
        c, t = ratio(correct, total), ratio(actual, total)
        # By its own sum, which may differ in the last place: a share above 1 has no spread.
        p = ratio(predicted, ops.sum(predicted, axis=-1, keepdims=True))
        # sum t (1 - t) rather than 1 - sum t**2, which cancels when one class is nearly all.
        spread = ops.sum(t * (1.0 - t), axis=-1) * ops.sum(p * (1.0 - p), axis=-1)
        found = ops.sum(c - p * t, axis=-1) / ops.sqrt(ops.where(spread == 0.0, np.inf, spread))
        return ops.where(total[:, 0] == 0, np.nan, found)
