"""What is measured on the test rows, at the checkpoint that the validation rows choose."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import keras
import numpy as np
from scipy.special import expit
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from training import CHECKPOINTS, SHORT, Predicted

import tfimbalance as tfi

ENOUGH = 150  # Positives from which a slope and a bias are fitted on validation rows.


def log_loss(y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the mean log loss of logits, in nats, along the last axis."""
    return np.asarray(np.mean(np.logaddexp(0.0, z) - y * z, axis=-1))


def entropy(y: np.ndarray) -> float:
    """Return the log loss of the base rate."""
    rate = float(np.mean(y))
    return float(-(rate * np.log(rate) + (1 - rate) * np.log(1 - rate)))


def rows(
    y_valid: np.ndarray,
    y_test: np.ndarray,
    raw: Predicted,
    served: Predicted,
    loss: np.ndarray | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the measures of each budget and each criterion.

    ``own`` chooses by what the tool watches: the log loss of what is served, or ``loss``, its
    `val_loss` at each checkpoint, where it corrects nothing. ``ap`` chooses by average precision.
    """
    watched = {
        "own": log_loss(y_valid, served.valid) if loss is None else loss,
        "ap": -np.array([average_precision_score(y_valid, z) for z in served.valid]),
    }
    for budget, last in (("short", SHORT), ("long", CHECKPOINTS[-1])):
        if len(served.valid) == 1 and budget == "short":
            continue  # Boosting has no checkpoints.
        many = sum(step <= last for step in CHECKPOINTS[: len(served.valid)])
        for criterion, values in watched.items():
            best = int(np.argmin(values[:many]))
            valid, test = served.valid[best], served.test[best]
            row = {"budget": budget, "criterion": criterion, "step": CHECKPOINTS[best]}
            row |= {
                "ap": average_precision_score(y_test, test),
                "auc": roc_auc_score(y_test, test),
                "ne": float(log_loss(y_test, test)) / entropy(y_test),
                "ne_raw": float(log_loss(y_test, raw.test[best])) / entropy(y_test),
            }
            if criterion == "own":
                row["f1"] = f1_score(y_test, expit(test) >= tuned_threshold(y_valid, valid))
                row["ne_fitted"] = _fitted(y_valid, valid, y_test, test)
            yield row


def _fitted(y_valid: np.ndarray, z_valid: np.ndarray, y_test: np.ndarray, z: np.ndarray) -> float:
    """Return the normalized entropy behind a slope and a bias, where there are rows enough."""
    if y_valid.sum() >= ENOUGH:
        layer = tfi.calibration.VectorScaling(from_logits=True)
        layer.fit(y_valid, z_valid[:, None])
        z = np.asarray(layer(z[:, None].astype("float32")), np.float64)[:, 0]
    return float(log_loss(y_test, z)) / entropy(y_test)


@cache
def _same() -> keras.Model:
    """Return a model that predicts what it is given."""
    logit = keras.Input((1,), name="logit")
    return keras.Model(logit, keras.layers.Activation("linear", name="same")(logit))


def tuned_threshold(y: np.ndarray, z: np.ndarray) -> float:
    """Return the threshold that `ThresholdTuner` chooses for F1."""
    rows = tfi.callbacks.Validation((z[:, None].astype("float32"), y), from_logits=True)
    return float(tfi.callbacks.ThresholdTuner(rows).tune(_same()))
