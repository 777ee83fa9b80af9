"""Rows of one class against the rest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import FloatArray


class OneClass(NamedTuple):
    """Rows of one class against the rest, each array of shape ``(rows,)``."""

    positive: NDArray[np.bool_]
    # What orders the rows. Of logits it is the logit: in float64 their sigmoid is exactly 1 from
    # 37 on, where rows could no longer be told apart.
    score: FloatArray
    weight: FloatArray
    from_logits: bool

    @property
    def probability(self) -> FloatArray:
        """Predicted probability of a positive."""
        return self.as_probability(self.score)

    @property
    def base_rate(self) -> float:
        """Share of the (weighted) rows that are positive."""
        return float(self.weight[self.positive].sum() / self.weight.sum())

    def as_probability(self, score: FloatArray) -> FloatArray:
        """Turn scores, or thresholds of them, into probabilities."""
        from scipy.special import expit

        return np.asarray(expit(score)) if self.from_logits else score
