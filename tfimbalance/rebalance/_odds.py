"""Strategies -> what each multiplies the odds of the classes with, and the prior that results."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfimbalance._checks import (
    FloatArray,
    bad_value,
    check_choice,
    check_number,
    per_class,
    some_classes,
)
from tfimbalance.offsets import class_priors, positive_priors
from tfimbalance.rebalance.audit import Strategy
from tfimbalance.shares import resolve_shares
from tfimbalance.statistics import ClassStatistics
from tfimbalance.weights import SCHEMES, class_weights

# As many rows as make shares of them exact.
_MANY = 10**12


class Odds:
    """The algebra of a plan, in log priors of classes or in log odds of labels.

    Args:
        statistics: of the data at its natural rate.
        class_shares, class_weight, tau: as `tfimbalance.Rebalance`.

    Attributes:
        priors: of the data.
        sampled: of the batches.
        class_weight: ``{class: weight}``, or None.
        strategies: those that are used, in the order in which they act.
    """

    def __init__(
        self, statistics: ClassStatistics, class_shares: Any, class_weight: Any, tau: float
    ) -> None:
        self.multi_label = statistics.multi_label
        self.priors = statistics.priors
        _check(
            "stats",
            (self.priors <= 0) | (self.priors >= 1),
            expected="rows with and without every class",
            received="none for",
            remedy="Number the classes without gaps.",
        )
        self.tau = tau
        self.sampled = self._sampled(statistics, class_shares)
        self.class_weight = self._weights(statistics, class_shares, class_weight)
        self.strategies = []
        if class_shares is not None:
            self.strategies.append(Strategy("sampling", self.sampled / self.priors))
        if self.class_weight is not None:
            factor = np.array(list(self.class_weight.values()))
            self.strategies.append(Strategy("class weights", factor))
        if tau:
            offset = -tau * self.log_odds(self.sampled)
            self.strategies.append(Strategy("logit adjustment", np.exp(offset)))

    def effective(self, *, adjusted: bool = True) -> FloatArray:
        """Return the prior after all strategies, or after all but logit adjustment."""
        total = self.log_odds(self.priors)
        for strategy in self.strategies:
            if adjusted or strategy.name != "logit adjustment":
                total = total + np.log(strategy.factor)
        return self.share(total)

    def adjustment(self) -> FloatArray:
        """Return the prior that logit adjustment takes out of even odds, and has to put back."""
        return self.share(self.tau * self.log_odds(self.sampled))

    def even(self) -> FloatArray:
        """Return even odds: an equal share a class, or 1/2 a label."""
        return self.share(np.zeros_like(self.priors))

    def log_odds(self, priors: FloatArray) -> FloatArray:
        """Return log priors of classes, and log odds of labels."""
        return np.asarray(np.log(priors) - (np.log1p(-priors) if self.multi_label else 0.0))

    def share(self, log_odds: FloatArray) -> FloatArray:
        """Return the probabilities behind log priors of classes, or log odds of labels."""
        if self.multi_label:
            return np.asarray(0.5 * (1.0 + np.tanh(0.5 * log_odds)))
        e = np.exp(log_odds - log_odds.max())
        return np.asarray(e / e.sum())

    def target(self, target_priors: Any) -> FloatArray:
        """Return deployment priors as one for each class or label."""
        if target_priors is None:
            return self.priors
        if isinstance(target_priors, ClassStatistics):
            target_priors = target_priors.priors
        number = np.ndim(target_priors) == 0 and not hasattr(target_priors, "items")
        if number:
            rate = check_number(
                "target_priors", target_priors, minimum=0.0, maximum=1.0, exclusive=True
            )
            if not self.multi_label and len(self.priors) != 2:
                raise bad_value(
                    "target_priors",
                    expected=f"{len(self.priors)} priors, one a class",
                    received=repr(target_priors),
                )
            several = np.full_like(self.priors, rate)
            target = several if self.multi_label else np.array([1.0 - rate, rate])
        elif self.multi_label:
            target = positive_priors(target_priors, argument="target_priors")
        else:
            target = class_priors(target_priors, argument="target_priors")
        if len(target) != len(self.priors):
            raise bad_value(
                "target_priors",
                expected=f"{len(self.priors)} priors, one a class",
                received=f"{len(target)}",
            )
        return target

    def _sampled(self, statistics: ClassStatistics, class_shares: Any) -> FloatArray:
        if class_shares is None:
            return self.priors
        if self.multi_label:
            raise bad_value(
                "class_shares",
                expected="None for multi-label statistics",
                received=repr(class_shares),
                remedy="A row of several labels has no class: use class_weight or tau.",
            )
        shares = np.array([float(s) for s in resolve_shares(class_shares, statistics.counts)])
        _check(
            "class_shares",
            shares == 0,
            expected="a share above 0 for every class of the plan",
            received="0 for",
            remedy="What is never seen cannot be corrected: leave those classes out first.",
        )
        return shares

    def _weights(
        self, statistics: ClassStatistics, class_shares: Any, class_weight: Any
    ) -> dict[int, float] | None:
        if class_weight is None:
            return None
        if isinstance(class_weight, str):
            check_choice("class_weight", class_weight, SCHEMES)
            if class_shares is not None:
                # All schemes but one see the shares alone.
                rows = statistics.num_samples if class_weight == "effective_number" else _MANY
                counts = np.maximum(np.rint(self.sampled * rows), 1)
                statistics = ClassStatistics(counts.astype(np.int64))
            return class_weights(statistics, scheme=class_weight)
        weights = per_class("class_weight", class_weight)
        if len(weights) != len(self.priors):
            raise bad_value(
                "class_weight",
                expected=f"{len(self.priors)} weights, one a class",
                received=f"{len(weights)}",
            )
        _check(
            "class_weight",
            weights == 0,
            expected="a weight above 0 for every class of the plan",
            received="0 for",
            remedy="What weighs nothing cannot be corrected: leave those classes out first.",
        )
        return dict(enumerate(weights.tolist()))


def _check(argument: str, wrong: Any, *, expected: str, received: str, remedy: str) -> None:
    if wrong.any():
        offenders = some_classes(np.flatnonzero(wrong))
        raise bad_value(
            argument, expected=expected, received=f"{received} {offenders}", remedy=remedy
        )
