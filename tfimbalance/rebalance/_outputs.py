"""Whether a model has the outputs of a plan."""

from __future__ import annotations

import keras

from tfimbalance._checks import bad_value
from tfimbalance._evaluation.ending import output_of
from tfimbalance.rebalance.combination import Combination

_PAIR = 'Two classes with an output each: Rebalance(..., activation="softmax").'
_SEVERAL = (
    "Several labels a row are counted by class_statistics(y, multi_label=True), which the plan is "
    "made of."
)


def check_outputs(plan: Combination, model: keras.Model, output: str | None) -> None:
    """Raise for a model of another number of outputs than the plan, where that shows."""
    if not getattr(model, "outputs", None):
        return
    shape = tuple(output_of(model, output).shape)
    width = 1 if len(shape) < 2 else shape[-1]
    one = plan.activation == "sigmoid" and not plan.statistics.multi_label
    wanted = 1 if one else plan.statistics.num_classes
    if width not in (None, wanted):
        raise bad_value(
            "model",
            expected=f"{wanted} outputs, as the plan has",
            received=f"an output of shape {shape}",
            remedy="" if wanted != 1 else _SEVERAL if width > 2 else _PAIR,
        )
