"""Tables and the critical-difference picture of what `run.py` wrote, or of the committed results.

    python benchmarks/suite/report.py suite.jsonl --csv results.csv --picture ranks.png
    python benchmarks/suite/report.py benchmarks/suite/results.csv --network small

Means are over sets of means over seeds. A set is won or lost against plain training by more than
.002 (.01 of log loss over base entropy) *and* one standard error of the paired differences.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from scipy.stats import friedmanchisquare, studentized_range, wilcoxon

ORIENTATION = "boosting"
BASE = "plain"
# Column of the table: measure, budget, criterion, whether high is good, what counts as a win.
VIEWS = {
    "short AP": ("ap", "short", "ap", True, 0.002),
    "long AP": ("ap", "long", "ap", True, 0.002),
    "log loss": ("ne", "long", "own", False, 0.01),
    "tuned F1": ("f1", "long", "own", True, 0.002),
    "ROC-AUC": ("auc", "long", "own", True, 0.002),
}
# Of the same strategy: ours, and what a peer makes of it.
SAME_STRATEGY = (
    ("undersampling_offset", "under_sampling"),
    ("balanced_25", "balanced_batch_generator"),
    ("balanced_25", "over_sampling"),
    ("balanced_weights", "keras_class_weight"),
    ("focal", "keras_focal"),
    ("balanced", "over_sampling"),
)
TAIL_VIEWS = {
    "short balanced accuracy": ("ba", "short", "ba", True, 0.002),
    "balanced accuracy": ("ba", "long", "ba", True, 0.002),
    "adjusted afterwards": ("ba_adjusted", "long", "own", True, 0.002),
    "rarest third": ("few", "long", "ba", True, 0.002),
    "log loss": ("ne", "long", "own", False, 0.01),
}


def read(path: Path) -> pd.DataFrame:
    """Return a row for each network, set, seed and way of a run, a column a view."""
    if path.suffix == ".csv":
        return pd.read_csv(path)
    table = pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    views = TAIL_VIEWS if "ba" in table else VIEWS
    parts = []
    for name, (measure, budget, criterion, *_) in views.items():
        chosen = table[(table.budget == budget) & (table.criterion == criterion)]
        parts.append(chosen.set_index(["network", "set", "way", "seed"])[measure].rename(name))
    return pd.concat(parts, axis=1).sort_index().round(4).reset_index()


def view(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a measure of each set and seed, a column a way."""
    return table.pivot_table(index=["set", "seed"], columns="way", values=name)


def against(values: pd.DataFrame, way: str, name: str, base: str = BASE) -> dict[str, Any]:
    """Return the mean difference to another way, sets won, tied and lost, and Wilcoxon's p."""
    *_, high, least = {**VIEWS, **TAIL_VIEWS}[name]
    if way == base:
        return {"gain": 0.0, "sets": "", "p": float("nan"), "worse": []}
    both = values[[way, base]].dropna()
    gap = (both[way] - both[base]) * (1 if high else -1)
    of_set = gap.groupby("set").agg(["mean", "sem"]).fillna(0.0)
    clear = of_set["mean"].abs() > np.maximum(of_set["sem"], least)
    won, lost = (int((clear & (sign * of_set["mean"] > 0)).sum()) for sign in (1, -1))
    p = wilcoxon(of_set["mean"]).pvalue if (of_set["mean"] != 0).sum() > 5 else float("nan")
    return {
        "gain": float(of_set["mean"].mean()),
        "sets": f"{won}/{len(of_set) - won - lost}/{lost}",
        "p": float(p),
        "worse": sorted(of_set.index[clear & (of_set["mean"] < 0)]),
    }


def ranks(values: pd.DataFrame) -> tuple[pd.Series, float, float, pd.DataFrame]:
    """Return mean ranks of the ways, Friedman's p, the critical difference, and means by set."""
    of_set = values.groupby("set").mean().drop(columns=ORIENTATION, errors="ignore")
    complete = of_set.loc[:, of_set.notna().all()]
    sets, ways = complete.shape
    p = friedmanchisquare(*complete.to_numpy().T).pvalue if ways > 2 and sets > 1 else np.nan
    critical = studentized_range.ppf(0.95, ways, np.inf) * np.sqrt(ways * (ways + 1) / (12 * sets))
    return complete.rank(axis=1).mean(), float(p), float(critical), complete


def tables(table: pd.DataFrame, views: dict[str, tuple]) -> None:
    """Print a table for each view."""
    console = Console(width=110)
    for name, (*_, high, _least) in views.items():
        values = view(table, name) * 1.0
        rank, p, critical, complete = ranks(-values if high else values)
        sets = values.groupby("set").mean()
        title = f"{name}: {len(complete)} sets, critical difference {critical:.2f}"
        title += f", Friedman p {p:.1g}"
        shown = Table("way", "mean", "rank", "- plain", "won/tied/lost", "p", "lost", title=title)
        for way in rank.sort_values().index.union(sets.columns, sort=False):
            found = against(values, way, name)
            lost = ", ".join(found["worse"][:4]) + (" ..." if len(found["worse"]) > 4 else "")
            shown.add_row(
                way,
                f"{sets[way].mean():.4f}",
                f"{rank[way]:.2f}" if way in rank else "-",
                f"{found['gain']:+.4f}",
                found["sets"],
                f"{found['p']:.2g}",
                lost,
            )
        console.print(shown)


def markdown(table: pd.DataFrame, views: dict[str, tuple]) -> str:
    """Return the tables of the page: a row a way, then ours against a peer of the same strategy."""
    found = {name: view(table, name) for name in views}
    ranked = {name: ranks(-found[name] if views[name][3] else found[name]) for name in views}
    mean_rank = pd.DataFrame({name: rank for name, (rank, *_) in ranked.items()}).mean(axis=1)
    ways = sorted(set().union(*found.values()), key=lambda way: mean_rank.get(way, np.inf))
    of_views = [f"{critical:.1f} ({p:.0e})" for _, p, critical, _ in ranked.values()]
    rows = [
        [way, *(_cell(found[name], way, name, BASE, ranked[name][0]) for name in views)]
        for way in ways
    ]
    text = _rows(["way", *views], [*rows, ["*critical difference (Friedman's p)*", *of_views]])
    pairs = [
        [f"{ours} - {peer}", *(_cell(found[name], ours, name, peer) for name in views)]
        for ours, peer in SAME_STRATEGY
        if {ours, peer} <= set(ways)
    ]
    return text + ("\n" + _rows(["ours - the peer's", *views], pairs) if pairs else "")


def _rows(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(line).replace('_', ' ')} |\n" for line in lines)


def _cell(values: pd.DataFrame, way: str, name: str, base: str, rank: Any = ()) -> str:
    if way not in values:
        return "-"
    found = against(values, way, name, base)
    if not found["sets"]:
        return f"0 ({rank[way]:.1f})"
    shown = f"{found['gain']:+.4f}".replace("0.", ".", 1)
    shown += f" ({rank[way]:.1f})" if way in rank else ""
    return f"{shown}<br>{found['sets']}" + (f" p {found['p']:.1g}" if found["p"] < 0.01 else "")


def picture(table: pd.DataFrame, views: dict[str, tuple], path: Path) -> None:
    """Draw mean ranks; ways that a line joins do not differ (Nemenyi)."""
    import matplotlib.pyplot as plt
    import scikit_posthocs

    figure, axes = plt.subplots(len(views), figsize=(9, 2.6 * len(views)), layout="constrained")
    for ax, (name, (*_, high, _least)) in zip(np.atleast_1d(axes), views.items(), strict=True):
        values = view(table, name)
        rank, _, _, complete = ranks(-values if high else values)
        p = scikit_posthocs.posthoc_nemenyi_friedman(complete.to_numpy())
        p.index = p.columns = complete.columns
        scikit_posthocs.critical_difference_diagram(rank, p, ax=ax)
        ax.set_title(f"{name}: mean rank over {len(complete)} sets, the best on the left")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--csv", type=Path, help="write the results of each seed here")
    parser.add_argument("--network", help="only results of this one, of several in a file")
    parser.add_argument("--picture", type=Path, help="draw mean ranks here")
    parser.add_argument("--markdown", type=Path, help="write the tables of the page here")
    given = parser.parse_args()
    found = read(given.results)
    if given.csv:
        found.to_csv(given.csv, index=False)
    if given.network:
        found = found[found["network"] == given.network]
    found_views = VIEWS if "short AP" in found else TAIL_VIEWS
    tables(found, found_views)
    if given.markdown:
        given.markdown.write_text(markdown(found, found_views))
    if given.picture:
        picture(found, found_views, given.picture)
