"""Class statistics -> class weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_choice, check_number, refuse_classes
from tfimbalance.statistics import as_statistics

SCHEMES = ("balanced", "inverse_sqrt", "effective_number")


def class_weights(
    labels: Any,
    *,
    scheme: str = "balanced",
    beta: float | None = None,
    empty_classes: str = "raise",
    ignore_class: int | None = None,
) -> dict[int, float]:
    """Weigh the classes so that rare ones count for more.

    The result, ``{class: weight}``, goes into ``fit(class_weight=...)``, any loss here, or
    `ClassWeighted` around any other. Trained probabilities then lean towards the rare classes: the
    odds of class k are multiplied by its weight.

        balanced:          w_k = N / (K n_k)
        inverse_sqrt:      w_k ~ n_k**-0.5
        effective_number:  w_k ~ (1 - beta) / (1 - beta**n_k)     [1]

    The mean weight over the rows is 1, which keeps the learning rate what it was. For multi-label
    statistics, the scheme is applied to a label's positives and negatives, and the two weights are
    divided: the result is what ``WeightedBinaryCrossentropy(pos_weight=...)`` takes.

    Args:
        labels: labels, `ClassStatistics`, counts as ``{class: rows}``, or a dataset.
        scheme: ``"balanced"``, ``"inverse_sqrt"`` or ``"effective_number"``.
        beta: of the effective number only, in ``[0, 1)``; .999 by default. 0 gives equal weights,
            and towards 1 it becomes ``"balanced"``.
        empty_classes: ``"raise"``, or ``"zero"``: classes without rows weigh 0, as do labels that
            no row, or every row, carries.
        ignore_class: an id that does not count, as in `class_statistics`.

    Raises:
        ValueError: for an empty class (named), an unknown scheme, or ``beta`` with a scheme that
            does not use it.

    Example:
        >>> import tfimbalance as tfi
        >>> tfi.class_weights([0, 0, 0, 1])
        {0: 0.6666666666666666, 1: 2.0}

    References:
        [1] Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019,
        arXiv 1901.05555.
    """
    check_choice("scheme", scheme, SCHEMES)
    check_choice("empty_classes", empty_classes, ("raise", "zero"))
    if beta is not None and scheme != "effective_number":
        raise bad_value(
            "beta", expected=f'None, because scheme="{scheme}" does not use it', received=beta
        )
    beta = check_number("beta", 0.999 if beta is None else beta, minimum=0.0, maximum=1.0)
    if beta == 1.0:
        raise bad_value(
            "beta", expected="a number below 1", received=beta, remedy='Use scheme="balanced".'
        )
    stats = as_statistics(labels, ignore_class)
    counts = stats.counts.astype(np.float64)
    others = stats.totals - counts
    empty = (counts == 0) | (stats.multi_label & (others == 0))
    if empty_classes == "raise":
        refuse_classes(
            "labels",
            empty,
            expected="rows of every class" + (", with and without each label" * stats.multi_label),
            found=f"{stats.num_classes} classes, but no rows",
            remedy='Leave out labels that no row has, or pass empty_classes="zero".'
            if stats.multi_label
            else 'Number the classes without gaps, or pass empty_classes="zero". If these are '
            "counts: tfi.ClassStatistics(counts).",
        )
    seen = ~empty
    if not seen.any():
        raise bad_value("labels", expected="at least one row", received="statistics of no rows")
    weights = np.zeros(stats.num_classes)
    raw = _unscaled(counts[seen], scheme, beta)
    if stats.multi_label:
        weights[seen] = raw / _unscaled(others[seen], scheme, beta)
    else:
        weights[seen] = raw * (stats.num_samples / (counts[seen] * raw).sum())
    return {k: float(weight) for k, weight in enumerate(weights)}


def _unscaled(counts: NDArray[np.float64], scheme: str, beta: float) -> NDArray[np.float64]:
    if scheme == "balanced":
        return np.asarray(1.0 / counts)
    if scheme == "inverse_sqrt":
        return np.asarray(counts**-0.5)
    if beta == 0.0:
        return np.ones_like(counts)
    # 1 - beta**n through expm1 and log1p: the plain form cancels to 0 for beta near 1.
    return np.asarray((1.0 - beta) / -np.expm1(counts * np.log1p(beta - 1.0)))
