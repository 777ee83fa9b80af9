"""What the results should be, from the formulas alone. Imports nothing of ours."""

import mpmath as mp
import numpy as np
from scipy.special import expit

mp.mp.dps = 60


def _mp(x):
    return mp.mpf(float(x))


def binary_focal(y, z, gamma):
    """Value and derivative in the logit of -(1 - p_t)**gamma log p_t, to 60 digits."""
    m = _mp(z) if y else -_mp(z)
    p, q = 1 / (1 + mp.exp(-m)), 1 / (1 + mp.exp(m))
    nats = mp.log1p(mp.exp(-m)) if m > -200 else -m + mp.log1p(mp.exp(m))
    slope = -(q**gamma) * (gamma * p * nats + q)
    return q**gamma * nats, (slope if y else -slope)


def weighted_bce(y, z, negative, positive):
    """Value and derivative in the logit of weighted binary cross-entropy, to 60 digits."""
    value, slope = binary_focal(y, z, 0)
    weight = _mp(positive if y else negative)
    return weight * value, weight * slope


def categorical_focal(target, logits, gamma):
    """Value and gradient of -(1 - p_t)**gamma log p_t for class ``target``, to 60 digits."""
    z = [_mp(v) for v in logits]
    top = max(z)
    e = [mp.exp(v - top) for v in z]
    p = [v / sum(e) for v in e]
    q = sum(v for k, v in enumerate(p) if k != target)
    nats = -mp.log1p(-q) if q < mp.mpf("0.5") else top + mp.log(sum(e)) - z[target]
    # d nats / d z_k = p_k - [k = t], and -q for the target.
    outer = q**gamma + (gamma * q ** (gamma - 1) * p[target] * nats if q > 0 and gamma else 0)
    slopes = [outer * (-q if k == target else v) for k, v in enumerate(p)]
    return q**gamma * nats, slopes


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def ulps(found, wanted, eps, floor):
    """Distance in units of the last place of ``wanted``, whose scale is at least ``floor``."""
    return float(abs(_mp(found) - wanted) / (_mp(eps) * max(abs(wanted), _mp(floor))))


def crossentropy(ids, z):
    """-log softmax(z)[y] of each row, float64."""
    z = np.asarray(z, dtype=np.float64)
    top = z.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(z - top).sum(axis=-1)) + top[..., 0]
    return log_sum - np.take_along_axis(z, ids[..., None], axis=-1)[..., 0]


def asymmetric(y, p, gamma_neg, gamma_pos, margin):
    """Ridnik et al. 2021, eq. 7, elementwise."""
    shifted = np.maximum(p - margin, 0)
    return -(
        y * (1 - p) ** gamma_pos * np.log(p) + (1 - y) * shifted**gamma_neg * np.log(1 - shifted)
    )


def pairwise(y, s, surrogate, margin=1.0, weight=None):
    """Weighted mean over the matrix of pairs, and its gradient in the scores, float64."""
    weight = np.ones(len(s)) if weight is None else np.asarray(weight, dtype=np.float64)
    s = np.asarray(s, dtype=np.float64)
    positive, negative = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    lead = s[positive][:, None] - s[negative][None]
    of_pair = weight[positive][:, None] * weight[negative][None]
    of_pair = of_pair / of_pair.sum()
    if surrogate == "squared_hinge":
        values, slopes = np.maximum(0, margin - lead) ** 2, -2 * np.maximum(0, margin - lead)
    else:
        values, slopes = np.logaddexp(0, -lead), -expit(-lead)
    gradient = np.zeros(len(s))
    gradient[positive] = (of_pair * slopes).sum(axis=1)
    gradient[negative] = -(of_pair * slopes).sum(axis=0)
    return (of_pair * values).sum(), gradient
