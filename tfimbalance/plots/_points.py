"""What each threshold does: the operating points behind gain, lift and threshold curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfimbalance.plots._one_class import FloatArray, Scores


@dataclass(frozen=True)
class Points:
    """One entry a threshold, from the highest down: rows scored at least that are flagged.

    ``threshold`` is a probability, ``flagged`` the share of all rows.
    """

    threshold: FloatArray
    precision: FloatArray
    recall: FloatArray
    flagged: FloatArray
    f1: FloatArray

    @property
    def best(self) -> int:
        """Where F1 is highest."""
        return int(np.argmax(self.f1))

    def at_flagged(self, share: float) -> int:
        """Where a share of the rows is flagged, or the next more, as ties allow."""
        # Cumulative sums of weights round.
        found = int(np.searchsorted(self.flagged, share * (1 - 1e-9)))
        return min(found, len(self.flagged) - 1)

    def at_threshold(self, threshold: float) -> int | None:
        """Return the point of a threshold, None if it flags nothing."""
        flagged = int(np.count_nonzero(self.threshold >= threshold))
        return flagged - 1 if flagged else None


def operating_points(scores: Scores) -> Points:
    """Return all of them; scikit-learn's ROC curve counts, the rest is its algebra."""
    from sklearn.metrics import roc_curve

    false_rate, recall, threshold = (
        np.asarray(values[1:], dtype=np.float64)  # The first point flags nothing.
        for values in roc_curve(
            scores.positive,
            scores.score,
            sample_weight=scores.weight,
            drop_intermediate=False,
        )
    )
    rate = scores.base_rate
    flagged = recall * rate + false_rate * (1 - rate)
    return Points(
        threshold=scores.as_probability(threshold),
        precision=recall * rate / flagged,
        recall=recall,
        flagged=flagged,
        # Of counts, 2 TP / (flagged + positives): defined where precision and recall are 0.
        f1=2 * recall * rate / (flagged + rate),
    )
