"""When only the order is served: pairwise losses, on batches with and without enough positives.

The data and the model of `quickstart.py` (MovieLens latest-small; GroupLens, non-commercial use),
at 1% positives. Every way takes 3,000 steps of the same optimizer; measured on the test rows after
the last one. Pairwise losses give no probabilities: nothing is said of those here.

    python examples/ranking.py            # three seeds, about five minutes on two cores
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import sys

import keras
import numpy as np
import tensorflow as tf
from quickstart import BATCH_SIZE, Rows, build, load, predict
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sklearn.metrics import average_precision_score, roc_auc_score

import tfimbalance as tfi

STEPS = 3_000


def natural(train: Rows, seed: int) -> tf.data.Dataset:
    """Rows at their natural rate, drawn anew for each step."""
    rows = np.random.default_rng(seed).integers(0, len(train.label), STEPS * BATCH_SIZE)
    x = {name: column[rows] for name, column in train.x.items()}
    return tf.data.Dataset.from_tensor_slices((x, train.label[rows])).batch(BATCH_SIZE)


def balanced(train: Rows, seed: int) -> tf.data.Dataset:
    return tfi.data.balanced_batches(
        train.x, train.label, batch_size=BATCH_SIZE, steps_per_epoch=STEPS, seed=seed
    )


WAYS = {
    "cross-entropy": (lambda: keras.losses.BinaryCrossentropy(from_logits=True), natural),
    "pairwise hinge": (tfi.losses.PairwiseAUCLoss, natural),
    "cross-entropy, balanced batches": (
        lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        balanced,
    ),
    "pairwise hinge, balanced batches": (tfi.losses.PairwiseAUCLoss, balanced),
    "pairwise logistic, balanced batches": (
        lambda: tfi.losses.PairwiseAUCLoss("logistic"),
        balanced,
    ),
}


def main(seeds: int = 3) -> dict[str, np.ndarray]:
    """Train every way on every seed, print the table, return (AP, ROC-AUC) of each."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    with Progress(console=console) as progress:
        task = progress.add_task("training", total=seeds * len(WAYS))
        for seed in range(seeds):
            train, _, test, num_users, num_items = load(seed)
            for name, (loss, batches) in WAYS.items():
                keras.utils.set_random_seed(seed)
                model = build(num_users, num_items)
                model.compile(keras.optimizers.Adam(2e-3), loss())
                model.fit(batches(train, seed), shuffle=False, verbose=0)
                scores = predict(model, test)
                found[name].append(
                    (
                        average_precision_score(test.label, scores),
                        roc_auc_score(test.label, scores),
                    )
                )
                progress.advance(task)
    results = {name: np.array(pairs) for name, pairs in found.items()}
    table = Table(title=f"Test, after {STEPS:,} steps, seeds 0 to {seeds - 1}")
    for column in ("way", "AP", "ROC-AUC"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name, pairs in results.items():
        table.add_row(name, *(" ".join(f"{value:.4f}" for value in column) for column in pairs.T))
    console.print(table)
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    main(parser.parse_args().seeds)
