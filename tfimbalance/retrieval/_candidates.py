"""What is known of candidates: log Q, ids, masks; read once, refused where it cannot be right."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from tfimbalance._checks import bad_entry, bad_value
from tfimbalance._tensors import Tensor, as_float, as_numbers, concrete, operation_of
from tfimbalance.retrieval._backend import refuse_sizes
from tfimbalance.retrieval._ids import read_ids

_LOGARITHMS = "finite logarithms of probabilities, below 0"


def read_log_q(
    argument: str, log_q: Any, dtype: str, fit: Callable[[Tensor], Tensor], mask: Any = None
) -> Tensor:
    """Return log Q as constants of a dtype, in the shape that ``fit`` gives it.

    NaN where a graph finds what eager code refuses. Where the mask is false, anything may stand.
    """
    if log_q is None:
        raise bad_value(
            argument,
            expected="log Q of each item, the log probability with which it is drawn as a negative",
            received="None",
            remedy="tfi.retrieval.ItemFrequency estimates it. compile() cannot pass it: "
            "tfi.retrieval.TwoTower does, or a train_step of your own.",
        )
    given = as_float(log_q, argument)
    if getattr(operation_of(given), "type", None) in ("Exp", "RealDiv", "Sigmoid", "Softmax"):
        warnings.warn(
            f"{argument} looks like probabilities, but the loss takes their logarithms. Pass "
            "ops.log(q).",
            stacklevel=4,
        )
    given = fit(given)
    found = concrete(given)
    if isinstance(log_q, np.ndarray) and None not in given.shape:
        found = np.reshape(log_q, given.shape)  # Known in a graph, too.
    counts = None if mask is None else concrete(mask)
    if found is not None and (mask is None or counts is not None):
        found = np.asarray(found, np.float64)
        _refuse(argument, found if counts is None else np.where(counts, found, -1.0))
    log_q = ops.cast(given, dtype)
    if mask is not None:
        log_q = ops.where(mask, log_q, -1.0)
    return ops.stop_gradient(ops.where(log_q < 0.0, log_q, np.nan))


def _refuse(argument: str, log_q: Any) -> None:
    wrong = ~(np.isfinite(log_q) & (log_q < 0.0))
    if not wrong.any():
        return
    if ((log_q >= 0.0) & (log_q <= 1.0)).all() and (log_q > 0.0).any():
        raise bad_value(
            argument,
            expected=_LOGARITHMS,
            received=f"numbers from {log_q.min():g} to {log_q.max():g}, as probabilities are",
            remedy="Pass their logarithms, ops.log(q).",
        )
    first = log_q[tuple(np.argwhere(wrong)[0])] if log_q.ndim else log_q
    if first == 0.0:
        remedy = (
            "A positive that is left as it is beside corrected negatives learns neither "
            'preference nor association. Pass the log Q of all; form="importance" knows what to do.'
        )
    elif first > 0.0:
        remedy = "Of counts, pass log(counts / counts.sum())."
    else:
        remedy = "An item that is drawn has a probability above 0; mask what is none."
    raise bad_entry(argument, log_q, wrong, expected=_LOGARITHMS, remedy=remedy)


def known_ids(argument: str, ids: Any) -> Tensor:
    """Return the ids that a form requires."""
    if ids is None:
        raise bad_value(
            argument,
            expected='ids under form="importance": which negatives are the positive itself',
            received="None",
        )
    return read_ids(argument, ids)


def fitted(argument: str, x: Tensor, shape: tuple[Any, ...]) -> Tensor:
    """Return ``x`` in a shape, as `ops.shape` gives it; or raise, but never broadcast.

    One number a row may stand in a column.
    """
    found = tuple(x.shape)
    if len(found) == len(shape) + 1 and found[-1] == 1:
        found = found[:-1]
    wanted = tuple(size if isinstance(size, int) else None for size in shape)
    agree = len(found) == len(wanted) and all(
        a is None or b is None or a == b for a, b in zip(found, wanted, strict=True)
    )
    if not agree:
        raise bad_value(argument, expected=f"shape {wanted}", received=f"shape {tuple(x.shape)}")
    if None in found + wanted:
        x = refuse_sizes(argument, x, shape)
    return ops.reshape(x, shape)


def of_candidates(argument: str, x: Tensor, logits: Tensor) -> Tensor:
    """Return what is known of the candidates of all rows, or of each row, as a matrix."""
    shape = ops.shape(logits)
    if len(x.shape) == 1:
        return fitted(argument, x, shape[1:])[None]
    return fitted(argument, x, shape)


def at(x: Tensor, columns: Tensor) -> Tensor:
    """Return the entry of each row in its column; a matrix of one row is that of all."""
    if x.shape[0] == 1:
        return ops.take(x[0], columns, axis=0)
    return ops.take_along_axis(x, columns[:, None], axis=1)[:, 0]


def read_columns(argument: str, columns: Any, logits: Tensor) -> Tensor:
    """Return the column of each row's positive; by default the diagonal."""
    rows, width = logits.shape
    if columns is None:
        if rows is not None and width is not None and rows > width:
            raise bad_value(
                argument,
                expected="the column of each row's positive, as row i has no column i",
                received=f"None, beside logits of shape {(rows, width)}",
            )
        return ops.arange(ops.shape(logits)[0], dtype="int32")
    columns = read_ids(argument, columns)
    found = concrete(columns)
    if found is not None and width is not None and ((found < 0) | (found >= width)).any():
        raise bad_entry(
            argument,
            found,
            (found < 0) | (found >= width),
            expected=f"columns of the {width} candidates, counted from 0",
        )
    return fitted(argument, ops.cast(columns, "int32"), ops.shape(logits)[:1])


def as_mask(argument: str, mask: Any) -> Tensor:
    """Return flags as booleans."""
    return ops.cast(as_numbers(argument, mask), "bool")
