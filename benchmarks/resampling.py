"""Drawing anew every epoch against resampling once, in time and in memory.

Ratios of medians of interleaved runs in one process: the time of some epochs of ``fit`` of one
small network, from the raw arrays to the last step, relative to ``fit_resample`` once and ``fit``
on its arrays. As many steps in each. "Every epoch, by hand" is ``fit_resample`` before each
epoch and ``fit`` of one. Peak memory is that of a fresh process each, beyond the data.

    python benchmarks/resampling.py             # about three minutes on two cores
    python benchmarks/resampling.py --quick     # one minute
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from _measure import medians, peak_megabytes
from imblearn.over_sampling import SMOTE, RandomOverSampler
from rich.console import Console
from rich.progress import track
from rich.table import Table

import tfimbalance as tfi

tf.get_logger().setLevel("ERROR")  # Many models are meant to be compiled.

WIDTH, POSITIVES, BATCH_SIZE = 16, 0.01, 256
SAMPLERS = {"RandomOverSampler": RandomOverSampler, "SMOTE": SMOTE}
WAYS = ("once", "ours", "by hand")


def make(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, WIDTH)).astype(np.float32)
    y = np.zeros(rows, np.int64)
    y[rng.choice(rows, int(rows * POSITIVES), replace=False)] = 1
    x[y == 1] += 0.5
    return x, y


def build() -> keras.Model:
    inputs = keras.Input((WIDTH,))
    hidden = keras.layers.Dense(32, activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def way(name: str, sampler: str, x: np.ndarray, y: np.ndarray, epochs: int) -> Callable[[], Any]:
    """Return a function that resamples and trains."""
    model, make_sampler = build(), SAMPLERS[sampler]

    def once() -> None:
        drawn = make_sampler(random_state=0).fit_resample(x, y)
        model.fit(*drawn, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)

    def by_hand() -> None:
        for epoch in range(epochs):
            drawn = make_sampler(random_state=epoch).fit_resample(x, y)
            model.fit(*drawn, batch_size=BATCH_SIZE, verbose=0)

    def ours() -> None:
        dataset = tfi.data.resampled_batches(x, y, make_sampler(), batch_size=BATCH_SIZE)
        model.fit(dataset, epochs=epochs, shuffle=False, verbose=0)

    return {"once": once, "by hand": by_hand, "ours": ours}[name]


def peak(*arguments: object) -> float:
    command = [sys.executable, __file__, "--memory", *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(found.split()[-1])


def print_memory(name: str, sampler: str, rows: int, epochs: int) -> None:
    few = make(5_000)
    # What TensorFlow and scikit-learn load at first is not the data's.
    way(name, sampler, *few, 2)()
    x, y = make(rows)
    found = peak_megabytes(way(name, sampler, x, y, epochs), times=1)
    sys.stdout.write(f"{found:.1f}\n")


def main(quick: bool) -> None:
    console = Console(width=None if sys.stdout.isatty() else 130)
    epochs = 3 if quick else 5
    table = Table(
        title=f"{epochs} epochs of fit at {POSITIVES:.0%} positives, {WIDTH} floats, batch "
        f"{BATCH_SIZE}"
    )
    columns = (
        "sampler", "rows", "fit_resample, s", "once and fit, s", "ours / once", "by hand / once",
        "peak MB: once", "ours", "by hand",
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="left" if column == "sampler" else "right")
    sizes = (50_000,) if quick else (50_000, 200_000)
    cases = [(sampler, size) for sampler in SAMPLERS for size in sizes]
    for sampler, size in track(cases, console=console):
        x, y = make(size)
        start = time.perf_counter()
        SAMPLERS[sampler](random_state=0).fit_resample(x, y)
        drawing = time.perf_counter() - start
        candidates = {name: way(name, sampler, x, y, epochs) for name in WAYS}
        seconds = medians(candidates, rounds=3)
        table.add_row(
            sampler,
            f"{size:,}",
            f"{drawing:.2f}",
            f"{seconds['once']:.1f}",
            *(f"{seconds[name] / seconds['once']:.2f}" for name in ("ours", "by hand")),
            *(f"{peak(name, sampler, size, epochs):.0f}" for name in WAYS),
        )
    console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--memory", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print_memory(*options.memory[:2], int(options.memory[2]), int(options.memory[3]))
    else:
        main(options.quick)
