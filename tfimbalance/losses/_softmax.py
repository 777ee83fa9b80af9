"""Base of the losses that are the cross-entropy of changed logits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfimbalance._checks import checked_ignore_class
from tfimbalance._tensors import Tensor
from tfimbalance.losses._base import CrossentropyLoss, Weights
from tfimbalance.losses._targets import Targets
from tfimbalance.losses._weights import check_width
from tfimbalance.offsets import as_list, log_priors

_ONE_OUTPUT = (
    "A model of two classes with one logit takes BinaryLogitAdjustedLoss, or VectorScalingLoss of "
    "two counts. One loss for several outputs reaches each of them: pass {output: loss}."
)


class SoftmaxLoss(CrossentropyLoss):
    """Cross-entropy of logits that depend on class frequencies: a subclass writes `changed`."""

    targets: tuple[str, ...] = ("sparse", "one_hot")
    _assigned: tuple[str, ...] = ("class_weight", "priors")
    _log_priors: keras.Variable
    _priors: list[float]

    def __init__(
        self,
        priors: Any,
        class_weight: Weights | None,
        from_logits: bool,
        label_smoothing: float,
        ignore_class: int | None,
        reduction: str,
        name: str | None,
        dtype: Any,
    ) -> None:
        super().__init__(class_weight, from_logits, label_smoothing, reduction, name, dtype)
        self.ignore_class = checked_ignore_class(ignore_class)
        self._assign_priors(priors)

    @property
    def priors(self) -> list[float]:
        """How frequent the classes are, as it was given."""
        return self._priors

    def _assign_priors(self, priors: Any) -> bool:
        values = log_priors(priors)
        is_new = self._store("_log_priors", values, argument="priors", noun="classes")
        self._priors = as_list(priors)
        return is_new

    def changed(self, z: Tensor, log_pi: Tensor, targets: Targets) -> Tensor:
        """Return the logits that are compared with the targets."""
        raise NotImplementedError

    def faded(self, values: Tensor) -> Tensor:
        """Return the cross-entropies, less where an example is easy; as they are by default."""
        return values

    def nats(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each target."""
        z = self._logits(y_pred, "Softmax")
        log_pi = self._checked_log_priors(z)
        targets = Targets.read(y_true, z, self.ignore_class)
        values = targets.crossentropy(self.changed(z, log_pi, targets), self.label_smoothing)
        return targets.weighed(self.faded(values), self.class_weight, z)

    def _checked_log_priors(self, z: Tensor) -> Tensor:
        log_pi = ops.convert_to_tensor(self._log_priors)
        remedy = _ONE_OUTPUT if len(z.shape) < 2 or z.shape[-1] == 1 else ""
        check_width("priors", log_pi.shape[0], z, "classes", "classes", remedy)
        return log_pi
