"""Balanced batches against the limits of memory and tf.data, and against the peers.

Ratios of medians of interleaved runs in one process. Speed-ups: above 1 is faster than the peer.
Limits: 1 is as fast as the limit.

- memory limit: ``np.take`` of the same rows into a buffer that is kept;
- tf.data floor: one constant batch, repeated;
- peers: ``imblearn.keras.BalancedBatchGenerator`` (with its over-sampler, as its under-sampler
  replays the few rows that it drew once), read from Python, against ours read from Python and in a
  graph; ``sample_from_datasets`` over a shuffled dataset a class, in a graph.

`streams.py`, `resampling.py` and `growth.py` beside this are for the rest of `tfi.data`.

    python benchmarks/batches.py             # about four minutes on two cores
    python benchmarks/batches.py --quick     # half a minute
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from _measure import medians
from imblearn.keras import BalancedBatchGenerator
from imblearn.over_sampling import RandomOverSampler
from rich.console import Console
from rich.table import Table

import tfimbalance as tfi

ROWS = 500_000


def make(width: int, positives: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.random((ROWS, width), dtype=np.float32)
    y = np.zeros(ROWS, np.int64)
    y[rng.choice(ROWS, int(ROWS * positives), replace=False)] = 1
    return x, y


def in_graph(dataset: tf.data.Dataset) -> Callable[[], object]:
    @tf.function
    def consume(dataset: tf.data.Dataset) -> tf.Tensor:
        total = tf.constant(0.0)
        for x, _ in dataset:
            total += x[0, 0]
        return total

    return lambda: consume(dataset).numpy()


def from_python(batches: Any, steps: int) -> Callable[[], object]:
    def consume() -> None:
        for _, _batch in zip(range(steps), batches, strict=False):
            pass

    return consume


def sampled(x: np.ndarray, y: np.ndarray, batch_size: int, steps: int) -> tf.data.Dataset:
    classes = [
        tf.data.Dataset.from_tensor_slices((x[y == k], y[y == k])).repeat().shuffle(10_000)
        for k in (0, 1)
    ]
    return tf.data.Dataset.sample_from_datasets(classes, [0.5, 0.5]).batch(batch_size).take(steps)


def imblearn_batches(x: np.ndarray, y: np.ndarray, batch_size: int) -> BalancedBatchGenerator:
    sampler = RandomOverSampler(random_state=0)
    return BalancedBatchGenerator(x, y, sampler=sampler, batch_size=batch_size, random_state=0)


def taken(x: np.ndarray, batch_size: int, steps: int) -> Callable[[], object]:
    rng = np.random.default_rng(0)
    buffer = np.empty((batch_size, x.shape[1]), x.dtype)
    rows = [rng.integers(0, len(x), batch_size) for _ in range(steps)]
    return lambda: [np.take(x, r, axis=0, out=buffer, mode="clip") for r in rows]


def iteration(console: Console, quick: bool) -> None:
    table = Table(title=f"Batches alone, {ROWS:,} rows")
    for column in ("floats", "batch", "positives"):
        table.add_column(column, justify="right")
    for column in (
        "us a batch",
        "of the memory limit",
        "of the tf.data floor",
        "x imblearn, Python",
        "x imblearn, graph",
        "x sample_from_datasets",
        "first batch, s",
    ):
        table.add_column(column, justify="right")
    for width in (16, 64, 256):
        for positives in (0.01,) if quick else (0.01, 0.001):
            x, y = make(width, positives)
            imblearn = imblearn_batches(x, y, 1)
            for batch_size in (64, 1024) if quick else (64, 256, 1024, 8192):
                steps = int(np.clip(2e8 / (batch_size * width * 4), 40, 2000))
                start = time.perf_counter()
                ours = tfi.data.balanced_batches(x, y, batch_size=batch_size, steps_per_epoch=steps)
                next(iter(ours))
                first = time.perf_counter() - start
                constant = tf.data.Dataset.from_tensors(
                    (tf.constant(x[:batch_size]), tf.constant(y[:batch_size]))
                ).repeat(steps)
                imblearn.batch_size = batch_size
                few = max(4, min(steps, 20_000 // batch_size))
                again = min(steps, len(imblearn))
                a_step = {
                    "ours": steps,
                    "floor": steps,
                    "memory": steps,
                    "python": again,
                    "imblearn": again,
                    "sampled": few,
                }
                seconds = medians(
                    {
                        "ours": in_graph(ours),
                        "floor": in_graph(constant),
                        "memory": taken(x, batch_size, steps),
                        "python": from_python(ours, again),
                        "imblearn": lambda g=imblearn, n=again: [g[step] for step in range(n)],
                        "sampled": in_graph(sampled(x, y, batch_size, few)),
                    },
                    rounds=3,
                )
                each = {name: value / a_step[name] for name, value in seconds.items()}
                table.add_row(
                    str(width),
                    str(batch_size),
                    f"{positives:.1%}",
                    f"{each['ours'] * 1e6:.0f}",
                    f"{each['memory'] / each['ours']:.2f}",
                    f"{each['floor'] / each['ours']:.2f}",
                    f"{each['imblearn'] / each['python']:.2f}",
                    f"{each['imblearn'] / each['ours']:.2f}",
                    f"{each['sampled'] / each['ours']:.0f}",
                    f"{first:.2f}",
                )
    console.print(table)


def training(console: Console, quick: bool) -> None:
    table = Table(title="A training step of fit (one hidden layer of 32), over plain arrays")
    for column in ("floats", "batch", "balanced batches", "constant batch", "imblearn", "sampled"):
        table.add_column(column, justify="right")
    for width in (16, 64, 256):
        x, y = make(width, 0.01)
        for batch_size in (256, 1024):
            steps = min(400, ROWS // batch_size)
            inputs = keras.Input((width,))
            hidden = keras.layers.Dense(32, activation="relu")(inputs)
            model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
            model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
            ours = tfi.data.balanced_batches(x, y, batch_size=batch_size, steps_per_epoch=steps)
            constant = tf.data.Dataset.from_tensors((x[:batch_size], y[:batch_size])).repeat(steps)
            used = steps * batch_size
            few = max(10, steps // 20)

            def fit(*data: Any, model: keras.Model = model, **arguments: Any) -> Any:
                return lambda: model.fit(*data, verbose=0, **arguments)

            imblearn = imblearn_batches(x, y, batch_size)
            imblearn.indices_ = imblearn.indices_[:used]
            seconds = medians(
                {
                    "plain": fit(x[:used], y[:used], batch_size=batch_size),
                    "ours": fit(ours),
                    "constant": fit(constant),
                    "imblearn": fit(imblearn),
                    "sampled": fit(sampled(x, y, batch_size, few)),
                },
                rounds=3 if quick else 5,
            )
            seconds["sampled"] *= steps / few
            ratios = [
                f"{seconds[name] / seconds['plain']:.2f}"
                for name in ("ours", "constant", "imblearn", "sampled")
            ]
            table.add_row(str(width), str(batch_size), *ratios)
    console.print(table)


def memory(console: Console) -> None:
    """Growth of the process over the data, at its peak, by the operating system's account."""
    rows = 16_000_000
    x = np.zeros((rows, 4), np.float32)
    x += 1.0
    y = np.zeros(rows, np.int64)
    y[::100] = 1
    warm = tfi.data.balanced_batches(x[:10_000], y[:10_000], batch_size=1024)
    in_graph(warm)()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    in_graph(tfi.data.balanced_batches(x, y, batch_size=1024, steps_per_epoch=4000))()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    console.print(f"Memory beyond the data, at the peak: {peak / rows:.1f} bytes a row")


def main(quick: bool) -> None:
    console = Console()
    memory(console)
    iteration(console, quick)
    training(console, quick)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
