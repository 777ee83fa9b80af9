"""A buffer of rows that keeps every score, for exact metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._tensors import Tensor, concrete
from tfimbalance.metrics._base import RowMetric
from tfimbalance.metrics._rows import sum_dtype


class RowBuffer:
    """Columns of up to ``max_rows`` rows, in variables of a metric.

    Replicas add up when they are read: replica r of R fills slots r, r + R, ..., the others are 0.
    """

    def __init__(
        self, metric: RowMetric, max_rows: int, columns: Mapping[str, tuple[int, str]]
    ) -> None:
        """Make the variables; ``columns`` maps a name to a width and a dtype."""
        # Keras first builds on PyTorch without values, and with them where that fails: as results
        # do, in this very function, but after rows without values are in the state.
        ops.segment_sum(ops.zeros((1,)), ops.zeros((1,), "int32"), 1)
        self._max_rows = max_rows
        # One slot more, where rows go that do not count or find no room.
        self._columns = {
            name: metric.add_variable((max_rows + 1, width), "zeros", dtype=dtype, name=name)
            for name, (width, dtype) in columns.items()
        }
        self._rows: keras.Variable = metric.add_variable((2,), "zeros", sum_dtype(), name="rows")

    def add(self, weight: Tensor, columns: Mapping[str, Tensor]) -> None:
        """Write the rows whose weight is not 0."""
        counts = ops.cast(weight != 0, "int32")
        taken = ops.cast(self._rows[0], "int32")
        position = taken + ops.cumsum(counts) - 1
        index, replicas = replica()
        slot = position * replicas + ops.cast(index, "int32")
        # Compared before it is multiplied, which could overflow.
        fits = position < (self._max_rows - ops.cast(index, "int32") + replicas - 1) // replicas
        slot = ops.where(ops.logical_and(counts > 0, fits), slot, self._max_rows)
        for name, variable in self._columns.items():
            found = ops.cast(columns[name], variable.dtype)
            slots = ops.expand_dims(slot, -1)
            variable.assign(ops.scatter_update(variable, slots, found))
        new = ops.sum(counts)
        lost = ops.sum(counts * ops.cast(ops.logical_not(fits), "int32"))
        self._rows.assign_add(ops.cast(ops.stack([new, lost]), self._rows.dtype))

    def read(self) -> dict[str, Tensor]:
        """Return the columns, ``(max_rows, width)``; slots that were not filled are 0."""
        return {name: ops.convert_to_tensor(v)[:-1] for name, v in self._columns.items()}

    def checked(self, values: Tensor) -> Tensor:
        """Return the values, or if rows found no room raise, or make them NaN in a graph."""
        rows = ops.convert_to_tensor(self._rows)
        known = concrete(rows)
        if known is not None and known[1] > 0:
            raise ValueError(
                f"`max_rows`: expected at most {self._max_rows:,} rows between resets. Received: "
                f"{known[0]:,.0f}, of which {known[1]:,.0f} found no room. Raise max_rows, or use "
                "exact=False, which takes any number of rows."
            )
        return ops.where(rows[1] > 0, np.nan, values)


def signed(positive: Tensor, weight: Tensor) -> Tensor:
    """Fold label and weight into one number: the weight of a positive, minus that of a negative."""
    return ops.where(positive, weight, -weight)


def unsigned(folded: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights of the positives and of the negatives; NaN stays in both."""
    folded = ops.cast(folded, sum_dtype())
    zero = ops.zeros_like(folded)
    return ops.where(folded < 0, zero, folded), ops.where(folded > 0, zero, -folded)


def starts(*sorted_keys: Tensor) -> Tensor:
    """Number the runs of equal keys along the last axis: 0, 0, 1, 2, 2, ..."""
    fresh = sorted_keys[0][..., 1:] != sorted_keys[0][..., :-1]
    for key in sorted_keys[1:]:
        fresh = ops.logical_or(fresh, key[..., 1:] != key[..., :-1])
    numbers = ops.cumsum(ops.cast(fresh, "int32"), axis=-1)
    return ops.concatenate([ops.zeros_like(numbers[..., :1]), numbers], axis=-1)


def replica() -> tuple[Any, int]:
    """Return this replica's id and their number; only `tf.distribute` has a state for each."""
    if keras.backend.backend() != "tensorflow":
        return 0, 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None:
        return 0, 1
    return context.replica_id_in_sync_group, context.num_replicas_in_sync
