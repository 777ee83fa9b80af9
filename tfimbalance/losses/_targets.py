"""Targets: of a softmax, class ids or one-hot rows; and of outputs that stand alone, 0 and 1."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance._tensors import (
    Tensor,
    align,
    as_numbers,
    concrete,
    is_class,
    is_sparse,
    refuse_values,
    row_weights,
    sparse_targets,
    widened,
)
from tfimbalance.losses._weights import (
    as_weights,
    check_weight_count,
    negative_and_positive,
    of_positives,
)

# How far soft targets may round past 0 and 1.
_ROUNDING = 1e-3
# And how far past 1 the sum of a row of them may, in half precision.
_SUM_ROUNDING = 1e-2


class Targets(NamedTuple):
    """One class a target, as ``ids`` or as ``rows``: which one follows from static shapes."""

    ids: Tensor | None = None  # Integers, (batch, ...); those that do not count are 0.
    rows: Tensor | None = None  # One-hot or soft, (batch, ..., num_classes), dtype of the logits.
    valid: Tensor | None = None  # Which ids count; None if all do.
    known: Tensor | None = None  # Which are classes, or do not count.

    @classmethod
    def read(cls, y_true: Tensor, z: Tensor, ignore_class: int | None = None) -> Targets:
        """Read class ids where their static shape says so, and one-hot rows otherwise."""
        if is_sparse(y_true, z):
            return cls.from_ids(y_true, z, ignore_class)
        if ignore_class is not None:
            raise bad_value(
                "ignore_class",
                expected="None beside one-hot targets",
                received=f"{ignore_class}, y_true of shape {tuple(y_true.shape)}",
                remedy="Pass class ids, or leave rows out with sample_weight.",
            )
        return cls.from_rows(y_true, z)

    @classmethod
    def from_ids(cls, y_true: Tensor, z: Tensor, ignore_class: int | None = None) -> Targets:
        """Read class ids, ``(batch, ...)`` or ``(batch, ..., 1)``."""
        # Compared as they came: a cast would make 1 of 1.7, and of 2**32 + 1.
        given = widened(sparse_targets(as_numbers("y_true", y_true), z))
        classes = z.shape[-1]
        known, valid = is_class(given, ops.shape(z)[-1] if classes is None else classes), None
        ids = ops.cast(given, "int32")
        if ignore_class is not None:
            valid = ops.not_equal(given, ignore_class)
            known = ops.logical_or(known, ops.logical_not(valid))
            ids = ops.where(valid, ids, 0)
        refuse_values(
            "y_true",
            given,
            ops.logical_not(known),
            "ids of classes"
            if classes is None
            else f"class ids from 0 to {classes - 1}, as y_pred has {classes} classes",
            "Number the classes from 0. Ids that do not count: ignore_class=..., an argument of "
            "the loss.",
        )
        return cls(ids=ids, valid=valid, known=known)

    @classmethod
    def from_rows(cls, y_true: Tensor, z: Tensor) -> Targets:
        """Read one-hot rows of the shape of the logits."""
        if len(z.shape) < 2:
            raise bad_value(
                "y_pred",
                expected="rows of several classes, (batch, ..., classes)",
                received=f"shape {tuple(z.shape)}",
                remedy="One output a row takes a binary loss.",
            )
        rows = align(ops.cast(as_numbers("y_true", y_true), z.dtype), z)
        # Two reductions, which a compiled step can afford; NaN is neither.
        least, total = ops.min(rows, axis=-1), ops.sum(rows, axis=-1)
        known = ops.logical_and(least >= -_ROUNDING, total <= 1.0 + _SUM_ROUNDING)
        if (are_known := concrete(known)) is not None and not are_known.all():
            checked_labels(rows)
            refuse_values(
                "y_true",
                rows,
                # Keras builds a model on PyTorch with rows of ones: those cost NaN, as in a graph.
                ops.logical_and(ops.logical_not(known), ops.any(rows != 1.0)),
                "one-hot rows, or probabilities that add up to 1",
                "Rows that may carry several labels take a binary loss.",
            )
        return cls(rows=rows, known=known)

    def as_rows(self, z: Tensor) -> Tensor:
        """Return one-hot rows of the shape of ``z``."""
        return ops.one_hot(self.ids, z.shape[-1], dtype=z.dtype) if self.rows is None else self.rows

    def crossentropy(self, z: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Return ``log(sum_k exp(z_k)) - z_y`` of each target, by the backend's fused operation."""
        if self.rows is None and not label_smoothing:
            values = ops.sparse_categorical_crossentropy(self.ids, z, from_logits=True)
        else:
            rows = self.as_rows(z)
            if label_smoothing:
                rows = rows * (1.0 - label_smoothing) + label_smoothing / z.shape[-1]
            if z.shape[-1] == 1:
                warnings.warn(
                    "The softmax of one output is always 1, and its loss 0. Two classes take two "
                    "outputs, or one sigmoid and a binary loss.",
                    SyntaxWarning,
                    stacklevel=2,
                )
            values = ops.categorical_crossentropy(rows, z, from_logits=True)
        if self.known is None:
            return values
        # TensorFlow refuses an id that is no class, but on JAX it would cost 0. The mask also
        # makes XLA faster: it fuses a gradient that is equal for all rows less well.
        return ops.where(self.known, values, float("nan"))

    def weighed(self, values: Tensor, class_weight: Any, z: Tensor) -> Tensor:
        """Multiply each target's value by the weight of its class; 0 where it does not count."""
        weights = as_weights("class_weight", class_weight, z.dtype)
        if weights is not None:
            check_weight_count(weights, z)
            if self.rows is None:
                values = values * ops.take(weights, self.ids, axis=0)
            else:
                values = values * ops.sum(self.rows * weights, axis=-1)
        return values if self.valid is None else ops.where(self.valid, values, 0.0)


class Elements(NamedTuple):
    """The loss of each output of a row."""

    values: Tensor  # Like the logits.
    known: Tensor | None  # Which targets count; None if all do.

    def of_rows(self, weight: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return means over the outputs of a row that count, their share, and weights of rows.

        ``weight`` is one a row, or one an output in the shape of the values.
        """
        counted = None if self.known is None else ops.cast(self.known, self.values.dtype)
        share = None if counted is None else _mean(counted)
        weight = None if weight is None else as_numbers("sample_weight", weight)
        if weight is None or not self._is_of_outputs(weight):
            values = self.mean() if share is None else ops.divide_no_nan(self.mean(), share)
            return values, share, None if weight is None else row_weights(weight, values)
        found, wanted = tuple(weight.shape), tuple(self.values.shape)
        if any(None not in sizes and sizes[0] != sizes[1] for sizes in zip(found, wanted)):
            raise bad_value(
                "sample_weight",
                expected=f"a weight a row, or one an output: shape {wanted}",
                received=f"shape {found}",
            )
        weight = ops.cast(weight, self.values.dtype)
        if counted is not None:
            weight = weight * counted
        of_row = _mean(weight)
        values = _mean(ops.where(weight != 0.0, self.values * weight, 0.0))
        of_known = of_row if share is None else ops.divide_no_nan(of_row, share)
        return ops.divide_no_nan(values, of_row), share, of_known

    def mean(self) -> Tensor:
        """Average over the outputs of a row; those that do not count are 0."""
        return _mean(self.values if self.known is None else ops.where(self.known, self.values, 0.0))

    def _is_of_outputs(self, weight: Tensor) -> bool:
        rank, width = len(self.values.shape), self.values.shape[-1] if self.values.shape else 1
        return rank > 1 and len(weight.shape) == rank and width != 1 and weight.shape[-1] != 1


class Labels(NamedTuple):
    """Targets of 0 and 1 (or between), one for each output, like the logits."""

    positive: Tensor  # Share of each target that is positive, times its weight.
    negative: Tensor
    known: Tensor | None  # Which targets count; None if all do.
    good: Tensor  # Which targets are labels, or do not count.
    is_weighed: bool = False

    @classmethod
    def read(
        cls, y_true: Tensor, z: Tensor, label_smoothing: float, ignore_class: int | None = None
    ) -> Labels:
        """Read targets beside the logits ``z``."""
        given = align(widened(as_numbers("y_true", y_true)), z)
        known = None if ignore_class is None else ops.not_equal(given, ignore_class)
        y = ops.cast(given, z.dtype)
        if known is not None:
            y = ops.where(known, y, 0.0)
        good = checked_labels(y)
        # What is none costs NaN in a compiled step, and has no gradient: the model stays as it was.
        y = ops.where(good, y, 0.0)
        if label_smoothing:
            y = y * (1.0 - label_smoothing) + 0.5 * label_smoothing
        return cls(y, 1.0 - y, known, good)

    def weighed(
        self,
        z: Tensor,
        class_weight: Any = None,
        pos_weight: Any = None,
        alpha: float | None = None,
    ) -> Labels:
        """Multiply the positive and the negative part of each target by its weights."""
        if class_weight is None and pos_weight is None and alpha is None:
            return self
        positive, negative = self.positive, self.negative
        if alpha is not None:
            positive, negative = positive * alpha, negative * (1.0 - alpha)
        if pos_weight is not None:
            positive = positive * of_positives(pos_weight, z)
        weights = as_weights("class_weight", class_weight, z.dtype)
        if weights is not None:
            of_zeros, of_ones = negative_and_positive(weights, z)
            positive, negative = positive * of_ones, negative * of_zeros
        return self._replace(positive=positive, negative=negative, is_weighed=True)

    def as_one(self) -> tuple[Any, Tensor, Tensor]:
        """Return one weight a target, and of its parts the shares: positive and negative."""
        if not self.is_weighed:
            return 1.0, self.positive, self.negative
        total = self.positive + self.negative
        share = ops.divide_no_nan
        return total, share(self.positive, total), share(self.negative, total)

    def elements(self, values: Tensor) -> Elements:
        """Return the loss of each output; NaN where a compiled step found what is no label."""
        return Elements(ops.where(self.good, values, float("nan")), self.known)


def checked_labels(y: Tensor, lowest: int = 0) -> Tensor:
    """Return which targets are labels; raise for others, unless a graph is being traced."""
    good = ops.logical_and(y >= lowest - _ROUNDING, y <= 1.0 + _ROUNDING)
    refuse_values(
        "y_true",
        y,
        ops.logical_not(good),
        f"labels of {lowest} and 1, or between",
        "Labels of -1 and 1 are (y > 0), those of 1 and 2 are y - 1. Unknown labels: "
        "ignore_class=-1, an argument of the binary losses here.",
    )
    return good


def _mean(values: Tensor) -> Tensor:
    """Average over the outputs of a row, as Keras' binary losses do; rank 1 has no such axis."""
    return ops.mean(values, axis=-1) if len(values.shape) > 1 else values
