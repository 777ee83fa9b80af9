"""A last layer whose outputs are cosines."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value, check_integer, check_number
from tfimbalance._config import config_of
from tfimbalance._tensors import Tensor, as_float


@keras.saving.register_keras_serializable("tfimbalance")
class CosineClassifier(keras.layers.Layer):
    """Last layer whose outputs are cosines: of a row's features with a vector of each class.

    Use it in front of `tfimbalance.losses.LDAMLoss`, whose margins are differences of cosines, and
    wherever the norms of class vectors would grow with the number of rows of the class. It has no
    bias, which would favour frequent classes again.

        output[k] = scale * <x / |x|, w_k / |w_k|>                                  [1, section 4]

    Args:
        units: number of classes.
        scale: what the cosines are multiplied by: 1 for `LDAMLoss`, which has a scale of its own,
            and 10 to 30 for other losses, as a softmax of cosines is nearly uniform.
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
        if self.units >= 2**31:
            raise bad_value(
                "units",
                expected="fewer than 2**31",
                received=units if self.units < 2**63 else "more than 2**63",
            )
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
        inputs = as_float(inputs, "inputs")
        return ops.matmul(_unit(inputs, axis=-1), self.scale * _unit(self.kernel, axis=0))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the shape of the input with classes for features."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), **config_of(self)}


def _unit(x: Tensor, axis: int) -> Tensor:
    """Divide by the norm, computed in float32; a vector of zeros keeps a gradient of its size."""
    x = ops.convert_to_tensor(x)
    dtype = keras.backend.standardize_dtype(x.dtype)
    wide = x if dtype == "float64" else ops.cast(x, "float32")
    square = ops.sum(ops.square(wide), axis=axis, keepdims=True)
    square = ops.where(square > 0.0, ops.maximum(square, 1e-12), 1.0)
    return ops.cast(wide * ops.rsqrt(square), dtype)
