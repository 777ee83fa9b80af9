"""Forward and backward cost of sampled softmax, against plain cross-entropy on the same scores.

Both begin with the product of the embeddings. Ratios of medians of interleaved runs in one process.

    python benchmarks/sampled_softmax.py             # about five minutes on two cores
    python benchmarks/sampled_softmax.py --rows 1024 --rounds 5
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import sys
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from _measure import medians
from rich.console import Console
from rich.table import Table

import tfimbalance as tfi

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def losses(rows: int) -> dict[str, Loss]:
    """Losses of queries and items, the peer first; a Zipf catalogue gives some accidental hits."""
    share = 1 / np.arange(1, 100_001)
    ids = np.random.default_rng(0).choice(len(share), size=rows, p=share / share.sum())
    log_q = tf.constant(np.log(share / share.sum())[ids], tf.float32)
    ids, diagonal = tf.constant(ids, tf.int64), tf.range(rows)
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def own(form: str) -> Loss:
        loss = tfi.retrieval.SampledSoftmaxLoss(form)
        return lambda query, item: loss(query, item, log_q=log_q, ids=ids)

    def function(form: str) -> Loss:
        def loss(query: tf.Tensor, item: tf.Tensor) -> tf.Tensor:
            scores = tf.matmul(query, item, transpose_b=True)
            values = tfi.retrieval.sampled_softmax_loss(scores, log_q, form=form, ids=ids)
            return tf.reduce_mean(values)

        return loss

    return {
        "plain": lambda query, item: plain(diagonal, tf.matmul(query, item, transpose_b=True)),
        "nce": own("nce"),
        "importance": own("importance"),
        "nce, function": function("nce"),
        "importance, function": function("importance"),
    }


def step(loss: Loss, query: tf.Tensor, item: tf.Tensor, jit_compile: bool) -> Callable[[], object]:
    @tf.function(jit_compile=jit_compile, autograph=False)
    def value_and_gradient(query: tf.Tensor, item: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            tape.watch([query, item])
            value = loss(query, item)
        return value, tape.gradient(value, [query, item])

    return lambda: value_and_gradient(query, item)[0].numpy()


def main(rows: int, dim: int, rounds: int) -> None:
    rng = np.random.default_rng(0)
    query, item = (tf.constant(rng.normal(size=(rows, dim)), tf.float32) for _ in range(2))
    found = [
        medians({n: step(f, query, item, xla) for n, f in losses(rows).items()}, rounds)
        for xla in (False, True)
    ]
    table = Table(title=f"{rows:,} rows of {dim} numbers: time of plain cross-entropy = 1")
    table.add_column("loss")
    for mode in ("graph", "XLA"):
        table.add_column(mode, justify="right")
    for name in found[0]:
        table.add_row(name, *(f"{times[name] / times['plain']:.2f}" for times in found))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    seconds = ", ".join(f"{times['plain']:.3f} s" for times in found)
    console.print(f"Plain cross-entropy, graph and XLA: {seconds}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    main(options.rows, options.dim, options.rounds)
