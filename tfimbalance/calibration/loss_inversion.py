"""What a model learned under any differentiable binary loss -> probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import FloatArray, bad_value
from tfimbalance._tensors import Tensor, as_float, compute_dtype, logits_of
from tfimbalance.calibration._base import CalibrationLayer

# Where a loss is tried out.
_LOGITS = np.linspace(-12.0, 12.0, 601)
# Posteriors are read off a table, so that what is served holds no derivative of a loss: from logit
# -_LARGEST to _LARGEST, beyond which they are no numbers of float32, by exact steps.
_LARGEST, _PER_LOGIT = 96, 64


@keras.saving.register_keras_serializable("tfimbalance")
class LossCalibration(CalibrationLayer):
    """Turn what a model learned under any differentiable binary loss into probabilities.

    Use it where no formula is at hand: focal losses with label smoothing, asymmetric losses without
    a margin, Keras' own, yours. It undoes class weights and label smoothing inside the loss too. At
    the population's minimum both derivatives of the loss, weighed by the posterior, add up to 0:

        eta = l_neg'(z) / (l_neg'(z) - l_pos'(z))          [derivatives in the logit; 1, theorem 6]

    Args:
        loss: a Keras loss (instance, config or name) whose value for a row depends on that row
            alone.
        from_logits: whether logits come, instead of the probabilities of a sigmoid.
            *Probabilities leave in any case.*
        loss_from_logits: whether the loss itself compares logits; needed for losses of your own.
            None: losses with an argument ``from_logits`` take them, others of Keras do not.
        **kwargs: as `keras.layers.Layer`.

    Shapes:
        inputs: ``(batch,)``, ``(batch, 1)``, or of several labels under the same loss,
            ``(batch, ..., num_labels)``. Returns the same shape.

    Raises:
        ValueError: for a loss that is flat somewhere (hinge losses, `AsymmetricLoss` with a
            margin), whose minimiser does not increase with the posterior, that compares rows with
            one another (`PairwiseAUCLoss`), or that takes classes.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> layer = tfi.calibration.LossCalibration(keras.losses.MeanSquaredError())
        >>> round(float(layer(np.array([[0.0]]))[0, 0]), 3)
        0.5

    References:
        [1] Reid and Williamson, Composite Binary Losses, JMLR 2010, arXiv 0912.3301.
    """

    gives_probabilities = True

    def __init__(
        self,
        loss: Any,
        *,
        from_logits: bool = True,
        loss_from_logits: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(from_logits=from_logits, activation="sigmoid", **kwargs)
        try:
            self.loss = keras.losses.get(loss)
        except (TypeError, ValueError):
            self.loss = None
        if not callable(self.loss):
            raise bad_value(
                "loss",
                expected="a loss that a model was trained with, or its name",
                received=repr(loss),
                remedy='Such as tfi.losses.BinaryFocalLoss() or "binary_focal_crossentropy".',
            )
        self.loss_from_logits = loss_from_logits
        self._of_logits, self._takes_logits = _of_logits(self.loss, loss_from_logits)
        self._check()
        self._table = self._posteriors()

    def call(self, inputs: Tensor) -> Tensor:
        """Return the probabilities."""
        z = as_float(inputs)
        if not self.from_logits:
            z = logits_of(z, softmax=False, dtype=keras.backend.standardize_dtype(z.dtype))
        given = keras.backend.standardize_dtype(z.dtype)
        z = ops.clip(ops.cast(z, compute_dtype(given)), -_LARGEST, _LARGEST) * _PER_LOGIT
        step = ops.floor(ops.where(z == z, z, 0.0))  # NaN has no place, and stays NaN.
        t, at = z - step, ops.cast(step, "int32") + _LARGEST * _PER_LOGIT
        # Through the two nearest steps on each side (Lagrange); the table begins one before.
        weights = (
            -t * (t - 1.0) * (t - 2.0) / 6.0,
            (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
            -t * (t + 1.0) * (t - 2.0) / 2.0,
            t * (t + 1.0) * (t - 1.0) / 6.0,
        )
        table = ops.convert_to_tensor(self._table, dtype=z.dtype)
        near = [weight * ops.take(table, at + place) for place, weight in enumerate(weights)]
        # Where labels are smoothed no probability learns a logit beyond those of 0 and 1.
        return ops.cast(ops.clip(sum(near), 0.0, 1.0), given)

    def _posteriors(self) -> FloatArray:
        """Return the posterior at each step of the table."""
        steps = np.arange(-_LARGEST * _PER_LOGIT - 1, _LARGEST * _PER_LOGIT + 3)
        z = ops.convert_to_tensor(steps / _PER_LOGIT, dtype=self._loss_dtype())
        negative, positive = (
            np.asarray(ops.convert_to_numpy(self._slope(z, ops.full_like(z, y))), np.float64)
            for y in (0.0, 1.0)
        )
        # Where both slopes have faded out, the logit alone says which it is.
        total = negative - positive
        sure = (steps > 0).astype(np.float64)
        return np.clip(np.divide(negative, total, out=sure, where=total != 0), 0.0, 1.0)

    def _loss_dtype(self) -> str:
        # In float32 at least: rounded to bfloat16, a row would seem to depend on the others.
        return compute_dtype(getattr(self._of_logits, "dtype", None) or self.compute_dtype)

    def _slope(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the slopes at logits for targets y, or those in p for a loss of probabilities."""
        # The factor p (1 - p) is then missing: it would cancel, but it fades to 0.
        column, targets = (ops.reshape(t, (-1, 1)) for t in (z, y))
        # Adding 0 takes the logits off the tensor, that Keras' losses would find on it.
        given = column if self._takes_logits else ops.sigmoid(column) + 0.0

        def values(given: Tensor) -> Tensor:
            found = getattr(self._of_logits, "call", self._of_logits)(targets, given)
            if len(found.shape) == 2 and found.shape[-1] == 1:
                found = ops.squeeze(found, -1)
            if len(found.shape) != 1:
                raise bad_value(
                    "loss",
                    expected="a binary loss that gives each row its own value",
                    received=f"{_loss_name(self.loss)}, which gives shape {tuple(found.shape)}",
                    remedy="A loss of pairs or of the whole batch learns no probability.",
                )
            return found

        return ops.reshape(slopes(values, given), ops.shape(z))

    def _check(self) -> None:
        """Try the loss out, and say where it cannot be inverted."""
        z = ops.convert_to_tensor(_LOGITS, dtype=self._loss_dtype())
        mixed = ops.cast(ops.arange(len(_LOGITS)) % 2, z.dtype)
        try:
            negative, positive, together = (
                np.asarray(ops.convert_to_numpy(self._slope(z, y)), np.float64)
                for y in (ops.zeros_like(z), ops.ones_like(z), mixed)
            )
        except Exception as error:  # Whatever a loss raises that is given what it does not take.
            raise bad_value(
                "loss",
                expected="a loss of one logit and a target of 0 or 1",
                received=f"{_loss_name(self.loss)}: {str(error)[:300]}",
                remedy="Losses of several classes have FocalCalibration and PriorCorrection.",
            ) from error
        apart = np.where(ops.convert_to_numpy(mixed) == 1, positive, negative)
        if not np.allclose(together, apart, rtol=1e-3, atol=1e-6):
            raise bad_value(
                "loss",
                expected="a loss whose value for a row depends on that row alone",
                received=f"{_loss_name(self.loss)}, which compares rows",
                remedy="A loss of pairs learns an order: fit VectorScaling on held-out rows.",
            )
        self._check_slopes(negative, positive)

    def _check_slopes(self, negative: FloatArray, positive: FloatArray) -> None:
        # The posterior's logit, where it has one: smoothed labels put it out of reach at the ends.
        with np.errstate(invalid="ignore", divide="ignore"):
            rising = np.diff(np.log(negative) - np.log(-positive))
        flat = (negative == 0) | (positive == 0) | ~np.isfinite(negative - positive)
        if flat.any() or (rising <= 0).any() or not (rising > 0).any():
            at = int(np.flatnonzero(flat if flat.any() else ~(rising > 0))[0])
            raise bad_value(
                "loss",
                expected="a loss that can be inverted",
                received=f"{_loss_name(self.loss)}: at a logit of {_LOGITS[at]:.2f} its values for "
                f"0 and 1 have slopes {negative[at]:.3g} and {positive[at]:.3g}, "
                + ("and tell nothing" if flat.any() else "as at another logit"),
                remedy="Calibrate on held-out rows instead: VectorScaling or IsotonicCalibration. "
                "AsymmetricLoss needs margin=0; losses of several classes have FocalCalibration "
                "and PriorCorrection.",
            )


def _of_logits(loss: Any, said: bool | None) -> tuple[Any, bool]:
    """Return the loss made to take logits where it can, and whether it does."""
    config = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
    if "from_logits" in config:
        return type(loss).from_config({**config, "from_logits": True}), True
    if isinstance(config.get("loss"), dict):  # A loss around another.
        inner, takes_logits = _of_logits(loss.loss, said)
        stored = keras.saving.serialize_keras_object(inner)
        return type(loss).from_config({**config, "loss": stored}), takes_logits
    own = not str(getattr(loss, "__module__", "")).startswith(("keras.", "tfimbalance."))
    if said is None and (own and type(loss).__module__.split(".")[0] not in ("keras",)):
        raise bad_value(
            "loss_from_logits",
            expected="True or False for a loss that does not say what it compares",
            received=f"None, for {_loss_name(loss)}",
            remedy="True if it takes logits, False if it takes probabilities.",
        )
    return loss, bool(said)


def _loss_name(loss: Any) -> str:
    return repr(getattr(loss, "name", None) or getattr(loss, "__name__", loss))


def slopes(values: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Return the derivative of ``values(z)``, each of which depends on its own ``z`` alone."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(z)
            total = tf.reduce_sum(values(z))
        return tape.gradient(total, z, unconnected_gradients="zero")
    if backend == "jax":
        import jax

        return jax.grad(lambda given: values(given).sum())(z)
    if backend == "torch":
        import torch

        with torch.enable_grad():
            given = z.detach().requires_grad_()
            return torch.autograd.grad(values(given).sum(), given)[0]
    raise NotImplementedError(f"No derivative of a loss on the {backend!r} backend.")
