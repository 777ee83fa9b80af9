"""A slope and a bias for each output, fitted on held-out rows."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import FloatArray, bad_value
from tfimbalance._evaluation.rows import Evaluated
from tfimbalance._tensors import Tensor
from tfimbalance.calibration._base import check_output_count, width_of
from tfimbalance.calibration._fit import FittedCalibration, is_separated, mean_nats

# A slope beyond this: the held-out rows are separated, and every larger one fits better still.
_STEEPEST = 1e3


@keras.saving.register_keras_serializable("tfimbalance")
class VectorScaling(FittedCalibration):
    """Scale and shift the logits of each output by numbers that `fit` finds on held-out rows.

    Use it where classes are miscalibrated in different ways and there are a few hundred held-out
    rows of the rarest one; `TemperatureScaling` needs fewer. One output is Platt's scaling, as is
    each label of ``activation="sigmoid"``. It moves base rates to those of the held-out rows, which
    must come at their natural rate.

        scale_k z_k + bias_k                                                    [1, section 4.2]

    Args:
        scale: one number an output; `fit` sets them. None: 1.
        bias: one number an output; `fit` sets them. None: 0.
        from_logits, activation, **kwargs: as `FocalCalibration`.

    Shapes:
        inputs: as `FocalCalibration`. Returns the same shape.

    Raises:
        ValueError: for numbers that do not fit the outputs; in `fit`, for held-out rows of one
            class, or rows that the model separates without an error.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=20_000) - 3
        >>> y = rng.random(20_000) < 1 / (1 + np.exp(-z))
        >>> layer = tfi.calibration.VectorScaling(from_logits=True).fit(y, 2 * z + 5)
        >>> round(float(layer.scale[0]), 1), round(float(layer.bias[0]), 1)
        (0.5, -2.5)

    References:
        [1] Guo et al., On Calibration of Modern Neural Networks, ICML 2017, arXiv 1706.04599.
        Platt, Probabilistic Outputs for Support Vector Machines, 1999.
    """

    def __init__(
        self,
        scale: Any = None,
        *,
        bias: Any = None,
        from_logits: bool = False,
        activation: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(from_logits=from_logits, activation=activation, **kwargs)
        self.scale: Any = None
        self.bias: Any = None
        if scale is not None or bias is not None:
            self._make(_values("scale", scale), _values("bias", bias))

    def build(self, input_shape: Any) -> None:
        """Make a slope and a bias for each output, variables that a compiled step reads."""
        if self.scale is None:
            self._make(np.ones(width_of(input_shape) or 1), None)

    def change(self, z: Tensor) -> Tensor:
        """Return ``scale * z + bias``."""
        self.build(z.shape)
        check_output_count("scale", self.scale.shape[0], z)
        scale, bias = (ops.cast(ops.convert_to_tensor(v), z.dtype) for v in (self.scale, self.bias))
        return scale * z + bias

    def _fit(self, rows: Evaluated) -> None:
        from scipy.optimize import minimize

        logits = rows.logits
        # Logits around 0 and of unit size make the problem round, whatever scale they come in.
        center, size = logits.mean(axis=0), np.maximum(logits.std(axis=0), 1e-12)
        unit = (logits - center) / size

        def nats(parameters: FloatArray) -> tuple[float, FloatArray]:
            scale, bias = np.split(parameters, 2)
            value, slope = mean_nats(scale * unit + bias, rows)
            return value, np.concatenate([(slope * unit).sum(axis=0), slope.sum(axis=0)])

        start = np.concatenate([size, center])
        options = {"maxiter": 2_000, "ftol": 1e-14, "gtol": 1e-9}
        found = minimize(nats, start, jac=True, method="L-BFGS-B", options=options)
        scale, bias = np.split(found.x, 2)
        steep = not np.isfinite(found.x).all() or np.abs(scale).max() > _STEEPEST
        if steep or is_separated(found.fun, rows):
            raise bad_value(
                "y_pred",
                expected="held-out rows on which the model is sometimes wrong",
                received=f"rows that it separates (cross-entropy {found.fun:.2g})",
                remedy="Hold out more rows, and none that the model was trained on; "
                "TemperatureScaling needs fewer.",
            )
        if (scale < 0).any():
            warnings.warn(
                f"VectorScaling: the fitted slopes {np.round(scale / size, 3).tolist()} turn a "
                "ranking around: the model ranks these held-out rows backwards, or they are too "
                "few. Look at its ROC-AUC on them, and hold out more.",
                stacklevel=3,
            )
        self.build(logits.shape)
        check_output_count("scale", self.scale.shape[0], logits)
        self.scale.assign(scale / size)
        self.bias.assign(bias - scale * center / size)

    def _make(self, scale: FloatArray | None, bias: FloatArray | None) -> None:
        scale = np.ones(len(bias)) if scale is None and bias is not None else scale
        assert scale is not None  # One of the two is given.
        bias = np.zeros(len(scale)) if bias is None else bias
        if len(scale) != len(bias):
            raise bad_value(
                "bias", expected=f"{len(scale)} numbers, as many as scale", received=f"{len(bias)}"
            )
        self.scale, self.bias = (
            self.add_weight(
                name=name,
                shape=values.shape,
                initializer=keras.initializers.Constant(values),
                trainable=False,
            )
            for name, values in (("scale", scale), ("bias", bias))
        )


def _values(argument: str, values: Any) -> FloatArray | None:
    if values is None:
        return None
    try:
        array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        array = np.zeros((0, 0))
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise bad_value(argument, expected="one finite number an output", received=repr(values))
    return array
