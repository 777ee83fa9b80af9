"""Frames and series, as rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_value
from tfimbalance._labels import first_row
from tfimbalance.data._rows.leaf import Leaf, array_leaf


def open_frame(name: str, frame: Any) -> Leaf | NDArray[Any]:
    """Return one array of a frame's or a series' columns, as it is to Keras.

    Columns that are NumPy's become that array; those of Arrow are taken row by row.
    """
    dtypes = [frame.dtype] if frame.ndim == 1 else list(frame.dtypes)
    kinds = [getattr(dtype, "numpy_dtype", dtype) for dtype in dtypes]
    numeric = [isinstance(kind, np.dtype) and kind.kind in "biuf" for kind in kinds]
    if frame.ndim == 2 and not all(numeric):
        other = [str(c) for c, number in zip(frame.columns, numeric, strict=True) if not number]
        raise bad_value(
            name,
            expected="a frame of numbers and flags, which becomes one array",
            received=f"columns of other values: {', '.join(other[:5])}"
            + (", ..." if len(other) > 5 else ""),
            remedy="Pass the columns one by one, dict(frame), or encode these: "
            "frame[column].astype('category').cat.codes.",
        )
    if not all(numeric):
        missing = np.asarray(frame.isna())
        if missing.any():
            raise bad_value(
                name,
                expected="a value in every row",
                received=f"a missing value in row {first_row(missing)}",
                remedy="Fill it first: series.fillna('missing').",
            )
        return np.asarray(frame.to_numpy())
    # Flags beside numbers are numbers, where pandas would make objects of both.
    dtype = np.result_type(*kinds)
    if all(isinstance(each, np.dtype) for each in dtypes):
        return np.asarray(frame.to_numpy(dtype))
    missing = np.asarray(frame.isna())
    if dtype.kind != "f" and missing.any():
        raise bad_value(
            name,
            expected="a value in every row, as integers and flags have none that means missing",
            received=f"a missing value in row {first_row(missing)}",
            remedy="Fill it first, frame.fillna(...), or convert to floats.",
        )
    row_shape = tuple(frame.shape[1:])
    return array_leaf(len(frame), dtype, row_shape, lambda rows: frame.iloc[rows].to_numpy(dtype))
