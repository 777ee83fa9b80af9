"""Pairwise losses: every positive against every negative of the batch."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value, check_choice, check_number
from tfimbalance._tensors import Tensor, align, compute_dtype, mask_of, row_weights
from tfimbalance.losses._base import ImbalanceLoss
from tfimbalance.losses._pairs import logistic_sums, squared_hinge_sums
from tfimbalance.losses._targets import checked_labels


@keras.saving.register_keras_serializable("tfimbalance")
class PairwiseAUCLoss(ImbalanceLoss):
    """Smooth stand-in for 1 - ROC-AUC: the share of pairs that are ranked the wrong way round.

    Use it where only the order is served: retrieval, triage, alerts. Scores are ranks, not
    probabilities. Pairs are those within a batch and a replica, so every batch needs positives
    (`tfimbalance.data.balanced_batches`): one without a pair gives 0, and no gradient. The value
    depends on the batch size: watch ``keras.metrics.AUC(from_logits=True)``, not ``val_loss``.

        loss = mean over pairs (positive i, negative j) of phi(s_i - s_j)
        squared hinge: phi(d) = max(0, margin - d)**2     [1]
        logistic:      phi(d) = log(1 + exp(-d))          [2]

    A pair weighs the product of its rows' sample weights, and the mean is weighted: neither class
    weights nor a common factor change it. The squared hinge takes the time of a sort, the logistic
    that of all pairs, in blocks. Memory grows with the batch.

    Args:
        surrogate: ``"squared_hinge"`` or ``"logistic"``.
        margin: lead from which a pair costs nothing under the squared hinge, above 0.
        reduction, name, dtype: as `keras.losses.Loss`. Before reduction, each positive row holds
            its part of the mean, times the number of rows; negatives hold 0.

    Shapes:
        y_true: 0 (or -1) and 1, ``(batch,)``, ``(batch, 1)``, or any shape of ``y_pred``. A target
            between counts on both sides, as ``y`` of a positive and ``1 - y`` of a negative.
        y_pred: scores, ``(batch, ..., num_labels)``: logits, as the gradient of probabilities
            vanishes. Pairs are formed within a label, and averaged over the labels that have any.
            Returns nats (logistic) or squares of scores, ``(batch, ...)`` before reduction.

    Raises:
        ValueError: for an unknown surrogate, ``margin <= 0``, a margin beside the logistic one,
            shapes that do not fit, or labels outside [-1, 1].

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.PairwiseAUCLoss(margin=1.0)
        >>> round(float(loss([1.0, 0.0, 0.0], [0.5, 0.0, -2.0])), 4)  # 0.5**2 and 0.
        0.125

    References:
        [1] Yuan et al., Large-Scale Robust Deep AUC Maximization, ICCV 2021, arXiv 2012.03173.
        [2] Gao and Zhou, On the Consistency of AUC Pairwise Optimization, IJCAI 2015,
        arXiv 1208.0645.
    """

    def __init__(
        self,
        surrogate: str = "squared_hinge",
        *,
        margin: float = 1.0,
        reduction: str = "sum_over_batch_size",
        name: str = "pairwise_auc_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.surrogate = check_choice("surrogate", surrogate, ("squared_hinge", "logistic"))
        self.margin = check_number("margin", margin, minimum=0.0, exclusive=True)
        if surrogate == "logistic" and margin != 1.0:
            raise bad_value(
                "margin",
                expected='nothing beside surrogate="logistic", which has none',
                received=repr(margin),
            )

    def nats(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return each positive's part of the mean over pairs, times the number of rows."""
        return self._shares(y_true, y_pred, None)

    def _reduced(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None) -> Tensor:
        weight = self._row_weights(y_pred, sample_weight)
        values = self._shares(y_true, y_pred, weight)
        return self._reduce(values, None)

    def _row_weights(self, y_pred: Tensor, sample_weight: Tensor | None) -> Tensor | None:
        """Fold the mask of the prediction into the weights: what is masked is in no pair."""
        rows = y_pred[..., 0] if len(y_pred.shape) > 1 else y_pred
        mask = mask_of(y_pred)
        weight = None
        for given in (sample_weight, mask):
            if given is not None:
                each = ops.cast(row_weights(given, rows), compute_dtype(self.dtype))
                each = ops.broadcast_to(each, ops.shape(rows))
                weight = each if weight is None else weight * each
        return weight

    def _shares(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        dtype = compute_dtype(self.dtype)
        s = ops.cast(y_pred, dtype)
        y = align(ops.cast(y_true, dtype), s)
        has_labels = len(s.shape) > 1
        if weight is not None:  # Padding may hold anything.
            y = ops.where((ops.expand_dims(weight, -1) if has_labels else weight) > 0.0, y, 0.0)
        good = ops.all(checked_labels(y, lowest=-1))
        y = ops.clip(y, 0.0, 1.0)
        shape, labels = (ops.shape(s)[:-1], s.shape[-1]) if has_labels else (ops.shape(s), 1)
        scores = ops.transpose(ops.reshape(s, (-1, labels)))
        positive = ops.transpose(ops.reshape(y, (-1, labels)))
        negative = 1.0 - positive
        if weight is not None:
            flat = ops.reshape(weight, (1, -1))
            positive, negative = positive * flat, negative * flat
            scores = ops.where(flat > 0.0, scores, 0.0)
        positive, negative = _of_largest(positive), _of_largest(negative)
        if self.surrogate == "logistic":
            sums = logistic_sums(scores, positive, negative)
        else:
            sums = squared_hinge_sums(scores, positive, negative, self.margin)
        # A label without a pair has no AUC: it is left out of the mean over labels.
        total = ops.sum(negative, axis=-1, keepdims=True)
        parts = ops.divide_no_nan(positive, ops.sum(positive, axis=-1, keepdims=True))
        parts = parts * ops.divide_no_nan(sums, total)
        has_pair = ops.logical_and(ops.any(positive > 0.0, axis=-1), total[:, 0] > 0.0)
        number = ops.maximum(ops.sum(ops.cast(has_pair, dtype)), 1.0)
        size = ops.cast(ops.shape(scores)[-1], dtype)
        factor = ops.where(good, size / number, float("nan"))  # In a graph nothing is raised.
        return ops.reshape(ops.sum(parts, axis=0) * factor, shape)


def _of_largest(weights: Tensor) -> Tensor:
    """Divide by each label's largest weight: equal weights stay whole, and add up exactly."""
    return ops.divide_no_nan(weights, ops.max(weights, axis=-1, keepdims=True, initial=0.0))
