"""What a threshold is chosen for, and the choice. One sort, no grid."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tfimbalance._checks import FloatArray, bad_value, check_choice, check_number, check_share
from tfimbalance._evaluation.cuts import Cuts, precision

# What a threshold is chosen for, and the argument of it.
OBJECTIVES = {
    "f1": None,
    "fbeta": "beta",
    "balanced_accuracy": None,
    "matthews_correlation": None,
    "cost": "costs",
    "precision_at_recall": "recall",
    "recall_at_precision": "precision",
    "recall_at_flagged": "share",
}

Gains = Callable[[Cuts], tuple[FloatArray, FloatArray]]


class Objective(NamedTuple):
    """What a threshold is chosen for."""

    name: str  # What logs call it.
    values: Callable[[Cuts], FloatArray]  # Of each cut; the largest is best.
    # By how much one more hit and one more alarm change the value of each cut; None where it jumps.
    gains: Gains | None = None
    sign: float = 1.0  # -1 where logs show a cost.


def f_beta(beta: float) -> Objective:
    """Return ``(1 + b^2) hits / (b^2 positives + flagged)``."""
    most = 1 + beta**2

    def values(cuts: Cuts) -> FloatArray:
        return most * cuts.hits / (beta**2 * cuts.positives + cuts.flagged)

    def gains(cuts: Cuts) -> tuple[FloatArray, FloatArray]:
        whole, value = beta**2 * cuts.positives + cuts.flagged, values(cuts)
        return (most - value) / whole, -value / whole

    return Objective(f"f{beta:g}", values, gains)


def cost(costs: FloatArray) -> Objective:
    """Return the mean cost; ``costs[i, j]`` is that of saying i where j is true."""
    (c00, c01), (c10, c11) = costs

    def values(cuts: Cuts) -> FloatArray:
        negatives = float(cuts.alarms[-1])
        of_negatives = c00 * (negatives - cuts.alarms) + c10 * cuts.alarms
        of_positives = c01 * (cuts.positives - cuts.hits) + c11 * cuts.hits
        return np.asarray(-(of_negatives + of_positives) / (negatives + cuts.positives))

    def gains(cuts: Cuts) -> tuple[FloatArray, FloatArray]:
        one = np.ones_like(cuts.hits) / cuts.flagged[-1]
        return (c01 - c11) * one, (c00 - c10) * one

    return Objective("cost", values, gains, sign=-1.0)


def balanced_accuracy() -> Objective:
    """Return the mean of both recalls."""

    def values(cuts: Cuts) -> FloatArray:
        return np.asarray(1.0 + cuts.hits / cuts.positives - cuts.alarms / cuts.alarms[-1]) / 2

    def gains(cuts: Cuts) -> tuple[FloatArray, FloatArray]:
        half = np.full_like(cuts.hits, 0.5)
        return half / cuts.positives, -half / cuts.alarms[-1]

    return Objective("balanced_accuracy", values, gains)


def matthews_correlation() -> Objective:
    """Return the correlation of what is said and what is true; 0 where all is said alike."""

    def spread(cuts: Cuts) -> FloatArray:
        rest = cuts.flagged[-1] - cuts.flagged
        product = cuts.positives * cuts.alarms[-1] * cuts.flagged * rest
        return np.sqrt(np.where(product > 0, product, np.inf))

    def values(cuts: Cuts) -> FloatArray:
        covariance = cuts.hits * cuts.alarms[-1] - cuts.alarms * cuts.positives
        return np.asarray(covariance / spread(cuts))

    def gains(cuts: Cuts) -> tuple[FloatArray, FloatArray]:
        rows, whole = float(cuts.flagged[-1]), spread(cuts)
        ends = np.maximum(cuts.flagged * (rows - cuts.flagged), 1e-300)
        fades = values(cuts) * (rows - 2 * cuts.flagged) / (2 * ends)
        return cuts.alarms[-1] / whole - fades, -cuts.positives / whole - fades

    return Objective("matthews_correlation", values, gains)


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
    rows by .027 (a standard deviation). So the threshold is the one that the probabilities behind
    the scores (`Cuts.calibrated`) expect to be best, which wanders by a tenth of that. Where it is
    worse by three standard errors, those of the rows between the two as the end counts them at
    which they weigh less, it moves towards the maximum until it no longer is.
    """
    values = objective.values(cuts)
    best = int(np.argmax(values))
    if objective.gains is None:
        return cuts.threshold(best), float(values[best])
    known = _expected_best(objective, cuts, objective.gains)
    cut = cuts.at(known)
    between = np.arange(cut, best, 1 if cut < best else -1)
    hits, alarms = (abs(of[between] - of[best]) for of in (cuts.hits, cuts.alarms))
    of_hit, of_alarm = objective.gains(cuts)
    # F is steep where little is flagged and flat where much is: neither end may excuse the other.
    variance = np.minimum(
        *(hits * of_hit[at] ** 2 + alarms * of_alarm[at] ** 2 for at in (best, between))
    )
    is_as_good = values[best] - values[between] <= 3 * np.sqrt(cuts.row_weight * variance)
    nearest = int(np.append(between[is_as_good], best)[0])
    return known if nearest == cut else cuts.threshold(nearest), float(values[nearest])


def expected_best(objective: Objective, cuts: Cuts) -> float:
    """Return the threshold that probabilities expect to be best, where labels say nothing."""
    from scipy.special import logit

    log_odds = logit(np.clip(cuts.levels, 1e-12, 1.0 - 1e-12))
    return cuts.threshold(int(np.argmax(objective.values(cuts.expected(log_odds)))))


def _expected_best(objective: Objective, cuts: Cuts, gains: Gains) -> float:
    calibrated = cuts.calibrated
    expected = cuts.expected(calibrated.log_odds)
    cut = int(np.argmax(objective.values(expected)))
    # Where one more row flagged begins to harm: half of F for F, Elkan's ratio for costs.
    hit, alarm = (float(gain[cut]) for gain in gains(expected))
    score = calibrated.score(alarm / (alarm - hit)) if alarm < 0 < hit else None
    if score is None:
        return cuts.threshold(cut)
    return float(np.float32(score))  # As the layer compares it.


def objective_of(name: str, given: dict[str, Any]) -> Objective:
    """Return the objective of a name, or raise for arguments that it does not use, or lacks."""
    check_choice("objective", name, tuple(OBJECTIVES))
    uses = OBJECTIVES[name]
    for argument, value in given.items():
        if (value is None) == (argument == uses):
            raise bad_value(
                argument,
                expected=f'{"a value" if argument == uses else "None"} beside objective="{name}"',
                received=repr(value),
            )
    if name == "cost":
        return cost(_checked_costs(given["costs"]))
    if name in ("f1", "fbeta"):
        beta = 1.0 if uses is None else given["beta"]
        return f_beta(check_number("beta", beta, minimum=0.0, exclusive=True))
    if uses is None:
        return balanced_accuracy() if name == "balanced_accuracy" else matthews_correlation()
    of_share = {
        "precision": recall_at_precision,
        "recall": precision_at_recall,
        "share": recall_at_flagged,
    }
    return of_share[uses](check_share(uses, given[uses]))


def _checked_costs(costs: Any) -> Any:
    array: FloatArray = np.zeros(())
    with contextlib.suppress(TypeError, ValueError):
        array = np.asarray(costs, dtype=np.float64)
    is_square = array.shape == (2, 2) and np.isfinite(array).all()
    if not is_square or array[1, 0] <= array[0, 0] or array[0, 1] <= array[1, 1]:
        raise bad_value(
            "costs",
            expected="[[c00, c01], [c10, c11]] in which mistakes cost more than being right",
            received=repr(costs),
            remedy="Row: what is said. Column: what is true. A miss is costs[0][1]. Where labels "
            "differ: wrap(model, threshold=[...]), 1 / (1 + c) for a miss of c false alarms.",
        )
    return array
