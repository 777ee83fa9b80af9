"""Margins that are larger for rarer classes."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfimbalance._tensors import Tensor
from tfimbalance.losses._base import Weights
from tfimbalance.losses._softmax import SoftmaxLoss
from tfimbalance.losses._targets import Targets


@keras.saving.register_keras_serializable("tfimbalance")
class LDAMLoss(SoftmaxLoss):
    """Cross-entropy that keeps a distance from the decision boundary, more of it for rare classes.

    Use it with a `tfimbalance.layers.CosineClassifier` as the last layer: the margin is a
    difference of cosines, and means nothing beside logits that can grow. It gains most with
    deferred re-weighting (LDAM-DRW): ``ClassWeight(y, scheme="effective_number", beta=0.9999,
    start_epoch=...)`` from about 80% of the epochs on. Served probabilities are
    ``softmax(scale * y_pred)``, and not calibrated.

        loss = -class_weight[y] * log_softmax(scale * (z - margin[y] * onehot(y)))[y]    [1, eq. 13]
        margin[k] = max_margin * (n_k / n_min)**-0.25

    Args:
        priors: as `LogitAdjustedLoss`.
        max_margin: margin of the rarest class, at least 0. It can move as ``tau`` does there.
        scale: what cosines are multiplied by, above 0. It can move too.
        from_logits: whether ``y_pred`` are cosines (or logits). True by default, unlike in the
            other losses, because cosines are what the loss is for; False for their softmax.
        class_weight, label_smoothing, ignore_class, reduction, name, dtype: as
            `SparseCategoricalFocalLoss`.

    Shapes:
        y_true, y_pred: as `LogitAdjustedLoss`. Returns nats, ``(batch, ...)`` before reduction.

    Raises:
        ValueError: as `LogitAdjustedLoss`.

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.LDAMLoss([160, 10], scale=1.0)
        >>> round(float(loss([1], [[0.0, 0.5]])), 4)  # The margin eats the lead of 0.5: log(2).
        0.6931
        >>> round(float(loss([0], [[0.25, 0.0]])), 4)  # 16 times as frequent, half the margin.
        0.6931

    References:
        [1] Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss,
        NeurIPS 2019, arXiv 1906.07413.
    """

    def __init__(
        self,
        priors: Any,
        *,
        max_margin: float = 0.5,
        scale: float = 30.0,
        class_weight: Weights | None = None,
        from_logits: bool = True,
        label_smoothing: float = 0.0,
        ignore_class: int | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "ldam_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            priors, class_weight, from_logits, label_smoothing, ignore_class, reduction, name, dtype
        )
        self.max_margin = self._make_movable("max_margin", max_margin, minimum=0.0)
        self.scale = self._make_movable("scale", scale, minimum=0.0, exclusive=True)

    def changed(self, z: Tensor, log_pi: Tensor, targets: Targets) -> Tensor:
        """Return ``scale * (z - margin[y] * onehot(y))``."""
        relative = ops.exp(-0.25 * (log_pi - ops.min(log_pi)))
        margins = ops.convert_to_tensor(self.max_margin) * relative
        return ops.convert_to_tensor(self.scale) * (z - targets.as_rows(z) * margins)
