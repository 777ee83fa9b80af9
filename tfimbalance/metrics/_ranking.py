"""The plumbing of ranking metrics: one formula serves binned and exact scores."""

from __future__ import annotations

from typing import Any

from keras import ops

from tfimbalance._checks import bad_value, check_flag, check_integer
from tfimbalance._tensors import Tensor
from tfimbalance.metrics._base import RowMetric, check_class_id, check_has_class, mean_where
from tfimbalance.metrics._buffer import RowBuffer, signed, starts, unsigned
from tfimbalance.metrics._grid import check_num_bins, sums_by, sums_over
from tfimbalance.metrics._rows import MetricRows


class RankingMetric(RowMetric):
    """Base of the metrics of a ranking: a subclass writes `curve`, on groups of tied scores.

    The groups are the bins of a grid over the log odds or, if exact, the distinct scores.
    """

    _direction = "up"

    def __init__(
        self,
        *,
        class_id: int | None = None,
        num_bins: int = 8192,
        exact: bool = False,
        max_rows: int = 1_000_000,
        from_logits: bool = False,
        multi_label: bool = False,
        ignore_class: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, multi_label, ignore_class, name, dtype)
        self.class_id = check_class_id(class_id)
        self.num_bins = check_num_bins(num_bins, minimum=2)
        self.exact = check_flag("exact", exact)
        self.max_rows = check_integer("max_rows", max_rows, minimum=1)

    def curve(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the metric of each column, from the weights of both classes in each group.

        They are ``(columns, groups)``, from the highest score to the lowest.
        """
        raise NotImplementedError

    def worst(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the least that the metric can be if the order within a group is unknown.

        Negatives first, for all metrics but those where splitting tied positives costs more.
        """
        return self.curve(*_interleaved(positive, negative, positives_first=False))

    def error_bound(self) -> Tensor:
        """Return how far the result can be from the exact one, for the rows seen so far.

        The exact value lies between those of the best and the worst order within the bins, and so
        does the result: their distance from it, rounding apart, is the bound. It is 0 for
        ``exact=True``, and NaN where the result is.
        """
        return self._as_result(self._bound)

    def _build(self, rows: MetricRows) -> None:
        if self.class_id is not None and rows.kind == "binary":
            raise bad_value(
                "class_id",
                expected="None for binary predictions",
                received=str(self.class_id),
                remedy="It picks one of several classes or labels.",
            )
        check_has_class(self.class_id, rows.width)
        width = rows.width if self.class_id is None else 1
        if self.exact:
            columns = {"scores": (width, rows.dtype), "signed": (width, rows.dtype)}
            self._buffer = RowBuffer(self, self.max_rows, columns)
        else:
            self._histogram = self._sums("histogram", (2, width, self.num_bins))

    def _accumulate(self, rows: MetricRows, *more: Tensor) -> None:
        positive = self._column(rows.targets()) > 0.5
        weight = rows.weights
        if weight.shape[-1] != 1:  # One a label.
            weight = self._column(weight)
        if self.exact:
            # As they came where that ranks them: logarithms could tie scores that differ.
            ranks = rows.kind == "classes" and rows.from_logits
            scores = self._column(rows.log_odds() if ranks else rows.given)
            columns = {"scores": scores, "signed": signed(positive, weight)}
            self._buffer.add(rows.weight, columns)
            return
        _, width, _ = self._histogram.shape
        column = ops.arange(width, dtype="int32")
        log_odds = self._column(rows.log_odds())
        self._histogram.assign_add(
            sums_over(log_odds, column, split(positive, log_odds, weight), width, self.num_bins)
        )

    def _column(self, values: Tensor) -> Tensor:
        if self.class_id is None:
            return values
        return values[:, self.class_id : self.class_id + 1]

    def _groups(self) -> tuple[Tensor, Tensor]:
        if not self.exact:
            positive, negative = ops.unstack(ops.flip(self._histogram, axis=-1), 2, axis=0)
            return positive, negative
        kept = self._buffer.read()
        scores, weights = ops.transpose(kept["scores"]), ops.transpose(kept["signed"])
        order = ops.argsort(-scores, axis=-1)
        scores = ops.take_along_axis(scores, order, axis=-1)
        positive, negative = unsigned(ops.take_along_axis(weights, order, axis=-1))
        columns, rows = scores.shape
        column = ops.expand_dims(ops.arange(columns, dtype="int32"), -1)
        tied = sums_by(starts(scores), column, [positive, negative], columns, rows)
        return self._buffer.checked(tied[0]), tied[1]

    def _value(self) -> Tensor:
        positive, negative = self._groups()
        return self._mean(self.curve(positive, negative), positive, negative)

    def _bound(self) -> Tensor:
        positive, negative = self._groups()
        value = self.curve(positive, negative)
        if self.exact:
            return self._mean(0.0 * value, positive, negative)
        best = self.curve(*_interleaved(positive, negative, positives_first=True))
        worst = self.worst(positive, negative)
        return self._mean(ops.maximum(best - value, value - worst), positive, negative)

    def _mean(self, values: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Mean over the columns that have both classes."""
        both = ops.logical_and(ops.sum(positive, -1) != 0, ops.sum(negative, -1) != 0)
        return mean_where(values, both)


def split(positive: Tensor, like: Tensor, weight: Tensor) -> list[Tensor]:
    """Return the weights of positives and of negatives, shaped like ``like``; NaN is so in both."""
    weight = ops.broadcast_to(weight, ops.shape(like))
    return [ops.where(positive, weight, 0.0 * weight), ops.where(positive, 0.0 * weight, weight)]


def _interleaved(
    positive: Tensor, negative: Tensor, *, positives_first: bool
) -> tuple[Tensor, Tensor]:
    """Split each group in two: its positives and its negatives."""
    pair = [positive, ops.zeros_like(positive)], [ops.zeros_like(negative), negative]
    if not positives_first:
        pair = pair[0][::-1], pair[1][::-1]
    columns, groups = positive.shape
    first, second = (ops.reshape(ops.stack(p, axis=-1), (columns, 2 * groups)) for p in pair)
    return first, second
