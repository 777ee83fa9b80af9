"""A slope and a bias for each output, fitted on held-out rows."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import FloatArray, bad_value
from tfimbalance.calibration._base import CalibrationLayer, calibrated, check_output_count, width_of
from tfimbalance.calibration._fit import HeldOut, mean_nats

Tensor = Any

# A slope beyond this: the held-out rows are separated, and every larger one fits better still.
_STEEPEST = 1e3


def vector_scaling(
    y_pred: Any, scale: Any, bias: Any, *, from_logits: bool = False, multi_label: bool = False
) -> Any:
    """Scale and shift the logits of each output; as `VectorScaling`, arrays give arrays.

    Example:
        >>> import tfimbalance as tfi
        >>> z = [[4.0, 2.0]]
        >>> tfi.calibration.vector_scaling(z, [0.5, 1.0], [0.0, 1.0], from_logits=True).tolist()
        [[2.0, 3.0]]
    """
    layer = VectorScaling(scale, bias=bias, from_logits=from_logits, multi_label=multi_label)
    return calibrated(y_pred, layer.change, from_logits=from_logits, multi_label=multi_label)


@keras.saving.register_keras_serializable("tfimbalance")
class VectorScaling(CalibrationLayer):
    """Scale and shift the logits of each output by numbers that `fit` finds on held-out rows.

    Use it where classes are miscalibrated in different ways and there are a few hundred held-out
    rows of the rarest one: `TemperatureScaling` needs fewer. With one output it is Platt's
    scaling, and with ``multi_label=True`` one of those for each label. It moves base rates to
    those of the held-out rows, which must therefore come at their natural rate.

        scale_k z_k + bias_k                                                    [1, section 4.2]

    Args:
        scale: one number an output; `fit` sets them. None: 1.
        bias: one number an output; `fit` sets them. None: 0.
        from_logits: whether logits come (and leave), instead of probabilities.
        multi_label: whether several outputs stand for themselves.
        **kwargs: as `keras.layers.Layer`.

    Shapes:
        inputs: ``(batch, ..., num_classes)``, ``(batch, ..., 1)``, ``(batch,)``, or with
            ``multi_label=True`` ``(batch, ..., num_labels)``. Returns the same shape.

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
        multi_label: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(from_logits=from_logits, multi_label=multi_label, **kwargs)
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

    def fit(self, y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> VectorScaling:
        """Find slopes and biases on held-out rows (in memory, 40 bytes an output), return self.

        Args:
            y_true: labels: 0 and 1, class ids, one-hot or multi-label rows.
            y_pred: what the layer will be given for those rows.
            sample_weight: one number a row, or None.
        """
        from scipy.optimize import minimize

        data = HeldOut.read(
            y_true,
            y_pred,
            sample_weight,
            from_logits=self.from_logits,
            multi_label=self.multi_label,
        )
        # Logits around 0 and of unit size make the problem round, whatever scale they come in.
        center, size = data.logits.mean(axis=0), np.maximum(data.logits.std(axis=0), 1e-12)
        unit = (data.logits - center) / size

        def nats(parameters: FloatArray) -> tuple[float, FloatArray]:
            scale, bias = np.split(parameters, 2)
            value, slope = mean_nats(scale * unit + bias, data)
            return value, np.concatenate([(slope * unit).sum(axis=0), slope.sum(axis=0)])

        start = np.concatenate([size, center])
        options = {"maxiter": 2_000, "ftol": 1e-14, "gtol": 1e-9}
        found = minimize(nats, start, jac=True, method="L-BFGS-B", options=options)
        scale, bias = np.split(found.x, 2)
        if (
            not np.isfinite(found.x).all()
            or np.abs(scale).max() > _STEEPEST
            or data.is_separated(found.fun)
        ):
            raise bad_value(
                "y_pred",
                expected="held-out rows on which the model is sometimes wrong",
                received=f"rows that it separates (cross-entropy {found.fun:.2g})",
                remedy="Hold out more rows, and none that the model was trained on; "
                "TemperatureScaling needs fewer.",
            )
        self.build(data.logits.shape)
        check_output_count("scale", self.scale.shape[0], data.logits)
        self.scale.assign(scale / size)
        self.bias.assign(bias - scale * center / size)
        return self

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments; slopes and biases as they are now."""
        now = {
            name: None if value is None else ops.convert_to_numpy(value).tolist()
            for name, value in (("scale", self.scale), ("bias", self.bias))
        }
        return {**super().get_config(), **now}

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
                initializer=lambda shape, dtype, values=values: ops.convert_to_tensor(
                    values, dtype
                ),
                trainable=False,
            )
            for name, values in (("scale", scale), ("bias", bias))
        )


def _values(argument: str, values: Any) -> FloatArray | None:
    if values is None:
        return None
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if array.ndim != 1 or not np.isfinite(array).all():
        raise bad_value(argument, expected="one finite number an output", received=repr(values))
    return array
