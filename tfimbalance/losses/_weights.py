"""Class weights -> the weight of each element of a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from tfimbalance._checks import bad_value, check_number, per_class
from tfimbalance._tensors import Tensor


def as_weights(argument: str, weights: Any, dtype: str) -> Tensor | None:
    """Return class weights as a tensor, from a mapping, a sequence, a tensor or a variable."""
    if weights is None:
        return None
    # A variable is read here, never inside a kernel: its gradient function could not hold it.
    if ops.is_tensor(weights) or hasattr(weights, "assign"):
        weights = ops.convert_to_tensor(weights)
        if len(weights.shape) != 1:
            raise bad_value(
                argument,
                expected="one number a class",
                received=f"a tensor of shape {tuple(weights.shape)}",
            )
        return ops.cast(weights, dtype)
    return ops.convert_to_tensor(per_class(argument, weights), dtype=dtype)


def negative_and_positive(weights: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights of targets 0 and 1; any other number than two is one a label's ones."""
    count, width = weights.shape[0], (y_pred.shape[-1] if len(y_pred.shape) > 1 else 1)
    if count == width == 2:
        raise bad_value(
            "class_weight",
            expected="weights that say whether they are of targets 0 and 1, or of two outputs",
            received=f"2 weights for y_pred of shape {tuple(y_pred.shape)}",
            remedy="One-hot rows of two classes take a categorical loss. Two labels a row take "
            "pos_weight=, one a label.",
        )
    if count == 2:
        return weights[0], weights[1]
    if width is not None and count != width:
        raise bad_value(
            "class_weight",
            expected="2 weights (of targets 0 and 1)"
            + (f" or {width} (one a label)" if width > 1 else ""),
            received=f"{count} weights for y_pred of shape {tuple(y_pred.shape)}",
            remedy="Count the labels of this output: tfi.class_weights(labels).",
        )
    return ops.ones_like(weights), weights


def check_width(
    argument: str, count: int, y_pred: Tensor, outputs: str, given: str, remedy: str = ""
) -> None:
    """Raise unless there is one number for each output of the prediction."""
    width = y_pred.shape[-1] if len(y_pred.shape) > 1 else 1
    if width not in (None, count):
        raise bad_value(
            argument,
            expected=f"one for each of {width} {outputs}, as y_pred is {tuple(y_pred.shape)}",
            received=f"{count} {given}",
            remedy=remedy,
        )


def check_weight_count(weights: Tensor, y_pred: Tensor) -> Tensor:
    """Return weights that are one for each class of the prediction's last axis, or raise."""
    remedy = "Count the classes of this output: tfi.class_weights(labels)."
    check_width("class_weight", weights.shape[0], y_pred, "classes", "weights", remedy)
    return weights


def between(y: Tensor, negative: Tensor, positive: Tensor) -> Tensor:
    """Return the weight of each target: ``negative`` at 0, ``positive`` at 1, linear between."""
    return negative + (positive - negative) * y


def checked_pos_weight(pos_weight: Any) -> float | list[float]:
    """Return the weight of the positives as a number, or as one a label."""
    if not isinstance(pos_weight, Mapping) and np.ndim(pos_weight) == 0:
        return check_number("pos_weight", pos_weight, minimum=0.0)
    of_labels: list[float] = per_class("pos_weight", pos_weight).tolist()
    return of_labels


def of_positives(pos_weight: Any, z: Tensor) -> Any:
    """Return a number, or one a label as a tensor, checked against the width of the prediction."""
    weight = checked_pos_weight(pos_weight)
    if isinstance(weight, float):
        return weight
    check_width("pos_weight", len(weight), z, "labels", "numbers")
    return ops.convert_to_tensor(weight, dtype=z.dtype)
