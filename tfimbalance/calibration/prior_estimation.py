"""The class distribution of rows without labels, from calibrated predictions of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfimbalance._checks import FloatArray, bad_value, check_integer, check_number, some_classes
from tfimbalance._evaluation.rows import Evaluated, probabilities
from tfimbalance.calibration._base import check_activation
from tfimbalance.offsets import class_priors, is_per_label, positive_priors
from tfimbalance.statistics import ClassStatistics

_CALIBRATE = (
    "Calibrate first: FocalCalibration after focal loss, PriorCorrection after class weights or "
    "sampling (Rebalance.corrected does both)."
)
# Without labels a larger change of the odds is a sign of scores that are not calibrated, not of
# another population: focal outputs at 5% positives lead to 97%, odds of 600 times as much.
_MOST_SHIFT = 100.0
# Rows of a class that have to be expected before their absence says anything.
_EXPECTED = 20.0
# A sum of residuals this many standard errors from 0, and a tenth of the rate: not calibrated.
_MOST_Z, _MOST_SHARE = 5.0, 0.1


def estimate_priors(
    y_pred: Any,
    train_priors: Any,
    *,
    held_out: tuple[Any, Any] | None = None,
    from_logits: bool = False,
    activation: str | None = None,
    tolerance: float = 1e-9,
    max_iterations: int = 10_000,
) -> FloatArray:
    """Estimate how frequent the classes are where nobody has labelled the rows.

    Use it when a model meets another population (another country, next month), and hand the result
    to `PriorCorrection` as ``target_priors``. It assumes that rows *within* a class look as they
    did in training; where they do not, a rare class may be off by a factor. Predictions must be
    calibrated: raw outputs of focal loss or of re-balanced training lead it away. Without labels
    only gross errors can be seen: an estimate that runs to 0, or odds that move by more than 100.
    So give ``held_out`` rows of the population of ``train_priors``; then any shift is allowed.

        pi_k <- mean over rows of (pi_k / train_k) p_k / sum_j (pi_j / train_j) p_j      [1, eq. 9]

    Args:
        y_pred: predictions for the unlabelled rows, calibrated for ``train_priors``.
        train_priors: the prior that the predictions are calibrated for: `ClassStatistics`, counts
            or probabilities; one number is the prior of the positives of one output.
        held_out: ``(y_true, y_pred)`` of labelled rows of that prior, to check calibration on.
        from_logits: whether predictions are logits.
        activation: ``"sigmoid"`` if several outputs stand for themselves.
        tolerance: of the estimate, relative, where the iteration stops.
        max_iterations: after so many it gives up.

    Returns:
        The priors: ``(num_classes,)``; ``()`` beside one number and one output; ``(num_labels,)``
        with ``activation="sigmoid"``. A class without a sign gets half a row, not 0.

    Shapes:
        y_pred: ``(rows, num_classes)``, ``(rows, 1)``, ``(rows,)``; it takes 32 bytes a number.

    Raises:
        ValueError: for predictions that are not calibrated (the estimate of a class runs to 0 or
            its odds move by more than 100, where 20 rows or more were to be expected, or held-out
            rows contradict the predictions), and for those that do not converge.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> rng = np.random.default_rng(0)
        >>> y = rng.random(100_000) < 0.3
        >>> x = rng.normal(size=100_000) + 2 * y
        >>> logits = 2 * x - 2 + np.log(0.1 / 0.9)  # Calibrated for 10% positives.
        >>> round(float(tfi.calibration.estimate_priors(logits, 0.1, from_logits=True)), 2)
        0.3

    References:
        [1] Saerens, Latinne and Decaestecker, Adjusting the Outputs of a Classifier to New a
        Priori Probabilities, Neural Computation 2002.
    """
    check_number("tolerance", tolerance, minimum=0.0, exclusive=True)
    check_integer("max_iterations", max_iterations, minimum=1)
    activation = check_activation(activation)
    if isinstance(train_priors, ClassStatistics) and train_priors.multi_label:
        activation = "sigmoid"
    if held_out is not None:
        if not isinstance(held_out, (tuple, list)) or len(held_out) != 2:
            kind = type(held_out).__name__
            raise bad_value("held_out", expected="(y_true, y_pred)", received=kind)
        rows = Evaluated.read(*held_out, from_logits=from_logits, activation=activation)
        _check_calibrated(rows)
    of_labels = activation == "sigmoid" or is_per_label(train_priors)
    p = probabilities(
        y_pred, from_logits=from_logits, activation="sigmoid" if of_labels else activation
    )
    train = (positive_priors if of_labels else class_priors)(train_priors, argument="train_priors")
    pair = not of_labels and p.shape[1] == 1 and train.size == 2
    several = activation == "sigmoid" and not train.ndim
    if not pair and not several and max(train.size, 1) != p.shape[1]:
        raise bad_value(
            "train_priors",
            expected=f"priors for predictions of {p.shape[1]} outputs",
            received=f"priors for {train.size}",
            remedy="One number goes with one output; the priors of labels with "
            'activation="sigmoid".',
        )
    most_shift = _MOST_SHIFT if held_out is None else np.inf
    # Each output that stands for itself is a distribution of two classes.
    of_outputs = [p] if p.shape[1] > 1 and not of_labels else [np.stack([1 - q, q], 1) for q in p.T]
    trained = [train]
    if of_labels:
        trained = [np.array([1 - r, r]) for r in np.broadcast_to(train, p.shape[1:])]
    found = []
    for output, prior in zip(of_outputs, trained, strict=True):
        found.append(_estimate(output, prior, tolerance, max_iterations))
        _check_shift(found[-1], prior, most_shift, len(p))
    if not of_labels:
        return found[0]
    rates = np.array([priors[1] for priors in found])
    return rates if rates.size > 1 or train.ndim else rates.reshape(())


def _estimate(p: FloatArray, train: FloatArray, tolerance: float, most: int) -> FloatArray:
    ratio, priors, rows = p / train, train, len(p)
    least = min(0.5 / rows, float(train.min()))
    for _ in range(most):
        ahead = priors * (ratio / (ratio @ priors)[:, None]).mean(axis=0)
        ahead = np.maximum(ahead, least)
        ahead = ahead / ahead.sum()
        gone = np.flatnonzero((ahead * rows < 0.75) & (train * rows >= _EXPECTED))
        if gone.size:
            raise bad_value(
                "y_pred",
                expected="predictions that are calibrated for `train_priors`",
                received=f"{rows} rows from which the estimate of {some_classes(gone)} runs away "
                f"to 0, where {train[gone[0]] * rows:.0f} were to be expected",
                remedy=f"{_CALIBRATE} If the class may be absent here, leave it out.",
            )
        if (np.abs(ahead - priors) <= tolerance * ahead).all():
            return np.asarray(ahead)
        priors = ahead
    raise bad_value(
        "y_pred",
        expected=f"predictions from which the estimate converges in {most} steps",
        received=f"a last step from {priors.round(6).tolist()} to {ahead.round(6).tolist()}",
        remedy="Predictions that hardly tell the classes apart tell no prior; raise tolerance for "
        "a rough one.",
    )


def _check_shift(found: FloatArray, train: FloatArray, most: float, rows: int) -> None:
    # Of classes that are expected in a few rows, chance alone may say anything.
    known = np.maximum(found, train) * rows >= _EXPECTED
    factor = np.where(known, found / (1.0 - found) * (1.0 - train) / train, 1.0)
    far = int(np.argmax(np.abs(np.log(factor))))
    if not 1.0 / most <= factor[far] <= most:
        raise bad_value(
            "y_pred",
            expected="predictions that are calibrated for `train_priors`",
            received=f"an estimate of {found[far]:.4g} for {some_classes([far])}, which was "
            f"{train[far]:.4g} in training: odds x {factor[far]:.3g}",
            remedy=f"{_CALIBRATE} If the shift is real, show that the predictions are calibrated: "
            "held_out=(y_true, y_pred).",
        )


def _check_calibrated(rows: Evaluated) -> None:
    """Refuse predictions whose sum, or whose upper half's sum, is not that of the labels."""
    for k, (of_label, of_model) in enumerate(zip(rows.targets.T, rows.probability.T, strict=True)):
        # The half of the predicted positives that has the highest predictions, and all.
        order = np.argsort(of_model)
        upper = order[np.searchsorted(np.cumsum(of_model[order]), of_model.sum() / 2) :]
        for part, name in ((slice(None), "in all"), (upper, "among the highest")):
            predicted, seen = of_model[part], of_label[part]
            error = (predicted - seen).sum()
            spread = np.sqrt((predicted * (1.0 - predicted)).sum())
            if abs(error) > _MOST_Z * spread and abs(error) > _MOST_SHARE * seen.sum():
                raise bad_value(
                    "held_out",
                    expected="predictions that are calibrated",
                    received=f"{predicted.sum():.4g} predicted positives of output {k} beside "
                    f"{seen.sum():.4g} true ones {name} ({len(predicted)} rows)",
                    remedy=f"{_CALIBRATE} Or TemperatureScaling().fit(y_true, y_pred).",
                )
