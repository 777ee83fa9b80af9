"""Average precision, the area under the precision-recall curve."""

from __future__ import annotations

import keras
from keras import ops

from tfimbalance._tensors import Tensor
from tfimbalance.metrics._ranking import RankingMetric


@keras.saving.register_keras_serializable("tfimbalance")
class AveragePrecision(RankingMetric):
    """Mean precision over the positives, each at its score: the worth of a ranking of rare events.

    Use it to compare models on the same data when positives are rare. Its baseline is the base
    rate: to compare data of different base rates use `AUC`.

        sum over distinct scores s of  (recall(s) - recall(next higher s)) * precision(s)

    Tied positives all get the precision at their score, as in
    `sklearn.metrics.average_precision_score`, which ``exact=True`` equals. Streaming, the scores of
    a bin are tied, and `error_bound` compares with the best and the worst order within the bins.

    Args:
        class_id, num_bins, exact, max_rows, from_logits, multi_label, ignore_class, name, dtype: as
            `AUC`.

    Shapes:
        y_true, y_pred, sample_weight: as `AUC`. Returns a scalar in [0, 1]; NaN as `AUC`.

    Raises:
        ValueError: as `AUC`.

    Example:
        >>> import tfimbalance as tfi
        >>> metric = tfi.metrics.AveragePrecision()
        >>> round(float(metric([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])), 4)  # (1/1 + 2/3) / 2
        0.8333

    References:
        [1] Davis and Goadrich, The Relationship between Precision-Recall and ROC Curves, ICML 2006.
    """

    def curve(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the mean precision."""
        hits = ops.cumsum(positive, axis=-1)
        precision = ops.divide_no_nan(hits, hits + ops.cumsum(negative, axis=-1))
        total = ops.sum(positive, axis=-1)
        return ops.divide_no_nan(ops.sum(positive * precision, axis=-1), total)

    def worst(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the mean precision if positives come last in their group, one by one."""
        # With h hits above, f false alarms up to the end of the group and p positives in it, at
        # least the integral of ``(h + x) / (h + x + f)`` over x from 0 to p.
        false = ops.cumsum(negative, axis=-1)
        above = ops.cumsum(positive, axis=-1) - positive + false
        lost = false * ops.log1p(ops.divide_no_nan(positive, above))
        total = ops.sum(positive, axis=-1)
        return ops.divide_no_nan(ops.sum(positive - lost, axis=-1), total)
