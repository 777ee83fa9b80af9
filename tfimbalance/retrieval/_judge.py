"""What is held out, read and checked once -> reports on models."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tfimbalance._checks import FloatArray, bad_value, check_integer, check_number
from tfimbalance.retrieval._held_out import Ids, positives_of_items, read_pairs
from tfimbalance.retrieval._report import EvaluationReport, band_names
from tfimbalance.retrieval._scores import Scores
from tfimbalance.retrieval._top import best_items

# Scores less offsets of this size are numbers of float32.
_LARGEST = 1e30


class Judge:
    """Positives of queries, and what reports compare models with; arguments as `evaluate`."""

    def __init__(
        self,
        positives: Any,
        *,
        num_queries: int,
        num_items: int,
        k: Any,
        seen: Any,
        counts: Any,
        bands: int,
        tau: float,
        temperature: float,
        batch_size: int,
    ) -> None:
        self.num_queries, self.num_items = num_queries, num_items
        self.k = _lengths(k, num_items)
        self.batch_size = check_integer("batch_size", batch_size, minimum=1)
        self.tau = check_number("tau", tau)
        temperature = check_number("temperature", temperature, minimum=0.0, exclusive=True)
        size = {"num_queries": num_queries, "num_items": num_items}
        self.positives = read_pairs("positives", positives, **size)
        if not self.positives.size:
            raise bad_value("positives", expected="at least one positive", received="none")
        self.seen = np.zeros(0, np.int64) if seen is None else read_pairs("seen", seen, **size)
        self._begins = np.searchsorted(self.seen, np.arange(num_queries + 1) * num_items)
        self._warn_of_seen()
        self._names = band_names(_number_of_bands(bands, num_items))
        self._band = np.zeros(num_items, np.int64)
        self._offset = np.zeros(0)
        self._baseline: list[dict[str, Any]] = []
        self.counts = None if counts is None else positives_of_items(counts, num_items)
        if self.counts is not None:
            self._band = _bands(self.counts, bands)
            self._offset = self._dial(temperature)
            self._baseline = self._rows("popularity", self._popular())
        elif self.tau != 0.0 or bands != 3:
            raise bad_value(
                "counts",
                expected="the training positives of each item, beside `tau` or `bands`",
                received="None",
                remedy="Count them: np.bincount(item_of_each_positive, minlength=num_items).",
            )

    def report(self, scores: Scores) -> EvaluationReport:
        """Judge a model by its scores of all items."""
        model = self._rows("model", self._lists(scores))
        both = zip(model, self._baseline) if self._baseline else ((row,) for row in model)
        bands: list[dict[str, Any]] = []
        unseen = None
        if self.counts is not None:
            item = self.positives % self.num_items
            unseen = float((self.counts[item] == 0).mean())
            sizes = (
                np.bincount(b, minlength=len(self._names)) for b in (self._band, self._band[item])
            )
            bands = [
                {"band": name, "items": int(items), "positives": int(positives)}
                for name, items, positives in zip(self._names, *sizes)
            ]
        rows = [row for pair in both for row in pair]
        return EvaluationReport(rows, bands, self.num_items, unseen, self.tau)

    def _lists(self, scores: Scores) -> Iterator[tuple[int, Ids]]:
        """Yield the best items of some queries after others, and the number of the first."""
        for start in range(0, self.num_queries, self.batch_size):
            rows = slice(start, min(start + self.batch_size, self.num_queries))
            seen = self.seen[self._begins[start] : self._begins[rows.stop]]
            pairs = divmod(seen - start * self.num_items, self.num_items)
            served = partial(self._served, scores, rows, pairs)
            yield start, best_items(served, self.num_items, self.k[-1])

    def _served(self, scores: Scores, rows: slice, seen: Any, columns: slice) -> Any:
        """Return the scores by which some items are ranked."""
        block = scores.block(rows, columns)
        if self.tau:
            block -= self._offset[columns].astype(block.dtype)
        row, item = seen
        here = (item >= columns.start) & (item < columns.stop)
        block[row[here], item[here] - columns.start] = -np.inf
        return block

    def _dial(self, temperature: float) -> FloatArray:
        """Return what to take from dot products so that the result is served with ``tau``."""
        # Half a draw more: items that were never drawn have a logarithm, too.
        draws = np.asarray(self.counts) + 0.5
        offset = self.tau * temperature * np.log(draws / draws.sum())
        if np.abs(offset).max() > _LARGEST:
            expected = "a strength that float32 holds, of 1 or so"
            raise bad_value("tau", expected=expected, received=self.tau)
        return np.asarray(offset)

    def _popular(self) -> Iterator[tuple[int, Ids]]:
        """Yield the most popular items that some queries have not seen, likewise."""
        order = np.argsort(-np.asarray(self.counts), kind="stable")
        is_seen = np.zeros(self.num_items, np.bool_)
        for start in range(0, self.num_queries, self.batch_size):
            stop = min(start + self.batch_size, self.num_queries)
            lists = np.full((stop - start, self.k[-1]), -1)
            for query in range(start, stop):
                seen = self.seen[self._begins[query] : self._begins[query + 1]] % self.num_items
                first = order[: self.k[-1] + len(seen)]
                is_seen[seen] = True
                left = first[~is_seen[first]][: self.k[-1]]
                lists[query - start, : len(left)] = left
                is_seen[seen] = False
            yield start, lists

    def _rows(self, model: str, batches: Iterable[tuple[int, Ids]]) -> list[dict[str, Any]]:
        """Return a row for each k of lists that come batch by batch."""
        bands, longest = len(self._names), self.k[-1]
        gain = 1.0 / np.log2(np.arange(2.0, longest + 2))
        per_query = np.bincount(self.positives // self.num_items, minlength=self.num_queries)
        exposure = {k: np.zeros(self.num_items) for k in self.k}
        found = {k: np.zeros(bands) for k in self.k}
        ndcg = dict.fromkeys(self.k, 0.0)
        for start, lists in batches:
            query = np.arange(start, start + len(lists))
            shown = lists >= 0
            hit = shown & _contains(self.positives, query[:, None] * self.num_items + lists)
            wanted = per_query[query]
            for k in self.k:
                first, hits = lists[:, :k], hit[:, :k]
                exposure[k] += np.bincount(first[shown[:, :k]], minlength=self.num_items)
                found[k] += np.bincount(self._band[first[hits]], minlength=bands)
                best = gain.cumsum()[np.minimum(wanted, k) - 1]
                ndcg[k] += float((hits @ gain[:k] / best)[wanted > 0].sum())
        total = np.bincount(self._band[self.positives % self.num_items], minlength=bands)
        rows = []
        for k in self.k:
            row: dict[str, Any] = {
                "model": model,
                "k": k,
                "recall": float(found[k].sum() / total.sum()),
                "ndcg": ndcg[k] / int((per_query > 0).sum()),
                "coverage": float((exposure[k] > 0).mean()),
                "gini": _gini(exposure[k]),
            }
            if self.counts is not None:
                row["average_popularity"] = _ratio(exposure[k] @ self.counts, exposure[k].sum())
                for name, hits, all_ in zip(self._names, found[k], total):
                    row[f"recall_{name}"] = _ratio(hits, all_)
            rows.append(row)
        return rows

    def _warn_of_seen(self) -> None:
        both = int(_contains(self.seen, self.positives).sum())
        if both:
            warnings.warn(
                f"evaluate: {both:,} of {self.positives.size:,} positives are `seen` by their "
                "query, and are never recommended. Leave them out of one of the two.",
                stacklevel=4,
            )


def _lengths(k: Any, num_items: int) -> tuple[int, ...]:
    several = np.iterable(k) and not isinstance(k, (str, bytes))
    lengths = sorted({check_integer("k", number, minimum=1) for number in (k if several else [k])})
    if not lengths or lengths[-1] > num_items:
        raise bad_value(
            "k",
            expected=f"lengths of lists, at most those of all {num_items:,} items",
            received=repr(k),
            remedy=f"For example k={min(10, num_items)}.",
        )
    return tuple(lengths)


def _number_of_bands(bands: Any, num_items: int) -> int:
    number = check_integer("bands", bands, minimum=1)
    if number > max(num_items, 3):
        expected = f"at most {num_items:,} bands, as many as items"
        raise bad_value("bands", expected=expected, received=bands)
    return number


def _bands(counts: FloatArray, bands: int) -> Ids:
    """Return the band in which the share of each item begins, the most frequent item first."""
    order = np.argsort(-counts, kind="stable")
    cumulated = counts[order].cumsum()
    begins = np.concatenate([[0.0], cumulated[:-1]])
    band = np.empty(len(counts), np.int64)
    band[order] = np.minimum(begins * bands // cumulated[-1], bands - 1)
    return band


def _contains(pairs: Ids, wanted: Ids) -> Any:
    """Tell which of the wanted pairs there are among sorted ones."""
    if not pairs.size:
        return np.zeros(wanted.shape, np.bool_)
    at = np.minimum(np.searchsorted(pairs, wanted), pairs.size - 1)
    return pairs[at] == wanted


def _gini(exposure: FloatArray) -> float:
    """Return half the mean difference of two items, divided by the mean."""
    size = len(exposure)
    return (
        1.0 + 1.0 / size - 2.0 * _ratio(np.cumsum(np.sort(exposure)).sum() / size, exposure.sum())
    )


def _ratio(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else float("nan")
