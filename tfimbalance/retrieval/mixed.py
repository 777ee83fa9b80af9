"""Log Q of negatives from two sources: the batch, and uniform draws from the catalogue."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value, check_integer
from tfimbalance._tensors import Tensor, as_float, compute_dtype
from tfimbalance.retrieval._candidates import read_log_q


def mixed_log_q(log_q: Any, *, num_in_batch: Any, num_uniform: Any, num_items: Any) -> Tensor:
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
        num_in_batch: ``n1``, at least 0. Like the two below a number, or a scalar tensor where it
            is known only in the step.
        num_uniform: ``n2``, uniform negatives a row; at least 0.
        num_items: items of the catalogue that they are drawn from, at least 2.

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
    given = as_float(log_q, "log_q")
    dtype = compute_dtype(keras.backend.standardize_dtype(given.dtype))
    found = read_log_q("log_q", log_q, dtype, fit=lambda x: x)
    sizes = {"num_in_batch": num_in_batch, "num_uniform": num_uniform, "num_items": num_items}
    for name, size in sizes.items():
        if not ops.is_tensor(size):
            sizes[name] = check_integer(name, size, minimum=2 if name == "num_items" else 0)
    if not any(ops.is_tensor(size) or size for size in (num_in_batch, num_uniform)):
        raise bad_value(
            "num_in_batch",
            expected="at least one negative of either source",
            received="0, beside num_uniform=0",
        )
    if not ops.is_tensor(num_uniform) and num_uniform == 0:
        return found
    in_batch, uniform, items = (ops.log(ops.cast(size, dtype)) for size in sizes.values())
    # Of no draws the logarithm is -inf, and the other source is all there is.
    return ops.logaddexp(found + in_batch, uniform - items) - ops.logaddexp(in_batch, uniform)
