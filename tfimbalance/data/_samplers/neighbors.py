"""The nearest rows of the same class, and a point on the way to one of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_value
from tfimbalance.data._order.arrays import NumPyOps
from tfimbalance.data._order.sampling import ClassSampling
from tfimbalance.data._order.words import seed_word, uniforms, words
from tfimbalance.data._rows.leaf import Leaf


class _Near(NamedTuple):
    """Rows that come again, with the nearest rows of each, their number, and turns an epoch."""

    rows: NDArray[Any]
    classes: NDArray[Any]
    near: NDArray[Any]
    num_near: NDArray[Any]
    turns: NDArray[Any]


class Neighbors:
    """The nearest rows of the same class, for each row of a class that comes again."""

    def __init__(
        self,
        ids: NDArray[Any],
        sampling: ClassSampling,
        leaves: list[Leaf],
        features: NDArray[Any] | None,
        k_neighbors: int,
        seed: int,
    ) -> None:
        read, drawn = sampling.read.counts, sampling.drawn.counts
        self._word = np.array([seed_word(seed, 1)], np.uint64)
        none = np.zeros(0, np.int64)
        self._read = np.maximum(read, 1)
        classes = [_Near(none, none, np.zeros((0, k_neighbors), np.int64), none, np.zeros(0))]
        for k in np.flatnonzero((drawn > read) & (read > 0)):
            own = np.flatnonzero(ids == k)
            if len(own) == 1:
                raise bad_value(
                    "y",
                    expected="two rows or more of every class that comes more often than it is",
                    received=f"one row of class {k}",
                    remedy="Leave that class out, class_shares={class: share}, or repeat its row: "
                    "balanced_batches.",
                )
            if features is None:
                points = np.concatenate([leaf.flat(own) for leaf in leaves], axis=1)
            else:
                points = features[own]
            if not np.isfinite(points).all():
                raise bad_value(
                    "x" if features is None else "features",
                    expected="finite numbers, to look for neighbours",
                    received=f"NaN or infinity in row {own[~np.isfinite(points).all(axis=1)][0]}",
                    remedy="Fill them first: sklearn.impute.SimpleImputer.",
                )
            near = own[_nearest(points, k_neighbors)]
            count, turns = np.full(len(own), near.shape[1]), np.full(len(own), drawn[k] / read[k])
            near = np.pad(near, ((0, 0), (0, k_neighbors - near.shape[1])), mode="edge")
            classes.append(_Near(own, np.full(len(own), k), near, count, turns))
        together = [np.concatenate(parts) for parts in zip(*classes, strict=True)]
        order = np.argsort(together[0])
        self._near = _Near(*(part[order] for part in together))

    def partners(
        self,
        rows: NDArray[Any],
        places: NDArray[Any],
        passes: NDArray[Any],
        before: NDArray[np.int64],  # Rows of each class that earlier epochs handed out.
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
        """Return which of some rows are mixed, with which others, and how far towards them."""
        if not self._near.rows.size:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        at = np.minimum(np.searchsorted(self._near.rows, rows), len(self._near.rows) - 1)
        # The first whole pass of an epoch hands out the rows as they are; where an epoch need not
        # hold a whole one, one of `turns` passes does.
        turns = self._near.turns[at]
        first_whole = (-(-before // self._read))[self._near.classes[at]]
        one_of = np.floor((passes + 1) / turns) > np.floor(passes / turns)
        is_itself = np.where(turns >= 2, passes == first_whole, one_of)
        mixed = np.flatnonzero((self._near.rows[at] == rows) & ~is_itself)
        at = at[mixed]
        word = words(NumPyOps, self._word, places[mixed].astype(np.uint64))
        which = (_uniform_of_words(word, 1) * self._near.num_near[at]).astype(np.int64)
        return mixed, self._near.near[at, which], _uniform_of_words(word, 2)


def _nearest(points: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Return the numbers of the nearest other rows of each row."""
    from sklearn.neighbors import NearestNeighbors

    # Far from 0, differences would be lost in rounding.
    centred = points - points.mean(axis=0, dtype=np.float64)
    search = NearestNeighbors(n_neighbors=min(k, len(points) - 1)).fit(centred)
    return np.asarray(search.kneighbors(return_distance=False), np.int64)


def _uniform_of_words(word: NDArray[np.uint64], number: int) -> NDArray[np.float64]:
    return uniforms(words(NumPyOps, word, np.array([number], np.uint64)))
