"""What every correction shares: a change of logits, for logits and for probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance._tensors import as_float, compute_dtype, logits_of

Tensor = Any


def width_of(shape: Any) -> int | None:
    """Return how many outputs a row has, from a static shape."""
    return 1 if len(shape) < 2 else shape[-1]


def is_softmax(shape: Any, multi_label: bool) -> bool:
    """Tell classes that exclude one another from outputs that stand alone."""
    return not multi_label and width_of(shape) != 1


def calibrated(
    y_pred: Any, change: Callable[[Tensor], Tensor], *, from_logits: bool, multi_label: bool
) -> Any:
    """Return changed logits for logits, and changed probabilities for probabilities.

    Half precision is computed in float32 and rounded once. What comes as an array leaves as one.
    """
    given = as_tensor(y_pred)
    softmax = is_softmax(given.shape, multi_label)
    dtype = compute_dtype(keras.backend.standardize_dtype(given.dtype))
    z = ops.cast(given, dtype) if from_logits else logits_of(given, softmax=softmax, dtype=dtype)
    z = change(z)
    if not from_logits:
        z = ops.softmax(z, axis=-1) if softmax else ops.sigmoid(z)
    z = ops.cast(z, given.dtype)
    return as_given(z, y_pred)


def as_tensor(y_pred: Any) -> Tensor:
    """Return predictions as a tensor of their own precision; of lists, of the highest."""
    return as_float(y_pred if hasattr(y_pred, "dtype") else np.asarray(y_pred, np.float64))


def as_given(result: Tensor, y_pred: Any) -> Any:
    """Return an array for an array, and a tensor for a tensor."""
    is_tensor = ops.is_tensor(y_pred) or isinstance(y_pred, keras.KerasTensor)
    return result if is_tensor else ops.convert_to_numpy(result)


class CalibrationLayer(keras.layers.Layer):
    """Base of the corrections: a subclass writes `change`, one formula of logits.

    It works in `keras.config.floatx` at least, whatever the global policy: a probability of one in
    a million is no number of half precision.
    """

    # Whether probabilities leave in any case, also where logits come.
    gives_probabilities = False

    def __init__(
        self,
        *,
        from_logits: bool = False,
        multi_label: bool = False,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype=dtype or keras.config.floatx(), **kwargs)
        self.from_logits = bool(from_logits)
        self.multi_label = bool(multi_label)
        self.supports_masking = True

    def change(self, z: Tensor) -> Tensor:
        """Return the corrected logits."""
        raise NotImplementedError

    def call(self, inputs: Tensor) -> Tensor:
        """Return the corrected logits or probabilities."""
        return calibrated(
            inputs, self.change, from_logits=self.from_logits, multi_label=self.multi_label
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "multi_label": self.multi_label,
        }


def check_output_count(argument: str, size: int, z: Tensor) -> None:
    """Raise unless there is one number for each output of ``z``."""
    width = width_of(z.shape)
    if width not in (None, size):
        raise bad_value(
            argument,
            expected=f"{width} numbers, one for each output of shape {tuple(z.shape)}",
            received=f"{size}",
        )
