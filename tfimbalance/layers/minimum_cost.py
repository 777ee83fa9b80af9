"""Probabilities of several classes -> the decision that costs least."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import FloatArray, bad_value
from tfimbalance._config import config_of
from tfimbalance._tensors import Tensor, as_float


@keras.saving.register_keras_serializable("tfimbalance")
class MinimumCost(keras.layers.Layer):
    """Decide: the class whose expected cost is least.

    Use it as the last layer of what is served, where mistakes between several classes cost
    differently. It needs no tuning, but probabilities that can be trusted: put it behind
    ``plan.corrected(model)``. (Two classes with one output have `Threshold` and
    ``callbacks.ThresholdTuner(objective="cost")``.) It has no gradient.

        decision = argmin over i of  sum over j of  costs[i, j] p[j]                    [1]

    Args:
        costs: ``(decisions, num_classes)``; ``costs[i][j]`` is that of saying i where j is true.
            There may be more decisions than classes, such as "ask a person".
        **kwargs: as `keras.layers.Layer`.

    Shapes:
        inputs: probabilities, ``(batch, ..., num_classes)``. Returns int32, ``(batch, ...)``.

    Raises:
        ValueError: for costs that are no finite table of two decisions or more, or of another
            number of classes than there are inputs.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> decide = tfi.layers.MinimumCost([[0, 1, 50], [1, 0, 50], [2, 2, 0]])
        >>> decide(np.array([[0.9, 0.06, 0.04], [0.7, 0.29, 0.01]])).numpy().tolist()
        [2, 0]

    References:
        [1] Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001.
    """

    def __init__(self, costs: Any, **kwargs: Any) -> None:
        kwargs = {"dtype": keras.config.floatx(), **kwargs}  # .001 is no number of half precision.
        super().__init__(**kwargs)
        self.costs = _cost_table(costs)
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        """Return the number of the decision."""
        inputs = as_float(inputs, "inputs")
        self._check_width(inputs)
        costs = ops.convert_to_tensor(np.transpose(self.costs), dtype=inputs.dtype)
        expected = ops.matmul(inputs, costs)
        least = ops.min(expected, axis=-1, keepdims=True)
        # The first that is least, without `argmax`, which TFLite does not have of every backend.
        number = ops.arange(len(self.costs), dtype="int32")
        return ops.min(ops.where(expected <= least, number, len(self.costs) - 1), axis=-1)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Return the shape of the input without its last axis, as int32."""
        self._check_width(inputs)
        return keras.KerasTensor(inputs.shape[:-1], dtype="int32")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), **config_of(self)}

    def _check_width(self, inputs: Tensor) -> None:
        width, classes = inputs.shape[-1], len(self.costs[0])
        if len(inputs.shape) < 2 or width not in (None, classes):
            raise bad_value(
                "costs",
                expected=f"a column for each class of inputs of shape {tuple(inputs.shape)}",
                received=f"{classes} columns",
                remedy="One output of two classes is decided by Threshold.",
            )


def _cost_table(costs: Any) -> list[list[float]]:
    try:
        table: FloatArray = np.asarray(costs, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.zeros(())
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise bad_value(
            "costs",
            expected="a finite table, a row for each decision and a column for each class",
            received=repr(costs),
            remedy="Row: what is said. Column: what is true.",
        )
    found: list[list[float]] = table.tolist()
    return found
