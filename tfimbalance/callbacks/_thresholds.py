"""Scores of labelled rows -> the threshold at which an objective is best. One sort, no grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import FloatArray


class Cuts(NamedTuple):
    """What is flagged: nothing at cut 0, and one more level of scores at each cut after it.

    Attributes:
        levels: the scores that occur, descending; cut k flags the first k of them.
        hits: weight of the positives flagged.
        alarms: weight of the negatives flagged.
        row_weight: what a row weighs, by its own weight: the factor on a variance of counts.
    """

    levels: FloatArray
    hits: FloatArray
    alarms: FloatArray
    row_weight: float

    @classmethod
    def of(cls, y: NDArray[np.bool_], p: FloatArray, weight: FloatArray) -> Cuts:
        """Sort the scores; equal ones are flagged together."""
        order = np.argsort(-p, kind="stable")
        score = p[order]
        last = np.append(np.flatnonzero(score[1:] != score[:-1]), len(score) - 1)
        hits, alarms = (
            np.concatenate([[0.0], np.cumsum(np.where(mask[order], weight[order], 0.0))[last]])
            for mask in (y, ~y)
        )
        return cls(score[last], hits, alarms, float((weight**2).sum() / weight.sum()))

    @property
    def positives(self) -> float:
        """Weight of all positives."""
        return float(self.hits[-1])

    @property
    def flagged(self) -> FloatArray:
        """Weight of what is flagged."""
        return self.hits + self.alarms

    def at(self, threshold: float) -> int:
        """Return the cut that a threshold makes."""
        return int(np.searchsorted(-self.levels, -threshold, side="right"))

    def threshold(self, cut: int) -> float:
        """Return a threshold that makes a cut, in float32 too: midway between two levels."""
        if cut == 0:
            highest = np.float32(max(self.levels[0], 1.0))  # Nothing is flagged elsewhere either.
            return float(np.nextafter(highest, np.float32(np.inf)))
        lowest = float(self.levels[cut - 1])
        if cut == len(self.levels):
            return lowest
        between = float(np.float32((lowest + float(self.levels[cut])) / 2))
        return between if self.levels[cut] < between < lowest else lowest


def precision(cuts: Cuts) -> FloatArray:
    """Return hits over what is flagged; 1 where nothing is."""
    return np.where(cuts.flagged > 0, cuts.hits / np.maximum(cuts.flagged, 1e-300), 1.0)


class Objective(NamedTuple):
    """What a threshold is chosen for.

    Attributes:
        name: what logs call it.
        values: of each cut; the largest is best.
        calibrated: the best threshold of calibrated probabilities, given the best value; or None.
        gains: by how much one more hit and one more alarm change a value; for ``calibrated``.
        sign: -1 where logs show a cost.
    """

    name: str
    values: Callable[[Cuts], FloatArray]
    calibrated: Callable[[float], float] | None = None
    gains: Callable[[Cuts, int, float], tuple[float, float]] | None = None
    sign: float = 1.0


def f_beta(beta: float) -> Objective:
    """Return ``(1 + b^2) hits / (b^2 positives + flagged)``; best at ``F / (1 + b^2)``."""
    most = 1 + beta**2

    def values(cuts: Cuts) -> FloatArray:
        return most * cuts.hits / (beta**2 * cuts.positives + cuts.flagged)

    def gains(cuts: Cuts, cut: int, value: float) -> tuple[float, float]:
        whole = beta**2 * cuts.positives + float(cuts.flagged[cut])
        return (most - value) / whole, -value / whole

    return Objective(f"f{beta:g}", values, lambda best: best / most, gains)


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

    return Objective("cost", values, lambda best: threshold, gains, sign=-1.0)


def recall_at_precision(least: float) -> Objective:
    """Return recall where precision is at least that, and -1 elsewhere."""

    def values(cuts: Cuts) -> FloatArray:
        return np.where(precision(cuts) >= least * (1 - 1e-12), cuts.hits / cuts.positives, -1.0)

    return Objective("recall_at_precision", values)


def recall_at_flagged(most: float) -> Objective:
    """Return recall where at most that share is flagged, and -1 elsewhere."""

    def values(cuts: Cuts) -> FloatArray:
        allowed = cuts.flagged <= most * cuts.flagged[-1] * (1 + 1e-12)
        return np.where(allowed, cuts.hits / cuts.positives, -1.0)

    return Objective("recall_at_flagged", values)


def choose(objective: Objective, cuts: Cuts) -> tuple[float, float]:
    """Return the threshold and the value there.

    The maximum over a finite sample wanders along a flat top: for F1 at 5% positives and 100,000
    rows by .027 (a standard deviation). What is best for calibrated probabilities follows from the
    value itself and wanders by .003. It is taken unless it is worse by three standard errors, those
    of the rows between the two, as the end counts them at which they weigh less.
    """
    values = objective.values(cuts)
    best = int(np.argmax(values))
    value = float(values[best])
    if objective.calibrated is None or objective.gains is None:
        return cuts.threshold(best), value
    known = float(np.float32(objective.calibrated(value)))  # As the layer will compare it.
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
