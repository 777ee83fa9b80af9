"""What counting items costs a two-tower step, and how far hashed frequencies are off.

Towers of embeddings and two layers, in-batch negatives, Adam; a catalogue by Zipf's law. Times are
ratios to the same step without `ItemFrequency`, in a graph and under XLA. The last rows are a whole
step of `TwoTower`, which also looks whether batches are shuffled, over one with log Q given.

    python benchmarks/item_frequency.py            # about four minutes on two cores
    python benchmarks/item_frequency.py --items 100000 --rounds 5
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
from keras import ops
from rich.console import Console
from rich.table import Table

import tfimbalance as tfi

tf.get_logger().setLevel("ERROR")

BATCHES = (1_024, 4_096)
USERS = 100_000
WHOLE = "TwoTower, a place for each item"


def tower(size: int, name: str = "ids") -> keras.Model:
    layers = [keras.layers.Embedding(size, 64), keras.layers.Dense(128, "relu")]
    ids = keras.Input((), dtype="int64", name=name)
    return keras.Sequential([ids, *layers, keras.layers.Dense(64)])


def step(
    items: int, batch: int, frequency: keras.layers.Layer | None, jit_compile: bool
) -> Callable[[], object]:
    keras.utils.set_random_seed(0)
    towers = tower(USERS), tower(items)
    variables = [v for each in towers for v in each.trainable_variables]
    optimizer = keras.optimizers.Adam()
    optimizer.build(variables)
    user, item = (tf.constant(ids) for ids in drawn(items, batch))

    @tf.function(jit_compile=jit_compile, autograph=False)
    def train() -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = ops.matmul(towers[0](user), ops.transpose(towers[1](item)))
            if frequency is not None:
                logits = logits - frequency(item, training=True)
            loss = -ops.mean(ops.diagonal(ops.log_softmax(logits)))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return lambda: train().numpy()


class GivenLogQ(tfi.retrieval.TwoTower):
    """Two towers that count nothing."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        log_q = ops.full_like(y_pred["item"][:, 0], -7.0)
        return self.loss(y_pred["query"], y_pred["item"], sample_weight, log_q=log_q)


def whole_step(
    model_class: type[tfi.retrieval.TwoTower],
    items: int,
    batch: int,
    frequency: keras.layers.Layer,
    jit_compile: bool,
) -> Callable[[], object]:
    keras.utils.set_random_seed(0)
    towers = tower(USERS, "user"), tower(items, "item")
    model = model_class(*towers, item_id="item", frequency=frequency)
    model.compile("adam", jit_compile=jit_compile)
    x = dict(zip(("user", "item"), drawn(items, batch), strict=True))
    batches = iter(tf.data.Dataset.from_tensors((x,)).cache().repeat())
    model.make_train_function()
    return lambda: float(model.train_function(batches)["loss"])


def zipf(items: int) -> np.ndarray:
    p = 1 / np.arange(1, items + 1)
    return p / p.sum()


def drawn(items: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(USERS, size=size), rng.choice(items, p=zipf(items), size=size)


def costs(items: int, rounds: int) -> Table:
    table = Table(title=f"time / that of a step without, {items:,} items")
    for column in ("frequency", "batch", "graph", "XLA"):
        table.add_column(column, justify="left" if column == "frequency" else "right")
    kinds: dict[str, dict[str, object]] = {
        "a place for each item": {"num_items": items},
        "counts alone": {"num_items": items, "rate": None},
        "hashed, 4 x 2**20": {},
    }
    for batch in BATCHES:
        found: dict[str, list[str]] = {}
        for jit_compile in (False, True):
            steps = {"without": step(items, batch, None, jit_compile)}
            for name, arguments in kinds.items():
                layer = tfi.retrieval.ItemFrequency(**arguments)
                steps[name] = step(items, batch, layer, jit_compile)
            times = medians(steps, rounds)
            for name in kinds:
                found.setdefault(name, []).append(f"{times[name] / times['without']:.3f}")
            whole = {
                name: whole_step(of, items, batch, layer, jit_compile)
                for name, of, layer in (
                    ("without", GivenLogQ, tfi.retrieval.ItemFrequency(2)),
                    (WHOLE, tfi.retrieval.TwoTower, tfi.retrieval.ItemFrequency(items)),
                )
            }
            times = medians(whole, rounds)
            found.setdefault(WHOLE, []).append(f"{times[WHOLE] / times['without']:.3f}")
        for name, ratios in found.items():
            table.add_row(name, f"{batch:,}", *ratios)
    return table


def errors(items: int) -> Table:
    """Log Q of hashed counts of 100 draws an item on average, beside that of exact ones."""
    table = Table(title=f"log Q of hashed counts less that of exact ones, {items:,} items")
    for column in ("cells", "median", "mean", "mean of the rarer half"):
        table.add_column(column, justify="right")
    counts = np.random.default_rng(0).poisson(zipf(items) * items * 100)
    for cells in (2**18, 2**20):
        layer = tfi.retrieval.ItemFrequency(
            rate=None, num_cells=cells, counts=dict(enumerate(counts))
        )
        off = np.log((layer.counts(np.arange(items)) + 0.5) / (counts + 0.5))
        numbers = np.median(off), off.mean(), off[items // 2 :].mean()
        table.add_row(f"4 x {cells:,}", *(f"{number:.3f}" for number in numbers))
    return table


def main(items: int, rounds: int) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(costs(items, rounds))
    console.print(errors(items))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    main(options.items, options.rounds)
