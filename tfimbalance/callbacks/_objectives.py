"""What a threshold is chosen for, and the choice. One sort, no grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tfimbalance._checks import FloatArray
from tfimbalance._evaluation.cuts import Cuts, precision


class Objective(NamedTuple):
    """What a threshold is chosen for."""

    name: str  # What logs call it.
    values: Callable[[Cuts], FloatArray]  # Of each cut; the largest is best.
    # The best threshold of calibrated probabilities, given the best value and the base rate.
    calibrated: Callable[[float, float], float] | None = None
    # By how much one more hit and one more alarm change a value; for `calibrated`.
    gains: Callable[[Cuts, int, float], tuple[float, float]] | None = None
    sign: float = 1.0  # -1 where logs show a cost.


def f_beta(beta: float) -> Objective:
    """Return ``(1 + b^2) hits / (b^2 positives + flagged)``; best at ``F / (1 + b^2)``."""
    most = 1 + beta**2

    def values(cuts: Cuts) -> FloatArray:
        return most * cuts.hits / (beta**2 * cuts.positives + cuts.flagged)

    def gains(cuts: Cuts, cut: int, value: float) -> tuple[float, float]:
        whole = beta**2 * cuts.positives + float(cuts.flagged[cut])
        return (most - value) / whole, -value / whole

    return Objective(f"f{beta:g}", values, lambda best, _: best / most, gains)


def cost(costs: FloatArray) -> Objective:
    """Return the mean cost; ``costs[i, j]`` is that of saying i where j is true."""
    (c00, c01), (c10, c11) = costs
    threshold = (c10 - c00) / (c10 - c00 + c01 - c11)

    def values(cuts: Cuts) -> FloatArray:
        negatives = float(cuts.alarms[-1])
        of_negatives = c00 * (negatives - cuts.alarms) + c10 * cuts.alarms
        of_positives = c01 * (cuts.positives - cuts.hits) + c11 * cuts.hits
        return np.asarray(-(of_negatives + of_positives) / (negatives + cuts.positives))

    def gains(cuts: Cuts, cut: int, value: float) -> tuple[float, float]:
        rows = float(cuts.flagged[-1])
        return (c01 - c11) / rows, (c00 - c10) / rows

    return Objective("cost", values, lambda *_: threshold, gains, sign=-1.0)


def balanced_accuracy() -> Objective:
    """Return the mean of both recalls; best at the base rate."""

    def values(cuts: Cuts) -> FloatArray:
        return np.asarray(1.0 + cuts.hits / cuts.positives - cuts.alarms / cuts.alarms[-1]) / 2

    def gains(cuts: Cuts, cut: int, value: float) -> tuple[float, float]:
        return 0.5 / cuts.positives, -0.5 / float(cuts.alarms[-1])

    return Objective("balanced_accuracy", values, lambda _, base_rate: base_rate, gains)


def matthews_correlation() -> Objective:
    """Return the correlation of what is said and what is true; 0 where all is said alike."""

    def values(cuts: Cuts) -> FloatArray:
        rate, flagged = cuts.positives / cuts.flagged[-1], cuts.flagged / cuts.flagged[-1]
        spread = rate * (1 - rate) * flagged * (1 - flagged)
        covariance = cuts.hits / cuts.flagged[-1] - rate * flagged
        return np.where(spread > 0, covariance / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0)

    return Objective("matthews_correlation", values)


def precision_at_recall(least: float) -> Objective:
    """Return precision where recall is at least that, and -1 elsewhere."""

    def values(cuts: Cuts) -> FloatArray:
        return np.where(cuts.hits >= least * cuts.positives * (1 - 1e-12), precision(cuts), -1.0)

    return Objective(f"precision_at_recall_{least:g}", values)


def recall_at_precision(least: float) -> Objective:
    """Return recall where precision is at least that, and -1 elsewhere."""
    return _recall_where(
        f"recall_at_precision_{least:g}", lambda cuts: precision(cuts) >= least * (1 - 1e-12)
    )


def recall_at_flagged(most: float) -> Objective:
    """Return recall where at most that share is flagged, and -1 elsewhere."""
    return _recall_where(
        f"recall_at_flagged_{most:g}",
        lambda cuts: cuts.flagged <= most * cuts.flagged[-1] * (1 + 1e-12),
    )


def _recall_where(name: str, allowed: Callable[[Cuts], Any]) -> Objective:
    return Objective(name, lambda cuts: np.where(allowed(cuts), cuts.hits / cuts.positives, -1.0))


def choose(objective: Objective, cuts: Cuts) -> tuple[float, float]:
    """Return the threshold and the value there.

    The maximum over a finite sample wanders along a flat top: for F1 at 5% positives and 100,000
    rows by .027 (a standard deviation). What is best for calibrated probabilities follows from the
    value itself and wanders by .003. Where scores are clearly not calibrated, it is that of the
    probabilities behind them (`Cuts.uncalibrated`). It is taken unless it is worse by three
    standard errors, those of the rows between the two, as the end counts them at which they weigh
    less.
    """
    values = objective.values(cuts)
    best = int(np.argmax(values))
    value = float(values[best])
    if objective.calibrated is None or objective.gains is None:
        return cuts.threshold(best), value
    known = objective.calibrated(value, cuts.positives / float(cuts.flagged[-1]))
    known = float(np.float32(cuts.uncalibrated(known)))  # As the layer will compare it.
    cut = cuts.at(known)
    hits, alarms = (abs(of[best] - of[cut]) for of in (cuts.hits, cuts.alarms))
    # F is steep where little is flagged and flat where much is: neither end may excuse the other.
    gains = (objective.gains(cuts, at, float(values[at])) for at in (best, cut))
    error = min(
        np.sqrt(cuts.row_weight * (hits * of_hit**2 + alarms * of_alarm**2))
        for of_hit, of_alarm in gains
    )
    if value - values[cut] <= 3 * error:
        return known, float(values[cut])
    return cuts.threshold(best), value
