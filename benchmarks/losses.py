"""Forward and backward cost of every loss, against plain cross-entropy and against Keras' own.

Ratios of medians of interleaved runs in one process: below 1 is faster than the peer.

    python benchmarks/losses.py             # about two minutes on two cores
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from _measure import medians
from rich.console import Console
from rich.table import Table

import tfimbalance as tfi

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def step(loss: Loss, y: tf.Tensor, z: tf.Tensor, jit_compile: bool) -> Callable[[], object]:
    @tf.function(jit_compile=jit_compile, autograph=False)
    def value_and_gradient(y: tf.Tensor, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = loss(y, z)
        return value, tape.gradient(value, z)

    return lambda: value_and_gradient(y, z)[0].numpy()


def binary(rows: int) -> tuple[str, tf.Tensor, tf.Tensor, dict[str, Loss]]:
    rng = np.random.default_rng(0)
    z = tf.constant(rng.normal(size=(rows, 1)) * 3, tf.float32)
    y = tf.constant(rng.random((rows, 1)) < 0.01, tf.float32)
    arguments = {"from_logits": True}
    weights = {0: 0.5, 1: 50.0}
    return (
        f"binary, {rows:,} rows",
        y,
        z,
        {
            "plain": keras.losses.BinaryCrossentropy(**arguments),
            "keras focal": keras.losses.BinaryFocalCrossentropy(**arguments),
            "focal": tfi.losses.BinaryFocalLoss(**arguments),
            "focal, gamma 1.5": tfi.losses.BinaryFocalLoss(1.5, **arguments),
            "focal, weighted": tfi.losses.BinaryFocalLoss(class_weight=weights, **arguments),
            "weighted": tfi.losses.WeightedBinaryCrossentropy(50.0, **arguments),
            "wrapped": tfi.losses.ClassWeighted(
                keras.losses.BinaryCrossentropy(**arguments), weights
            ),
        },
    )


def categorical(rows: int, classes: int) -> tuple[str, tf.Tensor, tf.Tensor, dict[str, Loss]]:
    rng = np.random.default_rng(0)
    z = tf.constant(rng.normal(size=(rows, classes)) * 3, tf.float32)
    ids = tf.constant(rng.integers(0, classes, rows))
    hot = tf.one_hot(ids, classes)
    arguments = {"from_logits": True}
    weights = np.ones(classes)
    theirs = keras.losses.CategoricalFocalCrossentropy(**arguments)
    one_hot = tfi.losses.CategoricalFocalLoss(**arguments)
    return (
        f"{classes:,} classes, {rows:,} rows",
        ids,
        z,
        {
            "plain": keras.losses.SparseCategoricalCrossentropy(**arguments),
            "keras focal": lambda y, z: theirs(hot, z),
            "sparse focal": tfi.losses.SparseCategoricalFocalLoss(**arguments),
            "sparse, weighted": tfi.losses.SparseCategoricalFocalLoss(
                class_weight=weights, **arguments
            ),
            "one-hot focal": lambda y, z: one_hot(hot, z),
            "wrapped": tfi.losses.ClassWeighted(
                keras.losses.SparseCategoricalCrossentropy(**arguments), weights
            ),
        },
    )


def main(rounds: int) -> None:
    console = Console()
    cases = (
        lambda: binary(100_000),
        lambda: binary(1_000_000),
        lambda: categorical(100_000, 10),
        lambda: categorical(10_000, 1_000),
        lambda: categorical(128, 100_000),
    )
    for case in cases:
        title, y, z, losses = case()
        table = Table(title=f"{title}: forward and backward")
        for column in ("loss", "graph / plain", "graph / Keras focal", "XLA / plain"):
            table.add_column(column, justify="left" if column == "loss" else "right")
        table.add_column("XLA / Keras focal", justify="right")
        results = [
            medians({name: step(loss, y, z, jit) for name, loss in losses.items()}, rounds)
            for jit in (False, True)
        ]
        for name in losses:
            ratios = [
                f"{times[name] / times[peer]:.2f}"
                for times in results
                for peer in ("plain", "keras focal")
            ]
            table.add_row(name, *ratios)
        console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    main(parser.parse_args().rounds)
