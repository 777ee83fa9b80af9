"""Statistics, counts, labels or shares -> the share of each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfimbalance._checks import bad_value, per_class
from tfimbalance.plots._scores import FloatArray
from tfimbalance.statistics import ClassStatistics, class_statistics

# How far from 1 shares may add up to: float32 over many classes.
_ROUNDING = 1e-3


def statistics_of(before: Any) -> ClassStatistics:
    """Return the statistics of labels, or of counts by class."""
    if isinstance(before, ClassStatistics):
        return before
    # A pandas series has items, too, but is one of labels.
    counts: Any = before if isinstance(before, Mapping) else None
    return class_statistics(before) if counts is None else ClassStatistics(counts)


def shares_after(after: Any, *, like: ClassStatistics) -> FloatArray:
    """Return the shares after re-balancing, of the classes (or labels) of ``like``."""
    expected = f"shares or counts of the {like.num_classes} classes of `before`"
    if isinstance(after, ClassStatistics):
        if after.multi_label != like.multi_label:
            raise bad_value(
                "after",
                expected=f"statistics with multi_label={like.multi_label}, as of `before`",
                received=f"multi_label={after.multi_label}",
            )
        shares = after.priors
    else:
        shares = per_class("after", after)
    if shares.size != like.num_classes:
        raise bad_value(
            "after",
            expected=expected,
            received=f"{shares.size} numbers",
            remedy="Labels are counted first: tfi.class_statistics(labels).",
        )
    if like.multi_label:
        if (shares > 1).any():
            raise bad_value(
                "after",
                expected="the rate of each label, in [0, 1]",
                received=f"{shares.max():g}",
                remedy="Counts of labels need their number of rows: tfi.ClassStatistics(counts, "
                "num_samples, multi_label=True).",
            )
        return shares
    total = float(shares.sum())
    are_counts = bool((shares == np.floor(shares)).all())
    if total == 0 or not (are_counts or abs(total - 1.0) <= _ROUNDING):
        raise bad_value(
            "after",
            expected="counts, or shares that add up to 1",
            received=f"numbers that add up to {total:g}",
            remedy="Weights are no shares; counts times weights, divided by their sum, are.",
        )
    return np.asarray(shares / total)
