"""Sums over a grid of log odds: what streaming metrics keep of scores."""

from __future__ import annotations

import numpy as np
from keras import ops

from tfimbalance._tensors import Tensor

# The grid is even in arcsinh of the log odds: even around 0, and even in their logarithm further
# out. Beyond odds of exp(10,000) everything is of the last bin.
LIMIT = float(np.arcsinh(1e4))


def bin_of(log_odds: Tensor, num_bins: int) -> Tensor:
    """Return the bin of each score, in ascending order; 0 for NaN, whose weight is NaN."""
    place = (ops.arcsinh(log_odds) / LIMIT + 1.0) * (num_bins / 2)
    place = ops.where(ops.isnan(place), 0.0, ops.clip(place, 0.0, num_bins - 1.0))
    return ops.cast(ops.floor(place), "int32")


def sums_over(
    log_odds: Tensor, column: Tensor, values: list[Tensor], columns: int, num_bins: int
) -> Tensor:
    """Add up values by column and bin.

    Args:
        log_odds: ``(rows, width)``.
        column: which column of the result a score belongs to, broadcasts to ``log_odds``.
        values: tensors of the shape of ``log_odds``.
        columns: number of columns.
        num_bins: number of bins.

    Returns:
        ``(len(values), columns, num_bins)``, bins in ascending order.
    """
    cell = ops.reshape(bin_of(log_odds, num_bins) + num_bins * column, (-1,))
    summed = [
        ops.segment_sum(ops.reshape(value, (-1,)), cell, columns * num_bins) for value in values
    ]
    return ops.reshape(ops.stack(summed), (len(values), columns, num_bins))
