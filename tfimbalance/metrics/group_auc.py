"""ROC-AUC within groups, such as the users of a recommender."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value, check_flag, check_integer
from tfimbalance._tensors import Tensor, as_numbers, widened
from tfimbalance.metrics._base import RowMetric, mean_where, ratio
from tfimbalance.metrics._buffer import RowBuffer, signed, starts, unsigned
from tfimbalance.metrics._grid import check_num_bins, sums_over
from tfimbalance.metrics._ranking import split
from tfimbalance.metrics._rows import MetricRows, refuse, sum_dtype
from tfimbalance.metrics.auc import pairs_ranked_right

# Largest whole number up to which a float counts without gaps.
_EXACT_UP_TO = {"bfloat16": 2**8, "float16": 2**11, "float32": 2**24}


@keras.saving.register_keras_serializable("tfimbalance")
class GroupAUC(RowMetric):
    """Mean over users of the AUC within a user: is the click above what *this* user did not click?

    Use it for recommenders and ads, which rank within a user (or query, or session): one AUC over
    all rows also rewards telling active users from others, which reorders nobody's list. It is
    silent about users with clicks alone or none: see `coverage`.

        sum_u w_u AUC_u / sum_u w_u  over users with both classes,  w_u = weight of the user's rows

    In `compile`, a metric sees no inputs, so group ids come as a second column of ``y_true``: give
    the same scores a second output name, without a loss, as in the example.

    Args:
        num_groups: number of groups; ids are 0 to ``num_groups - 1``.
        num_bins: bins of the grid of log odds of each group, 16 bytes each: 4 KiB a group by
            default. `error_bound` says how far off they can be.
        exact: whether to keep every row instead, as `AUC`: 16 bytes a row (24 for float64
            predictions), however many groups there are.
        max_rows, from_logits, ignore_class, name, dtype: as `AUC`.

    Shapes:
        y_true: label and group id, ``(batch, 2)``; or labels alone, ``(batch,)`` or ``(batch, 1)``,
            with the ids in ``update_state(..., groups=ids)``.
        y_pred: ``(batch,)`` or ``(batch, 1)``.
        sample_weight: ``(batch,)``. Returns a scalar in [0, 1], NaN if no group has both classes.

    Raises:
        ValueError: for group ids outside ``[0, num_groups)`` (in a graph the result is NaN), ids
            that the dtype of ``y_true`` cannot hold, shapes that do not fit, or from `result`, when
            more than ``max_rows`` rows were given.

    Example:
        >>> import tfimbalance as tfi
        >>> metric = tfi.metrics.GroupAUC(2)
        >>> y, p, user = [0, 1, 0, 1], [0.2, 0.4, 0.6, 0.8], [0, 0, 1, 1]
        >>> metric.update_state(y, p, groups=user)
        >>> float(metric.result())  # 0.75 over all rows, but each user's list is right
        1.0

        >>> import keras
        >>> import numpy as np
        >>> x = keras.Input((1,))
        >>> click = keras.layers.Dense(1, activation="sigmoid", name="click")(x)
        >>> ranking = keras.layers.Identity(name="ranking")(click)
        >>> model = keras.Model(x, {"click": click, "ranking": ranking})
        >>> model.compile(
        ...     loss={"click": "binary_crossentropy", "ranking": None},
        ...     metrics={"ranking": [tfi.metrics.GroupAUC(2)]},
        ... )
        >>> targets = {"click": np.array(y), "ranking": np.stack([y, user], axis=1)}
        >>> history = model.fit(np.array([[1.0], [2], [3], [4]]), targets, verbose=0)
        >>> [key for key in history.history if "auc" in key]
        ['ranking_group_auc']

    References:
        [1] Zhou et al., Deep Interest Network for Click-Through Rate Prediction, KDD 2018,
            arXiv 1706.06978, eq. 7.
    """

    _direction = "up"

    def __init__(
        self,
        num_groups: int,
        *,
        num_bins: int = 256,
        exact: bool = False,
        max_rows: int = 1_000_000,
        from_logits: bool = False,
        ignore_class: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, False, ignore_class, name, dtype)
        self.num_groups = check_integer("num_groups", num_groups, minimum=1)
        self.num_bins = check_num_bins(num_bins, minimum=2)
        self.exact = check_flag("exact", exact)
        self.max_rows = check_integer("max_rows", max_rows, minimum=1)
        if not self.exact and self.num_groups * self.num_bins >= 2**31:
            raise bad_value(
                "num_groups",
                expected=f"at most {2**31 // self.num_bins:,} groups of {self.num_bins} bins",
                received=f"{num_groups:,}",
                remedy="Use exact=True, whose memory does not depend on the number of groups.",
            )

    def update_state(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        sample_weight: Tensor | None = None,
        groups: Tensor | None = None,
    ) -> None:
        """Add the rows of a batch."""
        y_true, y_pred = as_numbers("y_true", y_true), as_numbers("y_pred", y_pred)
        if groups is None:
            if len(y_true.shape) < 2 or y_true.shape[-1] != 2:
                raise bad_value(
                    "y_true",
                    expected="label and group id, (batch, 2), or `groups=`",
                    received=f"shape {tuple(y_true.shape)}",
                    remedy="Stack them: np.stack([label, group], axis=1).",
                )
            y_true, groups = y_true[..., 0], y_true[..., 1]
        groups = as_numbers("groups", groups)
        dtype = keras.backend.standardize_dtype(groups.dtype)
        if self.num_groups > _EXACT_UP_TO.get(dtype, self.num_groups):
            raise bad_value(
                "groups",
                expected=f"a dtype that holds {self.num_groups:,} ids",
                received=dtype,
                remedy="Pass integers.",
            )
        rows = self._read(y_true, y_pred, sample_weight)
        if rows.kind != "binary":
            raise bad_value(
                "y_pred",
                expected="one score a row, (batch,) or (batch, 1)",
                received=f"shape {tuple(y_pred.shape)}",
            )
        self._add(rows, ops.reshape(groups, (-1,)))

    def coverage(self) -> Tensor:
        """Return the share of the groups with rows that have both classes."""
        return self._as_result(self._covered)

    def error_bound(self) -> Tensor:
        """Return how far the result can be from the exact one, for the rows seen so far.

        Pairs in a bin of a group are tied, and off by half a pair: the mean over groups of
        ``sum_b p_b n_b / (2 P N)``. It is 0 for ``exact=True``.
        """
        return self._as_result(self._bound)

    def _build(self, rows: MetricRows) -> None:
        if self.exact:
            columns = dict.fromkeys(("scores", "signed"), (1, rows.dtype))
            # Across replicas a sum may be of halves, which integers do not have.
            ids = "float64" if sum_dtype() == "float64" else "int32"
            self._buffer = RowBuffer(self, self.max_rows, {**columns, "groups": (1, ids)})
        else:
            self._histogram = self._sums("histogram", (2, self.num_groups, self.num_bins))

    def _accumulate(self, rows: MetricRows, *more: Tensor) -> None:
        (groups,) = map(widened, more)
        # "Not inside" rather than "outside": so it finds NaN too.
        inside = ops.logical_and(groups >= 0, groups < self.num_groups)
        if "float" in keras.backend.standardize_dtype(groups.dtype):
            inside = ops.logical_and(inside, groups == ops.floor(groups))
        expected = f"group ids from 0 to {self.num_groups - 1}"
        weight = refuse("groups", groups, ops.logical_not(inside), rows.weight, expected)
        ids = ops.cast(ops.where(inside, groups, ops.zeros_like(groups)), "int32")
        ids, weight = ops.expand_dims(ids, -1), ops.expand_dims(weight, -1)
        positive = rows.target > 0.5
        if self.exact:
            columns = {"scores": rows.given, "signed": signed(positive, weight), "groups": ids}
            self._buffer.add(rows.weight, columns)
            return
        log_odds = rows.log_odds()
        values = split(positive, log_odds, weight)
        self._histogram.assign_add(sums_over(log_odds, ids, values, self.num_groups, self.num_bins))

    def _by_group(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return each group's AUC, and its weight of positives and of negatives."""
        if not self.exact:
            positive, negative = ops.unstack(ops.flip(self._histogram, axis=-1), 2, axis=0)
            sums = ops.sum(positive, axis=-1), ops.sum(negative, axis=-1)
            return pairs_ranked_right(positive, negative), *sums
        kept = {name: ops.squeeze(column, -1) for name, column in self._buffer.read().items()}
        kept["groups"] = ops.cast(kept["groups"], "int32")
        order = ops.argsort(-kept["scores"])
        order = ops.take(order, ops.argsort(ops.take(kept["groups"], order)))  # Stable.
        scores, folded, groups = (ops.take(kept[name], order) for name in kept)
        folded = ops.divide_no_nan(folded, ops.max(ops.abs(folded)))
        positive, negative = unsigned(folded)
        cell = starts(groups, scores)
        tied = ops.take(ops.segment_sum(positive, cell, self.max_rows), cell)
        above = ops.take(ops.cumsum(ops.segment_sum(positive, cell, self.max_rows)), cell) - tied
        of_group = ops.segment_sum(positive, groups, self.num_groups)
        above = above - ops.take(ops.cumsum(of_group) - of_group, groups)
        right = ops.segment_sum(negative * (above + tied / 2), groups, self.num_groups)
        others = ops.segment_sum(negative, groups, self.num_groups)
        auc = ops.divide_no_nan(right, of_group * others)
        return self._buffer.checked(auc), of_group, others

    def _value(self) -> Tensor:
        auc, positive, negative = self._by_group()
        return _over_groups(auc, positive, negative)

    def _bound(self) -> Tensor:
        auc, positive, negative = self._by_group()
        if self.exact:
            return _over_groups(0.0 * auc, positive, negative)
        halves = ops.sum(self._histogram[0] * self._histogram[1], axis=-1) / 2
        bound = ops.divide_no_nan(halves, positive * negative)
        return _over_groups(bound, positive, negative)

    def _covered(self) -> Tensor:
        _, positive, negative = self._by_group()
        weight = positive + negative
        # NaN, of rows that cannot be counted, stays.
        has_rows = ops.cast(weight != 0, sum_dtype()) + 0.0 * weight
        both = ops.logical_and(positive != 0, negative != 0)
        return ratio(ops.sum(ops.where(both, has_rows, 0.0)), ops.sum(has_rows))


def _over_groups(values: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    both = ops.logical_and(positive != 0, negative != 0)
    return mean_where(values, both, positive + negative)
