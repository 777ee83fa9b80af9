"""What an evaluation found: rows, a table, a dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfimbalance._tables import table


def band_names(bands: int) -> list[str]:
    """Name bands of items from head to tail."""
    usual = {1: ["all"], 2: ["head", "tail"], 3: ["head", "middle", "tail"]}
    return usual.get(bands, [f"band_{number + 1}" for number in range(bands)])


@dataclass(frozen=True)
class EvaluationReport:
    """What `evaluate` returns.

    Attributes:
        rows: a dictionary for each model and k: ``model`` (``"model"`` or ``"popularity"``),
            ``k``, ``recall``, ``ndcg``, ``coverage``, ``gini``, and with counts
            ``average_popularity`` and ``recall_<band>``. NaN where a band has no positives.
        bands: a dictionary a band, from head to tail: ``band``, ``items``, ``positives``. Empty
            without counts.
        num_items: of the catalogue.
        unseen: share of the positives whose items have no training positive; None without counts.
        tau: with which it was served.
    """

    rows: list[dict[str, Any]]
    bands: list[dict[str, Any]]
    num_items: int
    unseen: float | None
    tau: float

    def as_dict(self) -> dict[str, float]:
        """Return all numbers, such as ``recall@10``, ``recall@10_tail``, ``popularity_gini@10``."""
        found = {}
        for row in self.rows:
            prefix = "" if row["model"] == "model" else f"{row['model']}_"
            for name, value in row.items():
                if name not in ("model", "k"):
                    metric, _, band = name.partition("recall_")
                    key = f"recall@{row['k']}_{band}" if band else f"{metric}@{row['k']}"
                    found[f"{prefix}{key}"] = value
        return found if self.unseen is None else {**found, "unseen": self.unseen}

    def table(self) -> str:
        """Return the rows as a table to print."""
        names = [band["band"] for band in self.bands]
        keys = ["recall", "ndcg", *(f"recall_{name}" for name in names), "coverage", "gini"]
        header = ["", "k", "recall", "ndcg", *names, "coverage", "gini"]
        if self.bands:
            keys, header = [*keys, "average_popularity"], [*header, "popularity"]
        lines = [
            [row["model"], str(row["k"]), *(_written(key, row[key]) for key in keys)]
            for row in self.rows
        ]
        items = ["items", "", "", "", *(f"{band['items']:,}" for band in self.bands)]
        items += [f"{self.num_items:,}", *[""] * (len(header) - len(items) - 1)]
        text = "\n".join(map(str.rstrip, table([header, *lines, items]).splitlines()))
        if self.unseen:
            text += (
                f"\n{100 * self.unseen:.3g}% of the positives are of items without training "
                "positives."
            )
        return text

    __str__ = table


def _written(name: str, value: float) -> str:
    if value != value:
        return "-"
    if name == "average_popularity":
        return f"{value:,.4g}"
    return f"{value:.3f}".removeprefix("0")
