"""What is measured of a long tail, at the checkpoint that the validation rows choose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import log_softmax
from sklearn.metrics import f1_score, recall_score
from training import CHECKPOINTS, SHORT, Predicted

import tfimbalance as tfi


def tail_rows(
    y_train: np.ndarray, y_valid: np.ndarray, y_test: np.ndarray, raw: Predicted, served: Predicted
) -> Iterator[dict[str, Any]]:
    """Yield the measures of each budget and criterion: log loss served, or balanced accuracy.

    What a way decides by are its outputs as trained. ``ba_adjusted`` decides by what is served,
    adjusted for the priors: of a plain model, post-hoc logit adjustment.
    """
    statistics = tfi.class_statistics(y_train)
    watched = {
        "own": np.array([_log_loss(y_valid, z) for z in served.valid]),
        "ba": -np.array([_balanced(y_valid, z) for z in raw.valid]),
    }
    for budget, last in (("short", SHORT), ("long", CHECKPOINTS[-1])):
        many = sum(step <= last for step in CHECKPOINTS)
        for criterion, values in watched.items():
            best = int(np.argmin(values[:many]))
            z, calibrated = raw.test[best], served.test[best]
            adjusted = tfi.calibration.adjust_logits(calibrated, statistics)
            base = np.log(statistics.priors)[y_test].mean()
            yield {
                "budget": budget,
                "criterion": criterion,
                "step": CHECKPOINTS[best],
                "ba": _balanced(y_test, z),
                "ba_adjusted": _balanced(y_test, adjusted),
                "few": _balanced(y_test, z, rarest=True),
                "macro_f1": f1_score(y_test, z.argmax(1), average="macro", zero_division=0),
                "ne": _log_loss(y_test, calibrated) / -base,
                "ne_raw": _log_loss(y_test, z) / -base,
            }


def _log_loss(y: np.ndarray, z: np.ndarray) -> float:
    return float(-log_softmax(z, axis=1)[np.arange(len(y)), y].mean())


def _balanced(y: np.ndarray, z: np.ndarray, *, rarest: bool = False) -> float:
    recalls = recall_score(y, z.argmax(1), labels=np.unique(y), average=None, zero_division=0)
    return float(recalls[-(len(recalls) // 3 or 1) :].mean() if rarest else recalls.mean())
