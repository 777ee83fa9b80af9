"""A warning for a model that is compiled with another loss than that of its plan."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from tfimbalance.callbacks._driven import compiled_losses, instance_of, loss_name
from tfimbalance.losses import BinaryFocalLoss, LogitAdjustedLoss
from tfimbalance.losses._base import ImbalanceLoss

# What a loss of a plan may have of its own.
_FREE = {"name", "reduction", "dtype", "from_logits", "ignore_class"}
_PLAIN = ("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy")


class PlanLoss(keras.callbacks.Callback):
    """Warn if the compiled loss is not that of the plan: what is undone was then never done."""

    def __init__(self, loss: ImbalanceLoss, *, output: str | None = None) -> None:
        super().__init__()
        self._loss, self._output = loss, output

    def on_train_begin(self, logs: Any = None) -> None:
        """Compare, before the first step."""
        found = list(compiled_losses(self.model, self._output).values())
        if any(self._fits(instance_of(loss)) for loss in found):
            return
        names = ", ".join(loss_name(loss) for loss in found)
        warnings.warn(
            f"Rebalance: the model is compiled with {names}, not with the loss of the plan, so "
            "that `corrected` undoes what was not done, or leaves what was. Compile with "
            "loss=plan.loss(from_logits=...).",
            stacklevel=2,
        )

    def _fits(self, loss: Any) -> bool:
        if isinstance(loss, type(self._loss)):
            return _what(loss) == _what(self._loss)
        name = loss_name(loss).rsplit(".", 1)[-1]
        return name in _PLAIN and self._is_plain() and not getattr(loss, "label_smoothing", 0)

    def _is_plain(self) -> bool:
        """Tell a plan whose loss is cross-entropy, which Keras has as well."""
        config = self._loss.get_config()
        changed = config.get("class_weight") or config.get("pos_weight") or config["gamma"]
        return isinstance(self._loss, (BinaryFocalLoss, LogitAdjustedLoss)) and not (
            changed or config.get("tau")
        )


def _what(loss: keras.losses.Loss) -> dict[str, Any]:
    return {k: v for k, v in loss.get_config().items() if k not in _FREE}
