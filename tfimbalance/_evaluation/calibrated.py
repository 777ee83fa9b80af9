"""The probabilities behind scores that are not calibrated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfimbalance._checks import FloatArray

# 99% points of the chi-square distribution, of two parameters and of three more.
_LIKELIER_LINE, _LIKELIER_SPLINE = 9.21, 11.34
# Where a spline has its knots: shares of what the rows know of a line.
_KNOTS = (0.05, 0.275, 0.5, 0.725, 0.95)
_ROWS_A_KNOT = 10  # Of either class.


class Calibrated(NamedTuple):
    """Log odds of a positive at each level of scores."""

    log_odds: FloatArray
    line: tuple[float, float] | None  # Slope and bias in the logits of scores; None: no line.

    @classmethod
    def of(
        cls, z: FloatArray, hits: FloatArray, alarms: FloatArray, row_weight: float
    ) -> Calibrated:
        """Return the scores as they are, unless these rows refute them: then a line or a spline.

        A line in their logits [1] mends priors and scores that are too sure of themselves alike; a
        natural cubic spline is for networks that are so at one end only. Either is taken if it is
        much likelier, as it would be once in a hundred times without need.

        Args:
            z: logits of the levels, descending.
            hits: weight of the positives at each.
            alarms: weight of the negatives at each.
            row_weight: what a row weighs.

        References:
            [1] Platt, Probabilistic Outputs for Support Vector Machines, 1999.
        """
        from scipy.special import expit

        found, nats = cls(z, (1.0, 0.0)), _nats(z, hits, alarms)
        line, least = cls._line(z, hits, alarms)
        if 2 * (nats - least) > _LIKELIER_LINE * row_weight:
            found, nats = line, least
        if line.line is None:
            return found
        if min(hits.sum(), alarms.sum()) < _ROWS_A_KNOT * len(_KNOTS) * row_weight:
            return found
        x = line.log_odds
        information = np.cumsum((hits + alarms) * expit(x) * expit(-x))
        at = np.searchsorted(information, np.array(_KNOTS) * information[-1])
        bends = _bends(x, np.unique(x[at]))
        bent, least = _likeliest([np.ones_like(x), x, *bends], hits, alarms, start=x)
        much = _LIKELIER_SPLINE + (0.0 if found is line else _LIKELIER_LINE)
        return cls(bent, None) if 2 * (nats - least) > much * row_weight else found

    @classmethod
    def _line(cls, z: FloatArray, hits: FloatArray, alarms: FloatArray) -> tuple[Calibrated, float]:
        """Return the likeliest line, or the base rate for scores that do not rank, and its nats."""
        ones = np.ones_like(z)
        if z[0] > z[-1]:
            fitted, nats = _likeliest([ones, (z - z.mean()) / z.std()], hits, alarms)
            slope = float((fitted[0] - fitted[-1]) / (z[0] - z[-1]))
            if slope > 0:
                return cls(fitted, (slope, float(fitted[0] - slope * z[0]))), nats
        fitted, nats = _likeliest([ones], hits, alarms)
        return cls(fitted, None), nats

    def score(self, probability: float) -> float | None:
        """Return the score behind which a probability stands, None without a line."""
        from scipy.special import expit, logit

        if self.line is None:
            return None
        slope, bias = self.line
        return float(expit((logit(probability) - bias) / slope))


def _bends(x: FloatArray, knots: FloatArray) -> list[FloatArray]:
    """Return the natural cubic splines of these knots, ascending, but for the straight ones."""
    last = knots[-1]

    def cubic(knot: float) -> FloatArray:
        beyond = np.maximum(x - knot, 0.0) ** 3 - np.maximum(x - last, 0.0) ** 3
        return np.asarray(beyond / (last - knot))

    return [cubic(knot) - cubic(knots[-2]) for knot in knots[:-2]]


def _nats(z: FloatArray, hits: FloatArray, alarms: FloatArray) -> float:
    return float((hits * np.logaddexp(0.0, -z) + alarms * np.logaddexp(0.0, z)).sum())


def _likeliest(
    columns: list[FloatArray], hits: FloatArray, alarms: FloatArray, start: FloatArray | None = None
) -> tuple[FloatArray, float]:
    """Return the likeliest log odds that are a sum of columns, and their nats: Newton's method."""
    from scipy.special import expit

    basis = np.linalg.qr(np.stack(columns, axis=1)).Q
    weight = hits + alarms
    if start is None:
        start = np.full(len(basis), np.log(hits.sum()) - np.log(alarms.sum()))
    found = basis.T @ start
    nats = _nats(basis @ found, hits, alarms)
    for _ in range(50):  # Without end where the classes do not overlap.
        p = expit(basis @ found)
        slope = basis.T @ (weight * p - hits)
        bend = (basis * (weight * p * (1 - p))[:, None]).T @ basis
        step = np.linalg.lstsq(bend, slope, rcond=None)[0]
        tries = (found - step / 2**halvings for halvings in range(30))
        better = ((at, _nats(basis @ at, hits, alarms)) for at in tries)
        at, lower = next((pair for pair in better if pair[1] < nats), (found, nats))
        gained, found, nats = nats - lower, at, lower
        if gained < 1e-7 * weight.sum():
            break
    return basis @ found, nats
