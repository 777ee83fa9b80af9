"""What every correction shares: a change of logits, for logits and for probabilities."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value, check_choice, check_flag
from tfimbalance._config import config_of
from tfimbalance._tensors import Tensor, as_float, as_numbers, compute_dtype, logits_of


def width_of(shape: Any) -> int | None:
    """Return how many outputs a row has, from a static shape."""
    return 1 if len(shape) < 2 else shape[-1]


def check_activation(activation: Any) -> str | None:
    """Return ``activation`` if it is one of a last layer, or None."""
    if activation is None:
        return None
    return check_choice("activation", activation, ("sigmoid", "softmax"))


def is_softmax(shape: Any, activation: str | None) -> bool:
    """Tell classes that exclude one another from outputs that stand alone."""
    width = width_of(shape)
    if activation == "softmax" and width == 1:
        raise bad_value(
            "activation",
            expected='"sigmoid" or None for one output',
            received=f'"softmax", shape {tuple(shape)}',
        )
    return activation != "sigmoid" and width != 1


class CalibrationLayer(keras.layers.Layer):
    """Base of the corrections: a subclass writes `change`, one formula of logits."""

    # Whether probabilities leave in any case, also where logits come.
    gives_probabilities = False

    def __init__(
        self,
        *,
        from_logits: bool = False,
        activation: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        # Whatever the policy: a probability of one in a million is no number of half precision.
        super().__init__(dtype=dtype or keras.config.floatx(), **kwargs)
        self.from_logits = check_flag("from_logits", from_logits)
        self.activation = check_activation(activation)
        self.supports_masking = True

    def change(self, z: Tensor) -> Tensor:
        """Return the corrected logits."""
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        """Return corrected logits for logits, and corrected probabilities for probabilities.

        Half precision is computed in float32 and rounded once. An array gives an array.
        """
        # Lists are read in the highest precision.
        listed = None if hasattr(inputs, "dtype") else "float64"
        given = as_float(as_numbers("y_pred", inputs, listed))
        softmax = is_softmax(given.shape, self.activation)
        dtype = compute_dtype(keras.backend.standardize_dtype(given.dtype))
        if self.from_logits:
            z = self.change(ops.cast(given, dtype))
        else:
            z = self.change(logits_of(given, softmax=softmax, dtype=dtype))
            z = ops.softmax(z, axis=-1) if softmax else ops.sigmoid(z)
        z = ops.cast(z, given.dtype)
        is_tensor = ops.is_tensor(inputs) or isinstance(inputs, keras.KerasTensor)
        return z if is_tensor else ops.convert_to_numpy(z)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, as they are now."""
        return {**super().get_config(), **config_of(self)}


def check_output_count(argument: str, size: int, z: Tensor) -> None:
    """Raise unless there is one number for each output of ``z``."""
    width = width_of(z.shape)
    if width not in (None, size):
        raise bad_value(
            argument,
            expected=f"{width} numbers, one for each output of shape {tuple(z.shape)}",
            received=f"{size}",
        )
