"""Thresholds: `ThresholdTuner`, the sample's maximum, and `TunedThresholdClassifierCV`.

Each way chooses on the same draws, and is judged on the population: two Gaussians, whose counts are
known exactly, or the other half of the held-out rows of a network. A figure is the mean share of
the best possible value that is reached (of costs, the least over the one reached). Standard errors
are over draws; on real data over networks. scikit-learn's tuner is `cv="prefit"`, with its default
of 100 even thresholds.

    python benchmarks/thresholds.py            # half an hour on one core
    python benchmarks/thresholds.py --quick    # two minutes
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from _networks import DATA, held_out
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import make_scorer
from sklearn.model_selection import TunedThresholdClassifierCV

import tfimbalance as tfi

DISTANCE = 2.0  # Of the two Gaussians: a ROC-AUC of .921.
RATES, ROWS = (0.01, 0.05, 0.2), (600, 3_000, 20_000)
# What scores are, of calibrated logits: a factor, and whether the prior is taken away.
KINDS = {
    "logits x .5": (0.5, False),
    "calibrated": (1.0, False),
    "logits x 2": (2.0, False),
    "logits x 3": (3.0, False),
    "prior of 1/2": (1.0, True),
}
MISS = 10.0  # False alarms that a miss costs.
FLOOR = "recall at a precision"
OBJECTIVES = ("F1", "cost", "balanced accuracy", "Matthews correlation", FLOOR)
WAYS = ("tuner", "maximum", "scikit-learn")


def values(name: str, floor: float, hits: Any, alarms: Any, positives: Any, negatives: Any) -> Any:
    """Value of an objective; the largest is best."""
    rows, flagged = positives + negatives, hits + alarms
    if name == "F1":
        return 2 * hits / (positives + flagged)
    if name == "cost":
        return -(MISS * (positives - hits) + alarms) / rows
    if name == "balanced accuracy":
        return (1 + hits / positives - alarms / negatives) / 2
    if name == "Matthews correlation":
        product = positives * negatives * flagged * (rows - flagged)
        covariance = hits * negatives - alarms * positives
        return covariance / np.sqrt(np.where(product > 0, product, np.inf))
    return np.where(hits >= floor * flagged * (1 - 1e-12), hits / positives, -1.0)


class Judge(NamedTuple):
    """Rows, or a population, on which a threshold is judged."""

    counts: Callable[[Any], tuple[Any, Any, float, float]]  # Of thresholds: as `values` takes them.
    thresholds: np.ndarray  # Among them the best.

    def floor(self) -> float:
        """Precision at a recall of 1/2."""
        hits, alarms, positives, _ = self.counts(self.thresholds)
        cut = int(np.argmin(np.abs(hits / positives - 0.5)))
        return float(hits[cut] / (hits[cut] + alarms[cut]))

    def reached(self, name: str, floor: float, thresholds: np.ndarray) -> np.ndarray:
        """Value of thresholds over the best; of a precision, kept or not, recall over 1/2."""
        best = 0.5 if name == FLOOR else values(name, floor, *self.counts(self.thresholds)).max()
        found = values(name, 0.0, *self.counts(thresholds))
        return np.asarray(best / found if name == "cost" else found / best)

    def kept(self, floor: float, thresholds: np.ndarray) -> np.ndarray:
        """Whether a precision is reached."""
        hits, alarms, *_ = self.counts(thresholds)
        return np.asarray(hits >= floor * (hits + alarms))


class Cell(NamedTuple):
    """Draws of one kind: labels and logits of shape ``(rows, draws)``, and who judges each."""

    labels: tuple[Any, ...]
    unit: np.ndarray  # What the draws of one number share: errors are over these.
    y: np.ndarray
    z: np.ndarray
    judges: list[Judge]
    floor: float


def population(kind: str, rate: float) -> Judge:
    scale, is_shifted = KINDS[kind]

    def counts(thresholds: Any) -> tuple[Any, Any, float, float]:
        with np.errstate(divide="ignore", invalid="ignore"):
            z = logit(np.minimum(np.asarray(thresholds, "float64"), 1.0)) / scale
        x = (z if is_shifted else z - logit(rate)) / DISTANCE + DISTANCE / 2
        return rate * norm.sf(x - DISTANCE), (1 - rate) * norm.sf(x), rate, 1 - rate

    x = np.linspace(-5.0, 8.0, 20_001)
    return Judge(counts, expit(scores(kind, rate, x)))


def scores(kind: str, rate: float, x: np.ndarray) -> np.ndarray:
    scale, is_shifted = KINDS[kind]
    return scale * (DISTANCE * (x - DISTANCE / 2) + (0.0 if is_shifted else logit(rate)))


def synthetic(kind: str, rate: float, rows: int, draws: int, seed: int) -> Cell:
    rng = np.random.default_rng([seed, rows, round(1_000 * rate)])  # The same for all kinds.
    y = rng.random((rows, draws)) < rate
    y[:2] |= y.sum(axis=0) < 2  # Of 600 rows at 1% one sample in sixty has fewer.
    z = scores(kind, rate, rng.normal(size=y.shape) + DISTANCE * y).astype("float32")
    judge = population(kind, rate)
    return Cell((kind, rate, rows), np.arange(draws), y, z, [judge] * draws, judge.floor())


def of_rows(y: np.ndarray, p: np.ndarray) -> Judge:
    order = np.argsort(-p, kind="stable")
    down = p[order].astype("float64")
    hits, alarms = (np.append(0, np.cumsum(of)) for of in (y[order], ~y[order]))

    def counts(thresholds: Any) -> tuple[Any, Any, float, float]:
        cut = np.searchsorted(-down, -np.asarray(thresholds, "float64"), side="right")
        return hits[cut], alarms[cut], float(hits[-1]), float(alarms[-1])

    return Judge(counts, np.append(down, 2.0))


def real(name: str, networks: int, halves: int, seed: int) -> Iterator[Cell]:
    """The same halves at both epochs of each network."""
    x, y = DATA[name]()
    seeds = range(seed, seed + networks)
    trained = [held_out(x, y, of, epochs=40) for of in seeds]
    for epoch in ("best epoch", "last epoch"):
        columns, judges, floors = [], [], []
        for of, (held, logits) in zip(seeds, trained, strict=True):
            rng = np.random.default_rng(of)
            z = logits[epoch]
            floors.append(of_rows(held, expit(z)).floor())
            for _ in range(halves):
                one, other = np.array_split(rng.permutation(len(held)), 2)
                columns.append((held[one], z[one]))
                judges.append(of_rows(held[other], expit(z[other])))
        parts = (np.stack(part, axis=1) for part in zip(*columns, strict=True))
        unit = np.repeat(np.arange(networks), halves)
        yield Cell((name, epoch), unit, *parts, judges, float(np.mean(floors)))


class Given(ClassifierMixin, BaseEstimator):
    """A classifier of probabilities that are known: they are its features."""

    classes_ = np.array([False, True])

    def fit(self, x: Any, y: Any) -> Given:
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([1 - x, x], axis=1)


def tuned(cell: Cell, name: str) -> np.ndarray:
    """All draws at once: each is a label, with a threshold of its own."""
    model = keras.Sequential([keras.Input(cell.z.shape[1:]), keras.layers.Activation("sigmoid")])
    arguments: dict[str, Any] = {"objective": name.lower().replace(" ", "_")}
    if name == "cost":
        arguments["costs"] = [[0, MISS], [1, 0]]
    elif name == FLOOR:
        arguments = {"objective": "recall_at_precision", "precision": cell.floor}
    rows = tfi.callbacks.Validation((cell.z, cell.y), multi_label=True, batch_size=len(cell.y))
    return np.asarray(tfi.callbacks.ThresholdTuner(rows, **arguments).tune(model))


def largest(cell: Cell, name: str, y: np.ndarray, p: np.ndarray) -> float:
    """Midway between the two scores at which the sample's value is largest."""
    sample = of_rows(y, p)
    levels = np.append(np.unique(p)[::-1], 0.0)
    found = values(name, cell.floor, *sample.counts(np.append(2.0, levels[:-1])))
    best = int(np.argmax(found))
    return float(levels[best - 1] + levels[best]) / 2 if best else 2.0


def scikit_learns(cell: Cell, name: str, y: np.ndarray, p: np.ndarray) -> float:
    positives, negatives = float(y.sum()), float((~y).sum())

    def score(y: np.ndarray, said: np.ndarray) -> float:
        hits = float(np.count_nonzero(said & y))
        alarms = float(np.count_nonzero(said)) - hits
        return float(values(name, cell.floor, hits, alarms, positives, negatives))

    tuner = TunedThresholdClassifierCV(
        Given(), scoring=make_scorer(score), cv="prefit", refit=False
    )
    return float(tuner.fit(p[:, None], y).best_threshold_)


def judged(cell: Cell, name: str) -> np.ndarray:
    """Of each way and draw: the share of the best that is reached, and whether a floor is kept."""
    p = expit(cell.z)
    columns = list(zip(cell.y.T, p.T, strict=True))
    chosen = (
        tuned(cell, name),
        [largest(cell, name, *column) for column in columns],
        [scikit_learns(cell, name, *column) for column in columns],
    )
    found = [
        [(judge.reached(name, cell.floor, t), judge.kept(cell.floor, t)) for judge, t in pairs]
        for pairs in (zip(cell.judges, of_way, strict=True) for of_way in chosen)
    ]
    return np.array(found, "float64")


Found = list[tuple[Cell, dict[str, np.ndarray]]]


def row(name: str, found: Found, *labels: str) -> list[str]:
    """Means of the three ways; the lead over the maximum with its error; how often kept."""
    units = np.unique(found[0][0].unit)
    of_units = np.array(
        [[of[name][:, cell.unit == unit].mean(axis=1) for unit in units] for cell, of in found]
    )  # (cells, units, ways, 2)
    reached, kept = np.moveaxis(of_units.mean(axis=0), -1, 0)
    lead = reached[:, 0] - reached[:, 1]
    error = lead.std(ddof=1) / np.sqrt(len(lead))
    figures = [f"{mean:.4f}" for mean in reached.mean(axis=0)]
    if name == FLOOR:
        figures = [f"{of} ({k:.0%})" for of, k in zip(figures, kept.mean(axis=0), strict=True)]
    verdict = " loses" if lead.mean() < -max(2 * error, 0.005) else ""
    return [*labels, *figures, f"{lead.mean():+.4f} ± {error:.4f}{verdict}"]


def table(found: Found, title: str, of: Callable[[Cell], tuple[str, ...]]) -> Table:
    shown = Table(title=title, caption=f"In brackets: precision kept. {len(found)} cells.")
    labels = list(dict.fromkeys(of(cell) for cell, _ in found))
    for column in ("objective", *[""] * len(labels[0]), *WAYS, "tuner - maximum"):
        shown.add_column(column, justify="right" if column in WAYS else "left")
    for name in OBJECTIVES:
        for label in labels:
            chosen = [pair for pair in found if of(pair[0]) == label]
            shown.add_row(*row(name, chosen, name, *label))
        shown.add_section()
    return shown


def main(draws: int, networks: int, halves: int, rows: tuple[int, ...]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    cases = [(kind, rate, count) for kind in KINDS for rate in RATES for count in rows]
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("draws", total=len(cases) + 2 * len(DATA))

        def done(cells: Iterator[Cell]) -> Iterator[tuple[Cell, dict[str, np.ndarray]]]:
            for cell in cells:
                yield cell, {name: judged(cell, name) for name in OBJECTIVES}
                progress.advance(task)

        gaussians = list(done(synthetic(*case, draws, seed=0) for case in cases))
        networks_ = list(
            done(cell for name in DATA for cell in real(name, networks, halves, seed=100))
        )
    console.print(table(gaussians, "Two Gaussians, by kind", lambda cell: (cell.labels[0],)))
    by_size = lambda cell: (f"{cell.labels[1]:.0%}", f"{cell.labels[2]:,}")  # noqa: E731
    console.print(table(gaussians, "Two Gaussians, by rate and rows", by_size))
    console.print(table(networks_, "Networks", lambda cell: cell.labels))
    console.print(table(networks_, "All networks", lambda _: ("",)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    if parser.parse_args().quick:
        main(draws=10, networks=2, halves=4, rows=ROWS[:2])
    else:
        main(draws=100, networks=6, halves=20, rows=ROWS)
