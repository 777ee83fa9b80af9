"""What reaches a loss -> logits and targets of matching shape, in a dtype that can hold them."""

from __future__ import annotations

import warnings

import keras
from keras import ops

from tfimbalance._checks import check_flag
from tfimbalance._tensors import Tensor, as_float, compute_dtype, is_linear, logits_of, operation_of


def to_logits(
    y_pred: Tensor, *, from_logits: bool, activation: str, dtype: str | None = None
) -> Tensor:
    """Return logits for predictions that are logits, or probabilities after ``activation``.

    Logits behind probabilities are taken from the tensor, where Keras' activations leave them, or
    from the operation that made it; else `logits_of` computes them.
    """
    from_logits = check_flag("from_logits", from_logits)
    y_pred = as_float(y_pred)
    dtype = dtype or compute_dtype(keras.backend.standardize_dtype(y_pred.dtype))
    found = _recovered(y_pred, activation)
    if from_logits:
        if found is not None:
            of = f"is the output of a {activation.lower()}"
            _warn_of_end(of, "logits", "from_logits=False to the loss")
        return ops.cast(y_pred, dtype)
    if found is not None:
        return ops.cast(found, dtype)
    if is_linear(y_pred):
        of = "looks like the output of a linear layer"
        _warn_of_end(of, "probabilities", "from_logits=True to the loss")
    return logits_of(y_pred, softmax=activation == "Softmax", dtype=dtype)


def _recovered(y_pred: Tensor, activation: str) -> Tensor | None:
    """Return the logits behind a prediction, from a TensorFlow graph or from Keras' mark."""
    operation = operation_of(y_pred)
    kind = getattr(operation, "type", None)
    if kind == activation and len(operation.inputs) == 1:
        return operation.inputs[0]
    if kind in ("Sigmoid", "Softmax"):
        of = f"is the output of a {kind.lower()}"
        _warn_of_end(of, f"that of a {activation.lower()}", "it to a loss of its kind")
        return None
    return getattr(y_pred, "_keras_logits", None)


def _warn_of_end(what: str, taken_for: str, remedy: str) -> None:
    warnings.warn(
        f"y_pred {what}, but the loss takes it for {taken_for}. Pass {remedy}, or change the end "
        "of the model.",
        stacklevel=3,
    )
