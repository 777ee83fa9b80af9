"""The bias of a model's last layer, set to where its training starts."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfimbalance._checks import FloatArray, bad_value
from tfimbalance._evaluation.ending import endings, heads, output_of
from tfimbalance.initializers import PriorBias
from tfimbalance.layers import OffsetModel
from tfimbalance.rebalance.plan_loss import trained_steps

_MOST_SHOWN = 4
_BY_HAND = (
    "Give it to the last layer yourself, bias_initializer=plan.initializer(), and compile with "
    "prepare=False."
)


def set_bias(model: keras.Model, output: str | None, bias: PriorBias) -> str:
    """Set the bias at the end of a new model, and say so; see `Rebalance.prepare`."""
    wrapper, model = model, model.model if isinstance(model, OffsetModel) else model
    layers, width = _last_layers(model, output)
    old = [np.asarray(layer.bias, np.float64) for layer in layers]
    wanted = np.asarray(bias((width,), "float64"), np.float64)
    parts = _parts(layers, [len(values) for values in old], wanted)
    _check_new((wrapper, model), layers, old, parts)
    for layer, part in zip(layers, parts, strict=True):
        layer.bias.assign(part)
    names = list(dict.fromkeys(repr(layer.name) for layer in layers))
    starts = "starts" if len(names) == 1 else "start"
    return f"The bias of {' and '.join(names)} {starts} at {_some(wanted)}."


def _last_layers(model: keras.Model, output: str | None) -> tuple[list[Any], int]:
    """Return the layers that make an output, each with a bias, and the width of the output."""
    if not getattr(model, "outputs", None):
        raise bad_value(
            "model",
            expected="a model that shows its last layer: a Sequential that is built, or a "
            "functional model",
            received=f"a {type(model).__name__} without symbolic outputs",
            remedy="Begin it with keras.Input, or call model.build((None, features))."
            if isinstance(model, keras.Sequential)
            else _BY_HAND,
        )
    tensor = output_of(model, output)
    width = tensor.shape[-1] if len(tensor.shape) > 1 else 1
    layers = [getattr(found, "layer", found) for found in heads(tensor)]  # Of TimeDistributed.
    ends = {_activation_name(layer) for layer in [*layers, *endings(tensor)]}
    if not ends <= {"linear", "sigmoid", "softmax"} or ("softmax" in ends and width == 1):
        raise bad_value(
            "model",
            expected="an output of logits, or of a sigmoid, or of a softmax of several units",
            received=f"one that ends in {layers[-1].name!r}, {', '.join(sorted(ends))}",
            remedy=_BY_HAND,
        )
    for layer in layers:
        shape = getattr(getattr(layer, "bias", None), "shape", None)
        if hasattr(layer, "gives_probabilities") or shape is None or len(shape) != 1:
            raise bad_value(
                "model",
                expected="an output whose last layer has a bias, one number a unit",
                received=f"the {type(layer).__name__} {layer.name!r}"
                + (" without one" if shape is None else ""),
                remedy="Dense(units, use_bias=True) has one. " + _BY_HAND,
            )
    return layers, width


def _activation_name(layer: Any) -> str:
    kind = type(layer).__name__.lower()
    if kind in ("softmax", "sigmoid"):
        return kind
    activation = getattr(layer, "activation", None)
    return "linear" if activation is None else str(getattr(activation, "__name__", activation))


def _parts(layers: list[Any], sizes: list[int], wanted: FloatArray) -> list[FloatArray]:
    """Return the part of each layer: side by side, or all of it for each of several places."""
    if sum(sizes) == len(wanted) and len(set(map(id, layers))) == len(layers):
        return np.split(wanted, np.cumsum(sizes)[:-1])
    # Anchors of a detector, say: a layer of units for several places, which are reshaped.
    if all(size % len(wanted) == 0 for size in sizes):
        return [np.tile(wanted, size // len(wanted)) for size in sizes]
    raise bad_value(
        "model",
        expected=f"last layers with a unit for each of the {len(wanted)} outputs, or for each at "
        "several places",
        received=f"{sizes} units in {[layer.name for layer in layers]}",
        remedy=_BY_HAND,
    )


def _check_new(
    models: tuple[keras.Model, ...],
    layers: list[Any],
    old: list[FloatArray],
    wanted: list[FloatArray],
) -> None:
    steps = max(trained_steps(model) for model in models)
    for layer, before, after in zip(layers, old, wanted, strict=True):
        is_set = np.allclose(before, after, atol=1e-2)  # By hand, or by an earlier call.
        if steps or (before.any() and not is_set):
            received = f"one that was trained for {steps:,} steps"
            raise bad_value(
                "model",
                expected="a new model, whose bias is 0",
                received=received if steps else f"a bias of {_some(before)} in {layer.name!r}",
                remedy="A trained model has learnt its base rate: train on, compiled with "
                "prepare=False. To start anew, build the model again, or set that bias to 0.",
            )


def _some(values: FloatArray) -> str:
    shown = np.where(np.abs(values) < 1e-12, 0.0, values)[:_MOST_SHOWN]
    some = ", ".join(f"{value:.4g}" for value in shown)
    return some + (", ..." if len(values) > _MOST_SHOWN else "")
