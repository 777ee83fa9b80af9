"""Asymmetric loss for several labels a row."""

from __future__ import annotations

from typing import Any

import keras

from tfimbalance._checks import check_number, checked_ignore_class
from tfimbalance._tensors import Tensor
from tfimbalance.losses._base import CrossentropyLoss, Weights
from tfimbalance.losses._kernels import asymmetric
from tfimbalance.losses._targets import Elements, Labels
from tfimbalance.losses._weights import checked_pos_weight


@keras.saving.register_keras_serializable("tfimbalance")
class AsymmetricLoss(CrossentropyLoss):
    """Focal loss that forgets easy negatives faster than easy positives, for many labels a row.

    Use it for tagging, where nearly every label of a row is an easy negative. Negatives below
    ``margin`` count nothing at all. A negative of which the model is *sure* that it is positive
    also fades out for ``margin > 0``, because it may be mislabelled [1, section 2.4]: with
    ``margin=0`` it keeps its gradient. Trained probabilities are not calibrated.

        loss = -class_weight[y] * [ y * (1 - p)**gamma_pos * log(p)
                                    + (1 - y) * p_m**gamma_neg * log(1 - p_m) ]     [1, eq. 7]
        p_m = max(p - margin, 0)

    Args:
        gamma_neg: how fast easy negatives fade, at least 0.
        gamma_pos: how fast easy positives fade, at least 0 and at most ``gamma_neg`` in [1].
        margin: probability up to which a negative counts nothing, in [0, .999].
        pos_weight, class_weight, from_logits, label_smoothing, ignore_class: as `BinaryFocalLoss`.
        reduction, name, dtype: as `keras.losses.Loss`.

    Shapes:
        y_true, y_pred: as `BinaryFocalLoss`. Returns nats, averaged over the last axis ([1] sums).

    Raises:
        ValueError: for a negative gamma, a margin outside [0, .999], or shapes that do not fit.

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.AsymmetricLoss(gamma_neg=1.0, margin=0.25)
        >>> round(float(loss([[1.0, 0.0]], [[0.5, 0.75]])), 4)  # log(2) / 2, twice.
        0.3466

    References:
        [1] Ridnik et al., Asymmetric Loss for Multi-Label Classification, ICCV 2021,
        arXiv 2009.14119.
    """

    def __init__(
        self,
        gamma_neg: float = 4.0,
        *,
        gamma_pos: float = 1.0,
        margin: float = 0.05,
        pos_weight: float | Weights | None = None,
        class_weight: Weights | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        ignore_class: int | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "asymmetric_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(class_weight, from_logits, label_smoothing, reduction, name, dtype)
        self.ignore_class = checked_ignore_class(ignore_class)
        self.gamma_neg = check_number("gamma_neg", gamma_neg, minimum=0.0)
        self.gamma_pos = check_number("gamma_pos", gamma_pos, minimum=0.0)
        self.pos_weight = None if pos_weight is None else checked_pos_weight(pos_weight)
        self.margin = check_number("margin", margin, minimum=0.0, maximum=0.999)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Elements:
        """Return the loss of each output."""
        z = self._logits(y_pred, "Sigmoid")
        labels = Labels.read(y_true, z, self.label_smoothing, self.ignore_class)
        labels = labels.weighed(z, self.class_weight, self.pos_weight)
        parts = (labels.positive, labels.negative)
        return labels.elements(asymmetric(*parts, z, self.gamma_neg, self.gamma_pos, self.margin))
