"""Strategies that act one after another on the odds of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfimbalance._checks import FloatArray, bad_value, check_flag, check_number, refuse_classes
from tfimbalance.rebalance._warnings import warn_of_double_correction
from tfimbalance.rebalance.strategies import (
    ClassWeights,
    FocalLoss,
    LogitAdjustment,
    Odds,
    Sampling,
    Strategy,
    checked_activation,
)
from tfimbalance.statistics import ClassStatistics, as_statistics


class Combination:
    """The strategies of a plan, and the priors that they make of those of the data."""

    def __init__(
        self,
        labels: Any,
        *,
        class_shares: str | Mapping[int, float] | Sequence[float] | None = None,
        class_weight: str | Mapping[int, float] | Sequence[float] | None = None,
        tau: float = 0.0,
        focal_gamma: float = 0.0,
        offset: bool = False,
        activation: str | None = None,
        ignore_class: int | None = None,
    ) -> None:
        raw = not isinstance(labels, (ClassStatistics, Mapping))
        self.statistics = as_statistics(labels, ignore_class if raw else None)
        self.ignore_class = ignore_class
        self.class_shares = class_shares
        self.offset = check_flag("offset", offset)
        if self.offset and (class_shares is None or focal_gamma):
            raise bad_value(
                "offset",
                expected="False without class_shares, whose offset it is, and beside focal_gamma, "
                "which bends it",
                received=True,
            )
        self.tau = check_number("tau", tau)
        self.focal_gamma = check_number("focal_gamma", focal_gamma, minimum=0.0)
        self.activation = checked_activation(activation, self.statistics)
        self.odds = Odds(multi_label=self.statistics.multi_label)
        self.priors = self.statistics.priors
        refuse_classes(
            "labels",
            (self.priors <= 0) | (self.priors >= 1),
            expected="rows with and without every class",
            found="none",
            remedy="Number the classes without gaps.",
        )
        self.sampled_priors, self.class_weight = self.priors, None
        self.strategies: list[Strategy] = []
        if class_shares is not None:
            sampling = Sampling(self.statistics, class_shares, self.offset)
            self.sampled_priors = sampling.shares
            self.strategies.append(sampling)
        if class_weight is not None:
            weights = ClassWeights(self.statistics, self.sampled_priors, class_weight)
            self.class_weight = weights.class_weight
            self.strategies.append(weights)
        if self.focal_gamma:
            self.strategies.append(FocalLoss(self.focal_gamma))
        if self.tau:
            self.strategies.append(LogitAdjustment(self.odds.log(self.sampled_priors), self.tau))
        warn_of_double_correction(self)

    @property
    def effective_priors(self) -> FloatArray:
        """The prior that the loss sees, after all strategies."""
        total = self.odds.log(self.priors)
        for strategy in self.strategies:
            factor = strategy.factor()
            total = total if factor is None else total + np.log(factor)
        return self.odds.priors(total)

    @property
    def starting_priors(self) -> FloatArray:
        """What a new model should predict: where the loss is least as long as no input counts."""
        total = self.odds.log(self.priors)
        for strategy in self.strategies:
            total = strategy.outputs(total, "sigmoid" if self.odds.multi_label else "softmax")
        return self.odds.priors(total)

    def __repr__(self) -> str:
        names = ", ".join(strategy.name for strategy in self.strategies)
        return f"<Rebalance of {self.statistics.num_classes} classes: {names or 'none'}>"
