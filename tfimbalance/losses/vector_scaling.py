"""Factors and offsets of logits that depend on how frequent the classes are."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfimbalance._tensors import Tensor
from tfimbalance.losses._base import Weights
from tfimbalance.losses._softmax import SoftmaxLoss
from tfimbalance.losses._targets import Elements, Labels, Targets


@keras.saving.register_keras_serializable("tfimbalance")
class VectorScalingLoss(SoftmaxLoss):
    """Cross-entropy with a factor and an offset for each logit: acts on separable data too.

    Use it for long tails that the model can fit perfectly. There class weights and logit
    adjustment fade out as the training loss goes to 0 [1, section 2], while the factor goes on to
    push the boundary away from rare classes. ``gamma=0`` is `LogitAdjustedLoss`; ``gamma=0, tau=0``
    is cross-entropy. Serve the raw ``y_pred``.

        loss = -class_weight[y] * log_softmax(delta * z + tau * log(pi))[y]       [1, eq. 2]
        delta[k] = (n_k / n_max)**gamma

    For one logit a row (``y_pred`` with a last axis of 1), as in [1, eq. 3]:
    ``softplus(-(delta[1] * z + iota))`` for positives and ``softplus(delta[0] * z + iota)`` for
    negatives, with ``iota = tau * logit(pi)``. Use that for two classes: with two logits both share
    the margin ``delta[1] * z_1 - delta[0] * z_0``, and the boundary of separable data stays put.

    Args:
        priors: as `LogitAdjustedLoss`.
        gamma: strength of the factors, at least 0. It can move as ``tau`` does. Where classes
            overlap, more than a little of it ruins what is learnt: the .3 of the reference is for
            data that the model fits perfectly.
        tau: strength of the offsets, as `LogitAdjustedLoss`.
        from_logits: whether ``y_pred`` are logits. Prefer that: a factor makes their mean count,
            which probabilities do not have; it is taken to be 0.
        class_weight, label_smoothing, ignore_class, reduction, name, dtype: as
            `SparseCategoricalFocalLoss`.

    Shapes:
        y_true, y_pred: as `LogitAdjustedLoss`; ``y_pred`` also ``(batch, ..., 1)`` beside two
            classes. Returns nats, ``(batch, ...)`` before reduction.

    Raises:
        ValueError: as `LogitAdjustedLoss`.

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.VectorScalingLoss([90, 10], gamma=0.5, tau=0.0, from_logits=True)
        >>> round(float(loss([1], [[0.0, 3.0]])), 4)  # A lead of 3 counts as 1: log(1 + exp(-1)).
        0.3133

    References:
        [1] Kini et al., Label-Imbalanced and Group-Sensitive Classification under
        Overparameterization, NeurIPS 2021, arXiv 2103.01550.
    """

    targets = ("sparse", "one_hot", "binary")

    def __init__(
        self,
        priors: Any,
        *,
        gamma: float = 0.05,
        tau: float = 1.0,
        class_weight: Weights | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        ignore_class: int | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "vector_scaling_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            priors, class_weight, from_logits, label_smoothing, ignore_class, reduction, name, dtype
        )
        self.gamma = self._make_movable("gamma", gamma, minimum=0.0)
        self.tau = self._make_movable("tau", tau)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Elements | None:
        """Return the loss of each output of a model of one logit; None for a softmax."""
        one_logit = len(y_pred.shape) < 2 or y_pred.shape[-1] == 1
        return self._of_one_logit(y_true, y_pred) if one_logit and len(self.priors) == 2 else None

    def nats(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each target."""
        of_one_logit = self.elements(y_true, y_pred)
        return super().nats(y_true, y_pred) if of_one_logit is None else of_one_logit.mean()

    def changed(self, z: Tensor, log_pi: Tensor, targets: Targets) -> Tensor:
        """Return ``delta * z + tau * log(pi)``."""
        if not self.from_logits:  # Probabilities know their logits up to a constant.
            z = z - ops.mean(z, axis=-1, keepdims=True)
        return self._factors(log_pi) * z + ops.convert_to_tensor(self.tau) * log_pi

    def _factors(self, log_pi: Tensor) -> Tensor:
        return ops.exp(ops.convert_to_tensor(self.gamma) * (log_pi - ops.max(log_pi)))

    def _of_one_logit(self, y_true: Tensor, y_pred: Tensor) -> Elements:
        z = self._logits(y_pred, "Sigmoid")
        labels = Labels.read(y_true, z, self.label_smoothing, self.ignore_class)
        labels = labels.weighed(z, self.class_weight)
        log_pi = ops.convert_to_tensor(self._log_priors)
        delta = self._factors(log_pi)
        iota = ops.convert_to_tensor(self.tau) * (log_pi[1] - log_pi[0])
        # Both sides are finite for every logit, so that a weight of 0 leaves a side out.
        positive = labels.positive * ops.softplus(-(delta[1] * z + iota))
        return labels.elements(positive + labels.negative * ops.softplus(delta[0] * z + iota))
