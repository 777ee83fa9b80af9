"""Tensors of any Keras backend: dtypes that hold them, shapes that fit, logits of probabilities."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import bad_value

Tensor = Any

_SMALLEST_NORMAL = {
    "float16": 2.0**-14,
    "bfloat16": 2.0**-126,
    "float32": 2.0**-126,
    "float64": 2.0**-1022,
}
# The step of half precision between 1 and the number below it.
_STEP_BELOW_1 = {"float16": 2.0**-11, "bfloat16": 2.0**-8}


try:
    _keras_mask = importlib.import_module("keras.src.backend").get_keras_mask
except (ImportError, AttributeError):
    _keras_mask = None


def mask_of(x: Tensor) -> Tensor | None:
    """Return the mask that Keras keeps beside a tensor, or None.

    Tensors of a step that JAX compiles hold no attributes: Keras notes their masks in private.
    """
    return getattr(x, "_keras_mask", None) if _keras_mask is None else _keras_mask(x)


def compute_dtype(dtype: str) -> str:
    """Half precision is computed in float32 and rounded once, at the end."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def as_numbers(argument: str, x: Any, dtype: str | None = None) -> Tensor:
    """Return a dense tensor of flags or real numbers, or raise where a backend would."""
    name = type(x).__name__
    received = f"a {name}"
    if name not in ("SparseTensor", "RaggedTensor"):
        with contextlib.suppress(TypeError, ValueError):
            x = x if ops.is_tensor(x) else ops.convert_to_tensor(x, dtype=dtype)
            kind = keras.backend.standardize_dtype(x.dtype)
            if kind != "string" and "complex" not in kind:
                return x
            received = f"values of dtype {kind}"
    raise bad_value(
        argument,
        expected="a dense array of real numbers",
        received=received,
        remedy="Number the words and fill the gaps in the dataset, and make sparse rows dense.",
    )


def as_float(x: Any, argument: str = "y_pred") -> Tensor:
    """Return a floating-point tensor; lists and integers become Keras' float type."""
    floatx = keras.config.floatx()
    x = as_numbers(argument, x, None if hasattr(x, "dtype") else floatx)
    if len(x.shape) > 1 and x.shape[-1] == 0:
        shape = tuple(x.shape)
        raise bad_value(argument, expected="at least one output a row", received=f"shape {shape}")
    return x if "float" in keras.backend.standardize_dtype(x.dtype) else ops.cast(x, floatx)


def tiny(x: Tensor) -> float:
    """Smallest normal number of a tensor's dtype: keeps an underflowed denominator from being 0."""
    return _SMALLEST_NORMAL[keras.backend.standardize_dtype(x.dtype)]


def logits_of(probabilities: Tensor, *, softmax: bool, dtype: str) -> Tensor:
    """Return logits of probabilities that come without: log p of a softmax, log p / (1 - p) else.

    Logarithms are of a floor at least, which bounds them; unlike clipping, that leaves the gradient
    of a confident mistake. The floor is the square root of the smallest normal number, so that its
    inverse still has half of the exponent's range to spare for weights and loss scales. In half
    precision it is the step between 1 and the number below it: what rounding hides.
    """
    came_as = keras.backend.standardize_dtype(probabilities.dtype)
    p = ops.cast(probabilities, dtype)
    # Sums of probabilities round to a little more than 1. What is further out is no probability,
    # and becomes NaN rather than a number that looks right.
    outside = p - ops.clip(p, 0.0, 1.0)
    p = p - ops.stop_gradient(ops.where(ops.abs(outside) < 1e-2, outside, 0.0))
    floor = tiny(p) ** 0.5
    # Of the small numbers that float16 has, the inverses would be too large for it.
    log_p = _log_of_at_least(p, _STEP_BELOW_1[came_as] if came_as == "float16" else floor)
    if softmax:
        return log_p
    return log_p - _log_of_at_least(1.0 - p, _STEP_BELOW_1.get(came_as, floor))


def _log_of_at_least(x: Tensor, floor: float) -> Tensor:
    """Return ``log(max(x, floor))`` with a gradient below the floor, too; NaN below 0."""
    # Compared, not `ops.maximum`: on PyTorch Keras takes that in float32, where floors may be 0.
    lift = ops.where(ops.logical_and(x >= 0.0, x < floor), floor - x, 0.0)
    return ops.log(x + ops.stop_gradient(lift))


def align(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Give a target the shape of its prediction: ``(batch,)`` beside ``(batch, 1)``, and back.

    Left alone those two would silently broadcast to ``(batch, batch)``.
    """
    true_rank, pred_rank = len(y_true.shape), len(y_pred.shape)
    if true_rank == pred_rank - 1 and y_pred.shape[-1] == 1:
        y_true = ops.expand_dims(y_true, -1)
    elif true_rank == pred_rank + 1 and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    found, wanted = tuple(y_true.shape), tuple(y_pred.shape)
    check_shapes(found, wanted, y_true, y_pred)
    if None in found[1:] + wanted[1:] and found[1:] != wanted[1:]:
        # Sizes that are known only when it runs: there a reshape fails, and never broadcasts.
        y_true = ops.reshape(y_true, ops.shape(y_pred))
    return y_true


def widened(ids: Tensor) -> Tensor:
    """Return flags and integers of few bits as int32, in which they compare with any number."""
    small = ("bool", "int8", "uint8", "int16", "uint16")
    return ops.cast(ids, "int32") if keras.backend.standardize_dtype(ids.dtype) in small else ids


def concrete(x: Tensor) -> np.ndarray | None:
    """Return the value of a tensor, or None while a graph is being traced, where it has none."""
    if type(x).__module__.startswith("tensorflow.") and not hasattr(x, "numpy"):
        return None  # NumPy would warn before it refuses.
    try:
        return np.asarray(ops.convert_to_numpy(x))
    except Exception:  # Every backend refuses in an exception of its own.
        return None


def refuse_values(argument: str, given: Tensor, bad: Tensor, expected: str, remedy: str) -> None:
    """Raise for values that are bad, unless a graph is being traced, where they are not known."""
    found = concrete(bad)
    if found is not None and found.any():
        values = np.asarray(ops.convert_to_numpy(given)[found], np.float64)
        first = values[0] if values.ndim > 1 else np.unique(values)[:5]
        raise bad_value(
            argument,
            expected=expected,
            received=", ".join(
                f"{value:.0f}" if value % 1 == 0 else f"{value:g}" for value in np.ravel(first)[:8]
            ),
            remedy=remedy,
        )


def is_class(ids: Tensor, num_classes: Any) -> Tensor:
    """Return which ids, in the dtype in which they came, are whole numbers of a class."""
    # A bound that a small integer cannot hold would wrap around: 256 is 0 in uint8.
    ids = widened(ids)
    below = ids < ops.cast(num_classes, ids.dtype)
    inside = ops.logical_and(ids >= 0, below)
    if "float" in keras.backend.standardize_dtype(ids.dtype):
        inside = ops.logical_and(inside, ids == ops.floor(ids))
    return inside


def is_sparse(y_true: Tensor, y_pred: Tensor) -> bool:
    """Tell class ids from one-hot rows and from elements of 0 and 1, by static shape alone."""
    true_rank, pred_rank = len(y_true.shape), len(y_pred.shape)
    if pred_rank == 0 or y_pred.shape[-1] == 1:
        return False
    if true_rank == pred_rank and y_true.shape[-1] is None:
        raise bad_value(
            "y_true",
            expected="a last axis of known size, which tells class ids (1) from one-hot rows "
            f"({y_pred.shape[-1]})",
            received=f"static shape {tuple(y_true.shape)}",
            remedy="Say it in the dataset: .map(lambda x, y: (x, tf.ensure_shape(y, [None, 1]))).",
        )
    return true_rank == pred_rank - 1 or (true_rank == pred_rank and y_true.shape[-1] == 1)


def sparse_targets(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Give class ids the shape of the prediction without its class axis, in their own dtype."""
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    check_shapes(tuple(y_true.shape), tuple(y_pred.shape[:-1]), y_true, y_pred)
    return y_true


def sparse_ids(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Give class ids the shape of the prediction without its class axis, as integers."""
    return ops.cast(sparse_targets(y_true, y_pred), "int32")


def check_shapes(
    found: tuple[int | None, ...], wanted: tuple[int | None, ...], y_true: Tensor, y_pred: Tensor
) -> None:
    """Raise unless two static shapes agree wherever both are known."""
    agree = len(found) == len(wanted) and all(
        a is None or b is None or a == b for a, b in zip(found, wanted, strict=True)
    )
    if not agree:
        raise bad_value(
            "y_true",
            expected=f"a shape of {wanted}, to go with y_pred of shape {tuple(y_pred.shape)}",
            received=f"shape {tuple(y_true.shape)}",
            remedy="Integer ids go with the sparse losses, one-hot rows with the categorical ones.",
        )


def operation_of(tensor: Tensor) -> Any:
    """Return what made a TensorFlow graph tensor, looking through casts; None elsewhere."""
    # An eager tensor raises AttributeError; mixed precision puts a cast behind the activation.
    operation: Any = getattr(tensor, "op", None)
    while getattr(operation, "type", None) == "Cast":
        operation = operation.inputs[0].op
    return operation


def is_linear(y_pred: Tensor) -> bool:
    """Tell the output of a linear layer: taken for probabilities, half of it is negative."""
    operation = operation_of(y_pred)
    kind = getattr(operation, "type", None)
    inputs = [tensor.op.type for tensor in operation.inputs] if kind == "AddV2" else [kind]
    return bool({"MatMul", "BatchMatMulV2", "BiasAdd"} & set(inputs))


def row_weights(sample_weight: Any, rows: Tensor) -> Tensor:
    """Give weights the rank of the rows, of which each has one (or one weight is that of all)."""
    weight = like_rows(sample_weight, rows)
    if not all(w in (1, r) or None in (w, r) for w, r in zip(weight.shape, rows.shape)):
        raise bad_value(
            "sample_weight",
            expected=f"a weight a row, to go with rows of shape {tuple(rows.shape)}",
            received=f"shape {tuple(weight.shape)}",
            remedy="Labels of a row cannot weigh differently; give each its output.",
        )
    return weight


def like_rows(sample_weight: Any, values: Tensor) -> Tensor:
    """Give a weight a row the rank of the values, from the left, where broadcasting goes right."""
    sample_weight = as_numbers("sample_weight", sample_weight)
    extra = len(sample_weight.shape) - len(values.shape)
    if extra == 1 and sample_weight.shape[-1] == 1:
        return ops.squeeze(sample_weight, -1)
    if extra > 0:
        raise bad_value(
            "sample_weight",
            expected=f"a weight a row, of rank {len(values.shape)} at most",
            received=f"shape {tuple(sample_weight.shape)}",
            remedy="Labels of a row cannot weigh differently; give each its output.",
        )
    for _ in range(-extra):
        sample_weight = ops.expand_dims(sample_weight, -1)
    return sample_weight
