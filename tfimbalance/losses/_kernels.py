"""The numerical core of the losses: one stable formula each, with its gradient written out.

Every kernel works on logits or nats, never clips, and has a gradient that is finite everywhere and
zero only where the mathematics says so. The gradients are custom for two reasons: automatic ones
are wrong at a logit of exactly 0 (where ``abs`` and ``relu`` have no derivative, and where a fresh
model starts), and they cost several more passes over memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from tfimbalance._tensors import tiny

Tensor = Any


def only(args: tuple[Tensor, ...], upstream: Tensor | None) -> Tensor:
    """Read the upstream gradient, which Keras passes by position or by name (PyTorch)."""
    return args[0] if upstream is None else upstream


def _power(base: Tensor, exponent: float) -> Tensor:
    """``base ** exponent``; the usual exponents as products, which cost a tenth of ``pow``."""
    if exponent == 0.0:
        return ops.ones_like(base)
    if exponent == 1.0:
        return base
    if exponent in (2.0, 3.0, 4.0, 5.0):
        half = _power(base, exponent // 2)
        return half * half * base if exponent % 2 else half * half
    return ops.power(base, exponent)


def _sigmoid_parts(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``log1p(e)`` and ``e / (1 + e)`` for ``e = exp(-|z|)``, both to relative precision.

    ``log1p`` is written out (Kahan): XLA evaluates its own twice, in the value and in the gradient.
    """
    e = ops.exp(-ops.abs(z))
    # `maximum` changes nothing, but keeps TensorFlow's graph rewriting away: it would turn
    # ``log(1 + e)`` into ``log1p(e)`` and ``1 + e - 1`` into ``e``, and so correct twice or never.
    u = ops.maximum(1.0 + e, 1.0)
    kept = u - 1.0
    return ops.where(kept == 0.0, e, ops.log(u) * (e / kept)), e / u


def binary_focal(y: Tensor, other: Tensor, z: Tensor, gamma: float) -> Tensor:
    """``|y - p|**gamma * BCE(y, p)`` with ``p = sigmoid(z)``, elementwise, nats.

    ``other`` is ``1 - y``, which a large weight makes smaller than a difference could tell.
    """

    @ops.custom_gradient
    def kernel(z: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        log1p_e, minor = _sigmoid_parts(z)
        ce = ops.abs(z) * ops.where(z >= 0.0, other, y) + log1p_e
        # p - y without cancellation: p is `1 - minor` for z >= 0 and `minor` below.
        error = ops.where(z >= 0.0, other - minor, minor - y)
        fade = _power(ops.abs(error), gamma)

        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Tensor:
            return only(args, upstream) * _binary_slope(error, fade, minor, ce, gamma)

        return fade * ce if gamma else ce, gradient

    result: Tensor = kernel(z)
    return result


def _binary_slope(error: Tensor, fade: Tensor, minor: Tensor, ce: Tensor, gamma: float) -> Tensor:
    """``error * (q**gamma + gamma * q**(gamma - 2) * p * (1 - p) * ce)`` with ``q = |error|``."""
    if gamma == 0.0:
        return error
    variance = minor * (1.0 - minor)
    if gamma == 2.0:
        return error * (fade + 2.0 * variance * ce)
    # Divided by q once, not twice: variance / q is p_t for a target of 0 or 1, q underflown or not.
    q = ops.abs(error)
    return ops.sign(error) * fade * (q + gamma * (variance / (q + tiny(q))) * ce)


def asymmetric(
    y: Tensor, other: Tensor, z: Tensor, gamma_neg: float, gamma_pos: float, margin: float
) -> Tensor:
    """``-y q**gamma_pos log(p) - other p_m**gamma_neg log(1 - p_m)``, elementwise, nats.

    With ``p = sigmoid(z)``, ``q = 1 - p`` and ``p_m = max(p - margin, 0)``.
    """

    @ops.custom_gradient
    def kernel(z: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        log1p_e, minor = _sigmoid_parts(z)
        major = 1.0 - minor
        above = z >= 0.0
        p, q = ops.where(above, major, minor), ops.where(above, minor, major)
        positive = ops.relu(-z) + log1p_e
        if margin:
            shifted = ops.relu(p - margin)
            rest = ops.minimum(q + margin, 1.0)  # 1 - p_m, and above 0 where p rounds to 1.
            negative = -ops.where(rest < 0.5, ops.log(rest), ops.log1p(-shifted))
            # d p_m / dz / (1 - p_m): below the margin nothing moves.
            moving = ops.where(shifted > 0.0, p * q / rest, 0.0)
        else:  # Then 1 - p_m is q, whose logarithm is exact however sure the model is.
            shifted, negative, rest, moving = p, ops.relu(z) + log1p_e, q, p
        fade_pos, fade_neg = _power(q, gamma_pos), _power(shifted, gamma_neg)

        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Tensor:
            of_positive = fade_pos * (gamma_pos * p * positive + q)
            # negative / shifted tends to 1, and divided first stays finite where both underflow.
            ratio = negative / (shifted + tiny(z))
            of_negative = fade_neg * moving * (1.0 + gamma_neg * rest * ratio)
            return only(args, upstream) * (other * of_negative - y * of_positive)

        return y * (fade_pos * positive) + other * (fade_neg * negative), gradient

    result: Tensor = kernel(z)
    return result


def focal_of_nats(ce: Tensor, gamma: float) -> Tensor:
    """``(1 - exp(-ce))**gamma * ce``, elementwise: cross-entropy in, focal loss out."""
    if gamma == 0.0:
        return ce

    @ops.custom_gradient
    def kernel(ce: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        q = -ops.expm1(-ce)
        fade = _power(q, gamma)

        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Tensor:
            # ce / q tends to 1; dividing first keeps q**(gamma - 1) from overflowing at gamma < 1.
            ratio = ops.where(q > 0.0, ce / (q + tiny(q)), 1.0)
            return only(args, upstream) * fade * (1.0 + gamma * (1.0 - q) * ratio)

        return fade * ce, gradient

    result: Tensor = kernel(ce)
    return result
