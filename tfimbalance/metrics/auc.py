"""Area under the ROC curve."""

from __future__ import annotations

import keras
from keras import ops

from tfimbalance._tensors import Tensor
from tfimbalance.metrics._ranking import RankingMetric


@keras.saving.register_keras_serializable("tfimbalance")
class AUC(RankingMetric):
    """Chance that a positive scores above a negative: the area under the ROC curve.

    Use it to compare rankings whatever the base rate. When positives are rare it looks good long
    before the top of the ranking is: look at `AveragePrecision` or `RecallAtFlagged` as well.

        (pairs ranked right + pairs tied / 2) / pairs of a positive and a negative

    `keras.metrics.AUC` compares with thresholds that are even in [0, 1], and most scores of rare
    events fall between the first two. Here bins are even in ``arcsinh(log odds)``, and
    `error_bound` says how far off they can be: the sum over bins of ``p_b n_b / (2 P N)``. With
    ``exact=True`` it equals `sklearn.metrics.roc_auc_score`.

    Args:
        class_id: for several classes or labels, the one that is ranked against the rest. None:
            the mean over those that have both positives and negatives.
        num_bins: bins of the grid; 16 bytes each for every class or label (128 KiB by default).
        exact: whether to keep every score instead: 8 bytes a row and class or label (16 for float64
            predictions). Every result sorts ``max_rows`` scores, and `fit` asks for one every step:
            prefer it for `evaluate` and own loops.
        max_rows: rows that ``exact`` has room for between resets; replicas share them evenly.
        from_logits: whether ``y_pred`` are logits.
        multi_label: whether the last axis holds labels that do not exclude one another.
        ignore_class: class id of rows, or value of single labels, that do not count.
        name, dtype: as `keras.metrics.Metric`; sums are kept in float64 where there is float64.

    Shapes:
        y_true: 0 and 1, ``(batch,)`` or ``(batch, 1)``; class ids alike, beside predictions of
            ``(batch, classes)``, or one-hot like them; with ``multi_label`` ``(batch, labels)``.
        y_pred: ``(batch,)``, ``(batch, 1)``, ``(batch, classes)`` or ``(batch, labels)``. More axes
            in front are rows too.
        sample_weight: ``(batch,)`` or what broadcasts to the rows. Returns a scalar in [0, 1]; NaN
            without rows of both classes, for probabilities outside [0, 1], and in a graph when
            ``max_rows`` is exceeded.

    Raises:
        ValueError: for a ``class_id`` that does not exist, shapes that do not fit, class ids
            outside ``y_pred``, or from `result`, when more than ``max_rows`` rows were given.

    Example:
        >>> import tfimbalance as tfi
        >>> metric = tfi.metrics.AUC()
        >>> float(metric([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]))
        0.75
        >>> float(metric.error_bound())
        0.0

    References:
        [1] Hanley and McNeil, The Meaning and Use of the Area under a ROC Curve, Radiology 1982.
    """

    def curve(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the share of the pairs that are ranked right."""
        return pairs_ranked_right(positive, negative)


def pairs_ranked_right(positive: Tensor, negative: Tensor) -> Tensor:
    """Return the share of the pairs in which the positive is above, over the last axis."""
    # Of the largest: products of tiny weights would be 0.
    positive, negative = (
        ops.divide_no_nan(side, ops.max(side, axis=-1, keepdims=True))
        for side in (positive, negative)
    )
    above = ops.cumsum(positive, axis=-1) - positive
    pairs = ops.sum(positive, axis=-1) * ops.sum(negative, axis=-1)
    return ops.divide_no_nan(ops.sum(negative * (above + positive / 2), axis=-1), pairs)
