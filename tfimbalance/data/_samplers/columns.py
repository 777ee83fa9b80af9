"""Which columns a sampler of imbalanced-learn mixes, and which of them must not be mixed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_value
from tfimbalance.data._samplers.kinds import shrinks

_ROWS_AT_ONCE = 65_536
_SHOWN = 5


def check_columns(sampler: Any, x: Any, quantities: Sequence[Any]) -> None:
    """Refuse to interpolate categories, flags and ids, which have no halves."""
    mixed = _mixed_columns(sampler, x)
    if not mixed.size:
        return
    names = _names(x) or list(range(x.shape[1]))
    allowed = {_column_number(x, quantity) for quantity in quantities}
    at_risk = set(mixed.tolist())
    offenders = [names[j] for j in _discrete_columns(x) if j in at_risk and j not in allowed]
    if not offenders:
        return
    sampler_name = type(sampler).__name__
    raise bad_value(
        "x",
        expected=f"columns that may be mixed, because {sampler_name} makes rows between others",
        received=f"{some_columns(offenders)} of whole numbers, flags or categories, whose mix "
        "means nothing",
        remedy=_column_remedy(sampler_name, offenders, len(offenders) == len(names)),
    )


def checked_quantities(quantities: Any) -> tuple[Any, ...]:
    """Return the columns that are quantities, named one by one."""
    if not np.iterable(quantities) or isinstance(quantities, str):
        raise bad_value("quantities", expected="numbers of columns", received=repr(quantities))
    return tuple(quantities)


def column_numbers(x: Any, quantities: Sequence[Any]) -> set[int]:
    """Return the numbers of columns of ``x`` given by number or name; refuse others."""
    found = set()
    for quantity in quantities:
        number = _column_number(x, quantity)
        if number is None:
            has = some_columns(_names(x)) if _names(x) else f"{_width(x)} columns"
            raise bad_value(
                "quantities",
                expected="names or numbers of columns of `x`",
                received=f"{quantity!r}, where `x` has {has}",
            )
        found.add(number)
    return found


def _column_number(x: Any, quantity: Any) -> int | None:
    names, width = _names(x), _width(x)
    if quantity in names:
        return names.index(quantity)
    integral = isinstance(quantity, (int, np.integer)) and not isinstance(quantity, bool)
    return int(quantity) % width if integral and -width <= quantity < width else None


def _names(x: Any) -> list[Any]:
    return list(getattr(x, "columns", []))


def _width(x: Any) -> int:
    return math.prod(np.shape(x)[1:])


def _mixed_columns(sampler: Any, x: Any) -> NDArray[np.int64]:
    """Return the numbers of the columns in which a sampler makes new values."""
    from imblearn import combine
    from imblearn import over_sampling as over
    from imblearn import under_sampling as under

    every = np.arange(x.shape[1])
    if isinstance(sampler, (combine.SMOTEENN, combine.SMOTETomek)):
        return every if sampler.smote is None else _mixed_columns(sampler.smote, x)
    if isinstance(sampler, over.SMOTENC):
        return np.setdiff1d(every, _nominal_columns(sampler, x))
    if isinstance(sampler, over.SMOTEN):
        mixes = False
    elif isinstance(sampler, over.RandomOverSampler):
        mixes = shrinks(sampler)
    elif isinstance(sampler, under.ClusterCentroids):
        takes_rows = sampler.voting == "auto" and hasattr(x, "tocsr")
        mixes = not (takes_rows or sampler.voting == "hard")
    else:
        smotes = (over.SMOTE, over.BorderlineSMOTE, over.SVMSMOTE, over.KMeansSMOTE)
        mixes = isinstance(sampler, (*smotes, over.ADASYN))
    return every if mixes else every[:0]


def _nominal_columns(sampler: Any, x: Any) -> NDArray[np.int64]:
    """Return what a `SMOTENC` was told to be categories. What it cannot read, it says itself."""
    given = sampler.categorical_features
    if isinstance(given, str):
        dtypes = x.dtypes if hasattr(x, "dtypes") else []
        return np.flatnonzero([hasattr(dtype, "categories") for dtype in dtypes])
    features = np.asarray(given)
    if features.dtype.kind == "b":
        return np.flatnonzero(features)
    if features.dtype.kind in "iu":
        return np.where(features < 0, features + x.shape[1], features).astype(np.int64)
    names = [str(name) for name in getattr(x, "columns", [])]
    return np.flatnonzero(np.isin(names, features.astype(str)))


def _discrete_columns(x: Any) -> list[int]:
    """Return the numbers of columns of whole numbers, flags or categories, but for constants."""
    if hasattr(x, "tocsc"):
        return _discrete_sparse(x.tocsc())
    if not hasattr(x, "columns"):
        return _discrete_dense(x)
    return [
        j
        for j, dtype in enumerate(x.dtypes)
        if dtype.kind not in "biuf"
        or _discrete_dense(x.iloc[:, j].to_numpy(np.float64, na_value=np.nan)[:, None])
    ]


def _discrete_dense(x: NDArray[Any]) -> list[int]:
    if x.dtype.kind not in "biuf":
        return list(range(x.shape[1]))
    return whole_columns(lambda rows: x[rows], len(x))


def whole_columns(read: Callable[[NDArray[Any]], NDArray[Any]], num_rows: int) -> list[int]:
    """Return the numbers of the columns that hold whole numbers alone, and more than one."""
    first = read(np.zeros(1, np.int64)).copy()
    left, varies = np.arange(first.shape[1]), np.zeros(first.shape[1], bool)
    # The first rows settle nearly every column of measurements; few are left for the others.
    for start in range(0, num_rows, _ROWS_AT_ONCE):
        rows = np.arange(start, min(start + _ROWS_AT_ONCE, num_rows))
        part = read(rows)[:, left]
        varies[left] |= (part != first[:, left]).any(axis=0)
        left = left[(part == np.rint(part)).all(axis=0)]
        if not left.size:
            break
    return [int(j) for j in left[varies[left]]]


def _discrete_sparse(x: Any) -> list[int]:
    broken = x.data != np.rint(x.data)
    column = np.repeat(np.arange(x.shape[1]), np.diff(x.indptr))
    whole = np.ones(x.shape[1], bool)
    whole[column[broken]] = False
    varies = (x.max(axis=0) != x.min(axis=0)).toarray().ravel()
    return [int(j) for j in np.flatnonzero(whole & varies)]


def some_columns(columns: list[Any]) -> str:
    """Name a few columns and count the rest."""
    word = "column" if len(columns) == 1 else "columns"
    shown = ", ".join(_quoted(column) for column in columns[:_SHOWN])
    return f"{word} {shown}" + (f", ... ({len(columns)} in all)" if len(columns) > _SHOWN else "")


def _quoted(column: Any) -> str:
    # NumPy's own numbers and strings would show their type.
    return repr(column.item() if isinstance(column, np.generic) else column)


def _column_remedy(sampler: str, offenders: list[Any], are_all: bool) -> str:
    few = [_quoted(column) for column in offenders] if len(offenders) <= _SHOWN else ["..."]
    listed = f"[{', '.join(few)}]"
    if sampler == "ClusterCentroids":
        how = 'ClusterCentroids(voting="hard") takes rows as they are.'
    elif sampler == "RandomOverSampler":
        how = "RandomOverSampler(shrinkage=None) repeats rows as they are."
    elif sampler == "SMOTENC":
        how = f"Add them to its categorical_features: {listed}."
    else:
        better = "SMOTEN()" if are_all else f"SMOTENC(categorical_features={listed})"
        if sampler in ("SMOTEENN", "SMOTETomek"):
            better = f"{sampler}(smote={better})"
        how = f"{better} keeps categories whole."
    return f"{how} If they are quantities, such as ages or counts, say so: quantities={listed}."
