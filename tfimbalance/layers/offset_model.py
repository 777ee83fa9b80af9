"""A model of logits that is trained with an offset beside its inputs."""

from __future__ import annotations

import inspect
from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance._config import compile_as_saved
from tfimbalance._evaluation.ending import last_activation
from tfimbalance._tensors import Tensor


@keras.saving.register_keras_serializable("tfimbalance")
class OffsetModel(keras.Model):
    """A model of logits, trained with an offset beside its inputs.

    Use it on data that was thinned with known probabilities, as by
    `tfimbalance.data.weighted_undersampling`, or on balanced batches with ``offset=True``: the
    offset takes up what sampling did, and the model inside, which is the one to serve, is
    calibrated as it is. An offset that is the same for all rows changes no optimum: where a model
    has a bias, what it gains is what plain training gains from the right initial bias.

        output = model(x) + offset

    Validate at the natural rate with an offset of 0:
    ``validation_data=((x, np.zeros((len(x), 1))), y)``, of a softmax
    ``np.zeros((len(x), num_classes))``. Save and serve ``model``, not this.

    Args:
        model: returns logits: one, one a label, or one a class.
        **kwargs: as `keras.Model`.

    Shapes:
        inputs: ``(x, offset)``; the offset has the shape of the logits.
        Returns what ``model(x)`` returns.

    Raises:
        ValueError: for a model whose last layer is a sigmoid or softmax: probabilities have no
            offset. When called: for inputs without an offset, or one of another shape.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, "linear")])
        >>> trained = tfi.layers.OffsetModel(model)
        >>> x, offset = np.zeros((2, 1)), np.array([[0.0], [3.0]])
        >>> [round(float(logit)) for logit in trained((x, offset))[:, 0]]
        [0, 3]

    References:
        Wang, Zhang & Wang, Nonuniform negative sampling and log odds correction with rare events
        data, NeurIPS 2021, arXiv 2110.13048.
    """

    def __init__(self, model: keras.Model, **kwargs: Any) -> None:
        # Inputs are the model's to round.
        super().__init__(**{"autocast": False, **kwargs})
        if not isinstance(model, keras.Model):
            kind = type(model).__name__
            raise bad_value("model", expected="a Keras model of logits", received=kind)
        outputs = getattr(model, "outputs", None) or [None]
        if isinstance(model, OffsetModel) or len(outputs) > 1:
            raise bad_value(
                "model",
                expected="a model of one output, without an offset yet",
                received=f"a {type(model).__name__} of {len(outputs)} outputs",
                remedy="Batches cannot have the shares of several outputs: train each output with "
                "a plan of its own that does not sample, Rebalance(labels_of_the_output)."
                if len(outputs) > 1
                else "",
            )
        name = last_activation(model)
        if name in ("sigmoid", "softmax"):
            raise bad_value(
                "model",
                expected="a model of logits",
                received=f"one that ends in a {name}",
                remedy="Leave that out, and compile with from_logits=True.",
            )
        self.model = model
        self.built = bool(model.built)  # There is nothing else to build.

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """Compile as any Keras model, with a loss of logits."""
        takes = getattr(loss, "from_logits", None)
        if takes is None and isinstance(loss, str):
            function = keras.losses.get(loss)
            takes = False if "from_logits" in inspect.signature(function).parameters else None
        if takes is False:
            raise bad_value(
                "loss",
                expected="a loss of logits, which is what an offset is added to",
                received=f"{loss!r}, which takes probabilities",
                remedy="Make it with from_logits=True.",
            )
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a loaded model as it was saved, which Keras leaves to classes with `compile`."""
        compile_as_saved(self, config)

    def export(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: what is served has no offset."""
        raise NotImplementedError(
            "OffsetModel: an offset is for training. Export what is served: "
            "trained.model.export(path), or plan.corrected(trained).export(path)."
        )

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        """Return the logits of ``x`` plus the offset."""
        if not isinstance(inputs, (tuple, list)) or len(inputs) != 2:
            raise bad_value(
                "inputs",
                expected="(x, offset)",
                received=type(inputs).__name__,
                remedy="Fit a dataset that has the offset (plan.dataset(x, y), or any with "
                "offset=True), and validate on ((x, np.zeros((len(x), 1))), y). To predict without "
                "an offset, use the model inside: trained.model.",
            )
        x, offset = inputs
        logits = self.model(x, training=training)
        sizes = zip(logits.shape, offset.shape, strict=False)
        fits = all(None in pair or pair[0] == pair[1] for pair in sizes)
        if len(logits.shape) != len(offset.shape) or not fits:
            raise bad_value(
                "offset",
                expected=f"an offset of the shape of the logits, {tuple(logits.shape)}",
                received=f"shape {tuple(offset.shape)}",
                remedy="Of datasets, per_class_offset=True makes one number for each class, False "
                "one for a model with one logit, whose shape is (batch, 1); a plan takes "
                'activation="softmax". Each row has one offset: outputs of steps or pixels do not '
                "fit.",
            )
        return logits + ops.cast(offset, logits.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, the model among them."""
        config: dict[str, Any] = super().get_config()
        return {**config, "model": keras.saving.serialize_keras_object(self.model)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> OffsetModel:
        """Return what `get_config` describes."""
        model = keras.saving.deserialize_keras_object(config.pop("model"), custom_objects)
        return cls(model, **config)
