"""Sums over rows of what compares probabilities with labels, class by class."""

from __future__ import annotations

from keras import ops

from tfimbalance._tensors import Tensor
from tfimbalance.metrics._base import RowMetric, ratio
from tfimbalance.metrics._rows import MetricRows


class ProbabilityMetric(RowMetric):
    """Base of the metrics of three sums a class: a subclass writes `terms` and `score`."""

    _soft = True
    _kind: str

    def terms(self, rows: MetricRows) -> Tensor:
        """Return what is added up, for each class or label, ``(rows, width)``."""
        raise NotImplementedError

    def score(self, total: Tensor, rate: Tensor, counted: Tensor) -> Tensor:
        """Return the metric, from mean terms, base rates and which have rows, each ``(width,)``."""
        raise NotImplementedError

    def _build(self, rows: MetricRows) -> None:
        self._kind = rows.kind
        self._totals = self._sums("totals", (3, rows.width))

    def _accumulate(self, rows: MetricRows, *more: Tensor) -> None:
        targets = rows.targets()
        weight = rows.weights
        values = [self.terms(rows), targets, ops.ones_like(targets)]
        self._totals.assign_add(
            ops.stack([ops.sum(weight * ops.cast(v, weight.dtype), axis=0) for v in values])
        )

    def _value(self) -> Tensor:
        terms, positives, weight = ops.unstack(ops.convert_to_tensor(self._totals), 3, axis=0)
        # A label that no row is known of is left out; NaN is not 0, and shows.
        return self.score(ratio(terms, weight), ratio(positives, weight), weight != 0)
