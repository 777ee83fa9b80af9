"""A monotone function of the score, fitted on held-out rows by scikit-learn."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import FloatArray, bad_value
from tfimbalance._evaluation.rows import Evaluated
from tfimbalance._tensors import Tensor, as_float, compute_dtype
from tfimbalance.calibration._base import check_output_count, is_softmax
from tfimbalance.calibration._fit import FittedCalibration


@keras.saving.register_keras_serializable("tfimbalance")
class IsotonicCalibration(FittedCalibration):
    """Map scores to probabilities by the best monotone function, which `fit` finds.

    Use it where thousands of held-out rows, hundreds of them rare, show a miscalibration that no
    slope and bias mend. It ties scores, and its lowest level is often exactly 0: for log loss,
    `VectorScaling` is safer. scikit-learn's `IsotonicRegression` fits one output at a time; the
    classes of a softmax are scaled to add up to 1.

    Args:
        scores: where the function is known, increasing numbers, a list for each output; `fit`
            sets them.
        probabilities: its values there.
        from_logits: whether logits come. *Probabilities leave in any case.*
        activation, **kwargs: as `FocalCalibration`.

    Shapes:
        inputs: as `FocalCalibration`. Returns the same shape; scores beyond those of the held-out
            rows get the first or last probability.

    Raises:
        ValueError: when called before `fit`; in `fit`, for held-out rows of one class.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> rng = np.random.default_rng(0)
        >>> p = rng.random(20_000)
        >>> layer = tfi.calibration.IsotonicCalibration().fit(rng.random(20_000) < p**2, p)
        >>> abs(float(layer(np.array([[0.5]]))[0, 0]) - 0.25) < 0.05
        True

    References:
        Zadrozny and Elkan, Transforming Classifier Scores into Accurate Multiclass Probability
        Estimates, KDD 2002.
    """

    gives_probabilities = True

    def __init__(
        self,
        scores: Any = None,
        *,
        probabilities: Any = None,
        from_logits: bool = False,
        activation: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(from_logits=from_logits, activation=activation, **kwargs)
        self._functions: list[tuple[FloatArray, FloatArray]] = []
        if scores is not None or probabilities is not None:
            self._set(_lists("scores", scores), _lists("probabilities", probabilities))

    def call(self, inputs: Tensor) -> Tensor:
        """Return the probabilities."""
        if not self._functions:
            raise bad_value(
                "scores", expected="a layer that is fitted", received="none", remedy="Call fit."
            )
        inputs, width = as_float(inputs), len(self._functions)
        check_output_count("scores", width, inputs)
        z = ops.cast(inputs, compute_dtype(keras.backend.standardize_dtype(inputs.dtype)))
        if len(z.shape) < 2:
            p = self._interpolated(z, 0)
        else:
            p = ops.stack([self._interpolated(z[..., k], k) for k in range(width)], axis=-1)
            if is_softmax(z.shape, self.activation):
                total = ops.sum(p, axis=-1, keepdims=True)
                p = ops.where(total > 0.0, ops.divide_no_nan(p, total), 1.0 / width)
        return ops.cast(p, inputs.dtype)

    def _fit(self, rows: Evaluated) -> None:
        from sklearn.isotonic import IsotonicRegression

        if self.built:
            raise bad_value(
                "fit",
                expected="a layer that is in no model yet, as its size depends on the rows",
                received="one that was called",
                remedy="Make and fit a new IsotonicCalibration, and put that into the model.",
            )
        weights = np.broadcast_to(rows.weights, rows.given.shape)
        fitted = [
            IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(
                x, target, sample_weight=weight
            )
            for x, target, weight in zip(rows.given.T, rows.targets.T, weights.T, strict=True)
        ]
        self._set([f.X_thresholds_ for f in fitted], [f.y_thresholds_ for f in fitted])

    @property
    def scores(self) -> list[list[float]] | None:
        """Where the function is known, a list for each output; None before `fit`."""
        return [scores.tolist() for scores, _ in self._functions] or None

    @property
    def probabilities(self) -> list[list[float]] | None:
        """The values of the function there."""
        return [values.tolist() for _, values in self._functions] or None

    def _set(self, scores: list[FloatArray], probabilities: list[FloatArray]) -> None:
        sizes = [len(s) for s in scores], [len(p) for p in probabilities]
        if sizes[0] != sizes[1] or not all(
            len(s) and (np.diff(s) >= 0).all() and np.isfinite(s).all() for s in scores
        ):
            raise bad_value(
                "scores",
                expected="increasing numbers, one list an output, as many as probabilities",
                received=f"lists of {sizes[0]} beside {sizes[1]}",
            )
        self._functions = list(zip(scores, probabilities, strict=True))

    def _interpolated(self, z: Tensor, output: int) -> Tensor:
        scores, probabilities = self._functions[output]
        if len(scores) == 1:
            return ops.full_like(z, float(probabilities[0]))
        x, y = (ops.convert_to_tensor(v, dtype=z.dtype) for v in (scores, probabilities))
        flat = ops.clip(ops.reshape(z, (-1,)), x[0], x[-1])
        left = _last_at_most(x, flat, len(scores) - 1)
        x0, x1, y0, y1 = (ops.take(values, left + step) for values in (x, y) for step in (0, 1))
        share = ops.divide_no_nan(flat - x0, x1 - x0)
        return ops.reshape(y0 + (y1 - y0) * share, ops.shape(z))


def _last_at_most(x: Tensor, values: Tensor, size: int) -> Tensor:
    """Return where the last of the first ``size`` numbers is that is at most each value."""
    # `keras.ops.searchsorted` does not run inside a graph in Keras 3.8.
    found = ops.zeros_like(values, dtype="int32")
    for step in reversed([2**k for k in range(size.bit_length())]):
        ahead = found + step
        fits = ops.take(x, ops.minimum(ahead, size - 1)) <= values
        found = ops.where(ops.logical_and(ahead < size, fits), ahead, found)
    return found


def _lists(argument: str, values: Any) -> list[FloatArray]:
    try:
        return [np.asarray(row, dtype=np.float64).reshape(-1) for row in values]
    except (TypeError, ValueError):
        raise bad_value(
            argument, expected="a list of numbers for each output", received=repr(values)
        ) from None
