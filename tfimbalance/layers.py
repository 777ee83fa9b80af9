"""Layers and models that losses and datasets of this package need."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import bad_value, check_integer, check_number
from tfimbalance._models import last_activation

__all__ = ["CosineClassifier", "OffsetModel", "Threshold"]

Tensor = Any


@keras.saving.register_keras_serializable("tfimbalance")
class CosineClassifier(keras.layers.Layer):
    """Last layer whose outputs are cosines: of a row's features with a vector of each class.

    Use it in front of `tfimbalance.losses.LDAMLoss`, whose margins are differences of cosines, and
    wherever the norms of class vectors would grow with the number of rows of the class. It has no
    bias, which would favour frequent classes again.

        output[k] = scale * <x / |x|, w_k / |w_k|>                                  [1, section 4]

    Args:
        units: number of classes.
        scale: what the cosines are multiplied by. Leave it at 1 for `LDAMLoss`, which has a scale
            of its own; with any other loss a softmax of cosines is nearly uniform, and 10 to 30 is
            usual.
        kernel_initializer, kernel_regularizer, kernel_constraint: of the class vectors, as
            `keras.layers.Dense`.
        **kwargs: as `keras.layers.Layer`.

    Shapes:
        inputs: ``(batch, ..., features)``; a row of zeros gives zeros.
        Returns ``(batch, ..., units)``, between ``-scale`` and ``scale``.

    Raises:
        ValueError: for ``units < 1`` or ``scale <= 0``.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> layer = tfi.layers.CosineClassifier(2, kernel_initializer="identity")
        >>> [round(float(cosine), 4) for cosine in layer(np.array([[3.0, 4.0]]))[0]]
        [0.6, 0.8]

    References:
        [1] Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss,
        NeurIPS 2019, arXiv 1906.07413.
    """

    def __init__(
        self,
        units: int,
        *,
        scale: float = 1.0,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = check_integer("units", units, minimum=1)
        self.scale = check_number("scale", scale, minimum=0.0, exclusive=True)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Make one vector a class."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

    def call(self, inputs: Tensor) -> Tensor:
        """Return scaled cosines."""
        return ops.matmul(_unit(inputs, axis=-1), self.scale * _unit(self.kernel, axis=0))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the shape of the input with classes for features."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "scale": self.scale,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
        }


def _unit(x: Tensor, axis: int) -> Tensor:
    """Divide by the norm, which half precision can neither square nor hold the least of.

    A vector of zeros stays one, with a gradient that is not blown up by a norm of nearly 0.
    """
    x = ops.convert_to_tensor(x)
    dtype = keras.backend.standardize_dtype(x.dtype)
    wide = x if dtype == "float64" else ops.cast(x, "float32")
    square = ops.sum(ops.square(wide), axis=axis, keepdims=True)
    square = ops.where(square > 0.0, ops.maximum(square, 1e-12), 1.0)
    return ops.cast(wide * ops.rsqrt(square), dtype)


@keras.saving.register_keras_serializable("tfimbalance")
class OffsetModel(keras.Model):
    """A model of logits, trained with an offset beside its inputs.

    Use it to train on data that was thinned with known probabilities, such as
    `tfimbalance.data.weighted_undersampling` hands out: the offset takes up what thinning did, and
    the model inside, which is the one to serve, is calibrated as it is.

        output = model(x) + offset

    Validate at the natural rate with an offset of 0:
    ``validation_data=((x, np.zeros((len(x), 1))), y)``. Save and serve ``model``, not this.

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
        super().__init__(**kwargs)
        if not isinstance(model, keras.Model):
            raise bad_value(
                "model", expected="a Keras model of logits", received=type(model).__name__
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

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        """Return the logits of ``x`` plus the offset."""
        if not isinstance(inputs, (tuple, list)) or len(inputs) != 2:
            raise bad_value(
                "inputs",
                expected="(x, offset)",
                received=type(inputs).__name__,
                remedy="To predict without an offset, use the model inside: trained.model.",
            )
        x, offset = inputs
        logits = self.model(x, training=training)
        if not _same_shape(logits.shape, offset.shape):
            raise bad_value(
                "offset",
                expected=f"an offset of the shape of the logits, {tuple(logits.shape)}",
                received=f"shape {tuple(offset.shape)}",
                remedy="Of weighted_undersampling, per_class_offset=True makes one number for each "
                "class, False one for a model with one logit, whose shape is (batch, 1).",
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


@keras.saving.register_keras_serializable("tfimbalance")
class Threshold(keras.layers.Layer):
    """Decide: 1 where a probability reaches the threshold, 0 elsewhere.

    Use it as the last layer of what is served; `tfimbalance.callbacks.ThresholdTuner` finds the
    threshold and puts it there. It has no gradient.

    Args:
        threshold: a probability, or one a label.
        **kwargs: as `keras.layers.Layer`.

    Shapes:
        inputs: probabilities, ``(batch, ..., num_labels)``. Returns int32 of the same shape.

    Raises:
        ValueError: for a threshold that is no number.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> tfi.layers.Threshold(0.2)(np.array([[0.1], [0.2]]))[:, 0].numpy().tolist()
        [0, 1]
    """

    def __init__(self, threshold: float | list[float], **kwargs: Any) -> None:
        kwargs = {"dtype": keras.config.floatx(), **kwargs}  # .001 is no number of half precision.
        super().__init__(**kwargs)
        values = np.asarray(threshold, dtype=object)
        if values.ndim > 1 or not values.size:
            raise bad_value(
                "threshold", expected="a number, or one a label", received=repr(threshold)
            )
        numbers = [check_number("threshold", value) for value in values.ravel()]
        self.threshold: float | list[float] = numbers if values.ndim else numbers[0]
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        """Return 0 and 1."""
        self._check_width(inputs)
        threshold = ops.convert_to_tensor(self.threshold, dtype=inputs.dtype)
        return ops.cast(inputs >= threshold, "int32")

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Return the shape of the input, as int32."""
        self._check_width(inputs)
        return keras.KerasTensor(inputs.shape, dtype="int32")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), "threshold": self.threshold}

    def _check_width(self, inputs: Tensor) -> None:
        width = inputs.shape[-1] if len(inputs.shape) > 1 else 1
        if isinstance(self.threshold, list) and width not in (None, len(self.threshold)):
            raise bad_value(
                "threshold",
                expected=f"a number, or one for each of {width} outputs",
                received=f"{len(self.threshold)} numbers",
            )


def _same_shape(one: Any, other: Any) -> bool:
    return len(one) == len(other) and all(
        a is None or b is None or a == b for a, b in zip(one, other, strict=True)
    )
