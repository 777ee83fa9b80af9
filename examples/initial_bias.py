"""What the first steps are spent on: the same recommender with and without an initial bias.

The data and the model of `quickstart.py` (MovieLens latest-small; GroupLens, non-commercial use),
at 1% positives. A last layer that starts at 0 predicts 1/2, and first has to learn the base rate.
Validation loss after correction, over the first steps, as a share of the base rate's (normalized
entropy: 1 knows the base rate and nothing else). Three seeds; the band is their range.

    python examples/initial_bias.py            # about two minutes on two cores
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import matplotlib
import numpy as np
from keras.initializers import Initializer
from quickstart import BATCH_SIZE, Rows, build, load, sigmoid
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sklearn.metrics import log_loss

import tfimbalance as tfi

matplotlib.use("Agg")
from matplotlib import pyplot as plt

STEPS = (1, 5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 400, 500, 700, 1000)
VALIDATION_ROWS = 100_000
COLORS = {
    "cross-entropy": "#555555",
    "cross-entropy, initial bias": "#d62728",
    "class weights": "#1f77b4",
    "focal": "#ff7f0e",
    "logit adjustment": "#2ca02c",
}

# Three of the curves nearly coincide: a broad line, and two that let it show.
STYLES = {
    "cross-entropy, initial bias": {"linewidth": 4.0, "alpha": 0.5},
    "class weights": {"linestyle": "--"},
    "logit adjustment": {"linestyle": ":"},
}


@dataclass
class Way:
    """A loss, the bias that the model starts with, and what undoes both in the logits."""

    loss: keras.losses.Loss
    correct: Callable[[np.ndarray], np.ndarray]
    bias: str | Initializer = "zeros"


def ways(stats: tfi.ClassStatistics) -> dict[str, Way]:
    logits = {"from_logits": True}

    def corrected(**strategy: object) -> Callable[[np.ndarray], np.ndarray]:
        plan = tfi.Rebalance(stats, **strategy)

        def correct(z: np.ndarray) -> np.ndarray:
            for layer in plan.layers(**logits):
                z = layer(z).numpy()
            return sigmoid(z.astype(np.float64))

        return correct

    return {
        "cross-entropy": Way(keras.losses.BinaryCrossentropy(**logits), sigmoid),
        "cross-entropy, initial bias": Way(
            keras.losses.BinaryCrossentropy(**logits), sigmoid, tfi.initializers.PriorBias(stats)
        ),
        "class weights": Way(
            tfi.losses.WeightedBinaryCrossentropy(class_weight=tfi.class_weights(stats), **logits),
            corrected(class_weight="balanced"),
        ),
        "focal": Way(tfi.losses.BinaryFocalLoss(**logits), corrected(focal_gamma=2.0)),
        "logit adjustment": Way(
            tfi.losses.BinaryLogitAdjustedLoss(stats, **logits), corrected(tau=1.0)
        ),
    }


class Watch(keras.callbacks.Callback):
    """Measures the corrected validation loss at chosen steps."""

    def __init__(self, way: Way, rows: Rows) -> None:
        super().__init__()
        self.way, self.rows = way, rows
        self.curve: list[float] = []
        self.step = 0

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.step += 1
        if self.step in STEPS:
            logits = self.model(self.rows.x).numpy()[:, 0].astype(np.float64)
            self.curve.append(float(log_loss(self.rows.label, self.way.correct(logits))))
        if self.step == STEPS[-1]:
            self.model.stop_training = True


def draw(curves: dict[str, np.ndarray], path: Path) -> None:
    figure, (whole, later) = plt.subplots(1, 2, figsize=(11, 3.9), layout="constrained")
    for axes in (whole, later):
        for name, curve in curves.items():
            style = {"color": COLORS[name], **STYLES.get(name, {})}
            axes.plot(STEPS, curve.mean(axis=0), label=name, **{"linewidth": 1.8, **style})
            low, high = curve.min(axis=0), curve.max(axis=0)
            axes.fill_between(STEPS, low, high, color=COLORS[name], alpha=0.12, linewidth=0)
        axes.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.set(xlabel="training steps")
    whole.set(xscale="log", yscale="log", ylim=(0.75, 15), title="from the first step")
    whole.set(ylabel="validation log loss / that of the base rate")
    whole.set_yticks([1, 2, 5, 10], labels=["1", "2", "5", "10"])
    whole.set_xticks([1, 10, 100, 1000], labels=["1", "10", "100", "1,000"])
    whole.minorticks_off()
    whole.annotate("base rate", (1, 0.93), va="top", fontsize=8)
    whole.legend(fontsize=8, frameon=False)
    later.set(xlim=(50, 1000), ylim=(0.8, 1.06), title="the same, from step 50 on")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main(seeds: int = 3, output: Path = Path("initial_bias.png")) -> dict[str, np.ndarray]:
    """Train every way on every seed, print the table, write the figure, return the curves."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    curves: dict[str, list[list[float]]] = {name: [] for name in COLORS}
    with Progress(console=console) as progress:
        task = progress.add_task("training", total=seeds * len(COLORS))
        for seed in range(seeds):
            train, validation, _, num_users, num_items = load(seed)
            rows = Rows(*(part[:VALIDATION_ROWS] for part in vars(validation).values()))
            base = np.full(len(rows.label), train.label.mean())
            base_loss = log_loss(rows.label, base)
            for name, way in ways(tfi.class_statistics(train.label)).items():
                keras.utils.set_random_seed(seed)
                model = build(num_users, num_items, way.bias)
                model.compile(keras.optimizers.Adam(2e-3), way.loss)
                watch = Watch(way, rows)
                model.fit(train.x, train.label, batch_size=BATCH_SIZE, verbose=0, callbacks=[watch])
                curves[name].append([loss / base_loss for loss in watch.curve])
                progress.advance(task)
    found = {name: np.array(curve) for name, curve in curves.items()}
    table = Table(title="Validation log loss after correction / that of the base rate, mean")
    shown = [step for step in STEPS if step in (1, 20, 50, 100, 200, 500, 1000)] or list(STEPS)
    for column in ("way", *(f"step {step:,}" for step in shown)):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name, curve in found.items():
        means = curve.mean(axis=0)
        table.add_row(name, *(f"{means[STEPS.index(step)]:.3f}" for step in shown))
    console.print(table)
    draw(found, output)
    console.print(f"Figure: {output}")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("initial_bias.png"))
    arguments = parser.parse_args()
    main(arguments.seeds, arguments.output)
