"""What is flagged at each threshold: nothing at first, and one more level of scores at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import FloatArray
from tfimbalance._evaluation.calibrated import Calibrated
from tfimbalance._evaluation.one_class import OneClass

# Log odds beyond which a probability is as good as 0 or 1.
_SURE = 36.0


class Cuts(NamedTuple):
    """What is flagged: nothing at cut 0, and one more level of scores at each cut after it."""

    levels: FloatArray  # The scores that occur, descending; cut k flags the first k of them.
    hits: FloatArray  # Weight of the positives flagged.
    alarms: FloatArray  # Weight of the negatives flagged.
    # What a row weighs, averaged by its own weight: the factor on a variance of counts.
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

    @property
    def calibrated(self) -> Calibrated:
        """The probabilities that stand behind the scores, which are probabilities too."""
        from scipy.special import logit

        z = np.clip(logit(np.clip(self.levels, 0.0, 1.0)), -_SURE, _SURE)
        return Calibrated.of(z, np.diff(self.hits), np.diff(self.alarms), self.row_weight)

    def expected(self, log_odds: FloatArray) -> Cuts:
        """Return the cuts as these log odds expect them: without the noise of the labels."""
        from scipy.special import expit

        hits = np.append(0.0, np.cumsum(np.diff(self.flagged) * expit(log_odds)))
        return self._replace(hits=hits, alarms=self.flagged - hits)


def precision(cuts: Cuts) -> FloatArray:
    """Return hits over what is flagged; 1 where nothing is."""
    return np.where(cuts.flagged > 0, cuts.hits / np.maximum(cuts.flagged, 1e-300), 1.0)


class Points(NamedTuple):
    """Operating points: one entry for each threshold at which rows are flagged, descending."""

    threshold: FloatArray  # A probability.
    precision: FloatArray  # Hits over what is flagged.
    recall: FloatArray  # Hits over positives.
    flagged: FloatArray  # Share of all rows.
    f1: FloatArray  # 2 hits / (flagged + positives), which is defined where both are 0.

    @classmethod
    def of(cls, rows: OneClass) -> Points:
        """Return the points of all scores that occur."""
        cuts = Cuts.of(rows.positive, rows.score, rows.weight)
        hits, flagged = cuts.hits[1:], cuts.flagged[1:]
        return cls(
            rows.as_probability(cuts.levels),
            hits / flagged,
            hits / cuts.positives,
            flagged / flagged[-1],
            2 * hits / (flagged + cuts.positives),
        )

    @property
    def best(self) -> int:
        """Where F1 is highest."""
        return int(np.argmax(self.f1))

    @property
    def best_text(self) -> str:
        """What a legend says of the best F1."""
        return f"best F1 {self.f1[self.best]:.3f} from {self.threshold[self.best]:.3g} on"

    def at_flagged(self, share: float) -> int:
        """Where a share of the rows is flagged, or the next more, as ties allow."""
        # Cumulative sums of weights round.
        found = int(np.searchsorted(self.flagged, share * (1 - 1e-9)))
        return min(found, len(self.flagged) - 1)

    def at_threshold(self, threshold: float) -> int | None:
        """Return the point of a threshold, None if it flags nothing."""
        # In float32, as models predict and the layer compares: .7 is not below its own rounding.
        flagged = int(np.count_nonzero(np.float32(self.threshold) >= np.float32(threshold)))
        return flagged - 1 if flagged else None
