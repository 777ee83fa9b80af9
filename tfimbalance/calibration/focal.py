"""Outputs of a focal loss -> probabilities."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from tfimbalance._checks import check_number
from tfimbalance._tensors import Tensor, tiny
from tfimbalance.calibration._base import CalibrationLayer, is_softmax


def focal_calibration(
    y_pred: Any,
    *,
    gamma: float = 2.0,
    from_logits: bool = False,
    activation: str | None = None,
) -> Any:
    """Turn outputs of a focal loss into probabilities, as `FocalCalibration`; arrays give arrays.

    Example:
        >>> import tfimbalance as tfi
        >>> p = tfi.calibration.focal_calibration([[0.1536], [0.3058], [0.5]], gamma=2.0)
        >>> p[:, 0].round(3).tolist()
        [0.01, 0.1, 0.5]
    """
    return FocalCalibration(gamma, from_logits=from_logits, activation=activation).call(y_pred)


@keras.saving.register_keras_serializable("tfimbalance")
class FocalCalibration(CalibrationLayer):
    """Turn what a model learned under a focal loss into probabilities.

    Use it behind every model that was trained with ``gamma > 0`` and whose probabilities are
    served: focal loss pulls them towards even odds. It is exact for the population's minimiser, and
    keeps the order of binary predictions. First invert, then undo class weights, sampling, and
    the prior (`PriorCorrection`), in this order.

        eta_k = h(p_k) / sum_j h(p_j)                                           [1, theorem 11]
        h(v) = v / ((1 - v)**gamma - gamma * (1 - v)**(gamma - 1) * v * log(v))

    For one logit that is ``(gamma + 1) z + log(1 + gamma r(z)) - log(1 + gamma r(-z))`` with
    ``r(z) = log(1 + exp(z)) exp(-z)``, which is how it is computed.

    Args:
        gamma: that of the loss, at least 0; 0 changes nothing.
        from_logits: whether logits come (and leave), instead of probabilities.
        activation: ``"softmax"`` if outputs exclude one another, ``"sigmoid"`` if each stands for
            itself. None: a softmax for two outputs or more.
        **kwargs: as `keras.layers.Layer`.

    Shapes:
        inputs: ``(batch, ..., num_classes)``, ``(batch, ..., 1)``, ``(batch,)``, or with
            ``activation="sigmoid"`` ``(batch, ..., num_labels)``. Returns the same shape.

    Raises:
        ValueError: for ``gamma < 0``.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> layer = tfi.calibration.FocalCalibration(2.0)
        >>> layer(np.array([[0.2502]], "float32")).numpy().round(3).tolist()[0][0] < 0.0505
        True

    References:
        [1] Charoenphakdee et al., On Focal Loss for Class-Posterior Probability Estimation: A
        Theoretical Perspective, CVPR 2021, arXiv 2011.09172.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        *,
        from_logits: bool = False,
        activation: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(from_logits=from_logits, activation=activation, **kwargs)
        self.gamma = check_number("gamma", gamma, minimum=0.0)

    def change(self, z: Tensor) -> Tensor:
        """Return the logits of the posterior."""
        if self.gamma == 0.0:
            return z
        if is_softmax(z.shape, self.activation):
            return _of_softmax(z, self.gamma)
        # log1p(gamma r(z)) of a logarithm of r: `log1p` is none of ONNX's operations.
        log_gamma = math.log(self.gamma)
        faded = ops.softplus(log_gamma + _log_softplus_ratio(z)) - ops.softplus(
            log_gamma + _log_softplus_ratio(-z)
        )
        return (self.gamma + 1.0) * z + faded


def _log_softplus_ratio(z: Tensor) -> Tensor:
    """Return the logarithm of ``softplus(z) * exp(-z)``, which tends to 0 below."""
    # Each side sees its own half alone: an infinity that is not selected still has a gradient.
    is_below = z < 0.0
    above = ops.where(is_below, 0.0, z)
    of_above = ops.log(ops.softplus(above)) - above
    return ops.where(is_below, ops.log(_ratio_below(ops.where(is_below, z, 0.0))), of_above)


def _ratio_below(z: Tensor) -> Tensor:
    """Return ``softplus(z) * exp(-z)`` where ``z`` is at most 0: from log(2) to 1."""
    e = ops.exp(z)
    return ops.where(e > 0.0, ops.softplus(z) / ops.maximum(e, tiny(z)), 1.0)


def _of_softmax(z: Tensor, gamma: float) -> Tensor:
    """Return ``log h(p)``, a constant less: what is above 1/2 by its lead over the others' sum."""
    log_p = ops.log_softmax(z, axis=-1)
    top = log_p > math.log(0.6)  # One class at most, however z is tied.
    others = ops.logsumexp(ops.where(top, -float("inf"), z), axis=-1, keepdims=True)
    lead = ops.where(top, z - others, 0.0)
    p = ops.exp(log_p)
    rest = 1.0 - ops.where(top, 0.0, p)
    log_rest = ops.where(top, -ops.softplus(lead), ops.log(rest))
    # -log(p) / (1 - p) tends to 1 as p does; through p itself it would be 0 / 0.
    of_top = _ratio_below(-lead) + ops.softplus(-lead)
    ratio = ops.where(top, of_top, -log_p / rest)
    # A class that is masked out, with a logit of -inf, has p = 0 and an infinite ratio.
    seen = p > 0.0
    share = ops.where(seen, p * ops.where(seen, ratio, 0.0), 0.0)
    return log_p - gamma * log_rest - ops.log(1.0 + gamma * share)
