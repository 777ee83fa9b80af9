"""Ranking metrics at three base rates: scikit-learn's value, ours, and Keras' own with its error.

Scores of two Gaussians whose distance makes the ROC-AUC .977, as calibrated probabilities. Then
what an update and a result cost, as ratios to those of `keras.metrics.AUC`.

    python benchmarks/metrics.py            # about a minute on two cores
    python benchmarks/metrics.py --rows 100000 --rounds 5
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import sys
from collections.abc import Callable

import keras
import numpy as np
import sklearn.metrics
import tensorflow as tf
from _measure import medians
from rich.console import Console
from rich.table import Table

import tfimbalance as tfi

RATES = (0.5, 0.01, 0.001)
BATCH = 4_096
DISTANCE = 8.0**0.5  # Of two Gaussians at (1, 1) and (-1, -1).


def scores(rows: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = (rng.random(rows) < rate).astype("float32")
    x = rng.normal(size=rows) + DISTANCE * y
    z = np.log(rate) - np.log1p(-rate) + DISTANCE * x - DISTANCE**2 / 2
    return y, (1 / (1 + np.exp(-z))).astype("float32")


def measured(metric: keras.metrics.Metric, y: np.ndarray, p: np.ndarray) -> keras.metrics.Metric:
    for start in range(0, len(y), 65_536):
        metric.update_state(y[start : start + 65_536], p[start : start + 65_536])
    return metric


def values(rows: int) -> Table:
    table = Table(title=f"{rows:,} rows, scores of two Gaussians")
    for column in (
        "metric",
        "base rate",
        "scikit-learn",
        "binned",
        "bound",
        "error",
        "exact error",
    ):
        table.add_column(column, justify="left" if column == "metric" else "right")
    table.add_column("Keras, 200 thresholds", justify="right")
    table.add_column("error", justify="right")
    cases = (
        ("ROC-AUC", tfi.metrics.AUC, sklearn.metrics.roc_auc_score, "ROC"),
        ("average precision", tfi.metrics.AveragePrecision, None, "PR"),
    )
    for title, cls, peer, curve in cases:
        for rate in RATES:
            y, p = scores(rows, rate)
            wanted = (peer or sklearn.metrics.average_precision_score)(y, p)
            binned = measured(cls(), y, p)
            exact = measured(cls(exact=True, max_rows=rows), y, p)
            theirs = float(measured(keras.metrics.AUC(curve=curve), y, p).result())
            ours = float(binned.result())
            table.add_row(
                title,
                f"{rate:g}",
                f"{wanted:.5f}",
                f"{ours:.5f}",
                f"{float(binned.error_bound()):.5f}",
                f"{abs(ours - wanted):.1e}",
                f"{abs(float(exact.result()) - wanted):.1e}",
                f"{theirs:.5f}",
                f"{abs(theirs - wanted):.1e}",
            )
    return table


def bins(rows: int) -> Table:
    table = Table(title=f"bound on the average precision by number of bins, {rows:,} rows")
    table.add_column("bins")
    for rate in RATES:
        table.add_column(f"{rate:g}", justify="right")
    for num_bins in (512, 2_048, 8_192, 32_768):
        row = [f"{num_bins:,}"]
        for rate in RATES:
            metric = measured(tfi.metrics.AveragePrecision(num_bins=num_bins), *scores(rows, rate))
            row.append(f"{float(metric.error_bound()):.5f}")
        table.add_row(*row)
    return table


def calls(metric: keras.metrics.Metric, jit_compile: bool) -> dict[str, Callable[[], object]]:
    y, p = (tf.constant(values) for values in scores(BATCH, 0.01))
    metric.update_state(y, p)
    options = {"jit_compile": jit_compile, "autograph": False}
    update = tf.function(lambda y, p: metric.update_state(y, p), **options)
    result = tf.function(metric.result, **options)
    return {"update": lambda: update(y, p), "result": lambda: result().numpy()}


def costs(rounds: int) -> Table:
    table = Table(title=f"time / keras.metrics.AUC, batches of {BATCH:,} rows")
    for column in ("metric", "update", "result", "update, XLA", "result, XLA"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    rows: dict[str, list[str]] = {}
    for jit_compile in (False, True):
        metrics = {
            "Keras AUC": keras.metrics.AUC(),
            "AUC": tfi.metrics.AUC(),
            "average precision": tfi.metrics.AveragePrecision(),
            "AUC, exact, 100,000 rows": tfi.metrics.AUC(exact=True, max_rows=100_000),
            "balanced accuracy": tfi.metrics.BalancedAccuracy(),
            "normalized entropy": tfi.metrics.NormalizedEntropy(),
            "calibration error": tfi.metrics.ExpectedCalibrationError(),
        }
        timed = {name: calls(metric, jit_compile) for name, metric in metrics.items()}
        for what in ("update", "result"):
            found = medians({name: of[what] for name, of in timed.items()}, rounds)
            for name, seconds in found.items():
                rows.setdefault(name, []).append(f"{seconds / found['Keras AUC']:.2f}")
    for name, ratios in rows.items():
        table.add_row(name, *ratios)
    return table


def main(rows: int, rounds: int) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(values(rows))
    console.print(bins(rows))
    console.print(costs(rounds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    main(options.rows, options.rounds)
