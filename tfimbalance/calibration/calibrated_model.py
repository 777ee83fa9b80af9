"""Corrections behind a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tfimbalance._checks import bad_value
from tfimbalance._evaluation.ending import check_from_logits


def calibrated_model(
    model: keras.Model,
    layers: keras.layers.Layer | Sequence[keras.layers.Layer],
    *,
    output: str | None = None,
    from_logits: bool | None = None,
    softmax: bool | None = None,
) -> keras.Model:
    """Return a model that ends in probabilities: the trained one, and corrections behind it.

    Use it to serve what was trained on re-balanced data, or a temperature that was fitted: the
    result predicts, saves, loads and exports as one model. It shares the weights of ``model``.

    Args:
        model: a trained model.
        layers: corrections of this room, in order, made with the ``from_logits`` of the model.
        output: which of several named outputs is corrected; the others stay as they are.
        from_logits: whether that output are logits. None: as the end of the model shows.
        softmax: whether a distribution over classes leaves, instead of a probability for each
            output. None: for two outputs or more of layers without ``multi_label``.

    Returns:
        A Keras model with the inputs of ``model``, which is not compiled.

    Raises:
        ValueError: for layers that take logits behind probabilities or the reverse, a model whose
            end does not show which it is, or an unknown output.

    Example:
        >>> import keras
        >>> import tfimbalance as tfi
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        >>> layer = tfi.calibration.PriorCorrection(0.5, 0.01, from_logits=True)
        >>> served = tfi.calibration.calibrated_model(model, layer)
        >>> served.layers[-1].name.startswith("activation"), served.output_shape
        (True, (None, 1))
    """
    chain = list(layers) if isinstance(layers, (list, tuple)) else [layers]
    symbolic = hasattr(model, "inputs") and getattr(model, "inputs", None)
    if not symbolic:
        if output is not None:
            raise bad_value(
                "output",
                expected="None for a model without symbolic outputs",
                received=repr(output),
                remedy="Wrap it: y = model(inputs := keras.Input(...)); keras.Model(inputs, y).",
            )
        ends = check_from_logits(model, from_logits)
        _check_chain(chain, ends)
        return keras.Sequential([model, *chain, *_end(chain, ends, softmax, None)])
    is_sequential = isinstance(model, keras.Sequential)  # It has no `output` until it is called.
    inputs, outputs = (
        (model.inputs[0], model.outputs[0]) if is_sequential else (model.input, model.output)
    )
    given = _chosen(outputs, output)
    ends = check_from_logits(model, from_logits) if output is None else _said(from_logits, output)
    _check_chain(chain, ends)
    corrected = given
    for layer in [*chain, *_end(chain, ends, softmax, given.shape)]:
        corrected = layer(corrected)
    if output is not None:
        corrected = {**outputs, output: corrected}
    return keras.Model(inputs, corrected)


def _chosen(outputs: Any, output: str | None) -> Any:
    names = list(outputs) if isinstance(outputs, dict) else []
    if output is not None and output in names:
        return outputs[output]
    if output is not None or isinstance(outputs, (dict, list, tuple)):
        raise bad_value(
            "output",
            expected=f"one of {names}" if names else "a model of one output, or a dict of outputs",
            received=repr(output),
        )
    return outputs


def _said(from_logits: bool | None, output: str) -> bool:
    if from_logits is None:
        raise bad_value(
            "from_logits",
            expected=f"True or False beside output={output!r}",
            received=None,
        )
    return from_logits


def _check_chain(chain: list[keras.layers.Layer], ends_in_logits: bool) -> None:
    logits = ends_in_logits
    for layer in chain:
        takes = getattr(layer, "from_logits", logits)
        if takes != logits:
            kinds = {True: "logits", False: "probabilities"}
            raise bad_value(
                "layers",
                expected=f"corrections of {kinds[logits]}, which is what comes",
                received=f"{layer.name!r}, which takes {kinds[takes]}",
                remedy=f"Make it with from_logits={logits}.",
            )
        logits = logits and not getattr(layer, "gives_probabilities", False)


def _end(
    chain: list[keras.layers.Layer], ends_in_logits: bool, softmax: bool | None, shape: Any
) -> list[keras.layers.Layer]:
    if not ends_in_logits or any(getattr(layer, "gives_probabilities", False) for layer in chain):
        return []
    if softmax is None:
        labels = any(getattr(layer, "multi_label", False) for layer in chain)
        if shape is None:
            raise bad_value("softmax", expected="True or False for this model", received=None)
        softmax = not labels and len(shape) > 1 and shape[-1] != 1
    activation = "softmax" if softmax else "sigmoid"
    return [keras.layers.Activation(activation, dtype=keras.config.floatx())]
