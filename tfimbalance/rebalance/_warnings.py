"""The warning for two strategies that balance what one of them has balanced."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from tfimbalance._tables import decimal

if TYPE_CHECKING:
    from tfimbalance.rebalance.combination import Combination

_TIMES = "\N{MULTIPLICATION SIGN}"
# How far above an equal share two strategies may take a rare class before it is a mistake.
_OVERSHOT = 1.02


def warn_of_double_correction(plan: Combination) -> None:
    """Warn where two strategies overshoot, or one of them finds nothing left to do."""
    priors, effective = plan.priors, plan.effective_priors
    goal = plan.odds.priors(np.zeros_like(priors))
    below = priors < goal
    if not below.any():
        return
    # The class that ends furthest above its even share, and else the rarest.
    over = np.where(below, effective / goal, 0.0)
    rare = int(np.argmax(over)) if over.max() > _OVERSHOT else int(np.argmin(priors))
    top = int(np.argmax(priors))
    factors, idle = {}, []
    for strategy in plan.strategies:
        factor = strategy.factor()
        if factor is None:
            continue
        name = strategy.name.removeprefix("class ").removeprefix("logit ")
        factors[name] = float(factor[rare] / (1.0 if plan.odds.multi_label else factor[top]))
        idle += [name] * (strategy.adapts and bool(np.ptp(np.log(factor)) < 1e-9))
    raising = {name: factor for name, factor in factors.items() if factor > 1 + 1e-6}
    text = f"a prior of {decimal(priors[rare])} into"
    if len(raising) > 1 and over.max() > _OVERSHOT:
        product = " and ".join(f"{name} {_TIMES} {f:.3g}" for name, f in raising.items())
        _warn(
            f"{product} turn {text} {decimal(effective[rare])} (class {rare}). One of them at full "
            "strength is enough; class_weight as a scheme and tau refer to what is sampled. "
            "`corrected` undoes it all the same, but the model is trained at rates as far off as "
            "those of the data."
        )
    if plan.offset:  # What an offset takes up is sampled all the same.
        moved = plan.sampled_priors / priors
        raising = {"sampling": float(moved[rare] / moved[top])}
    if idle and len(raising) == 1:
        (name, once), rest = next(iter(raising.items())), " and ".join(idle)
        twice = priors[rare] / (1 - priors[rare]) * once**2
        _warn(
            f"what is sampled leaves nothing to {rest}: the sampling balances the classes already. "
            f"Both at full strength, {name} {_TIMES} {once:.3g} and {rest} {_TIMES} {once:.3g}, "
            f"would turn {text} {decimal(twice / (1 + twice))}."
        )


def _warn(message: str) -> None:
    warnings.warn(f"Rebalance: {message}", stacklevel=4)
