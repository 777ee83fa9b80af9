"""Binary focal loss."""

from __future__ import annotations

from typing import Any

import keras

from tfimbalance._checks import check_number, checked_ignore_class
from tfimbalance._tensors import Tensor
from tfimbalance.losses._base import CrossentropyLoss, Weights
from tfimbalance.losses._kernels import binary_focal
from tfimbalance.losses._logits import to_logits
from tfimbalance.losses._targets import Elements, Labels
from tfimbalance.losses._weights import checked_pos_weight


def binary_focal_loss(
    y_true: Tensor,
    y_pred: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    pos_weight: float | Weights | None = None,
    class_weight: Weights | None = None,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    ignore_class: int | None = None,
    dtype: str | None = None,
) -> Tensor:
    """Compute the binary focal loss of each row; arguments and formula as `BinaryFocalLoss`.

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.binary_focal_loss([[1.0]], [[0.0]], from_logits=True, gamma=0.0)
        >>> [round(float(value), 4) for value in loss]
        [0.6931]
    """
    gamma = check_number("gamma", gamma, minimum=0.0)
    alpha = None if alpha is None else check_number("alpha", alpha, minimum=0.0, maximum=1.0)
    smoothing = check_number("label_smoothing", label_smoothing, minimum=0.0, maximum=1.0)
    z = to_logits(y_pred, from_logits=from_logits, activation="Sigmoid", dtype=dtype)
    labels = Labels.read(y_true, z, smoothing, checked_ignore_class(ignore_class))
    return focal_elements(labels.weighed(z, class_weight, pos_weight, alpha), z, gamma).mean()


def focal_elements(labels: Labels, z: Tensor, gamma: float) -> Elements:
    """Return the focal loss of each output, least at the odds of its weighed parts."""
    weight, positive, negative = labels.as_one()
    return labels.elements(weight * binary_focal(positive, negative, z, gamma))


@keras.saving.register_keras_serializable("tfimbalance")
class BinaryFocalLoss(CrossentropyLoss):
    """Binary cross-entropy that fades out on examples the model already gets right.

    Use it when masses of easy negatives drown the gradient of rare positives. On data where most
    examples are hard it is a slower cross-entropy. Trained probabilities are pulled towards 1/2
    for ``gamma > 0``: invert that before serving them.

        loss = -class_weight[y] * alpha[y] * (1 - p_y)**gamma * log(p_y)        [1, eq. 5]

    A target between 0 and 1 gives ``|y - p|**gamma * BCE(y, p)``, which is the same at 0 and 1 and
    least at ``p = y`` [2, eq. 3]. Weights are of its two parts, as in `WeightedBinaryCrossentropy`:
    then it is least where the odds of ``y`` are multiplied by the ratio of the weights. Compared
    with `keras.losses.BinaryFocalCrossentropy`, ``alpha`` always counts when given, and no gradient
    is NaN or clipped to 0.

    Args:
        gamma: how fast easy examples fade, at least 0; 0 is cross-entropy.
        alpha: weight of the positives, in [0, 1]; negatives weigh ``1 - alpha``. None: both 1.
        pos_weight: weight of the positives, a number or one a label; negatives weigh 1.
        class_weight: ``{0: ..., 1: ...}``, or one weight a label for its positives (not beside two
            labels, where it could be either). Multiplies with the others. May be changed in
            training by `tfimbalance.callbacks.ClassWeight`.
        from_logits: whether ``y_pred`` are logits. Prefer that.
        label_smoothing: share of the target that is spread evenly over both classes.
        ignore_class: value of ``y_true`` that stands for an unknown label, such as -1. Unknown
            labels cost nothing, and the mean is that of the others. Without a reduction a row's
            value is the sum of its known labels over the number of all.
        reduction, name, dtype: as `keras.losses.Loss`.

    Shapes:
        y_true: 0 and 1 (or between), ``(batch,)``, ``(batch, 1)``, or any shape of ``y_pred``.
        y_pred: ``(batch, ..., num_labels)``. Returns nats, averaged over the last axis.
        sample_weight: a weight a row, or one a label in the shape of ``y_pred``.

    Raises:
        ValueError: for ``gamma < 0``, ``alpha`` outside [0, 1], weights of the wrong length,
            shapes that do not fit, or targets outside [0, 1]; those make a compiled step's loss
            NaN.

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.BinaryFocalLoss(gamma=2.0, from_logits=True)
        >>> round(float(loss([[0.0], [1.0]], [[-2.0], [-2.0]])), 4)
        0.8259

    References:
        [1] Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, arXiv 1708.02002.
        [2] Li et al., Generalized Focal Loss, NeurIPS 2020, arXiv 2006.04388.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        *,
        alpha: float | None = None,
        pos_weight: float | Weights | None = None,
        class_weight: Weights | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        ignore_class: int | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "binary_focal_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(class_weight, from_logits, label_smoothing, reduction, name, dtype)
        self.ignore_class = checked_ignore_class(ignore_class)
        self.gamma = check_number("gamma", gamma, minimum=0.0)
        self.alpha = (
            None if alpha is None else check_number("alpha", alpha, minimum=0.0, maximum=1.0)
        )
        self.pos_weight = None if pos_weight is None else checked_pos_weight(pos_weight)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Elements:
        """Return the loss of each output."""
        z = self._logits(y_pred, "Sigmoid")
        labels = Labels.read(y_true, z, self.label_smoothing, self.ignore_class)
        labels = labels.weighed(z, self.class_weight, self.pos_weight, self.alpha)
        return focal_elements(labels, z, self.gamma)
