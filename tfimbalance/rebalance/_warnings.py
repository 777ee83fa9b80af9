"""The warning for two strategies that balance what one of them has balanced."""

from __future__ import annotations

import warnings

import numpy as np

from tfimbalance.rebalance._odds import Odds
from tfimbalance.rebalance.audit import Strategy, decimal

_TIMES = "\N{MULTIPLICATION SIGN}"
_SHORT = {"class weights": "weights", "logit adjustment": "adjustment"}
# How far above an equal share two strategies may take a rare class before it is a mistake.
_OVERSHOT = 1.02


def warn_of_double_correction(odds: Odds, *, from_scheme: bool) -> None:
    """Warn where two strategies overshoot, or one of them finds nothing left to do.

    Args:
        odds: of the plan.
        from_scheme: whether class weights follow from what is sampled.
    """
    top = int(np.argmax(odds.priors))
    goal, effective = odds.even(), odds.effective()
    below = odds.priors < goal
    if not below.any():
        return
    # The class that ends furthest above its even share, and else the rarest.
    over = np.where(below, effective / goal, 0.0)
    rare = int(np.argmax(over)) if over.max() > _OVERSHOT else int(np.argmin(odds.priors))
    prior = odds.priors[rare]
    factors = {
        _SHORT.get(s.name, s.name): float(s.factor[rare])
        if odds.multi_label
        else float(s.factor[rare] / s.factor[top])
        for s in odds.strategies
    }
    raising = {name: factor for name, factor in factors.items() if factor > 1 + 1e-6}
    text = f"a prior of {decimal(prior)} into"
    if len(raising) > 1 and over.max() > _OVERSHOT:
        product = " and ".join(f"{name} {_TIMES} {f:.3g}" for name, f in raising.items())
        _warn(
            f"{product} turn {text} {decimal(effective[rare])} (class {rare}). One of them at full "
            "strength is enough; class_weight as a scheme and tau refer to what is sampled. "
            "`corrected` undoes it all the same, but the model is trained for a world as far off "
            "as the first one."
        )
    idle = [_SHORT[s.name] for s in odds.strategies if s.name in _SHORT and _changes_nothing(s)]
    if idle and len(raising) == 1 and (from_scheme or odds.tau):
        (name, once), rest = next(iter(raising.items())), " and ".join(idle)
        twice = prior / (1 - prior) * once**2
        _warn(
            f"what is sampled leaves nothing to {rest}: the sampling balances the classes already. "
            f"Both at full strength, {name} {_TIMES} {once:.3g} and {rest} {_TIMES} {once:.3g}, "
            f"would turn {text} {decimal(twice / (1 + twice))}."
        )


def _changes_nothing(strategy: Strategy) -> bool:
    return bool(np.ptp(np.log(strategy.factor)) < 1e-9)


def _warn(message: str) -> None:
    warnings.warn(f"Rebalance: {message}", stacklevel=4)
