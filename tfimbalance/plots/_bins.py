"""Bins of equal mass, and how sure the rate of positives in each is."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import FloatArray
from tfimbalance._evaluation.one_class import OneClass


@dataclass(frozen=True)
class Bins:
    """Mean prediction and observed rate of each bin, with the bounds of a confidence interval."""

    predicted: FloatArray
    observed: FloatArray
    low: FloatArray
    high: FloatArray


def equal_mass_bins(scores: OneClass, *, mass: str, num_bins: int, confidence: float) -> Bins:
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
    ordered = scores.score[order]
    run = np.cumsum(np.concatenate([[False], ordered[1:] != ordered[:-1]]))
    mass_of_run = np.bincount(run, share)
    # A run of equal predictions goes where its middle is: a long one leaves the bin of those below.
    middle = (np.cumsum(mass_of_run) - mass_of_run / 2)[run]
    place = np.minimum((middle / share.sum() * num_bins).astype(int), num_bins - 1)
    _, group = np.unique(place, return_inverse=True)
    rows = np.bincount(group, weight)
    predicted = np.bincount(group, weight * p[order]) / rows
    observed = np.bincount(group, weight * scores.positive[order]) / rows
    size = _effective_size(weight, scores.positive[order], observed, rows, group)
    low, high = wilson(observed, size, confidence)
    return Bins(predicted, observed, low, high)


def _effective_size(
    weight: FloatArray,
    positive: NDArray[np.bool_],
    rate: FloatArray,
    total: NDArray[Any],
    group: NDArray[np.int64],
) -> FloatArray:
    """Return how many rows of equal weight would tell as much about the rate of each bin.

    The variance of a weighted rate is ``sum w^2 (y - r)^2 / (sum w)^2``, which is another one where
    weights go with labels, as after keeping rows of one class with a probability. Without both
    labels, it is Kish's size, ``(sum w)^2 / sum w^2``.
    """
    kish = total**2 / np.bincount(group, weight**2)
    spread = np.bincount(group, weight**2 * (positive - rate[group]) ** 2)
    both = (rate > 0) & (rate < 1) & (spread > 0)
    return np.where(both, rate * (1 - rate) * total**2 / np.where(both, spread, 1), kish)


def wilson(rate: FloatArray, size: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Return Wilson's score interval of a rate observed in ``size`` rows.

    Unlike rate +- z * standard error it has a width where there is no positive, and stays within
    [0, 1] where there are few.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    middle = (rate + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * np.sqrt(rate * (1 - rate) / size + z**2 / (4 * size**2))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
