"""Labels and weights of any shape -> those of the rows of predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfimbalance._checks import FloatArray, bad_value, check_mark, check_weights
from tfimbalance._labels import as_array, class_ids, zero_one

# What stands for a label that is not known, of several a row.
UNKNOWN = -1


def as_numpy(x: Any) -> Any:
    """Return a tensor as NumPy, and anything else as it is."""
    return ops.convert_to_numpy(x) if ops.is_tensor(x) else x


def read_labels(
    y_true: Any,
    sample_weight: Any,
    mask: Any,
    ignore_class: int | None,
    each: tuple[int, ...],
    width: int,
    several: bool,
) -> tuple[NDArray[Any], FloatArray]:
    """Return labels as `_shaped` does, and the weight of each row: 0 where it does not count."""
    labels = _shaped(as_array(as_numpy(y_true), argument="y_true"), each, width)
    weight = _row_weights(sample_weight, each)
    if mask is not None:
        weight = weight * _per_row(as_numpy(mask), each, "mask").astype(bool)
    if ignore_class is not None:
        if labels.ndim == 2 and not several:
            raise bad_value(
                "ignore_class",
                expected="None beside one-hot rows",
                received=repr(ignore_class),
                remedy='Several labels a row: multi_label=True, or activation="sigmoid" where that '
                "is the argument. Of one-hot rows pass class ids, or leave rows out with a "
                "sample_weight of 0.",
            )
        if labels.ndim == 2:
            check_mark(ignore_class)
        known = labels != ignore_class
        weight = weight * (known.any(axis=1) if labels.ndim == 2 else known)
    return labels, weight


def _shaped(labels: NDArray[Any], each: tuple[int, ...], width: int) -> NDArray[Any]:
    """Return labels as ids, ``(rows,)``, or as rows as wide as the predictions (or of two)."""
    size = int(np.prod(each))
    if labels.shape == each or labels.shape == (*each, 1):
        return labels.reshape(size)
    one_hot_pair = width == 1 and labels.shape == (*each, 2)
    if labels.shape == (*each, width) or one_hot_pair:
        return labels.reshape(size, -1)
    wide = f" or {(*each, width)}" if width > 1 else ""
    raise bad_value(
        "y_true",
        expected=f"labels of {size} rows, shape {each}{wide}, as many as `y_pred`",
        received=f"shape {labels.shape}",
        remedy="Every array must describe the same rows in the same order.",
    )


def _row_weights(sample_weight: Any, each: tuple[int, ...]) -> FloatArray:
    size = int(np.prod(each))
    if sample_weight is None:
        return np.ones(size)
    weight = _per_row(as_numpy(sample_weight), each, "sample_weight").astype(np.float64)
    check_weights(weight)
    return weight


def _per_row(values: Any, each: tuple[int, ...], argument: str) -> NDArray[Any]:
    """Return one number for each row; that of a sequence is that of all its steps."""
    try:
        array: NDArray[Any] = np.asarray(values)
        array = array.astype(np.float64) if array.dtype.kind == "O" else array
    except (TypeError, ValueError):
        array = np.asarray("")
    if array.dtype.kind not in "biuf":
        raise bad_value(
            argument, expected="one number a row", received=f"values in a {type(values).__name__}"
        )
    if array.ndim == len(each) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    array = array.reshape(array.shape + (1,) * (len(each) - array.ndim))
    fits = [array.shape[axis] in (1, size) for axis, size in enumerate(each[: array.ndim])]
    if array.ndim != len(each) or array.shape[:1] != each[:1] or not all(fits):
        raise bad_value(
            argument,
            expected=f"one number a row, shape {each[:1]}"
            + (f", or one a step, shape {each}" if len(each) > 1 else ""),
            received=f"shape {np.shape(values)}",
            remedy="Every array must describe the same rows in the same order, and all labels of a "
            "row weigh alike.",
        )
    return np.broadcast_to(array, each).reshape(-1)


def of_kind(
    labels: NDArray[Any], width: int, softmax: bool, ignore_class: int | None
) -> NDArray[Any]:
    """Return class ids, ``(rows,)``, or 0 and 1 of each output, ``(rows, width)``."""
    if labels.ndim == 2 and width > 1 and not softmax:
        hit = zero_one(
            labels,
            kind="one-hot or multi-label",
            remedy="Labels of 0 and 1 are needed; threshold soft ones: y > 0.5. Labels that are "
            "not known: -1 (of NaN, np.nan_to_num(y, nan=-1)), and ignore_class=-1 where that is "
            "an argument.",
            argument="y_true",
            ignore_class=ignore_class,
        )
        unknown = np.asarray(labels == ignore_class)
        return np.where(unknown, UNKNOWN, hit).astype(np.int8) if unknown.any() else hit
    ids, _ = class_ids(labels, num_classes=max(width, 2), argument="y_true")
    if softmax:
        return ids.astype(np.int64)
    return np.asarray(ids == 1)[:, None] if width == 1 else ids[:, None] == np.arange(width)
