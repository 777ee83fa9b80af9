"""What a sampler that looks at features can be given, and what comes back, as an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfimbalance._checks import bad_value, check_same_length
from tfimbalance.data._rows.files import is_arrow, is_arrow_table, is_sliced
from tfimbalance.data._samplers.columns import some_columns

_NUMBERS = "biuf"


def features(x: Any, num_rows: int, sampler: str, *, numbers: bool) -> Any:
    """Return a frame, a SciPy sparse matrix or an array of two axes, to hand to a sampler."""
    if _is_unfit(x):
        raise _no_matrix(sampler, f"a {type(x).__name__}", "")
    if not hasattr(x, "columns") and not hasattr(x, "tocsr"):
        x = np.asarray(x)
    shape = tuple(x.shape)
    if len(shape) != 2:
        axes = "x.reshape(-1, 1)" if len(shape) == 1 else "x.reshape(len(x), -1)"
        raise _no_matrix(sampler, f"an array of shape {shape}", f"Give it two axes: {axes}. ")
    check_same_length("x", shape[0], reference="y", expected=num_rows)
    if numbers:  # Strings are for a transformer of a pipeline to encode.
        _check_numbers(x)
    return x


def matrix(x: Any) -> Any:
    """Return features as batches are cut from them: a frame becomes one array of its columns."""
    if hasattr(x, "tocsr"):
        return x.tocsr()
    if not hasattr(x, "columns"):
        array = np.asarray(x)
    else:
        array = x.to_numpy()
        if array.dtype.kind not in _NUMBERS:
            _check_numbers(x)
            # pandas makes objects of flags or categories beside numbers. Those are numbers, too.
            columns = [np.asarray(x.iloc[:, j]) for j in range(x.shape[1])]
            array = np.stack(columns, axis=1)
            if array.dtype.kind not in _NUMBERS:
                array = array.astype(np.float64)
    _check_numbers(array)
    return array


def _is_unfit(x: Any) -> bool:
    if hasattr(x, "tocsr") or hasattr(x, "iloc"):
        return False
    nested = isinstance(x, (dict, tuple))
    tensor = hasattr(x, "row_splits") or hasattr(x, "dense_shape")  # Ragged and sparse ones.
    return nested or tensor or is_arrow_table(x) or is_arrow(x) or is_sliced(x)


def _no_matrix(sampler: str, received: str, remedy: str) -> ValueError:
    return bad_value(
        "x",
        expected=f"a numeric array of two axes, a pandas frame or a SciPy sparse matrix, because "
        f"{sampler} looks at features",
        received=received,
        remedy=f"{remedy}RandomOverSampler and RandomUnderSampler, which look at classes alone, "
        "take any x.",
    )


def _check_numbers(x: Any) -> None:
    if not hasattr(x, "columns"):
        if x.dtype.kind not in _NUMBERS:
            raise bad_value(
                "x",
                expected="numbers or flags",
                received=f"dtype {x.dtype}",
                remedy='Convert it first: x.astype("float32").',
            )
        return
    # The type of a category is that of its values.
    dtypes = [getattr(dtype, "categories", x.iloc[:0, j]).dtype for j, dtype in enumerate(x.dtypes)]
    bad = [x.columns[j] for j, dtype in enumerate(dtypes) if dtype.kind not in _NUMBERS]
    if bad:
        raise bad_value(
            "x",
            expected="columns of numbers, flags or categories that are numbers, because a batch "
            "is one array",
            received=f"{some_columns(bad)} of other values",
            remedy='Number its values first: frame["city"].astype("category").cat.codes.',
        )
