"""One temperature for all logits, fitted on held-out rows."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import FloatArray, bad_value, check_number
from tfimbalance._evaluation.rows import Evaluated
from tfimbalance._tensors import Tensor
from tfimbalance.calibration._fit import FittedCalibration, is_separated, mean_nats

_COLDEST, _HOTTEST = 1e-3, 1e3


@keras.saving.register_keras_serializable("tfimbalance")
class TemperatureScaling(FittedCalibration):
    """Divide logits by one number, the temperature, which `fit` finds on held-out rows.

    Use it where a model is too confident, or not enough, in all classes alike. It changes no
    ranking and no decision, and cannot move the base rate: undo re-balancing first
    (`PriorCorrection`). Held-out rows must come at their natural rate.

        z / T,  with T at the least cross-entropy of held-out rows              [1, section 4.2]

    Args:
        temperature: T, above 0. `fit` sets it.
        from_logits, activation, **kwargs: as `FocalCalibration`.

    Shapes:
        inputs: as `FocalCalibration`. Returns the same shape.

    Raises:
        ValueError: for a temperature that is not above 0; in `fit`, for held-out rows of one class,
            or rows that the model separates without an error.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=20_000)
        >>> y = rng.random(20_000) < 1 / (1 + np.exp(-z))
        >>> layer = tfi.calibration.TemperatureScaling(from_logits=True).fit(y, 3 * z)
        >>> round(float(layer.temperature))
        3

    References:
        [1] Guo et al., On Calibration of Modern Neural Networks, ICML 2017, arXiv 1706.04599.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        *,
        from_logits: bool = False,
        activation: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(from_logits=from_logits, activation=activation, **kwargs)
        value = check_number("temperature", temperature, minimum=0.0, exclusive=True)
        # A variable: a step or a function that is compiled already sees what `fit` finds.
        start = keras.initializers.Constant(value)
        self.temperature = self.add_weight((), start, trainable=False, name="temperature")

    def change(self, z: Tensor) -> Tensor:
        """Return ``z / T``."""
        return z / ops.cast(self.temperature, z.dtype)

    def _fit(self, rows: Evaluated) -> None:
        from scipy.optimize import minimize_scalar

        logits = rows.logits
        # Relative to how far they spread, so that any scale of logits is the same problem.
        middle = logits.mean(axis=1, keepdims=True) if rows.is_softmax else 0.0
        spread = float(np.abs(logits - middle).mean()) or 1.0
        logits = logits / spread

        def nats(log_inverse: FloatArray) -> float:
            return mean_nats(logits * np.exp(log_inverse), rows)[0]

        # The loss is convex in 1 / T, and so has one minimum in its logarithm.
        bounds = (-np.log(_HOTTEST), -np.log(_COLDEST))
        found = minimize_scalar(nats, bounds=bounds, method="bounded", options={"xatol": 1e-9})
        relative = float(np.exp(-found.x))
        temperature = relative * spread
        if is_separated(found.fun, rows) or not relative < _HOTTEST / 1.01:
            raise bad_value(
                "y_pred",
                expected="held-out rows on which the model is right more and less often, as its "
                "logits say",
                received=f"rows whose best temperature is {temperature:.2g}",
                remedy="Below: the rows are separated without an error, hold out more (and none "
                "that the model was trained on). Above: the logits say nothing of the labels.",
            )
        self.temperature.assign(temperature)
