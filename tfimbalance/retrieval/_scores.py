"""Embeddings, or scores themselves -> scores of some queries and some items."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_entry, bad_value
from tfimbalance.retrieval._arguments import as_numpy


class Scores:
    """Dot products of embeddings (or given scores), computed block by block."""

    def __init__(self, queries: Any, items: Any) -> None:
        self._queries = _matrix("queries", queries)
        self._items = None if items is None else _matrix("items", items)
        self.num_queries = len(self._queries)
        self.num_items = self._queries.shape[1] if self._items is None else len(self._items)
        if self._items is not None:
            self._check_fit(self._queries, self._items)

    def block(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the scores of some queries and items, in an array of its own."""
        if self._items is not None:
            return np.asarray(self._queries[rows] @ self._items[columns].T)
        scores = self._queries[rows, columns].copy()
        wrong = np.isnan(scores) | (scores == np.inf)
        if wrong.any():
            numbers = np.arange(self.num_queries)[rows]
            expected = "scores that are numbers, or -inf where an item is not offered"
            raise bad_entry("queries", scores, wrong, expected=expected, numbers=numbers)
        return scores

    def _check_fit(self, queries: NDArray[Any], items: NDArray[Any]) -> None:
        if queries.shape[1] != items.shape[1]:
            raise bad_value(
                "items",
                expected=f"embeddings of {queries.shape[1]} numbers, as those of `queries`",
                received=f"shape {items.shape}",
                remedy="Scores of each query and item go without items: evaluate(scores, None, "
                "...).",
            )
        largest = 1.0
        for argument, array in (("queries", queries), ("items", items)):
            wrong = ~np.isfinite(array)
            if wrong.any():
                raise bad_entry(argument, array, wrong, expected="finite embeddings")
            largest *= float(np.abs(array).max())
        limit = float(np.finfo(np.result_type(queries, items)).max)
        if not largest * queries.shape[1] < limit:
            raise bad_value(
                "queries",
                expected=f"embeddings whose dot products are finite in {queries.dtype}",
                received=f"products up to {largest:g}",
                remedy="A model that has diverged has no ranking; else pass float64.",
            )


def _matrix(argument: str, x: Any) -> NDArray[Any]:
    """Return a matrix of float32, or of float64 if it came as such or as integers."""
    expected = "a dense matrix of real numbers, one row an embedding"
    array = as_numpy(argument, x, expected)
    half = array.dtype.name in ("float16", "bfloat16")
    if array.ndim != 2 or 0 in array.shape or (array.dtype.kind not in "biuf" and not half):
        received = f"shape {array.shape} of dtype {array.dtype}"
        raise bad_value(argument, expected=expected, received=received)
    return array.astype(np.float32 if half or array.dtype == np.float32 else np.float64, copy=False)
