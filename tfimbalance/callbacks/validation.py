"""The model that a callback looks at: the one that will be served, probabilities and all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfimbalance._checks import FloatArray, bad_value
from tfimbalance.calibration import calibrated_model

Correct = Callable[[keras.Model], keras.Model]


def served_model(
    model: keras.Model,
    correct: Correct | None,
    *,
    output: str | None,
    from_logits: bool | None,
    multi_label: bool,
    decides: bool = False,
) -> keras.Model:
    """Return the corrected model, or the model itself made to end in probabilities."""
    if correct is not None:
        return correct(model)
    # One output, several labels: the end of a subclassed model does not say which.
    symbolic = bool(getattr(model, "inputs", None))
    softmax = False if multi_label or (decides and not symbolic) else None
    return calibrated_model(model, [], output=output, from_logits=from_logits, softmax=softmax)


def as_columns(y_pred: Any) -> FloatArray:
    """Return probabilities as float64 ``(rows, outputs)``."""
    p = np.asarray(y_pred, dtype=np.float64)
    p = p.reshape(-1, p.shape[-1] if p.ndim > 1 else 1)
    if not np.isfinite(p).all():
        raise bad_value(
            "model",
            expected="finite predictions",
            received=f"{p[~np.isfinite(p)][0]}",
            remedy="Training has diverged: lower the learning rate, or clip gradients.",
        )
    if ((p < -1e-3) | (p > 1.0 + 1e-3)).any():
        raise bad_value(
            "model",
            expected="a model of probabilities, in [0, 1]",
            received=f"{p[(p < -1e-3) | (p > 1.0 + 1e-3)][0]:g}",
            remedy="For a model of logits, from_logits=True.",
        )
    return p
