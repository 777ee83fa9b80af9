"""The plumbing that every metric shares: rows, dtypes, state that is made with the first row."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import bad_value, check_flag, check_integer, checked_ignore_class
from tfimbalance._config import config_of
from tfimbalance._tensors import Tensor, compute_dtype
from tfimbalance.metrics._rows import MetricRows, sum_dtype


class RowMetric(keras.metrics.Metric):
    """Base of the metrics here: a subclass adds up rows, and makes one formula of the sums.

    All state is sums, so that batches, replicas and devices add up. They are float64, but float32
    on JAX without ``jax_enable_x64``: there a count stops growing at 16.7 million rows. Half
    precision is computed in float32. What is undefined is NaN, as is a result before the first row.
    """

    # For callbacks that find out by themselves; a subclass says "up" or "down", if it is one.
    _direction: str
    # Whether targets between 0 and 1 mean something.
    _soft = False
    _built = False
    _width = 0

    def __init__(
        self,
        from_logits: bool = False,
        multi_label: bool = False,
        ignore_class: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        snake_case = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()
        super().__init__(name=name or snake_case, dtype=dtype)
        self.from_logits = check_flag("from_logits", from_logits)
        self.multi_label = check_flag("multi_label", multi_label)
        self.ignore_class = checked_ignore_class(ignore_class)

    def _build(self, rows: MetricRows) -> None:
        """Make the state, when the number of classes or labels is known."""
        raise NotImplementedError

    def _accumulate(self, rows: MetricRows, *more: Tensor) -> None:
        """Add rows, and what else `_add` was given, to the state."""
        raise NotImplementedError

    def _value(self) -> Tensor:
        """Return the result of the state."""
        raise NotImplementedError

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Add the rows of a batch."""
        self._add(self._read(y_true, y_pred, sample_weight))

    def result(self) -> Tensor:
        """Return the value over all rows since the last `reset_state`."""
        return self._as_result(self._value)

    def _read(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None) -> MetricRows:
        return MetricRows.read(
            y_true,
            y_pred,
            sample_weight,
            multi_label=self.multi_label,
            from_logits=self.from_logits,
            soft=self._soft,
            ignore_class=self.ignore_class,
            dtype=self.dtype,
        )

    def _add(self, rows: MetricRows, *more: Tensor) -> None:
        if not self._built:
            self._build(rows)
            self._built, self._width = True, rows.width
        elif rows.width != self._width:
            raise bad_value(
                "y_pred",
                expected=f"{self._width} columns, as in the first batch",
                received=f"{rows.width} columns",
            )
        self._accumulate(rows, *more)

    def _as_result(self, value: Any) -> Tensor:
        dtype = compute_dtype(self.dtype)
        if not self._built:
            return ops.convert_to_tensor(np.nan, dtype=dtype)
        return ops.cast(value(), dtype)

    def _sums(self, name: str, shape: tuple[int, ...]) -> keras.Variable:
        return self.add_variable(shape, "zeros", dtype=sum_dtype(), name=name)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), **config_of(self)}


def check_class_id(class_id: Any) -> int | None:
    """Return ``class_id`` as an int, or None."""
    return None if class_id is None else check_integer("class_id", class_id, minimum=0)


def check_has_class(class_id: int | None, width: int) -> None:
    """Raise unless there is such a class."""
    if class_id is not None and class_id >= width:
        raise bad_value(
            "class_id", expected=f"a class from 0 to {width - 1}", received=str(class_id)
        )


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide, and return NaN where there is nothing to divide by."""
    some = denominator != 0
    return ops.where(some, numerator / ops.where(some, denominator, 1.0), np.nan)


def mean_where(values: Tensor, counts: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """Mean over the last axis of the values that count; NaN where none does."""
    weight = ops.where(counts, weight * ops.ones_like(values), 0.0)
    return ratio(
        ops.sum(ops.where(counts, weight * values, 0.0), axis=-1), ops.sum(weight, axis=-1)
    )
