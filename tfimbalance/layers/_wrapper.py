"""Models that are compiled and fitted in place of the one that is served."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from tfimbalance._checks import bad_value


class Wrapper(keras.Model):
    """Base of models that train another one, their ``model``, which is the one to serve."""

    model: keras.Model
    adds_offset = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})  # Inputs are the model's to round.

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """Compile as any Keras model; beside an offset, with a loss of logits."""
        takes = getattr(loss, "from_logits", None)
        if takes is None and isinstance(loss, str):
            function = keras.losses.get(loss)
            takes = False if "from_logits" in inspect.signature(function).parameters else None
        if takes is False and self.adds_offset:
            raise bad_value(
                "loss",
                expected="a loss of logits, which is what an offset is added to",
                received=f"{loss!r}, which takes probabilities",
                remedy="Make it with from_logits=True.",
            )
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a loaded model as it was saved, which Keras leaves to classes with `compile`."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)


def unwrapped(model: keras.Model) -> keras.Model:
    """Return the model to serve."""
    return model.model if isinstance(model, Wrapper) else model
