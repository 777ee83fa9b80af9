"""Log Q of negatives from two sources: the batch, and uniform draws from the catalogue."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value, check_integer
from tfimbalance._tensors import Tensor, as_float, compute_dtype
from tfimbalance.retrieval._candidates import read_log_q


def mixed_log_q(log_q: Any, *, num_in_batch: Any, num_uniform: int, num_items: int) -> Tensor:
    """Return log Q of items among in-batch and uniform negatives together [1].

    Use it where a batch brings uniformly drawn items beside its own (`data.mixed_negatives`), for
    items that are never anyone's positive. Pass the result for all candidates: the positives, and
    the uniform items as well, each from the frequency of *that item* in batches.

        Q* = (n1 * Q + n2 / num_items) / (n1 + n2)

    ``n1`` is the number of a row's in-batch *negatives*: the batch size - 1, where [1] has the
    batch size. At fixed counts this is nearly, not quite, exact. Exact is the sum of two losses of
    ``form="nce"``, one a source.

    Args:
        log_q: log Q of items as in-batch negatives, of any shape.
        num_in_batch: ``n1``, a number or a scalar tensor; at least 0.
        num_uniform: ``n2``, uniform negatives a row; at least 0.
        num_items: items of the catalogue that they are drawn from.

    Returns:
        Log Q*, in the shape of ``log_q``, in float32 at least.

    Raises:
        ValueError: for numbers that are too small, or a ``log_q`` that is not below 0 where values
            are known; elsewhere it becomes NaN.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> log_q = np.log([0.35, 0.05])
        >>> mixed = tfi.retrieval.mixed_log_q(log_q, num_in_batch=1, num_uniform=1, num_items=5)
        >>> np.exp(mixed).round(3).tolist()
        [0.275, 0.125]

    References:
        [1] Yang et al., Mixed Negative Sampling for Learning Two-tower Neural Networks in
        Recommendations, WWW 2020.
    """
    uniform = check_integer("num_uniform", num_uniform, minimum=0)
    items = check_integer("num_items", num_items, minimum=2)
    given = as_float(log_q, "log_q")
    dtype = compute_dtype(keras.backend.standardize_dtype(given.dtype))
    found = read_log_q("log_q", log_q, dtype, fit=lambda x: x)
    if not ops.is_tensor(num_in_batch):
        num_in_batch = check_integer("num_in_batch", num_in_batch, minimum=0)
        if num_in_batch + uniform == 0:
            raise bad_value(
                "num_in_batch",
                expected="at least one negative of either source",
                received="0, beside num_uniform=0",
            )
    in_batch = ops.cast(num_in_batch, dtype)
    of_batch = found + ops.log(in_batch)
    if uniform == 0:
        return of_batch - ops.log(in_batch)
    of_uniform = ops.convert_to_tensor(math.log(uniform / items), dtype=dtype)
    return ops.logaddexp(of_batch, of_uniform) - ops.log(in_batch + uniform)
