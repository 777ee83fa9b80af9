"""What a ranking is worth at one operating point: a precision to keep, or a share to flag."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfimbalance._checks import check_share
from tfimbalance._tensors import Tensor
from tfimbalance.metrics._ranking import RankingMetric


@keras.saving.register_keras_serializable("tfimbalance")
class RecallAtPrecision(RankingMetric):
    """Highest recall of any threshold whose precision is good enough.

    Use it when false alarms have a price: at least this share of what is flagged must be positive.
    It jumps when there are few positives, so do not tune on small differences.

        max of recall(s) over scores s with precision(s) >= precision;  0 if there is none

    Args:
        precision: the precision to keep, in (0, 1].
        class_id, num_bins, exact, max_rows, from_logits, multi_label, ignore_class, name, dtype: as
            `AUC`.

    Shapes:
        y_true, y_pred, sample_weight: as `AUC`. Returns a scalar in [0, 1]; NaN as `AUC`.

    Raises:
        ValueError: for a precision outside (0, 1], and as `AUC`.

    Example:
        >>> import tfimbalance as tfi
        >>> metric = tfi.metrics.RecallAtPrecision(0.6)
        >>> float(metric([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]))  # at 0.35: 2 hits of 3
        1.0
    """

    def __init__(
        self,
        precision: float,
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
        super().__init__(
            class_id=class_id,
            num_bins=num_bins,
            exact=exact,
            max_rows=max_rows,
            from_logits=from_logits,
            multi_label=multi_label,
            ignore_class=ignore_class,
            name=name,
            dtype=dtype,
        )
        self.precision = check_share("precision", precision)

    def curve(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the highest recall."""
        hits = ops.cumsum(positive, axis=-1)
        precision = ops.divide_no_nan(hits, hits + ops.cumsum(negative, axis=-1))
        # NaN, of rows that cannot be counted, is not below; it stays in the maximum.
        good = ops.where(precision < self.precision, ops.zeros_like(hits), hits)
        return ops.divide_no_nan(ops.max(good, axis=-1), ops.sum(positive, axis=-1))


@keras.saving.register_keras_serializable("tfimbalance")
class RecallAtFlagged(RankingMetric):
    """Share of the positives that are found when the top share of all rows is flagged.

    Use it when capacity is what is fixed: as many cases are looked at, whatever their scores. A
    group of tied scores that does not fit counts with the part that does, as if it were shuffled.

        weight of the positives among the top ``share`` of the weight / weight of all positives

    Args:
        share: share of the rows that is flagged, in (0, 1].
        class_id, num_bins, exact, max_rows, from_logits, multi_label, ignore_class, name, dtype: as
            `AUC`.

    Shapes:
        y_true, y_pred, sample_weight: as `AUC`. Returns a scalar in [0, 1]; NaN as `AUC`.

    Raises:
        ValueError: for a share outside (0, 1], and as `AUC`.

    Example:
        >>> import tfimbalance as tfi
        >>> metric = tfi.metrics.RecallAtFlagged(0.25)
        >>> float(metric([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]))  # one row flagged, one of two found
        0.5
    """

    def __init__(
        self,
        share: float,
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
        super().__init__(
            class_id=class_id,
            num_bins=num_bins,
            exact=exact,
            max_rows=max_rows,
            from_logits=from_logits,
            multi_label=multi_label,
            ignore_class=ignore_class,
            name=name,
            dtype=dtype,
        )
        self.share = check_share("share", share)

    def curve(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the recall of what is flagged."""
        both = positive + negative
        end = ops.cumsum(both, axis=-1)
        room = self.share * ops.sum(both, axis=-1, keepdims=True) - (end - both)
        part = ops.divide_no_nan(ops.maximum(room, 0.0), both)
        found = ops.sum(positive * ops.minimum(part, 1.0), axis=-1)
        return ops.divide_no_nan(found, ops.sum(positive, axis=-1))


@keras.saving.register_keras_serializable("tfimbalance")
class Lift(RecallAtFlagged):
    """How many times more positives there are among the flagged than in a random draw.

    Use it to say what a ranking is worth to someone who looks at its top. It is at most
    ``1 / share``, and at most ``1 / base rate``.

        precision of the top ``share`` of the rows / base rate  =  recall of the top / share

    Args:
        share: share of the rows that is flagged, in (0, 1].
        class_id, num_bins, exact, max_rows, from_logits, multi_label, ignore_class, name, dtype: as
            `AUC`.

    Shapes:
        y_true, y_pred, sample_weight: as `AUC`. Returns a scalar of at least 0; NaN as `AUC`.

    Raises:
        ValueError: for a share outside (0, 1], and as `AUC`.

    Example:
        >>> import tfimbalance as tfi
        >>> metric = tfi.metrics.Lift(0.25)
        >>> float(metric([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]))  # precision 1, base rate 1/2
        2.0
    """

    def curve(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the lift."""
        return super().curve(positive, negative) / self.share
