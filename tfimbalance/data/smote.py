"""Balanced batches whose rare rows are new ones, between two that are there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_integer, check_same_length
from tfimbalance._labels import class_ids
from tfimbalance.data._batches import PlannedBatches
from tfimbalance.data._class_sampling import ClassSampling
from tfimbalance.data._interpolation import some_columns
from tfimbalance.data._ops import NumPyOps
from tfimbalance.data._pipeline import check_shards, weak
from tfimbalance.data._plan import BalancedPlan
from tfimbalance.data._random import seed_word, words
from tfimbalance.data._shares import check_batch_size, resolve_shares
from tfimbalance.data._sources import Leaf, Rows
from tfimbalance.statistics import class_statistics

_ROWS_AT_ONCE = 65_536


def smote_batches(
    x: Any,
    y: Any,
    *,
    batch_size: int = 256,
    class_shares: str | Mapping[int, float] | Sequence[float] = "balanced",
    k_neighbors: int = 5,
    features: Any = None,
    quantities: Sequence[int] = (),
    sample_weight: Any = None,
    steps_per_epoch: int | None = None,
    seed: int = 0,
    initial_epoch: int = 0,
    num_shards: int = 1,
    shard_index: int = 0,
) -> tf.data.Dataset:
    """Make balanced batches in which a rare row that comes again is a new one.

    SMOTE on the way: rows of a class that comes more often than it is there are drawn, beyond one
    pass an epoch, as points between a row and one of its nearest neighbours of that class. The
    neighbours are looked up once; the points are new in every batch, and no resampled copy of the
    data is kept. (`resampled_batches` takes SMOTE and its variants from imbalanced-learn, and
    draws once an epoch.)

        x_new = x_i + u (x_j - x_i),  u uniform in [0, 1),  j one of the k nearest to i        [1]

    Floating-point arrays of ``x`` are mixed, over all of them with one u. Integers, strings and
    ragged arrays, such as ids, and weights are those of row i.

    Args:
        x: rows, as `balanced_batches` takes them, with a dense floating-point array among them.
        y: class ids ``(rows,)`` or ``(rows, 1)``, or one-hot; emitted as they are.
        batch_size: rows a batch, at least one for every class that has a share.
        class_shares: as in `balanced_batches`.
        k_neighbors: among how many nearest rows the other one is drawn.
        features: ``(rows, width)``, what neighbours are near in, such as scaled columns or an
            embedding; by default the floating-point arrays of ``x`` as they are.
        quantities: numbers of columns of floating-point arrays that hold whole numbers and may be
            mixed all the same, such as ages.
        sample_weight: one weight a row, the third component of every element; or None.
        steps_per_epoch: batches an epoch; ``ceil(rows / batch_size)`` by default.
        seed: decides the order and the points.
        initial_epoch: epoch to start with.
        num_shards: split the batches among as many workers.
        shard_index: which of them this is, from 0.

    Returns:
        A `tf.data.Dataset` as that of `balanced_batches`. Beside it, it holds ``k_neighbors``
        row numbers for each row of those classes.

    Shapes:
        every array ``(rows, ...)`` becomes ``(batch_size, ...)``; no batch is smaller.

    Raises:
        ValueError: for no floating-point array, columns of whole numbers in one (named), a class
            of a single row that would have to be mixed, and as `balanced_batches`.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> x = np.random.default_rng(0).random((1000, 2), dtype="float32")
        >>> y = np.repeat([0, 1], [990, 10])
        >>> dataset = tfi.data.smote_batches(x, y, batch_size=100)
        >>> rows = np.concatenate([rows[labels == 1] for rows, labels in dataset])
        >>> len(rows), len(np.unique(rows, axis=0)) > 450
        (500, True)

    References:
        [1] Chawla et al., SMOTE: Synthetic Minority Over-sampling Technique, JAIR 2002,
        arXiv 1106.1813.
    """
    batch_size = check_integer("batch_size", batch_size, minimum=1)
    k_neighbors = check_integer("k_neighbors", k_neighbors, minimum=1)
    seed = check_integer("seed", seed, minimum=0)
    shards = check_shards(num_shards, shard_index)
    structure = {"x": x, "y": y}
    if sample_weight is not None:
        structure["sample_weight"] = sample_weight
    rows = Rows(structure)
    stats = class_statistics(y)
    ids, _ = class_ids(y)
    if ids.ndim != 1:
        raise bad_value("y", expected="one class a row", received=f"shape {np.shape(y)}")
    shares = resolve_shares(class_shares, stats.counts)
    check_batch_size(batch_size, shares)
    plan = BalancedPlan(ids, stats.num_classes, shares, batch_size, seed)
    steps = math.ceil(rows.num_rows / (batch_size * num_shards))
    if steps_per_epoch is not None:
        steps = check_integer("steps_per_epoch", steps_per_epoch, minimum=1)
    mixed = _mixed_leaves(rows, quantities)
    if features is not None:
        features = np.asarray(features)
        check_same_length("features", len(features), reference="y", expected=rows.num_rows)
    sampling = plan.class_sampling(steps * num_shards)
    neighbors = _Neighbors(ids, sampling, rows, mixed, features, k_neighbors, seed)
    return _SmoteBatches(
        plan, rows, steps, initial_epoch, shards, neighbors, mixed, sampling
    ).dataset()


def _mixed_leaves(rows: Rows, quantities: Sequence[int]) -> list[int]:
    """Return the numbers of the dense floating-point arrays of ``x``."""
    mixed = []
    for number, leaf in enumerate(rows.leaves[: rows.size_of("x")]):
        if leaf.gather is None or len(leaf.dtypes) != 1 or not leaf.dtypes[0].is_floating:
            continue
        mixed.append(number)
        bad = [column for column in _whole_columns(leaf) if column not in set(quantities)]
        if bad:
            raise bad_value(
                "x",
                expected="floating-point columns that may be mixed",
                received=f"{some_columns(bad)} of whole numbers, of which a mix means nothing",
                remedy="Pass ids, flags and one-hot columns as integers in an array of their own, "
                'x={"id": ids, "features": floats}; they stay as they are. Columns that are '
                f"quantities, such as ages, may be mixed: quantities={bad[:3]}.",
            )
    if not mixed:
        raise bad_value(
            "x",
            expected="a dense floating-point array, to mix rows of",
            received=", ".join(
                str([d.name for d in leaf.dtypes] or "strings, ragged or sparse rows")
                for leaf in rows.leaves[: rows.size_of("x")]
            ),
            remedy="balanced_batches repeats rows as they are.",
        )
    return mixed


def _whole_columns(leaf: Leaf) -> list[int]:
    """Return the columns that hold nothing but whole numbers, and more than one of them."""
    assert leaf.gather is not None
    first = leaf.gather(np.zeros(1, np.int64))[0].reshape(1, -1).copy()
    left, varies = np.arange(first.shape[1]), np.zeros(first.shape[1], bool)
    for start in range(0, leaf.num_rows, _ROWS_AT_ONCE):
        numbers = np.arange(start, min(start + _ROWS_AT_ONCE, leaf.num_rows))
        part = leaf.gather(numbers)[0].reshape(len(numbers), -1)[:, left]
        varies[left] |= (part != first[:, left]).any(axis=0)
        left = left[(part == np.rint(part)).all(axis=0)]
        if not left.size:
            break
    return [int(column) for column in left[varies[left]]]


class _Neighbors:
    """The nearest rows of the same class, of each row of the classes that come again."""

    def __init__(
        self,
        ids: NDArray[Any],
        sampling: ClassSampling,
        rows: Rows,
        leaves: list[int],
        features: NDArray[Any] | None,
        k_neighbors: int,
        seed: int,
    ) -> None:
        read, drawn = sampling.read.counts, sampling.drawn.counts
        self._word = np.array([seed_word(seed, 1)], np.uint64)
        again = np.flatnonzero((drawn > read) & (read > 0))
        self._near = np.zeros((0, k_neighbors), np.int64)
        of_class, near, count, rate = [], [], [], []
        for k in again:
            own = np.flatnonzero(ids == k)
            if len(own) == 1:
                raise bad_value(
                    "y",
                    expected="two rows or more of every class that comes more often than it is",
                    received=f"one row of class {k}",
                    remedy="Leave that class out, class_shares={class: share}, or repeat its row: "
                    "balanced_batches.",
                )
            points = rows.features(own, leaves) if features is None else features[own]
            found = own[_nearest(points, k_neighbors)]
            count.append(np.full(len(own), found.shape[1]))
            near.append(np.pad(found, ((0, 0), (0, k_neighbors - found.shape[1])), mode="edge"))
            of_class.append(own)
            rate.append(np.full(len(own), 1 - read[k] / drawn[k]))
        self._rows = np.concatenate([*of_class, np.zeros(0, np.int64)])
        order = np.argsort(self._rows)
        self._rows = self._rows[order]
        if again.size:
            self._near = np.concatenate(near)[order]
            self._count, self._rate = np.concatenate(count)[order], np.concatenate(rate)[order]

    def partners(
        self, rows: NDArray[Any], places: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
        """Return which of some rows are mixed, with which others, and how far towards them."""
        if not self._rows.size:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        at = np.minimum(np.searchsorted(self._rows, rows), len(self._rows) - 1)
        word = words(NumPyOps, self._word, places.astype(np.uint64))
        is_mixed = (self._rows[at] == rows) & (_uniform(word, 0) < self._rate[at])
        mixed = np.flatnonzero(is_mixed)
        at, word = at[mixed], word[mixed]
        which = (_uniform(word, 1) * self._count[at]).astype(np.int64)
        return mixed, self._near[at, which], _uniform(word, 2)


def _nearest(points: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Return the numbers of the nearest other rows of each row."""
    from sklearn.neighbors import NearestNeighbors

    k = min(k, len(points) - 1)
    found = NearestNeighbors(n_neighbors=k + 1).fit(points).kneighbors(return_distance=False)
    return np.asarray(found[:, :k], np.int64)


def _uniform(word: NDArray[np.uint64], number: int) -> NDArray[np.float64]:
    drawn = words(NumPyOps, word, np.array([number], np.uint64))
    return np.asarray((drawn >> np.uint64(11)) * 2.0**-53)


class _SmoteBatches(PlannedBatches):
    """Balanced batches, some of whose rows are moved towards a neighbour."""

    with_places = True

    def __init__(
        self,
        plan: BalancedPlan,
        rows: Rows,
        steps: int,
        initial_epoch: int,
        shards: tuple[int, int],
        neighbors: _Neighbors,
        leaves: list[int],
        sampling: ClassSampling,
    ) -> None:
        super().__init__(plan, rows, steps, initial_epoch, shards)
        self._neighbors, self._sampling = neighbors, sampling
        # `gather` returns the arrays of one leaf after the other.
        starts = np.cumsum([0, *(len(leaf.dtypes) for leaf in rows.leaves)])
        self._parts = [int(starts[leaf]) for leaf in leaves]

    def class_sampling(self) -> ClassSampling:
        """Return the rows of each class, in the data and in an epoch."""
        return self._sampling

    def fetch(self, numbers: tf.Tensor) -> tuple[Any, ...]:
        """Make a block of batches of row numbers and places."""
        parts = tf.numpy_function(weak(self._gather), [numbers], self._rows.dtypes, stateful=False)
        return self._rows.build(numbers[: numbers.shape[0] // 2], list(parts), self._block)

    def _gather(self, numbers: NDArray[np.int64]) -> list[NDArray[Any]]:
        rows, places = np.split(numbers, 2)
        parts = self._rows.gather(rows)
        mixed, partner, far = self._neighbors.partners(rows, places)
        others = self._rows.gather(partner)
        for number in self._parts:
            part, other = parts[number], others[number]
            own = part[mixed]
            length = far.astype(part.dtype).reshape(-1, *[1] * (part.ndim - 1))
            part[mixed] = own + length * (other - own)
        return parts
