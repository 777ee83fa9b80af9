"""Rows that a sampler of imbalanced-learn draws, and which row of the data each of them is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_value
from tfimbalance.data._samplers.kinds import steps_of

Check = Callable[[Any, Any], None]


@dataclass(frozen=True)
class Resampled:
    """Rows of a draw, and which row of the data each is; -1: a new one, None: unknown."""

    x: Any
    y: NDArray[np.int64]
    origin: NDArray[np.int64] | None
    transformed: bool = False  # By a transformer of a pipeline.

    @property
    def are_own(self) -> bool:
        """Whether every row is one of the data, unchanged: then row numbers say all."""
        if self.transformed or self.origin is None:
            return False
        return bool((self.origin >= 0).all())

    def first_row(self) -> Resampled:
        """Return one row, which shows the types and shapes of all."""
        origin = None if self.origin is None else self.origin[:1]
        return Resampled(take_rows(self.x, np.arange(1)), self.y[:1], origin, self.transformed)


def resample(sampler: Any, x: Any, y: NDArray[np.int64], check: Check) -> Resampled:
    """Draw once. ``check`` sees every sampler with what it is about to be given."""
    steps = steps_of(sampler)
    if steps is None:
        check(sampler, x)
        drawn, classes = _drawn(sampler, x, y)
        classes = np.asarray(classes, np.int64)
        return Resampled(drawn, classes, _origin(sampler, x, y, drawn, classes))
    # Step by step: a pipeline does not say where its rows come from.
    result = Resampled(x, y, np.arange(len(y)))
    for step in steps:
        if hasattr(step, "fit_resample"):
            inner = resample(step, result.x, result.y, check)
            transformed = result.transformed or inner.transformed
            origin = None
            if result.origin is not None and inner.origin is not None:
                origin = np.where(inner.origin >= 0, result.origin[inner.origin], -1)
            result = Resampled(inner.x, inner.y, origin, transformed)
        else:
            if hasattr(step, "fit_transform"):
                made = step.fit_transform(result.x, result.y)
            else:
                made = step.fit(result.x, result.y).transform(result.x)
            result = Resampled(made, result.y, result.origin, True)
    return result


def _drawn(sampler: Any, x: Any, y: NDArray[np.int64]) -> tuple[Any, Any]:
    """Draw, and say what to do where the sampler refuses."""
    try:
        drawn, classes = sampler.fit_resample(x, y)
    except ValueError as error:
        counts = np.bincount(y)
        smallest = int(np.where(counts > 0, counts, len(y) + 1).argmin())
        few = f"Class {smallest} has {counts[smallest]} rows"
        raise bad_value(
            "sampler",
            expected="one that can draw from these rows",
            received=f"{type(sampler).__name__}, which says: {error}",
            remedy=f"{few}. A sampler that looks at neighbours needs more rows than neighbours: "
            f"k_neighbors={max(1, counts[smallest] - 1)} at most, or RandomOverSampler()."
            if "neighbors" in str(error)
            else "",
        ) from error
    return drawn, classes


def _origin(
    sampler: Any, x: Any, y: NDArray[np.int64], drawn: Any, classes: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """Return the row of the data that each row equals, in its class as well, as far as is sure."""
    from imblearn import FunctionSampler
    from imblearn.combine import SMOTEENN, SMOTETomek

    num_rows, size = len(y), len(classes)
    if isinstance(sampler, FunctionSampler):
        return None
    if isinstance(sampler, (SMOTEENN, SMOTETomek)):
        # Both select from what SMOTE returns: all rows of the data, then those it made.
        cleaner = sampler.enn_ if isinstance(sampler, SMOTEENN) else sampler.tomek_
        index = cleaner.sample_indices_
        claimed = np.where(index < num_rows, index, -1)
    elif hasattr(sampler, "sample_indices_"):
        claimed = np.asarray(sampler.sample_indices_, np.int64)
    elif size >= num_rows:
        claimed = np.append(np.arange(num_rows), np.full(size - num_rows, -1))
    else:
        return None
    if len(claimed) != size:
        return None
    kept = np.flatnonzero(claimed >= 0)
    same = _equal_rows(take_rows(drawn, kept), take_rows(x, claimed[kept]))
    same &= classes[kept] == y[claimed[kept]]
    if same.all():
        return claimed
    if hasattr(sampler, "sample_indices_"):
        # Repeated with noise: RandomOverSampler(shrinkage=...).
        claimed[kept[~same]] = -1
        return claimed
    return None


def take_rows(x: Any, rows: NDArray[np.int64]) -> Any:
    """Copy rows of a frame, a sparse matrix or an array."""
    if hasattr(x, "tocsr"):
        return x.tocsr()[rows]
    return x.iloc[rows] if hasattr(x, "iloc") else x[rows]


def _equal_rows(a: Any, b: Any) -> NDArray[np.bool_]:
    if hasattr(a, "tocsr"):
        return np.asarray((a != b).getnnz(axis=1) == 0)
    if hasattr(a, "iloc"):
        columns = [_equal(a.iloc[:, j], b.iloc[:, j]) for j in range(a.shape[1])]
        return np.asarray(np.all(columns, axis=0))
    return np.asarray(_equal(a, b).all(axis=1))


def _equal(a: Any, b: Any) -> NDArray[np.bool_]:
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind == "O":
        # As text: what is missing equals nothing, and pandas' NA refuses to be compared.
        return np.asarray(a.astype(str) == b.astype(str))
    same = np.asarray(a == b)
    return same | ((a != a) & (b != b)) if a.dtype.kind == "f" else same
