"""Bins of equal mass, and how sure the rate of positives in each is."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tfimbalance.plots._scores import FloatArray, Scores


@dataclass(frozen=True)
class Bins:
    """Mean prediction and observed rate of each bin, with the bounds of a confidence interval."""

    predicted: FloatArray
    observed: FloatArray
    low: FloatArray
    high: FloatArray


def equal_mass_bins(scores: Scores, *, mass: str, num_bins: int, confidence: float) -> Bins:
    """Cut the rows, ordered by prediction, into bins of as many rows or predicted positives.

    Equal predictions stay together, so that there may be fewer bins than asked for. Labels play no
    part: bins made by them would be as they ought to be by selection.
    """
    p = scores.probability
    order = np.argsort(scores.score, kind="stable")
    weight = scores.weight[order]
    share = weight * p[order] if mass == "positives" else weight
    if not share.any():
        share = weight  # Predictions that are all 0.
    before = np.concatenate([[0.0], np.cumsum(share)[:-1]])
    ordered = scores.score[order]
    starts = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    # A run of equal predictions goes where its first row goes.
    before = before[starts][np.cumsum(starts) - 1]
    # The small number: 0.1 + 0.2 is above 0.3, and a row must not fall into the bin before its own.
    place = np.minimum((before / share.sum() * num_bins + 1e-9).astype(int), num_bins - 1)
    _, group = np.unique(place, return_inverse=True)
    rows = np.bincount(group, weight)
    predicted = np.bincount(group, weight * p[order]) / rows
    observed = np.bincount(group, weight * scores.positive[order]) / rows
    # Kish's effective size: rows of unequal weight tell less than as many equal ones.
    size = rows**2 / np.bincount(group, weight**2)
    low, high = wilson(observed, size, confidence)
    return Bins(predicted, observed, low, high)


def wilson(rate: FloatArray, size: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Return Wilson's score interval of a rate observed in ``size`` rows.

    Unlike rate +- z * standard error it has a width where there is no positive, and stays within
    [0, 1] where there are few.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    middle = (rate + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * np.sqrt(rate * (1 - rate) / size + z**2 / (4 * size**2))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
