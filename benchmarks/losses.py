"""Forward and backward cost of every loss, against plain cross-entropy and against Keras' own.

Ratios of medians of interleaved runs in one process: below 1 is faster than the peer. Peak memory
is that of a fresh process each.

    python benchmarks/losses.py             # about ten minutes on two cores
    python benchmarks/losses.py --rounds 5 --only pairs
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import functools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from _measure import medians, peak_megabytes
from rich.console import Console
from rich.progress import track
from rich.table import Table

import tfimbalance as tfi

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass
class Case:
    """Targets, predictions, and the losses that are timed on them; the first are the peers."""

    title: str
    y: tf.Tensor
    z: tf.Tensor
    losses: dict[str, Loss]
    peers: tuple[str, ...] = ("plain", "Keras focal")


def step(case: Case, name: str, jit_compile: bool) -> Callable[[], object]:
    loss = case.losses[name]

    @tf.function(jit_compile=jit_compile, autograph=False)
    def value_and_gradient(y: tf.Tensor, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = loss(y, z)
        return value, tape.gradient(value, z)

    return lambda: value_and_gradient(case.y, case.z)[0].numpy()


def binary(rows: int) -> Case:
    rng = np.random.default_rng(0)
    z = tf.constant(rng.normal(size=(rows, 1)) * 3, tf.float32)
    y = tf.constant(rng.random((rows, 1)) < 0.01, tf.float32)
    arguments = {"from_logits": True}
    weights = {0: 0.5, 1: 50.0}
    return Case(
        f"one logit, {rows:,} rows",
        y,
        z,
        {
            "plain": keras.losses.BinaryCrossentropy(**arguments),
            "Keras focal": keras.losses.BinaryFocalCrossentropy(**arguments),
            "focal": tfi.losses.BinaryFocalLoss(**arguments),
            "focal, gamma 1.5": tfi.losses.BinaryFocalLoss(1.5, **arguments),
            "focal, weighted": tfi.losses.BinaryFocalLoss(class_weight=weights, **arguments),
            "weighted": tfi.losses.WeightedBinaryCrossentropy(50.0, **arguments),
            "wrapped": tfi.losses.ClassWeighted(
                keras.losses.BinaryCrossentropy(**arguments), weights
            ),
            "logit adjusted": tfi.losses.BinaryLogitAdjustedLoss(0.01, **arguments),
            "vector scaling": tfi.losses.VectorScalingLoss([99, 1], **arguments),
            "asymmetric": tfi.losses.AsymmetricLoss(**arguments),
        },
    )


def categorical(rows: int, classes: int) -> Case:
    rng = np.random.default_rng(0)
    z = tf.constant(rng.normal(size=(rows, classes)).astype("float32") * 3)
    ids = tf.constant(rng.integers(0, classes, rows))
    counts = rng.integers(1, 1000, classes)
    arguments = {"from_logits": True}
    weights = np.ones(classes)
    theirs = keras.losses.CategoricalFocalCrossentropy(**arguments)
    one_hot = tfi.losses.CategoricalFocalLoss(**arguments)

    @functools.cache
    def hot() -> tf.Tensor:
        with tf.init_scope():  # Called while a step is traced; not part of it.
            return tf.one_hot(ids, classes)

    return Case(
        f"{classes:,} classes, {rows:,} rows",
        ids,
        z,
        {
            "plain": keras.losses.SparseCategoricalCrossentropy(**arguments),
            "Keras focal": lambda y, z: theirs(hot(), z),
            "focal": tfi.losses.SparseCategoricalFocalLoss(**arguments),
            "focal, weighted": tfi.losses.SparseCategoricalFocalLoss(
                class_weight=weights, **arguments
            ),
            "focal, one-hot": lambda y, z: one_hot(hot(), z),
            "wrapped": tfi.losses.ClassWeighted(
                keras.losses.SparseCategoricalCrossentropy(**arguments), weights
            ),
            "logit adjusted": tfi.losses.LogitAdjustedLoss(counts, **arguments),
            "balanced softmax": tfi.losses.BalancedSoftmaxLoss(counts, **arguments),
            "LDAM": tfi.losses.LDAMLoss(counts),
            "vector scaling": tfi.losses.VectorScalingLoss(counts, **arguments),
        },
    )


def matrix(surrogate: str) -> Loss:
    """What pairwise losses usually are: every pair of a positive and a negative, materialised."""

    def loss(y: tf.Tensor, s: tf.Tensor) -> tf.Tensor:
        positive = tf.boolean_mask(s, y == 1)
        negative = tf.boolean_mask(s, y == 0)
        lead = positive[:, None] - negative[None, :]
        if surrogate == "logistic":
            return tf.reduce_mean(tf.nn.softplus(-lead))
        return tf.reduce_mean(tf.square(tf.nn.relu(1.0 - lead)))

    return loss


def pairs(rows: int, rate: float) -> Case:
    rng = np.random.default_rng(0)
    return Case(
        f"pairs of {rows:,} scores, {rate:.0%} positive",
        tf.constant(rng.random(rows) < rate, tf.float32),
        tf.constant(rng.normal(size=rows), tf.float32),
        {
            "matrix, hinge": matrix("squared_hinge"),
            "matrix, logistic": matrix("logistic"),
            "squared hinge": tfi.losses.PairwiseAUCLoss("squared_hinge"),
            "logistic": tfi.losses.PairwiseAUCLoss("logistic"),
        },
        peers=("matrix, hinge", "matrix, logistic"),
    )


CASES: dict[str, Callable[[], Case]] = {
    "binary, 1e5": lambda: binary(100_000),
    "binary, 1e6": lambda: binary(1_000_000),
    "10 classes": lambda: categorical(100_000, 10),
    "1,000 classes": lambda: categorical(10_000, 1_000),
    "100,000 classes": lambda: categorical(1_024, 100_000),
    "pairs, 1,024": lambda: pairs(1_024, 0.5),
    "pairs, 8,192 balanced": lambda: pairs(8_192, 0.5),
    "pairs, 8,192 at 1%": lambda: pairs(8_192, 0.01),
    "pairs, 65,536": lambda: pairs(65_536, 0.5),
}
# The matrix of 65,536 scores would be a gigabyte of floats, several times over: memory alone.
TIMED = [name for name in CASES if name != "pairs, 65,536"]
PEAKS = {
    "100,000 classes": ("plain", "logit adjusted", "balanced softmax", "vector scaling", "LDAM"),
    "pairs, 8,192 balanced": ("matrix, hinge", "squared hinge", "matrix, logistic", "logistic"),
    "pairs, 65,536": ("squared hinge", "logistic"),
}
MODES = {"graph": False, "XLA": True}


def times(case: Case, rounds: int) -> Table:
    table = Table(title=f"{case.title}: time, forward and backward")
    table.add_column("loss")
    # XLA cannot compile a matrix whose size depends on the labels.
    modes = {"graph": False} if case.title.startswith("pairs") else MODES
    for mode in modes:
        for peer in case.peers:
            table.add_column(f"{mode} / {peer}", justify="right")
    results = [
        medians({name: step(case, name, jit) for name in case.losses}, rounds)
        for jit in modes.values()
    ]
    for name in case.losses:
        ratios = [f"{found[name] / found[peer]:.2f}" for found in results for peer in case.peers]
        table.add_row(name, *ratios)
    return table


def peaks(case_name: str, losses: tuple[str, ...]) -> Table:
    table = Table(title=f"{case_name}: peak memory beyond the data, forward and backward, MB")
    for column in ("loss", *MODES):
        table.add_column(column, justify="left" if column == "loss" else "right")
    for name in losses:
        row = []
        for mode in MODES:
            if name.startswith("matrix") and mode == "XLA":
                row.append("")
                continue
            command = [sys.executable, __file__, "--peak", case_name, name, mode]
            found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            row.append(found.split()[-1])
        table.add_row(name, *row)
    return table


def main(rounds: int, only: str) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    for name in track([name for name in TIMED if only in name], console=console):
        console.print(times(CASES[name](), rounds))
    for name in track([name for name in PEAKS if only in name], console=console):
        console.print(peaks(name, PEAKS[name]))


def print_peak(case_name: str, loss: str, mode: str) -> None:
    case = CASES[case_name]()
    # What TensorFlow loads at its first step, whatever the loss is, is not the loss's.
    tf.function(lambda x: tf.sort(x) + tf.nn.softplus(x), jit_compile=MODES[mode])(tf.ones(9))
    sys.stdout.write(f"{peak_megabytes(step(case, loss, MODES[mode])):.0f}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print_peak(*options.peak)
    else:
        main(options.rounds, options.only)
