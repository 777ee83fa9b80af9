"""Logit adjustment: cross-entropy of logits that know how frequent their classes are."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value, check_number, checked_ignore_class
from tfimbalance._tensors import Tensor
from tfimbalance.losses._base import CrossentropyLoss, Weights
from tfimbalance.losses._kernels import focal_of_nats
from tfimbalance.losses._softmax import SoftmaxLoss
from tfimbalance.losses._targets import Elements, Labels, Targets
from tfimbalance.losses._weights import check_width
from tfimbalance.losses.focal import focal_elements
from tfimbalance.offsets import log_odds, positive_priors
from tfimbalance.statistics import ClassStatistics


@keras.saving.register_keras_serializable("tfimbalance")
class LogitAdjustedLoss(SoftmaxLoss):
    """Cross-entropy that aims at the balanced error: every class counts the same, however rare.

    Use it for long tails that are judged by the mean recall of the classes. It is consistent for
    the balanced error where class weights are not [1, section 4], and it costs one addition. The
    frequency goes into the loss alone: serve ``argmax(z)`` of the raw logits. Their softmax is the
    probability in a world of equally frequent classes; ``z + log(pi)`` is that at the natural rate.
    With a bias in the last layer, the optimum is that of plain cross-entropy, moved by ``log(pi)``:
    what it gains are the first steps, which `Rebalance.prepare` saves plain training as well.
    Do not combine it with class weights or balanced batches at full strength: that corrects twice.

        loss = -class_weight[y] * log_softmax(z + tau * log(pi))[y]              [1, eq. 10]

    Args:
        priors: how frequent the classes are: `ClassStatistics`, counts or probabilities, one a
            class. May be changed by ``assign("priors", ...)``.
        tau: strength; 1 targets the balanced error, 0 is cross-entropy. A `keras.Variable`, which
            `tfimbalance.callbacks.LossSchedule` can move.
        gamma: at least 0; above 0 the loss is the focal loss of the adjusted logits.
        class_weight, from_logits, label_smoothing, ignore_class, reduction, name, dtype: as
            `SparseCategoricalFocalLoss`.

    Shapes:
        y_true: class ids, ``(batch, ...)`` or ``(batch, ..., 1)``, or one-hot,
            ``(batch, ..., num_classes)``; told apart by static shape.
        y_pred: ``(batch, ..., num_classes)``. Returns nats, ``(batch, ...)`` before reduction.

    Raises:
        ValueError: for a class of prior 0 (named), another number of classes than ``y_pred``, or
            shapes that do not fit.

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.LogitAdjustedLoss([90, 10], from_logits=True)
        >>> round(float(loss([1], [[0.0, 0.0]])), 4)  # -log(0.1)
        2.3026

    References:
        [1] Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021, arXiv 2007.07314.
    """

    def __init__(
        self,
        priors: Any,
        *,
        tau: float = 1.0,
        gamma: float = 0.0,
        class_weight: Weights | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        ignore_class: int | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "logit_adjusted_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            priors, class_weight, from_logits, label_smoothing, ignore_class, reduction, name, dtype
        )
        self.tau = self._make_movable("tau", tau)
        self.gamma = check_number("gamma", gamma, minimum=0.0)

    def changed(self, z: Tensor, log_pi: Tensor, targets: Targets) -> Tensor:
        """Return ``z + tau * log(pi)``."""
        return z + ops.convert_to_tensor(self.tau) * log_pi

    def faded(self, values: Tensor) -> Tensor:
        """Return the focal loss of the same logits."""
        return focal_of_nats(values, self.gamma)


@keras.saving.register_keras_serializable("tfimbalance")
class BalancedSoftmaxLoss(SoftmaxLoss):
    """Cross-entropy of logits adjusted by class counts: `LogitAdjustedLoss` at ``tau=1``.

    Use it where the published name is wanted and the strength is not tuned.

        loss = -class_weight[y] * log( n_y exp(z_y) / sum_k n_k exp(z_k) )        [1, eq. 4]

    Args:
        priors: as `LogitAdjustedLoss`.
        class_weight, from_logits, label_smoothing, ignore_class, reduction, name, dtype: as
            `SparseCategoricalFocalLoss`.

    Shapes:
        y_true, y_pred: as `LogitAdjustedLoss`. Returns nats, ``(batch, ...)`` before reduction.

    Raises:
        ValueError: as `LogitAdjustedLoss`.

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.BalancedSoftmaxLoss([90, 10], from_logits=True)
        >>> round(float(loss([[0.0, 1.0]], [[0.0, 0.0]])), 4)  # -log(0.1)
        2.3026

    References:
        [1] Ren et al., Balanced Meta-Softmax for Long-Tailed Visual Recognition, NeurIPS 2020,
        arXiv 2007.10740.
    """

    def __init__(
        self,
        priors: Any,
        *,
        class_weight: Weights | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        ignore_class: int | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "balanced_softmax_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            priors, class_weight, from_logits, label_smoothing, ignore_class, reduction, name, dtype
        )

    def changed(self, z: Tensor, log_pi: Tensor, targets: Targets) -> Tensor:
        """Return ``z + log(pi)``: ``log(n)`` less a constant, which a softmax does not see."""
        return z + log_pi


@keras.saving.register_keras_serializable("tfimbalance")
class BinaryLogitAdjustedLoss(CrossentropyLoss):
    """Logit adjustment for models with one logit a row or a label.

    Use it for rare positives that are judged by the balanced error (the mean of both recalls, a
    threshold of 0 on the raw logit) or for tags of very different rates. As with
    `LogitAdjustedLoss`, ``z + logit(pi)`` is the calibrated logit at the natural rate.

        loss = class_weight[y] * BCE(y, sigmoid(z + tau * logit(pi)))            [1, eq. 10]

    Args:
        priors: probability of a positive: a number, one a label, or `ClassStatistics` of two
            classes or of several labels. May be changed by ``assign("priors", ...)``.
        tau: as `LogitAdjustedLoss`.
        gamma: at least 0; above 0 the loss is the focal loss of the adjusted logits.
        class_weight, from_logits, label_smoothing, ignore_class, reduction, name, dtype: as
            `BinaryFocalLoss`.

    Shapes:
        y_true, y_pred: as `BinaryFocalLoss`. Returns nats, averaged over the last axis.

    Raises:
        ValueError: for a prior that is not strictly between 0 and 1 (its label named), another
            number of labels than ``y_pred``, or shapes that do not fit.

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.BinaryLogitAdjustedLoss(0.1, from_logits=True)
        >>> round(float(loss([[1.0]], [[0.0]])), 4)  # -log(0.1)
        2.3026

    References:
        [1] Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021, arXiv 2007.07314.
    """

    _assigned: tuple[str, ...] = ("class_weight", "priors")
    _log_odds: keras.Variable

    def __init__(
        self,
        priors: Any,
        *,
        tau: float = 1.0,
        gamma: float = 0.0,
        class_weight: Weights | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        ignore_class: int | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "binary_logit_adjusted_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(class_weight, from_logits, label_smoothing, reduction, name, dtype)
        self.ignore_class = checked_ignore_class(ignore_class)
        self.tau = self._make_movable("tau", tau)
        self.gamma = check_number("gamma", gamma, minimum=0.0)
        self._assign_priors(priors)

    @property
    def priors(self) -> float | list[float]:
        """The probability of a positive, one number or one a label."""
        return self._priors

    def _assign_priors(self, priors: Any) -> bool:
        is_new = self._store("_log_odds", log_odds(priors), argument="priors", noun="labels")
        self._priors: float | list[float] = positive_priors(priors).tolist()
        self._of_two_classes = isinstance(priors, ClassStatistics) and not priors.multi_label
        return is_new

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Elements:
        """Return the loss of each output."""
        z = self._logits(y_pred, "Sigmoid")
        offset = ops.convert_to_tensor(self.tau) * ops.convert_to_tensor(self._log_odds)
        if len(offset.shape):
            remedy = "Of the probabilities of two classes, pass that of class 1."
            check_width("priors", offset.shape[0], z, "labels", "numbers", remedy)
        if self._of_two_classes and len(z.shape) > 1 and z.shape[-1] == 2:
            raise bad_value(
                "y_pred",
                expected="one logit a row, beside statistics of two classes",
                received=f"shape {tuple(z.shape)}",
                remedy="A logit a class takes LogitAdjustedLoss; several labels take "
                "class_statistics(y, multi_label=True).",
            )
        labels = Labels.read(y_true, z, self.label_smoothing, self.ignore_class)
        return focal_elements(labels.weighed(z, self.class_weight), z + offset, self.gamma)
