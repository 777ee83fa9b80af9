"""Corrections behind a trained model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import keras

from tfimbalance._checks import bad_value
from tfimbalance._config import config_of
from tfimbalance._evaluation.ending import PROBABILITY, check_from_logits, output_names, output_of
from tfimbalance.calibration._base import check_activation, width_of


def calibrated_model(
    model: keras.Model,
    layers: keras.layers.Layer | Sequence[keras.layers.Layer],
    *,
    output: str | None = None,
    from_logits: bool | None = None,
    activation: str | None = None,
) -> keras.Model:
    """Return a model that ends in probabilities: the trained one, and corrections behind it.

    Use it to serve what was trained on re-balanced data, or a temperature that was fitted: the
    result predicts, saves, loads and exports as one model. It shares the weights of ``model``.

    Args:
        model: a trained model.
        layers: corrections of this room, in order, made with the ``from_logits`` of the model.
        output: which of several named outputs is corrected; the others stay as they are.
        from_logits: whether that output are logits. None: as the end of the model shows.
        activation: of the probabilities that leave, as `FocalCalibration`. None: as the layers say,
            and a softmax for two outputs or more where they do not.

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
    check_activation(activation)
    chain = list(layers) if isinstance(layers, (list, tuple)) else [layers]
    symbolic = hasattr(model, "inputs") and getattr(model, "inputs", None)
    if not symbolic and output is not None:
        raise bad_value(
            "output",
            expected="None for a model without symbolic outputs",
            received=repr(output),
            remedy="Wrap it: y = model(inputs := keras.Input(...)); keras.Model(inputs, y).",
        )
    place = _place(model, output) if symbolic else None
    ends = check_from_logits(model, from_logits, output)
    _check_chain(chain, ends)
    if not symbolic:
        return CorrectedModel(model, [*chain, *_end(chain, ends, activation)])
    is_sequential = isinstance(model, keras.Sequential)  # It has no `output` until it is called.
    inputs, outputs = (
        (model.inputs[0], model.outputs[0]) if is_sequential else (model.input, model.output)
    )
    corrected = outputs if place is None else outputs[place]
    taken = {part.name for part in getattr(model, "operations", model.layers)}
    _check_names(chain, taken)
    for layer in [*chain, *_end(chain, ends, activation, corrected.shape, output, taken)]:
        corrected = layer(corrected)
    if isinstance(outputs, dict):
        corrected = {**outputs, place: corrected}
    elif place is not None:
        corrected = [*outputs[:place], corrected, *outputs[place + 1 :]]
    return keras.Model(inputs, corrected)


@keras.saving.register_keras_serializable("tfimbalance")
class CorrectedModel(keras.Model):
    """A model without symbolic inputs, and layers behind it; `calibrated_model` makes it.

    A `keras.Sequential` would not export where the inputs are a dictionary.
    """

    def __init__(
        self, model: keras.Model, behind: Sequence[keras.layers.Layer], **kwargs: Any
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})  # Inputs are the model's to round.
        self.model, self.behind = model, list(behind)

    @property
    def in_order(self) -> list[keras.layers.Layer]:
        """Return the model and the layers behind it."""
        return [self.model, *self.behind]

    def call(self, inputs: Any) -> Any:
        """Return what the last layer makes of the model's prediction."""
        outputs = inputs
        for layer in self.in_order:
            outputs = layer(outputs)
        return outputs

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), **config_of(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> CorrectedModel:
        """Return the model of a config."""
        read = keras.saving.deserialize_keras_object
        return cls(**{**config, "model": read(config["model"]), "behind": read(config["behind"])})


def _place(model: keras.Model, output: str | None) -> Any:
    """Return where an output is among several, by key or by number; None of a single one."""
    output_of(model, output)
    if output is None:
        return None
    return output if isinstance(model.output, dict) else output_names(model).index(output)


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


def _check_names(chain: list[keras.layers.Layer], taken: set[str]) -> None:
    for layer in chain:
        if layer.name in taken:
            raise bad_value(
                "layers",
                expected="layers with names of their own, as Keras wants them in a model",
                received=f"{layer.name!r}, as the model has one",
                remedy=f'{type(layer).__name__}(..., name="...").',
            )
        taken.add(layer.name)


def _end(
    chain: list[keras.layers.Layer],
    ends_in_logits: bool,
    activation: str | None,
    shape: Any = None,
    output: str | None = None,
    taken: Collection[str] = (),
) -> list[keras.layers.Layer]:
    if not ends_in_logits or any(getattr(layer, "gives_probabilities", False) for layer in chain):
        return []
    said = {activation, *(getattr(layer, "activation", None) for layer in chain)}
    if shape is None and not said & {"sigmoid", "softmax"}:
        raise bad_value(
            "activation", expected='"sigmoid" or "softmax" for this model', received=None
        )
    if activation is None:
        one = shape is not None and width_of(shape) == 1
        activation = "sigmoid" if "sigmoid" in said or one else "softmax"
    name = None if output is None else f"{output}{PROBABILITY}"
    while True:  # Keras counts its names anew in each process, also beside a loaded model.
        end = keras.layers.Activation(activation, name=name, dtype=keras.config.floatx())
        if end.name not in taken:
            return [end]
        name = None if name is None else f"{name}_"
