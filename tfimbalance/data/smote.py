"""Balanced batches whose rare rows are new ones, between two that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_integer, check_same_length
from tfimbalance.data._epochs.batches import BalancedBatches
from tfimbalance.data._epochs.schedule import Schedule
from tfimbalance.data._order.plan import BalancedPlan
from tfimbalance.data._rows.rows import LabelledRows, Rows
from tfimbalance.data._samplers.columns import (
    checked_quantities,
    column_numbers,
    some_columns,
    whole_columns,
)
from tfimbalance.data._samplers.neighbors import Neighbors
from tfimbalance.shares import check_batch_size, resolve_shares


def smote_batches(
    x: Any,
    y: Any,
    *,
    batch_size: int = 256,
    class_shares: str | Mapping[int, float] | Sequence[float] = "balanced",
    k_neighbors: int = 5,
    features: Any = None,
    quantities: Any = (),
    sample_weight: Any = None,
    labels: Any = None,
    steps_per_epoch: int | None = None,
    seed: int = 0,
    initial_epoch: int = 0,
    num_shards: int = 1,
    shard_index: int = 0,
) -> tf.data.Dataset:
    """Make balanced batches in which a rare row that comes again is a new one.

    A row of a class that comes at least twice an epoch comes as it is once an epoch; its other
    turns are points between it and one of its nearest neighbours of that class. (Of a class that
    comes more than once and less than twice, about one turn an epoch.) Neighbours are looked up
    once, points are new in every batch, and no resampled copy of the data is kept.
    (`resampled_batches` takes SMOTE and its variants from imbalanced-learn, and draws once an
    epoch.)

        x_new = x_i + u (x_j - x_i),  u uniform in [0, 1),  j one of the k nearest to i        [1]

    Floating-point arrays of ``x`` are mixed, all with the same u. Integers, strings and ragged
    arrays, such as ids, and weights are those of row i.

    Args:
        x: rows, as `balanced_batches` takes them, with a dense floating-point array among them.
        k_neighbors: among how many nearest rows the other one is drawn.
        features: ``(rows, width)``, what neighbours are near in, such as scaled columns or an
            embedding; by default the floating-point arrays of ``x`` as they are.
        quantities: numbers or names of columns that hold whole numbers and may be mixed all the
            same, such as ages. For several arrays: a dictionary by key.
        y, batch_size, class_shares, sample_weight, labels, steps_per_epoch, seed, initial_epoch,
            num_shards, shard_index: as `balanced_batches`.

    Returns:
        A `tf.data.Dataset` as that of `balanced_batches`. It also holds ``k_neighbors`` row numbers
        for each row of those classes.

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
        [1] Chawla et al., SMOTE, JAIR 2002, arXiv 1106.1813.
    """
    schedule = Schedule.of(
        batch_size, steps_per_epoch, seed, initial_epoch, num_shards, shard_index
    )
    k_neighbors = check_integer("k_neighbors", k_neighbors, minimum=1)
    rows, stats, ids = LabelledRows.read(x, y, sample_weight, labels)
    shares = resolve_shares(class_shares, stats.counts)
    check_batch_size(batch_size, shares)
    plan = BalancedPlan(ids, stats.num_classes, shares, batch_size, seed)
    schedule = schedule.over(rows.num_rows)
    mixed = _mixed_leaves(rows, x, quantities)
    if features is not None:
        features = _checked_features(features, rows.num_rows)
    sampling = plan.class_sampling(schedule.steps * num_shards)
    leaves = [rows.leaves[number] for number in mixed]
    neighbors = Neighbors(ids, sampling, leaves, features, k_neighbors, seed)
    return _SmoteBatches(plan, rows, schedule, neighbors, mixed).dataset()


def _mixed_leaves(rows: Rows, x: Any, quantities: Any) -> list[int]:
    """Return the numbers of the dense floating-point arrays of ``x``."""
    leaves = rows.leaves[: len(rows.x)]
    mixed = [
        number
        for number, leaf in enumerate(leaves)
        if leaf.gather is not None and len(leaf.dtypes) == 1 and leaf.dtypes[0].is_floating
    ]
    if not mixed:
        kinds = [[dtype.name for dtype in leaf.dtypes] or ["strings or ragged"] for leaf in leaves]
        raise bad_value(
            "x",
            expected="a dense floating-point array, to mix rows of",
            received=", ".join(" and ".join(kind) for kind in kinds),
            remedy="balanced_batches repeats rows as they are.",
        )
    # In the order of tf.nest: dictionaries by their sorted keys.
    flat = isinstance(x, dict) and len(x) == len(leaves)
    keys = sorted(x) if flat else list(range(len(leaves)))
    allowed = _quantities(quantities, {keys[number]: rows.x[number] for number in mixed})
    for number in mixed:
        whole = whole_columns(leaves[number].flat, rows.num_rows)
        bad = [column for column in whole if column not in allowed.get(keys[number], ())]
        if bad:
            raise bad_value(
                "x",
                expected="floating-point columns that may be mixed",
                received=f"{some_columns(bad)} of whole numbers, whose mix means nothing",
                remedy="Pass ids, flags and one-hot columns as integers in an array of their own, "
                'x={"id": ids, "features": floats}; they stay as they are. Columns that are '
                f"quantities, such as ages, may be mixed: quantities={bad[:3]}.",
            )
    return mixed


def _quantities(quantities: Any, arrays: dict[Any, Any]) -> dict[Any, set[int]]:
    """Return the columns that may be mixed, of each array by its key."""
    keys = list(arrays)
    if not isinstance(quantities, dict):
        quantities = checked_quantities(quantities)
        if quantities and len(keys) != 1:
            raise bad_value(
                "quantities",
                expected=f"a dictionary by array, because `x` has several: {keys}",
                received=repr(quantities),
            )
        quantities = dict.fromkeys(keys, quantities)
    for key in quantities:
        if key not in keys:
            raise bad_value("quantities", expected=f"arrays of floats, {keys}", received=repr(key))
    return {key: column_numbers(arrays[key], columns) for key, columns in quantities.items()}


def _checked_features(features: Any, num_rows: int) -> NDArray[Any]:
    array = np.asarray(features)
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise bad_value(
            "features",
            expected="numbers of shape (rows, width)",
            received=f"{array.dtype} of shape {array.shape}",
        )
    check_same_length("features", len(array), reference="y", expected=num_rows)
    return array


class _SmoteBatches(BalancedBatches):
    """Balanced batches, some of whose rows are moved towards a neighbour."""

    per_row = 3

    def __init__(
        self,
        plan: BalancedPlan,
        rows: Rows,
        schedule: Schedule,
        neighbors: Neighbors,
        leaves: list[int],
    ) -> None:
        super().__init__(plan, rows, schedule)
        # `gather` returns the arrays of one leaf after the other.
        starts = np.cumsum([0, *(len(leaf.dtypes) for leaf in rows.leaves)])
        self._neighbors, self._parts = neighbors, [int(starts[leaf]) for leaf in leaves]

    def fetch(self, epoch: tf.Tensor, numbers: tf.Tensor) -> tuple[Any, ...]:
        rows = numbers[: numbers.shape[0] // 3]
        return self._rows.fetch(rows, self._block, self._gather, [epoch, numbers])

    def _gather(self, epoch: np.int64, numbers: NDArray[np.int64]) -> list[NDArray[Any]]:
        rows, places, passes = np.split(numbers, 3)
        parts = self._rows.gather(rows)
        schedule = self._schedule
        batches = int(epoch) * schedule.steps * schedule.num_shards
        before = self._plan.class_sampling(batches).drawn.counts
        mixed, partner, far = self._neighbors.partners(rows, places, passes, before)
        others = self._rows.gather(partner)
        for number in self._parts:
            part, other = parts[number], others[number]
            own = part[mixed]
            # A difference of two rows of float16 may be too large for it.
            wide = np.float32 if part.dtype == np.float16 else part.dtype
            length = far.astype(wide).reshape(-1, *[1] * (part.ndim - 1))
            part[mixed] = own + length * (other.astype(wide, copy=False) - own)
        return parts
