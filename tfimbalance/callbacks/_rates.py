"""Validation data whose classes are not as frequent as they should be: resampled, most likely."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tfimbalance._checks import FloatArray
from tfimbalance._predictions import is_dataset
from tfimbalance.data import class_sampling
from tfimbalance.offsets import class_priors
from tfimbalance.statistics import ClassStatistics, class_statistics

# Standard errors between a rate and its prior: chance exceeds it once in two million.
_MOST = 5.0


def rate_z(
    stats: ClassStatistics, priors: FloatArray, num_samples: int | None = None
) -> FloatArray:
    """Return by how many standard errors the rate of each class differs from its prior.

    In square roots of counts, whose spread is 1/2 however few they are: the binomial's own standard
    error calls one row of a class chance gave .01 a wonder, which in a long tail happens always.

    Args:
        stats: of the rows in question.
        priors: of the natural rate.
        num_samples: how many rows the priors are of; None takes them as exact.
    """
    rows = stats.num_samples
    # Of a frequent class, the rows of the others: both have the same error.
    flipped = priors > 0.5
    counts = np.where(flipped, rows - stats.counts, stats.counts)
    expected = np.where(flipped, 1.0 - priors, priors) * rows
    ratio = rows / num_samples if num_samples else 0.0
    # The prior's own count is as uncertain: 3/8 makes its root as steady (Anscombe).
    found, wanted = np.sqrt(counts + 0.375), np.sqrt(expected + 0.375 * max(ratio, 1.0))
    return np.asarray(2.0 * np.abs(found - wanted) / np.sqrt(1.0 + ratio))


def warn_of_rates(
    stats: ClassStatistics,
    priors: FloatArray,
    num_samples: int | None,
    *,
    where: str,
    advice: str = "Re-sampled rows say nothing of probabilities, thresholds or precision: validate "
    "at the natural rate. If it is another population, take its priors: target_priors.",
) -> float:
    """Warn if the classes are not as frequent as the priors say; return the distance."""
    z = rate_z(stats, priors, num_samples)
    # Of two classes with the same distance, the rarer.
    off = int(np.lexsort((priors, -z.round(6)))[0])
    if z[off] > _MOST:
        warnings.warn(
            f"{where}: class {off} is {stats.priors[off]:.3g} of the rows, and {priors[off]:.3g} "
            f"of the data that the priors are of, {z[off]:.0f} standard errors apart. {advice}",
            stacklevel=3,
        )
    return float(z[off])


def resampled(data: Any) -> ClassStatistics | None:
    """Return what a re-balanced dataset of this package hands out, without reading it."""
    if not is_dataset(data):
        return None
    try:
        sampling = class_sampling(data)
    except ValueError:  # Another dataset, or one of which nothing has been read.
        return None
    return sampling.drawn if sampling.drawn != sampling.read else None


def check_natural(labels: Any, data: Any, priors: Any) -> None:
    """Warn if rows to validate on are re-sampled: by their labels, or by what a dataset says.

    Args:
        labels: class ids, or multi-label rows; None where only the dataset is asked.
        data: what the labels are from.
        priors: of the natural rate; None where only the dataset is asked.
    """
    is_stats = isinstance(priors, ClassStatistics)
    drawn = resampled(data)
    if priors is None:
        if drawn is not None:
            natural = class_sampling(data).read
            warn_of_rates(drawn, natural.priors, natural.num_samples, where="validation_data")
        return
    several = is_stats and priors.multi_label
    expected = priors.priors if is_stats else class_priors(priors)
    found = drawn or class_statistics(
        np.asarray(labels), num_classes=len(expected), multi_label=several
    )
    number = priors.num_samples if is_stats else None
    warn_of_rates(found, expected, number, where="validation_data")
