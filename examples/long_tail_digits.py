"""Ten ways to train on a long tail of digits, compared where every class counts the same.

scikit-learn's digits (8 x 8 pixels; UCI, CC BY 4.0), cut to 120, 72, 43, ... 2, 1 training rows a
class; 50 test rows of each. Which digit is rare, which rows are drawn and how the model starts
depends on the seed; all ways share them. Every way takes 1,500 steps of the same optimizer, with
published defaults: nothing is tuned, on the test set or elsewhere.

    python examples/long_tail_digits.py                 # 20 seeds, about ten minutes on two cores
    python examples/long_tail_digits.py --seeds 3       # a first look
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
import tensorflow as tf
from imblearn.over_sampling import SMOTE, RandomOverSampler
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sklearn.datasets import load_digits

import tfimbalance as tfi

matplotlib.use("Agg")
from matplotlib import pyplot as plt

CLASSES = 10
COUNTS = np.round(120 * 100 ** (-np.arange(CLASSES) / (CLASSES - 1))).astype(int)
PARTS = {"many": slice(0, 3), "medium": slice(3, 6), "few": slice(6, 10)}
TEST_ROWS = 50
BATCH_SIZE = 64
EPOCHS = 10
STEPS_PER_EPOCH = 150
# From 80% of training on, as in the paper.
DEFERRED = 8
COLORS = {"many": "#9ecae1", "medium": "#4292c6", "few": "#08306b"}


@dataclass
class Digits:
    """One long-tailed training set and one balanced test set; class 0 is the most frequent."""

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray

    @property
    def batches(self) -> tf.data.Dataset:
        return batches(self.x, self.y)


def load(seed: int) -> Digits:
    """Cut the tail of a random order of the digits, and set test rows of every digit apart."""
    digits = load_digits()
    rng = np.random.default_rng(seed)
    train, test = [], []
    for digit in rng.permutation(CLASSES):
        rows = rng.permutation(np.flatnonzero(digits.target == digit))
        test.append(rows[:TEST_ROWS])
        train.append(rows[TEST_ROWS : TEST_ROWS + COUNTS[len(train)]])
    pixels = (digits.data / 16.0).astype("float32")
    return Digits(
        pixels[np.concatenate(train)],
        np.repeat(np.arange(CLASSES), COUNTS),
        pixels[np.concatenate(test)],
        np.repeat(np.arange(CLASSES), TEST_ROWS),
    )


def batches(x: np.ndarray, y: np.ndarray) -> tf.data.Dataset:
    """Shuffled rows without end, as ``fit`` takes arrays."""
    rows = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(y), seed=0).repeat()
    return rows.batch(BATCH_SIZE).prefetch(4)


def build(head: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(128, activation="relu"), head])


def train(
    digits: Digits,
    loss: keras.losses.Loss,
    *,
    dataset: tf.data.Dataset | None = None,
    callback: keras.callbacks.Callback | None = None,
    head: Callable[[], keras.layers.Layer] = lambda: keras.layers.Dense(CLASSES),
) -> np.ndarray:
    """Train one model, and return its outputs for the test rows."""
    model = build(head())
    steps = min(50, STEPS_PER_EPOCH)
    model.compile(keras.optimizers.Adam(1e-3), loss, steps_per_execution=steps)
    model.fit(
        digits.batches if dataset is None else dataset,
        epochs=EPOCHS,
        steps_per_epoch=STEPS_PER_EPOCH,
        shuffle=False,
        verbose=0,
        callbacks=[callback] if callback else None,
    )
    return keras.ops.convert_to_numpy(model(digits.test_x))


def crossentropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def over_sampled(digits: Digits, seed: int) -> tf.data.Dataset:
    sampler = RandomOverSampler(random_state=seed)
    return batches(*sampler.fit_resample(digits.x, digits.y))


def smote(digits: Digits, seed: int) -> tf.data.Dataset:
    """Interpolate; classes too small for five neighbours are first copied to six rows."""
    few = {k: 6 for k in range(CLASSES) if COUNTS[k] < 6}
    x, y = RandomOverSampler(sampling_strategy=few, random_state=seed).fit_resample(
        digits.x, digits.y
    )
    return batches(*SMOTE(k_neighbors=5, random_state=seed).fit_resample(x, y))


def ways(digits: Digits, seed: int) -> dict[str, Callable[[], np.ndarray]]:
    """Return what trains each way; they differ in a loss, a dataset or a callback."""
    stats = tfi.class_statistics(digits.y)
    balanced = tfi.data.balanced_batches(
        digits.x, digits.y, batch_size=BATCH_SIZE, steps_per_epoch=STEPS_PER_EPOCH, seed=seed
    )
    logits = {"from_logits": True}
    return {
        "cross-entropy": lambda: train(digits, crossentropy()),
        "focal": lambda: train(digits, tfi.losses.SparseCategoricalFocalLoss(**logits)),
        "class weights": lambda: train(
            digits, tfi.losses.ClassWeighted(crossentropy(), tfi.class_weights(stats))
        ),
        "RandomOverSampler": lambda: train(
            digits, crossentropy(), dataset=over_sampled(digits, seed)
        ),
        "SMOTE": lambda: train(digits, crossentropy(), dataset=smote(digits, seed)),
        "balanced batches": lambda: train(digits, crossentropy(), dataset=balanced),
        "LDAM-DRW": lambda: train(
            digits,
            tfi.losses.LDAMLoss(stats),
            head=lambda: tfi.layers.CosineClassifier(CLASSES),
            callback=tfi.callbacks.ClassWeight(
                stats, scheme="effective_number", beta=0.9999, start_epoch=DEFERRED
            ),
        ),
        "vector scaling": lambda: train(
            digits, tfi.losses.VectorScalingLoss(stats, gamma=0.3, **logits)
        ),
        "logit adjustment": lambda: train(digits, tfi.losses.LogitAdjustedLoss(stats, **logits)),
    }


def recalls(digits: Digits, outputs: np.ndarray) -> np.ndarray:
    """Share of each class's test rows that the largest output names."""
    return (outputs.argmax(axis=1) == digits.test_y).reshape(CLASSES, TEST_ROWS).mean(axis=1)


def run(seed: int, advance: Callable[[], None]) -> dict[str, np.ndarray]:
    """Return the recall of each class, of every way."""
    digits = load(seed)
    found = {}
    for name, way in ways(digits, seed).items():
        keras.utils.set_random_seed(seed)
        outputs = way()
        found[name] = recalls(digits, outputs)
        if name == "cross-entropy":
            adjusted = tfi.calibration.adjust_logits(outputs, tfi.class_statistics(digits.y))
            found["logit adjustment, post hoc"] = recalls(digits, adjusted)
        keras.backend.clear_session()
        advance()
    return found


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean over seeds and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def report(results: dict[str, np.ndarray], console: Console) -> None:
    table = Table(
        title=f"Balanced test accuracy, {len(next(iter(results.values())))} seeds, "
        f"{EPOCHS * STEPS_PER_EPOCH:,} steps",
        caption=f"Training rows of classes 0 to 9: {', '.join(map(str, COUNTS))}. "
        "± is the standard error over seeds; of the difference, that of the paired "
        "differences. Many, medium, few: mean recall of classes 0-2, 3-5, 6-9.",
    )
    for column in ("way", "balanced accuracy", "minus cross-entropy", *PARTS):
        table.add_column(column, justify="left" if column == "way" else "right")
    plain = results["cross-entropy"].mean(axis=1)
    for name, recall in ordered(results):
        mean, error = mean_and_error(recall.mean(axis=1))
        gain, of_gain = mean_and_error(recall.mean(axis=1) - plain)
        table.add_row(
            name,
            f"{mean:.3f} ± {error:.3f}",
            "" if name == "cross-entropy" else f"{gain:+.3f} ± {of_gain:.3f}",
            *(f"{recall[:, part].mean():.3f}" for part in PARTS.values()),
        )
    console.print(table)


def ordered(results: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    return sorted(results.items(), key=lambda item: item[1].mean())


def draw(results: dict[str, np.ndarray], path: Path) -> None:
    rows = ordered(results)
    figure, (bars, parts) = plt.subplots(
        1, 2, figsize=(11, 4.4), layout="constrained", sharey=True, width_ratios=(1, 1.2)
    )
    places = np.arange(len(rows))
    for place, (_, recall) in zip(places, rows, strict=True):
        mean, error = mean_and_error(recall.mean(axis=1))
        bars.barh(place, mean, xerr=error, height=0.7, color="#4292c6", ecolor="black", capsize=3)
        bars.annotate(f"{mean:.3f}", (0.012, place), color="white", fontsize=8, va="center")
    plain = results["cross-entropy"].mean()
    bars.axvline(plain, color="black", linewidth=0.8, linestyle="--")
    bars.set(yticks=places, yticklabels=[name for name, _ in rows])
    bars.set(xlabel="balanced accuracy (line: cross-entropy)", xlim=(0, 1))
    for offset, (part, columns) in zip((0.25, 0.0, -0.25), PARTS.items(), strict=True):
        values = [recall[:, columns].mean() for _, recall in rows]
        rows_of_part = COUNTS[columns]
        label = f"{part}: {rows_of_part.max()} to {rows_of_part.min()} training rows"
        parts.barh(places + offset, values, height=0.23, color=COLORS[part], label=label)
    parts.set(xlabel="mean recall of the classes", xlim=(0, 1))
    figure.legend(fontsize=8, loc="outside upper right", ncols=3, frameon=False)
    for axes in (bars, parts):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", alpha=0.25)
        axes.set_axisbelow(True)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main(seeds: int = 20, output: Path = Path("long_tail_digits.png")) -> dict[str, np.ndarray]:
    """Train every way on every seed, print the table, write the figure, return the recalls."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    found = []
    with Progress(console=console) as progress:
        task = progress.add_task("training", total=9 * seeds)
        for seed in range(seeds):
            found.append(run(seed, lambda: progress.advance(task)))
    results = {name: np.stack([one[name] for one in found]) for name in found[0]}
    report(results, console)
    draw(results, output)
    console.print(f"Figure: {output}")
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path("long_tail_digits.png"))
    arguments = parser.parse_args()
    main(arguments.seeds, arguments.output)
