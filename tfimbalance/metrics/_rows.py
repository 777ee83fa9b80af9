"""What a metric is given, as rows: targets, predictions and weights of any shape, flattened."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance._tensors import (
    Tensor,
    align,
    as_float,
    as_numbers,
    is_class,
    is_linear,
    is_sparse,
    logits_of,
    mask_of,
    refuse_values,
    row_weights,
    sparse_targets,
    widened,
)


def sum_dtype() -> str:
    """Return the dtype in which weights are added up: float64, or float32 where there is none."""
    return str(keras.backend.standardize_dtype(ops.convert_to_tensor(np.zeros(1)).dtype))


_REMEDY = "Give rows that should not count a sample weight of 0."


def refuse(
    argument: str, given: Tensor, bad: Tensor, weight: Tensor, expected: str, remedy: str = _REMEDY
) -> Tensor:
    """Raise for rows that cannot be counted or, in a graph, make their weight NaN, which shows.

    Rows of weight 0 may hold anything.
    """
    bad = ops.logical_and(bad, weight != 0)
    refuse_values(argument, given, bad, expected, remedy)
    return ops.where(bad, np.nan, weight)


@dataclass(frozen=True)
class MetricRows:
    """Rows of a batch."""

    kind: str  # "binary", "classes" (that exclude one another) or "labels".
    target: Tensor  # 0 and 1, (rows, width), or class ids, (rows,).
    given: Tensor  # Predictions in float32 or float64, (rows, width).
    weight: Tensor  # (rows,), in the dtype of sums; NaN where the prediction is NaN.
    from_logits: bool  # Whether `given` are logits.
    known: Tensor | None = None  # Which labels count, (rows, width); None if all do.

    @staticmethod
    def read(
        y_true: Tensor,
        y_pred: Tensor,
        sample_weight: Tensor | None,
        *,
        multi_label: bool,
        from_logits: bool,
        soft: bool,
        ignore_class: int | None,
        dtype: str,
    ) -> MetricRows:
        """Read a batch; its kind follows from static shapes and flags, never from values."""
        if not from_logits and is_linear(y_pred):
            warnings.warn(
                "y_pred looks like the output of a linear layer, but the metric takes it for "
                "probabilities. Pass from_logits=True to the metric, or change the end of the "
                "model.",
                stacklevel=2,
            )
        mask = mask_of(y_pred)
        y_pred = as_float(y_pred)
        kind, width = _kind_and_width(y_pred, multi_label)
        target = _flat_targets(y_true, y_pred, kind, width)
        # Half precision would merge scores that differ; float64 keeps the ranks it came with.
        wide = "float64" in (keras.backend.standardize_dtype(y_pred.dtype), dtype)
        given = ops.reshape(ops.cast(y_pred, sum_dtype() if wide else "float32"), (-1, width))
        weight = _counted(sample_weight, mask, y_pred)
        known = None
        if ignore_class is not None:
            target, weight, known = _without(target, weight, kind, ignore_class)
        # Before any cast: of a label to integers, and of an integer to fewer bits.
        weight = _refuse_labels(target, weight, kind, width, soft=soft)
        if not from_logits:
            bad = ops.any(ops.logical_or(given < -0.01, given > 1.01), axis=-1)
            expected, remedy = "probabilities, in [0, 1]", "Logits need from_logits=True."
            weight = refuse("y_pred", given, bad, weight, expected, remedy)
        target = ops.cast(target, "int32" if len(target.shape) == 1 else "float32")
        if sample_weight is not None or mask is not None or ignore_class is not None:
            given, target = _where_counted(given, weight), _where_counted(target, weight)
        if len(target.shape) == 1:
            target = ops.clip(target, 0, width - 1)
        weight = ops.where(ops.any(ops.isnan(given), axis=-1), np.nan, weight)
        return MetricRows(kind, target, given, weight, from_logits, known)

    @property
    def width(self) -> int:
        """Number of classes or labels; 1 for binary."""
        return int(self.given.shape[-1])

    @property
    def dtype(self) -> str:
        """Dtype of the predictions."""
        return str(keras.backend.standardize_dtype(self.given.dtype))

    @property
    def weights(self) -> Tensor:
        """Weight of each label of a row, ``(rows, width)``, or of all of them, ``(rows, 1)``."""
        weight = ops.expand_dims(self.weight, -1)
        return weight if self.known is None else weight * ops.cast(self.known, weight.dtype)

    def ids(self) -> Tensor:
        """Return class ids, ``(rows,)``."""
        if len(self.target.shape) == 1:
            return self.target
        return ops.cast(ops.argmax(self.target, axis=-1), "int32")

    def targets(self) -> Tensor:
        """Return 0 and 1 for each class or label, ``(rows, width)``."""
        if len(self.target.shape) == 1:
            return ops.one_hot(self.target, self.width, dtype=self.dtype)
        return ops.cast(self.target, self.dtype)

    def probabilities(self) -> Tensor:
        """Return the probability of each class or label, ``(rows, width)``."""
        if not self.from_logits:
            return self.given
        of = ops.softmax if self.kind == "classes" else ops.sigmoid
        return of(self.given)

    def log_probabilities(self) -> Tensor:
        """Return the log probabilities of the classes; finite down to a probability of 0."""
        z = self.given
        if not self.from_logits:
            z = logits_of(z, softmax=True, dtype=self.dtype)
        return ops.log_softmax(z, axis=-1)

    def log_odds(self) -> Tensor:
        """Return ``log p / (1 - p)`` of each class or label, ``(rows, width)``."""
        if not self.from_logits:
            return logits_of(self.given, softmax=False, dtype=self.dtype)
        return _one_versus_rest(self.given) if self.kind == "classes" else self.given


def _without(
    target: Tensor, weight: Tensor, kind: str, ignore_class: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return 0 for targets that do not count, the weight of rows, and which labels count."""
    if kind == "classes" and len(target.shape) == 2:
        raise bad_value(
            "ignore_class",
            expected="None beside one-hot targets",
            received=str(ignore_class),
            remedy="Pass class ids, or leave rows out with sample_weight. Several labels a row: "
            "multi_label=True.",
        )
    known = ops.not_equal(widened(target), ignore_class)
    target = ops.where(known, target, ops.zeros_like(target))
    of_row = known if len(target.shape) == 1 else ops.any(known, axis=-1)
    weight = ops.where(of_row, weight, ops.zeros_like(weight))
    return target, weight, known if kind == "labels" else None


def _refuse_labels(target: Tensor, weight: Tensor, kind: str, width: int, *, soft: bool) -> Tensor:
    """Refuse labels that would be read as others: NaN, ids that are none, several in one row."""
    target = widened(target)
    if len(target.shape) == 1:
        bad = ops.logical_not(is_class(target, width))
        expected = f"class ids from 0 to {width - 1}, as y_pred has {width} classes"
        return refuse("y_true", target, bad, weight, expected)
    hard = ops.logical_or(target == 0, target == 1)
    good = ops.logical_or(hard, ops.logical_and(target > 0, target < 1)) if soft else hard
    bad = ops.logical_not(ops.all(good, axis=-1))
    expected = "labels of 0 and 1" + (", or between" if soft else "")
    remedy = "Labels of -1 and 1 are (y > 0); more than two classes have a column each in y_pred."
    if kind == "classes":
        total = ops.sum(ops.cast(target, "float32"), axis=-1)
        bad = ops.logical_or(bad, ops.abs(total - 1.0) > 1e-3)
        expected = "one-hot rows" + (", or probabilities that add up to 1" if soft else "")
        remedy = "Rows that may carry several labels: multi_label=True."
    return refuse("y_true", target, bad, weight, expected, remedy)


def _kind_and_width(y_pred: Tensor, multi_label: bool) -> tuple[str, int]:
    rank = len(y_pred.shape)
    width = y_pred.shape[-1] if rank > 1 else 1
    if rank == 0 or width is None or (multi_label and rank == 1):
        raise bad_value(
            "y_pred",
            expected="rows and a last axis of known size, (batch, labels)"
            if multi_label
            else "rows, (batch,), or a last axis of known size, (batch, classes)",
            received=f"static shape {tuple(y_pred.shape)}",
        )
    return "labels" if multi_label else "binary" if width == 1 else "classes", int(width)


def _flat_targets(y_true: Tensor, y_pred: Tensor, kind: str, width: int) -> Tensor:
    """Return class ids, ``(rows,)``, or a column an output, in the dtype in which they came."""
    y_true = as_numbers("y_true", y_true)
    if kind == "classes" and is_sparse(y_true, y_pred):
        return ops.reshape(sparse_targets(y_true, y_pred), (-1,))
    return ops.reshape(align(y_true, y_pred), (-1, width))


def _counted(sample_weight: Tensor | None, mask: Tensor | None, y_pred: Tensor) -> Tensor:
    rows = y_pred if len(y_pred.shape) == 1 else y_pred[..., 0]
    total = ops.ones_like(rows, dtype=sum_dtype())
    for weight in (sample_weight, mask):
        if weight is None:
            continue
        weight = ops.cast(row_weights(weight, rows), sum_dtype())
        total = ops.reshape(total * weight, ops.shape(rows))
    total = ops.reshape(total, (-1,))
    return refuse("sample_weight", total, total < 0, total, "weights of at least 0")


def _where_counted(values: Tensor, weight: Tensor) -> Tensor:
    """Return 0 for rows of weight 0, which may hold anything: NaN times 0 is NaN."""
    counts = weight != 0
    counts = ops.expand_dims(counts, -1) if len(values.shape) > 1 else counts
    return ops.where(counts, values, ops.zeros_like(values))


def _one_versus_rest(z: Tensor) -> Tensor:
    """Return the log odds of each class against all others, from logits."""
    # ``1 - p`` of the likeliest class would be lost to rounding, and with it the order of rows.
    # In float64, because equal rows may differ in the last place, and so are equal in float32.
    dtype = z.dtype
    z = ops.cast(z, sum_dtype())
    log_p = ops.log_softmax(z, axis=-1)
    top = ops.one_hot(ops.argmax(z, axis=-1), z.shape[-1], dtype="bool")
    others = ops.logsumexp(ops.where(top, -np.inf, z), axis=-1, keepdims=True)
    below = log_p - ops.log1p(-ops.exp(ops.minimum(log_p, math.log(0.5))))
    return ops.cast(ops.where(top, z - others, below), dtype)
