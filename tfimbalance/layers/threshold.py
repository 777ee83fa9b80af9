"""Probabilities -> decisions."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import bad_value, check_number
from tfimbalance._config import config_of
from tfimbalance._tensors import Tensor, as_float


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
        inputs = as_float(inputs, "inputs")
        self._check_width(inputs)
        threshold = ops.convert_to_tensor(self.threshold, dtype=inputs.dtype)
        return ops.cast(inputs >= threshold, "int32")

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Return the shape of the input, as int32."""
        self._check_width(inputs)
        return keras.KerasTensor(inputs.shape, dtype="int32")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), **config_of(self)}

    def _check_width(self, inputs: Tensor) -> None:
        width = inputs.shape[-1] if len(inputs.shape) > 1 else 1
        if isinstance(self.threshold, list) and width not in (None, len(self.threshold)):
            raise bad_value(
                "threshold",
                expected=f"a number, or one for each of {width} outputs",
                received=f"{len(self.threshold)} numbers",
            )
