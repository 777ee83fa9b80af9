"""The bias of a model's last layer, set to where its training starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tfimbalance._checks import FloatArray, bad_value
from tfimbalance._evaluation.ending import heads, output_names
from tfimbalance.initializers import PriorBias
from tfimbalance.layers import OffsetModel

_MOST_SHOWN = 4


def set_bias(model: keras.Model, output: str | None, bias: PriorBias) -> str:
    """Set the bias at the end of a new model, and say so; see `Rebalance.prepare`."""
    if isinstance(model, OffsetModel):
        model = model.model
    layers = list(_last_layers(model, output))
    old = [np.asarray(layer.bias, np.float64) for layer in layers]
    sizes = [len(values) for values in old]
    wanted = np.asarray(bias((sum(sizes),), "float64"), np.float64)
    parts = np.split(wanted, np.cumsum(sizes)[:-1])
    _check_new(model, layers, old, parts)
    for layer, part in zip(layers, parts, strict=True):
        layer.bias.assign(part)
    names = " and ".join(repr(layer.name) for layer in layers)
    return f"The bias of {names} starts at {_some(wanted)}."


def _last_layers(model: keras.Model, output: str | None) -> Iterator[Any]:
    """Yield the layers that make an output, side by side; each has a bias."""
    names, outputs = output_names(model), getattr(model, "outputs", None)
    by_hand = "Give it to the last layer yourself: bias_initializer=plan.initializer()."
    if not outputs:
        raise bad_value(
            "model",
            expected="a model that shows its last layer: a Sequential that is built, or a "
            "functional model",
            received=f"a {type(model).__name__} without symbolic outputs",
            remedy=by_hand,
        )
    if names and output not in names:
        raise bad_value("output", expected=f"one of the outputs {names}", received=repr(output))
    for found in heads(outputs[names.index(str(output)) if names else 0]):
        layer = getattr(found, "layer", found)  # Inside of TimeDistributed.
        shape = getattr(getattr(layer, "bias", None), "shape", None)
        if hasattr(found, "gives_probabilities") or shape is None or len(shape) != 1:
            raise bad_value(
                "model",
                expected="an output whose last layer has a bias, one number a unit",
                received=f"the {type(found).__name__} {found.name!r}"
                + (" without one" if shape is None else ""),
                remedy="Dense(units, use_bias=True) has one. " + by_hand,
            )
        yield layer


def _check_new(
    model: keras.Model, layers: list[Any], old: list[FloatArray], wanted: list[FloatArray]
) -> None:
    optimizer = getattr(model, "optimizer", None)
    steps = 0 if optimizer is None else int(optimizer.iterations)
    for layer, before, after in zip(layers, old, wanted, strict=True):
        is_set = np.allclose(before, after, atol=1e-2)  # By hand, or by an earlier call.
        if steps or (before.any() and not is_set):
            received = f"one that was trained for {steps:,} steps"
            raise bad_value(
                "model",
                expected="a new model, whose bias is 0",
                received=received if steps else f"a bias of {_some(before)} in {layer.name!r}",
                remedy="A trained model has learnt its base rate: train on. To start anew, build "
                "the model again.",
            )


def _some(values: FloatArray) -> str:
    some = ", ".join(f"{value:.4g}" for value in values[:_MOST_SHOWN])
    return some + (", ..." if len(values) > _MOST_SHOWN else "")
