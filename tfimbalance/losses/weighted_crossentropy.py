"""Weighted binary cross-entropy."""

from __future__ import annotations

from typing import Any

import keras

from tfimbalance._checks import checked_ignore_class
from tfimbalance._tensors import Tensor
from tfimbalance.losses._base import CrossentropyLoss, Weights
from tfimbalance.losses._targets import Elements, Labels
from tfimbalance.losses._weights import checked_pos_weight
from tfimbalance.losses.focal import binary_focal_loss, focal_elements


def weighted_binary_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    *,
    pos_weight: float | Weights | None = None,
    class_weight: Weights | None = None,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    ignore_class: int | None = None,
    dtype: str | None = None,
) -> Tensor:
    """Compute the loss of each row; arguments and formula as `WeightedBinaryCrossentropy`.

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.weighted_binary_crossentropy(
        ...     [[1.0], [0.0]], [[0.5], [0.5]], pos_weight=10.0)
        >>> [round(float(value), 4) for value in loss]
        [6.9315, 0.6931]
    """
    return binary_focal_loss(
        y_true,
        y_pred,
        gamma=0.0,
        pos_weight=pos_weight,
        class_weight=class_weight,
        from_logits=from_logits,
        label_smoothing=label_smoothing,
        ignore_class=ignore_class,
        dtype=dtype,
    )


@keras.saving.register_keras_serializable("tfimbalance")
class WeightedBinaryCrossentropy(CrossentropyLoss):
    """Binary cross-entropy in which positives and negatives weigh differently.

    Use it for rare positives when a single number says how much more they matter, or let
    `tfimbalance.callbacks.ClassWeight` set that number. The model learns
    ``logit(eta) + log(w)``, with ``w`` the weight of a positive over that of a negative; served
    probabilities need ``p / (p + w * (1 - p))``.

        loss = -[class_weight[1] * pos_weight * y * log(p) + class_weight[0] * (1 - y) * log(1 - p)]

    Args:
        pos_weight: weight of the positives: a number, or one a label. ``n_neg / n_pos`` balances.
            It multiplies with ``class_weight``.
        class_weight, from_logits, label_smoothing, ignore_class, reduction, name, dtype: as
            `BinaryFocalLoss`.

    Shapes:
        y_true, y_pred: as `BinaryFocalLoss`. Returns nats, averaged over the last axis.

    Raises:
        ValueError: for negative weights, weights of the wrong length, or shapes that do not fit.

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.WeightedBinaryCrossentropy(pos_weight=19.0, from_logits=True)
        >>> round(float(loss([[0.0], [1.0]], [[0.0], [0.0]])), 4)
        6.9315

    References:
        King and Zeng, Logistic Regression in Rare Events Data, Political Analysis 2001.
    """

    def __init__(
        self,
        pos_weight: float | Weights | None = None,
        *,
        class_weight: Weights | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        ignore_class: int | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "weighted_binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(class_weight, from_logits, label_smoothing, reduction, name, dtype)
        self.ignore_class = checked_ignore_class(ignore_class)
        self.pos_weight = None if pos_weight is None else checked_pos_weight(pos_weight)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Elements:
        """Return the loss of each output."""
        z = self._logits(y_pred, "Sigmoid")
        labels = Labels.read(y_true, z, self.label_smoothing, self.ignore_class)
        return focal_elements(labels.weighed(z, self.class_weight, self.pos_weight), z, gamma=0.0)
