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
        rows: how many positives there are, whatever they weigh.
    """

    levels: FloatArray
    hits: FloatArray
    alarms: FloatArray
    rows: int

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
        return cls(score[last], hits, alarms, int(y.sum()))

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
        """Return a threshold that makes a cut: midway between two levels, where that is one."""
        if cut == 0:
            return float(np.nextafter(self.levels[0], np.inf))
        lowest = float(self.levels[cut - 1])
        if cut == len(self.levels):
            return lowest
        between = (lowest + float(self.levels[cut])) / 2
        return between if between > self.levels[cut] else lowest


def precision(cuts: Cuts) -> FloatArray:
    """Return hits over what is flagged; 1 where nothing is."""
    return np.where(cuts.flagged > 0, cuts.hits / np.maximum(cuts.flagged, 1e-300), 1.0)


class Objective(NamedTuple):
    """What a threshold is chosen for.

    Attributes:
        name: what logs call it.
        values: of each cut; the largest is best.
        calibrated: the best threshold of calibrated probabilities, given the best value; or None.
        sign: -1 where logs show a cost.
    """

    name: str
    values: Callable[[Cuts], FloatArray]
    calibrated: Callable[[float], float] | None = None
    sign: float = 1.0


def f_beta(beta: float) -> Objective:
    """Return ``(1 + b^2) hits / (b^2 positives + flagged)``; best at ``F / (1 + b^2)``."""

    def values(cuts: Cuts) -> FloatArray:
        return (1 + beta**2) * cuts.hits / (beta**2 * cuts.positives + cuts.flagged)

    return Objective(f"f{beta:g}", values, lambda best: best / (1 + beta**2))


def cost(costs: FloatArray) -> Objective:
    """Return the mean cost; ``costs[i, j]`` is that of saying i where j is true."""
    (c00, c01), (c10, c11) = costs
    threshold = (c10 - c00) / (c10 - c00 + c01 - c11)

    def values(cuts: Cuts) -> FloatArray:
        negatives = float(cuts.alarms[-1])
        of_negatives = c00 * (negatives - cuts.alarms) + c10 * cuts.alarms
        of_positives = c01 * (cuts.positives - cuts.hits) + c11 * cuts.hits
        return np.asarray(-(of_negatives + of_positives) / (negatives + cuts.positives))

    return Objective("cost", values, lambda best: threshold, sign=-1.0)


def recall_at_precision(least: float) -> Objective:
    """Return recall where precision is at least that, and -1 elsewhere."""

    def values(cuts: Cuts) -> FloatArray:
        return np.where(precision(cuts) >= least, cuts.hits / cuts.positives, -1.0)

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
    value itself and wanders by .003. It is taken where it is as good on these rows to about a
    standard error of the value, .5 of it over the root of the positives.
    """
    values = objective.values(cuts)
    best = int(np.argmax(values))
    if objective.calibrated is not None:
        threshold = objective.calibrated(float(values[best]))
        there = values[cuts.at(threshold)]
        within = 0.5 / np.sqrt(cuts.rows) * abs(values[best])
        if there >= values[best] - within:
            return float(threshold), float(there)
    return cuts.threshold(best), float(values[best])
