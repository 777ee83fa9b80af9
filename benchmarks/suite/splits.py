"""A set, split and made into numbers: the one preparation that all ways share."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from rare import RARE
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from tails import TAILS

MOST_ROWS = 50_000


class Split(NamedTuple):
    """Rows to train on, to choose by and to judge by; 60, 20 and 20%, stratified."""

    train: tuple[np.ndarray, np.ndarray]
    valid: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    num_quantities: int  # Columns that are quantities; the others are one-hot.


@cache
def table(name: str, kind: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows of a set, at most `MOST_ROWS` at the natural rate."""
    x, y = (RARE if kind == "rare" else TAILS)[name].load()
    if len(y) > MOST_ROWS:
        keep = np.sort(np.random.default_rng(0).choice(len(y), MOST_ROWS, replace=False))
        x, y = x.iloc[keep], y[keep]
    x = x.reset_index(drop=True)
    return x.set_axis([str(c) for c in x.columns], axis=1), np.asarray(y, int)


@lru_cache(maxsize=1)  # All ways of a set and seed come one after the other.
def split(name: str, seed: int, kind: str = "rare") -> Split:
    """Return a set in three parts, as numbers that are fitted to the first."""
    x, y = table(name, kind)
    rest, test, y_rest, y_test = train_test_split(
        x, y, test_size=0.2, stratify=y, random_state=seed
    )
    train, valid, y_train, y_valid = train_test_split(
        rest, y_rest, test_size=0.25, stratify=y_rest, random_state=seed
    )
    numbers = x.select_dtypes(["number", "bool"]).columns.tolist()
    quantities = [c for c in numbers if train[c].nunique(dropna=True) > 2]
    others = [c for c in x.columns if c not in quantities]
    columns = make_column_transformer(
        (
            make_pipeline(
                SimpleImputer(strategy="median"),
                StandardScaler(),
                FunctionTransformer(np.clip, kw_args={"a_min": -10, "a_max": 10}),
            ),
            quantities,
        ),
        (
            make_pipeline(
                FunctionTransformer(lambda part: part.astype(str)),
                OneHotEncoder(
                    drop="if_binary",
                    max_categories=16,
                    handle_unknown="infrequent_if_exist",
                    sparse_output=False,
                ),
            ),
            others,
        ),
    ).fit(train)
    as_rows = [np.asarray(columns.transform(part), np.float32) for part in (train, valid, test)]
    parts = zip(as_rows, (y_train, y_valid, y_test), strict=True)
    return Split(*parts, num_quantities=len(quantities))
