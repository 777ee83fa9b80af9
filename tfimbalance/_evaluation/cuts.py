"""What is flagged at each threshold: nothing at first, and one more level of scores at a time."""

from __future__ import annotations

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
