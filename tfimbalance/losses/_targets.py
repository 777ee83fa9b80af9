"""Targets: of a softmax, class ids or one-hot rows; and of outputs that stand alone, 0 and 1."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from tfimbalance._checks import bad_value, check_integer
from tfimbalance._tensors import Tensor, align, is_sparse, sparse_ids
from tfimbalance.losses._logits import mean_over_last_axis
from tfimbalance.losses._weights import (
    as_weights,
    between,
    check_weight_count,
    negative_and_positive,
)


def checked_ignore_class(ignore_class: Any) -> int | None:
    """Return the id of targets that do not count, or None."""
    if ignore_class is None:
        return None
    return check_integer("ignore_class", ignore_class, minimum=-(2**31))


class Targets(NamedTuple):
    """One class a target, as ``ids`` or as ``rows``: which one follows from static shapes."""

    ids: Tensor | None = None  # Integers, (batch, ...); those that do not count are 0.
    rows: Tensor | None = None  # One-hot or soft, (batch, ..., num_classes), dtype of the logits.
    valid: Tensor | None = None  # Which ids count; None if all do.

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
        ids = sparse_ids(ops.convert_to_tensor(y_true), z)
        if ignore_class is None:
            return cls(ids=ids)
        valid = ops.not_equal(ids, ignore_class)
        return cls(ids=ops.where(valid, ids, 0), valid=valid)

    @classmethod
    def from_rows(cls, y_true: Tensor, z: Tensor) -> Targets:
        """Read one-hot rows of the shape of the logits."""
        return cls(rows=align(ops.cast(y_true, z.dtype), z))

    def as_rows(self, z: Tensor) -> Tensor:
        """Return one-hot rows of the shape of ``z``."""
        return ops.one_hot(self.ids, z.shape[-1], dtype=z.dtype) if self.rows is None else self.rows

    def crossentropy(self, z: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Return ``log(sum_k exp(z_k)) - z_y`` of each target, by the backend's fused operation."""
        if self.rows is None and not label_smoothing:
            # TensorFlow refuses an id that is no class, but on JAX it would cost 0. The mask also
            # makes XLA faster: it fuses a gradient that is equal for all rows less well.
            ids: Any = self.ids
            is_class = ops.logical_and(ids >= 0, ids < ops.shape(z)[-1])
            values = ops.sparse_categorical_crossentropy(ids, z, from_logits=True)
            return ops.where(is_class, values, float("nan"))
        rows = self.as_rows(z)
        if label_smoothing:
            rows = rows * (1.0 - label_smoothing) + label_smoothing / z.shape[-1]
        return ops.categorical_crossentropy(rows, z, from_logits=True)

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


class Labels(NamedTuple):
    """Targets of 0 and 1 (or between), one for each output, like the logits."""

    hard: Tensor  # As they came; class weights go by these.
    soft: Tensor  # After label smoothing; the loss is of these.

    @classmethod
    def read(cls, y_true: Tensor, z: Tensor, label_smoothing: float) -> Labels:
        """Read targets beside the logits ``z``."""
        hard = align(ops.cast(y_true, z.dtype), z)
        if not label_smoothing:
            return cls(hard, hard)
        return cls(hard, hard * (1.0 - label_smoothing) + 0.5 * label_smoothing)

    def weighed_mean(self, values: Tensor, class_weight: Any, z: Tensor) -> Tensor:
        """Multiply each value by the weight of its class, and average over the outputs of a row."""
        weights = as_weights("class_weight", class_weight, z.dtype)
        if weights is not None:
            values = values * between(self.hard, *negative_and_positive(weights, z))
        return mean_over_last_axis(values)
