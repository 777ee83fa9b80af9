"""Sums over a grid of log odds: what streaming metrics keep of scores."""

from __future__ import annotations

import numpy as np
from keras import ops

from tfimbalance._checks import bad_value, check_integer
from tfimbalance._tensors import Tensor

# The grid is even in arcsinh of the log odds: even around 0, and even in their logarithm further
# out. Beyond odds of exp(10,000) everything is of the last bin.
LIMIT = float(np.arcsinh(1e4))
_MOST_BINS = 2**24


def check_num_bins(num_bins: object, *, minimum: int) -> int:
    """Return a number of bins that fits into memory."""
    number = check_integer("num_bins", num_bins, minimum=minimum)
    if number > _MOST_BINS:
        raise bad_value(
            "num_bins",
            expected=f"at most {_MOST_BINS:,}",
            received=num_bins if number < 2**63 else "more than 2**63",
            remedy="Some thousands are exact to four digits; ranking metrics have exact=True.",
        )
    return number


def bin_of(log_odds: Tensor, num_bins: int) -> Tensor:
    """Return the bin of each score, in ascending order; 0 for NaN, whose weight is NaN."""
    place = (ops.arcsinh(log_odds) / LIMIT + 1.0) * (num_bins / 2)
    place = ops.where(ops.isnan(place), 0.0, ops.clip(place, 0.0, num_bins - 1.0))
    return ops.cast(ops.floor(place), "int32")


def sums_over(
    log_odds: Tensor, column: Tensor, values: list[Tensor], columns: int, num_bins: int
) -> Tensor:
    """Add up values by column and bin of ``log_odds``, ``(rows, width)``; as `sums_by`."""
    return sums_by(bin_of(log_odds, num_bins), column, values, columns, num_bins)


def sums_by(
    group: Tensor, column: Tensor, values: list[Tensor], columns: int, groups: int
) -> Tensor:
    """Add up values of one shape by column and group, to ``(len(values), columns, groups)``."""
    cell = ops.reshape(group + groups * column, (-1,))
    summed = [ops.segment_sum(ops.reshape(v, (-1,)), cell, columns * groups) for v in values]
    return ops.reshape(ops.stack(summed), (len(values), columns, groups))
