"""Pairs of queries and items, and counts of items, in any form -> arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import FloatArray, bad_value, check_same_length
from tfimbalance.retrieval._arguments import as_numpy, read_counts

Ids = NDArray[np.int64]

_FORMS = (
    "the positions of each query's items (a list of arrays, or an array), a tuple (query, item) of "
    "two arrays, a boolean array or a sparse matrix"
)
_POSITIONS = "Positions are rows of `items`: number your ids in that order, and pad with nothing."


def read_pairs(argument: str, given: Any, *, num_queries: int, num_items: int) -> Ids:
    """Return ``query * num_items + item`` of each pair, sorted, each once."""
    shape = (num_queries, num_items)
    if hasattr(given, "tocoo"):
        query, item = _of_matrix(argument, given, given.tocoo(), shape)
    elif isinstance(given, tuple):
        query, item = _of_pair(argument, given)
        _check_range(argument, query, num_queries, "queries")
    else:
        query, item = _of_queries(argument, given, shape)
    _check_range(argument, item, num_items, "items", query)
    return np.unique(query * num_items + item)


def _of_matrix(argument: str, given: Any, matrix: Any, shape: tuple[int, int]) -> tuple[Ids, Ids]:
    if given.shape != shape:
        expected = f"a matrix of queries and items, {shape}"
        raise bad_value(argument, expected=expected, received=f"shape {given.shape}")
    holds = matrix.data != 0
    return matrix.row[holds].astype(np.int64), matrix.col[holds].astype(np.int64)


def _of_pair(argument: str, given: tuple[Any, ...]) -> tuple[Ids, Ids]:
    if len(given) != 2:
        raise bad_value(
            argument,
            expected=_FORMS,
            received=f"a tuple of {len(given)}",
            remedy="The items of each query go into a list: list(positives).",
        )
    query, item = (_whole(argument, as_numpy(argument, part, _FORMS)) for part in given)
    if query.ndim != 1 or query.shape != item.shape:
        raise bad_value(
            argument,
            expected="two arrays of the same length: query, item",
            received=f"shapes {query.shape} and {item.shape}",
            remedy="The items of each query go into a list, not into a tuple.",
        )
    return query, item


def _of_queries(argument: str, given: Any, shape: tuple[int, int]) -> tuple[Ids, Ids]:
    if not isinstance(given, list):
        array = as_numpy(argument, given, _FORMS)
        if array.ndim not in (1, 2):
            raise bad_value(argument, expected=_FORMS, received=f"shape {array.shape}")
        check_same_length(argument, len(array), reference="queries", expected=shape[0])
        is_matrix = array.shape == shape
        if is_matrix and array.dtype.kind == "b":
            query, item = np.nonzero(array)
            return query, item
        if is_matrix and shape[1] > 2 and np.isin(array, (0, 1)).all():
            raise bad_value(
                argument,
                expected=_FORMS,
                received=f"zeros and ones of shape {shape}, that may be flags or positions",
                remedy=f"Flags are booleans: {argument}.astype(bool).",
            )
        given = list(array)
    check_same_length(argument, len(given), reference="queries", expected=shape[0])
    rows = [
        np.atleast_1d(np.asarray(list(row) if isinstance(row, (set, frozenset)) else row))
        for row in given
    ]
    if any(row.dtype.kind == "b" for row in rows):
        received = "rows of flags"
        remedy = "Positions: np.flatnonzero(row); or all rows as one boolean array."
        raise bad_value(argument, expected=_FORMS, received=received, remedy=remedy)
    sizes = np.array([row.size for row in rows], np.int64)
    filled = [row.ravel() for row in rows if row.size]
    try:
        item = np.concatenate(filled) if filled else np.zeros(0, np.int64)
    except TypeError:
        item = np.array([str(row[0]) for row in filled])
    return np.repeat(np.arange(len(given)), sizes), _whole(argument, item)


def _whole(argument: str, array: NDArray[Any]) -> Ids:
    if array.dtype.kind not in "iu" and array.size:
        raise bad_value(
            argument,
            expected="whole numbers, the positions of items",
            received=f"{array.ravel()[0]!r} of dtype {array.dtype}",
            remedy=_POSITIONS,
        )
    return array.astype(np.int64)


def _check_range(
    argument: str, places: Ids, size: int, what: str, query: Ids | None = None
) -> None:
    outside = np.flatnonzero((places < 0) | (places >= size))
    if outside.size:
        beside = "" if query is None else f" for query {query[outside[0]]}"
        raise bad_value(
            argument,
            expected=f"positions of the {size:,} {what}, 0 to {size - 1}",
            received=f"{places[outside[0]]}{beside}",
            remedy=_POSITIONS,
        )


def positives_of_items(counts: Any, num_items: int) -> FloatArray:
    """Return the training positives of each item."""
    items, numbers = read_counts(counts, num_items, whole=False)
    items = _whole("counts", items)
    _check_range("counts", items, num_items, "items")
    by_item = np.zeros(num_items)
    by_item[items] = numbers
    if not by_item.any():
        expected = "training positives of at least one item"
        raise bad_value("counts", expected=expected, received="zeros alone")
    return by_item
