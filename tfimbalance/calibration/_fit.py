"""Held-out labels and predictions -> targets and logits in float64, to fit a correction on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfimbalance._checks import FloatArray, bad_value, check_same_length, check_sample_weight
from tfimbalance._labels import as_array, class_ids, zero_one
from tfimbalance._tensors import logits_of


class HeldOut(NamedTuple):
    """Rows to fit a correction on.

    Attributes:
        targets: 0 and 1, ``(rows, outputs)``; one-hot for a softmax.
        logits: ``(rows, outputs)``.
        weight: ``(rows,)``, with a mean of 1.
        softmax: whether the outputs are classes that exclude one another.
    """

    targets: FloatArray
    logits: FloatArray
    weight: FloatArray
    softmax: bool

    @classmethod
    def read(
        cls,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        *,
        from_logits: bool,
        multi_label: bool,
    ) -> HeldOut:
        """Read labels of any shape beside their predictions, and refuse what cannot be fitted."""
        p = predictions(y_pred, from_logits=from_logits)
        softmax = not multi_label and p.shape[1] > 1
        targets = _targets(y_true, p.shape[1], softmax, rank=np.ndim(y_pred))
        check_same_length("y_true", len(targets), reference="y_pred", expected=len(p))
        given = np.ones(len(p)) if sample_weight is None else sample_weight
        weight = check_sample_weight(given, rows=len(p))
        total = (weight[:, None] * targets).sum(axis=0)
        missing = (total == 0) | (total == weight.sum())
        if missing.any():
            raise bad_value(
                "y_true",
                expected="held-out rows with and without each class",
                received=f"{len(p)} rows that have none of one kind for output "
                f"{int(np.flatnonzero(missing)[0])}",
                remedy="Hold out more rows, or stratify the split.",
            )
        z = (
            p
            if from_logits
            else ops.convert_to_numpy(
                logits_of(ops.convert_to_tensor(p, "float64"), softmax=softmax, dtype="float64")
            )
        )
        return cls(targets, z, weight / weight.mean(), softmax)

    def is_separated(self, nats: float) -> bool:
        """Tell a fit that makes no errors: a ten-thousandth of the base rate's cross-entropy."""
        rate = (self.weight[:, None] * self.targets).mean(axis=0)
        entropy = -np.log(rate) * rate
        if not self.softmax:
            entropy = entropy - np.log1p(-rate) * (1.0 - rate)
        return nats < 1e-4 * float(entropy.sum())


def predictions(y_pred: Any, *, from_logits: bool, argument: str = "y_pred") -> FloatArray:
    """Return predictions as float64 ``(rows, outputs)``, checked to be what they are said to be."""
    p = np.asarray(
        ops.convert_to_numpy(y_pred) if ops.is_tensor(y_pred) else y_pred, dtype=np.float64
    )
    if p.ndim == 0 or p.size == 0:
        raise bad_value(argument, expected="one row or more", received=f"shape {p.shape}")
    p = p.reshape(-1, p.shape[-1] if p.ndim > 1 else 1)
    broken = ~np.isfinite(p) if from_logits else ~((p >= -1e-3) & (p <= 1.0 + 1e-3))
    if broken.any():
        row, column = np.argwhere(broken)[0]
        raise bad_value(
            argument,
            expected="finite logits" if from_logits else "probabilities in [0, 1]",
            received=f"{p[row, column]} in row {row}",
            remedy="" if from_logits else "Logits need from_logits=True.",
        )
    return p if from_logits else np.clip(p, 0.0, 1.0)


def _targets(y_true: Any, width: int, softmax: bool, *, rank: int) -> NDArray[np.float64]:
    labels = as_array(ops.convert_to_numpy(y_true) if ops.is_tensor(y_true) else y_true)
    if softmax:
        labels = labels.ravel() if labels.ndim == rank - 1 else labels  # Sequences of ids.
        ids, _ = class_ids(labels, num_classes=width)
        return np.asarray(np.eye(width)[ids.ravel()])
    rows = labels.reshape(-1, width)
    return zero_one(
        rows, kind="binary", remedy="Labels of 0 and 1 are needed; threshold soft ones: y > 0.5."
    ).astype(np.float64)


def mean_nats(z: FloatArray, data: HeldOut) -> tuple[float, FloatArray]:
    """Return the mean cross-entropy of logits, and its derivative in each of them."""
    if data.softmax:
        top = z.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(z - top).sum(axis=1, keepdims=True)) + top
        p, nats = np.exp(z - log_sum), (log_sum[:, 0] - (z * data.targets).sum(axis=1))
    else:
        p = 0.5 * (1.0 + np.tanh(0.5 * z))
        nats = (np.logaddexp(0.0, z) - z * data.targets).sum(axis=1)
    slope = (p - data.targets) * (data.weight[:, None] / len(z))
    return float((data.weight * nats).mean()), slope
