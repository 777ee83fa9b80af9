"""What the results should be, from the formulas alone. Imports nothing of ours."""

import mpmath as mp
import numpy as np

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
