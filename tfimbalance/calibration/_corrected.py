"""Which models are corrected already, by the layers at their end."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from tfimbalance._evaluation.ending import endings, output_of
from tfimbalance.calibration.focal import FocalCalibration
from tfimbalance.calibration.prior_correction import PriorCorrection
from tfimbalance.calibration.vector_scaling import VectorScaling

# What the name of the slope and the bias behind a plan ends with; users have such layers, too.
SLOPE = "slope_and_bias"


def correction_of(model: keras.Model, output: str | None) -> keras.layers.Layer | None:
    """Return a layer by which a model, or one of its outputs, is corrected; None if none does."""
    symbolic = getattr(model, "outputs", None)
    for layer in endings(output_of(model, output)) if symbolic else _all_layers(model):
        is_slope = isinstance(layer, VectorScaling) and layer.name.endswith(SLOPE)
        if is_slope or isinstance(layer, (PriorCorrection, FocalCalibration)):
            return layer
    return None


def _all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in getattr(model, "layers", []):
        yield layer
        yield from _all_layers(layer) if isinstance(layer, keras.Model) else ()
