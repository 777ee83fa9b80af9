"""Base of the losses that are the cross-entropy of changed logits."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import bad_value, check_integer
from tfimbalance._tensors import is_sparse, sparse_ids
from tfimbalance.losses._base import CrossentropyLoss
from tfimbalance.losses._targets import Targets
from tfimbalance.offsets import log_priors
from tfimbalance.statistics import ClassStatistics

Tensor = Any
_ONE_OUTPUT = (
    "A model of two classes with one logit takes BinaryLogitAdjustedLoss, or VectorScalingLoss of "
    "two counts. One loss for several outputs reaches each of them: pass {output: loss}."
)


class SoftmaxLoss(CrossentropyLoss):
    """Cross-entropy of logits that depend on how frequent the classes are.

    A subclass writes `changed`, one formula. The frequencies live in a variable, as their
    logarithms, so that they may change inside a compiled step.
    """

    targets: tuple[str, ...] = ("sparse", "one_hot")
    _argument = "class_counts"
    _log_priors: keras.Variable
    _frequencies: list[float]

    def __init__(self, frequencies: Any, *, ignore_class: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ignore_class = (
            None
            if ignore_class is None
            else check_integer("ignore_class", ignore_class, minimum=-(2**31))
        )
        self.assign_priors(frequencies)

    def assign_priors(self, priors: Any) -> None:
        """Set the frequencies of the classes; a step that is already compiled sees the change.

        Args:
            priors: `ClassStatistics`, counts or probabilities, as many classes as before.
        """
        values = log_priors(priors, argument=self._argument)
        self._store("_log_priors", values, argument=self._argument, noun="classes")
        self._frequencies = _frequency_list(priors)

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

    def valid(self, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        """Return which targets are not of ``ignore_class``."""
        if self.ignore_class is None or not is_sparse(y_true, y_pred):
            return None
        return ops.not_equal(sparse_ids(y_true, y_pred), self.ignore_class)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {
            **super().get_config(),
            self._argument: list(self._frequencies),
            "ignore_class": self.ignore_class,
        }

    def _checked_log_priors(self, z: Tensor) -> Tensor:
        log_pi = ops.convert_to_tensor(self._log_priors)
        count, width = log_pi.shape[0], z.shape[-1] if len(z.shape) > 1 else 1
        if width not in (None, count):
            raise bad_value(
                self._argument,
                expected=f"{width} classes, the last axis of y_pred of shape {tuple(z.shape)}",
                received=f"{count} classes",
                remedy=_ONE_OUTPUT if width == 1 else "",
            )
        return log_pi


def _frequency_list(priors: Any) -> list[float]:
    """Return frequencies as they were given, for a config; `log_priors` has checked them."""
    if isinstance(priors, ClassStatistics):
        priors = priors.counts
    if hasattr(priors, "items"):
        priors = [value for _, value in sorted(priors.items())]
    found: list[float] = np.asarray(priors).tolist()
    return found
