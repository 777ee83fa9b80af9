"""The strategies of a plan: what each does to the odds of the classes, and what undoes it."""

from __future__ import annotations

from typing import Any, TypeAlias

import keras
import numpy as np

from tfimbalance._checks import (
    FloatArray,
    bad_value,
    check_choice,
    check_count,
    per_class,
    refuse_classes,
)
from tfimbalance.calibration import FocalCalibration, focal_calibration
from tfimbalance.shares import MANY_ROWS, resolve_shares
from tfimbalance.statistics import ClassStatistics
from tfimbalance.weights import SCHEMES, class_weights

# What undoes a strategy: nats to add to the logits of the classes, or a layer that does it.
LogitChange: TypeAlias = "FloatArray | keras.layers.Layer"

# More would overflow as a factor.
_MOST_NATS = 600.0

# Steps towards the outputs of a focal loss, and what is as good as none, in nats.
_MOST_STEPS, _SMALL_GAP = 200, 1e-5


class Odds:
    """Log priors of classes that exclude one another, or log odds of labels."""

    def __init__(self, *, multi_label: bool) -> None:
        self.multi_label = multi_label

    def log(self, priors: FloatArray) -> FloatArray:
        """Return log priors of classes, and log odds of labels."""
        return np.asarray(np.log(priors) - (np.log1p(-priors) if self.multi_label else 0.0))

    def priors(self, log_odds: FloatArray) -> FloatArray:
        """Return the probabilities behind log priors of classes, or log odds of labels."""
        if self.multi_label:
            return np.asarray(0.5 * (1.0 + np.tanh(0.5 * log_odds)))
        e = np.exp(log_odds - log_odds.max())
        return np.asarray(e / e.sum())


class Strategy:
    """Base of the strategies: a subclass has a name, and a factor of the odds or an `undo`."""

    name: str
    # Whether the factor follows from what is sampled, and is 1 where that is balanced.
    adapts = False

    def factor(self) -> FloatArray | None:
        """Return what the odds of each class (of a label's positives) are multiplied with."""
        return None

    def undo(self) -> LogitChange | None:
        """Return what undoes the strategy: by default, what divides by its factor."""
        factor = self.factor()
        return None if factor is None else -np.log(factor)

    def outputs(self, log_odds: FloatArray, activation: str) -> FloatArray:
        """Return the outputs at which the loss is least, where they would be ``log_odds``."""
        factor = self.factor()
        return log_odds if factor is None else np.asarray(log_odds + np.log(factor))

    def loss_arguments(self) -> dict[str, Any]:
        """Return the arguments of the loss that make the strategy, by default none."""
        return {}

    def __str__(self) -> str:
        return self.name


class Sampling(Strategy):
    """Batches with shares of their own, undone afterwards or by an offset in training."""

    name = "sampling"

    def __init__(self, statistics: ClassStatistics, class_shares: Any, offset: bool) -> None:
        if statistics.multi_label:
            raise bad_value(
                "class_shares",
                expected="None for multi-label statistics",
                received=repr(class_shares),
                remedy="A row of several labels has no class: use class_weight or tau.",
            )
        shares = resolve_shares(class_shares, statistics.counts)
        self.shares = np.array([float(share) for share in shares])
        self._priors = self.shares if offset else statistics.priors
        refuse_classes(
            "class_shares",
            self.shares == 0,
            expected="a share above 0 for every class of the plan",
            remedy="What is never seen cannot be corrected: leave those classes out first.",
        )

    def factor(self) -> FloatArray:
        """Return shares over priors; an offset takes up what that would be."""
        return np.asarray(self.shares / self._priors)


class ClassWeights(Strategy):
    """Class weights in the loss; schemes refer to the priors of the batches."""

    name = "class weights"

    def __init__(self, statistics: ClassStatistics, sampled: FloatArray, class_weight: Any) -> None:
        self.adapts = isinstance(class_weight, str)
        if self.adapts:
            check_choice("class_weight", class_weight, SCHEMES)
            if not statistics.multi_label:
                # All schemes but one see the shares alone.
                rows = statistics.num_samples if class_weight == "effective_number" else MANY_ROWS
                if (sampled == statistics.priors).all():
                    rows = statistics.num_samples
                counts = np.maximum(np.rint(sampled * rows), 1)
                statistics = ClassStatistics(counts.astype(np.int64))
            self.class_weight = class_weights(statistics, scheme=class_weight)
            return
        weights = per_class("class_weight", class_weight)
        check_count("class_weight", len(weights), statistics.num_classes, "weights")
        refuse_classes(
            "class_weight",
            weights == 0,
            expected="a weight above 0 for every class of the plan",
            remedy="What weighs nothing cannot be corrected: leave those classes out first.",
        )
        self.class_weight = dict(enumerate(weights.tolist()))

    def factor(self) -> FloatArray:
        """Return the weights."""
        return np.array(list(self.class_weight.values()))

    def loss_arguments(self) -> dict[str, Any]:
        """Return the weights, one a class."""
        return {"class_weight": list(self.class_weight.values())}


class FocalLoss(Strategy):
    """Focal loss, which is no factor: it bends the odds."""

    name = "focal loss"

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma

    def undo(self) -> LogitChange:
        """Return the inverse of the bend."""
        return FocalCalibration(self.gamma)

    def outputs(self, log_odds: FloatArray, activation: str) -> FloatArray:
        """Return the outputs that the inverse turns into the log odds."""
        bent = np.array(log_odds, np.float64)
        for _ in range(_MOST_STEPS):
            gap = (
                log_odds
                - focal_calibration(
                    bent[None], gamma=self.gamma, from_logits=True, activation=activation
                )[0]
            )
            if activation == "softmax":  # Logits of classes have no level of their own.
                gap = gap - gap.mean()
            # The slope of the inverse is at most gamma + 1: no step goes too far.
            bent += gap / (self.gamma + 1.0)
            if np.abs(gap).max() < _SMALL_GAP:
                break
        return bent

    def loss_arguments(self) -> dict[str, Any]:
        """Return the strength."""
        return {"gamma": self.gamma}

    def __str__(self) -> str:
        return f"{self.name} with gamma {self.gamma:g}"


class LogitAdjustment(Strategy):
    """An offset of the logits in the loss: ``tau`` times the log odds of the batches."""

    name = "logit adjustment"
    adapts = True

    def __init__(self, sampled: FloatArray, tau: float) -> None:
        self._sampled, self.tau = sampled, tau
        if np.abs(tau * sampled).max() > _MOST_NATS:
            raise bad_value(
                "tau",
                expected=f"at most {_MOST_NATS:g} nats of adjustment for every class",
                received=f"{tau:g} times {sampled[np.abs(sampled).argmax()]:.3g}",
                remedy="1 balances the classes in full.",
            )

    def factor(self) -> FloatArray:
        """Return what the offset takes out of the logits."""
        return np.exp(-self.tau * self._sampled)

    def loss_arguments(self) -> dict[str, Any]:
        """Return the strength."""
        return {"tau": self.tau}


def checked_activation(activation: str | None, statistics: ClassStatistics) -> str:
    """Return how outputs become probabilities; by default as fits the statistics."""
    several, two = statistics.multi_label, statistics.num_classes == 2
    if activation is None:
        return "sigmoid" if several or two else "softmax"
    check_choice("activation", activation, ("sigmoid", "softmax"))
    fits = activation == "sigmoid" if several else two or activation == "softmax"
    if not fits:
        raise bad_value(
            "activation",
            expected='"sigmoid" for labels that do not exclude one another, "softmax" for more '
            "than two classes",
            received=repr(activation),
        )
    return activation
