"""Focal losses for one class of several, one-hot or integer targets."""

from __future__ import annotations

from typing import Any

import keras

from tfimbalance._checks import check_number, checked_ignore_class
from tfimbalance._tensors import Tensor
from tfimbalance.losses._base import CrossentropyLoss, Weights
from tfimbalance.losses._kernels import focal_of_nats
from tfimbalance.losses._logits import to_logits
from tfimbalance.losses._targets import Targets


def categorical_focal_loss(
    y_true: Tensor,
    y_pred: Tensor,
    *,
    gamma: float = 2.0,
    class_weight: Weights | None = None,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    dtype: str | None = None,
) -> Tensor:
    """Compute the focal loss of each one-hot row; as `CategoricalFocalLoss`.

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.categorical_focal_loss(
        ...     [[0.0, 1.0]], [[0.0, 0.0]], from_logits=True, gamma=1.0)
        >>> [round(float(value), 4) for value in loss]
        [0.3466]
    """
    z = to_logits(y_pred, from_logits=from_logits, activation="Softmax", dtype=dtype)
    gamma = check_number("gamma", gamma, minimum=0.0)
    label_smoothing = check_number("label_smoothing", label_smoothing, minimum=0.0, maximum=1.0)
    targets = Targets.from_rows(y_true, z)
    values = focal_of_nats(targets.crossentropy(z, label_smoothing), gamma)
    return targets.weighed(values, class_weight, z)


def sparse_categorical_focal_loss(
    y_true: Tensor,
    y_pred: Tensor,
    *,
    gamma: float = 2.0,
    class_weight: Weights | None = None,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    ignore_class: int | None = None,
    dtype: str | None = None,
) -> Tensor:
    """Compute the focal loss of each class id; as `SparseCategoricalFocalLoss`.

    Rows of ``ignore_class`` give 0.

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.sparse_categorical_focal_loss(
        ...     [1, -1], [[0.0, 0.0], [0.0, 0.0]], from_logits=True, gamma=1.0, ignore_class=-1)
        >>> [round(float(value), 4) for value in loss]
        [0.3466, 0.0]
    """
    z = to_logits(y_pred, from_logits=from_logits, activation="Softmax", dtype=dtype)
    gamma = check_number("gamma", gamma, minimum=0.0)
    label_smoothing = check_number("label_smoothing", label_smoothing, minimum=0.0, maximum=1.0)
    targets = Targets.from_ids(y_true, z, checked_ignore_class(ignore_class))
    values = focal_of_nats(targets.crossentropy(z, label_smoothing), gamma)
    return targets.weighed(values, class_weight, z)


@keras.saving.register_keras_serializable("tfimbalance")
class CategoricalFocalLoss(CrossentropyLoss):
    """Focal loss for one class of several, one-hot targets.

    Use it as `BinaryFocalLoss`, for a softmax. It costs no more than cross-entropy, and keeps the
    gradient of a confident mistake where `keras.losses.CategoricalFocalCrossentropy` clips it to 0.

        loss = -class_weight[y] * (1 - p_y)**gamma * log(p_y)                   [1, eq. 4]

    For soft or smoothed targets ``-log(p_y)`` is the cross-entropy with the target.

    Args:
        gamma: how fast easy examples fade, at least 0; 0 is cross-entropy.
        class_weight: ``{class: weight}`` or one weight a class; a soft target takes the mean.
        from_logits, label_smoothing, reduction, name, dtype: as `SparseCategoricalFocalLoss`.

    Shapes:
        y_true: one-hot, ``(batch, ..., num_classes)``.
        y_pred: ``(batch, ..., num_classes)``. Returns nats, ``(batch, ...)`` before reduction.

    Raises:
        ValueError: for ``gamma < 0``, weights of the wrong length, or shapes that do not fit.

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.CategoricalFocalLoss(class_weight={0: 1.0, 1: 1.0, 2: 5.0})
        >>> round(float(loss([[0.0, 0.0, 1.0]], [[0.5, 0.25, 0.25]])), 4)
        3.899

    References:
        [1] Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, arXiv 1708.02002.
    """

    targets = ("one_hot",)

    def __init__(
        self,
        gamma: float = 2.0,
        *,
        class_weight: Weights | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        reduction: str = "sum_over_batch_size",
        name: str = "categorical_focal_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(class_weight, from_logits, label_smoothing, reduction, name, dtype)
        self.gamma = check_number("gamma", gamma, minimum=0.0)

    def nats(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each row."""
        return categorical_focal_loss(y_true, y_pred, **self._arguments(gamma=self.gamma))


@keras.saving.register_keras_serializable("tfimbalance")
class SparseCategoricalFocalLoss(CrossentropyLoss):
    """Focal loss for one class of several, integer targets.

    Use it as `CategoricalFocalLoss`, where one-hot rows would only cost memory: long tails of
    items, tokens, segmentation masks. Built on the fused cross-entropy.

        loss = -class_weight[y] * (1 - p_y)**gamma * log(p_y)                   [1, eq. 4]

    Args:
        gamma: how fast easy examples fade, at least 0; 0 is cross-entropy.
        class_weight: ``{class: weight}`` or one weight a class, which
            `tfimbalance.callbacks.ClassWeight` may change in training.
        from_logits: whether ``y_pred`` are logits. Prefer that.
        label_smoothing: share of the target that is spread evenly over all classes.
        ignore_class: id of targets that do not count, in the mean neither; -1 or 255 in masks.
        reduction, name, dtype: as `keras.losses.Loss`.

    Shapes:
        y_true: class ids, ``(batch, ...)`` or ``(batch, ..., 1)``.
        y_pred: ``(batch, ..., num_classes)``. Returns nats, ``(batch, ...)`` before reduction.

    Raises:
        ValueError: for ``gamma < 0``, weights of the wrong length, or shapes that do not fit.

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.SparseCategoricalFocalLoss(ignore_class=-1)
        >>> round(float(loss([2, -1], [[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]])), 4)
        0.7798

    References:
        [1] Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, arXiv 1708.02002.
    """

    targets = ("sparse",)

    def __init__(
        self,
        gamma: float = 2.0,
        *,
        class_weight: Weights | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        ignore_class: int | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "sparse_categorical_focal_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(class_weight, from_logits, label_smoothing, reduction, name, dtype)
        self.gamma = check_number("gamma", gamma, minimum=0.0)
        self.ignore_class = checked_ignore_class(ignore_class)

    def nats(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each target."""
        given = self._arguments(gamma=self.gamma, ignore_class=self.ignore_class)
        return sparse_categorical_focal_loss(y_true, y_pred, **given)
