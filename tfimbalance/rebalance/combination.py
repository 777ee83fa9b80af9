"""Strategies that act one after another on the odds of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfimbalance._checks import FloatArray, bad_value, check_flag, check_number, refuse_classes
from tfimbalance._labels import has_steps, is_dataset
from tfimbalance.layers import OffsetModel
from tfimbalance.rebalance._warnings import warn_of_double_correction
from tfimbalance.rebalance.compiled import arguments_of_model
from tfimbalance.rebalance.recommended import recommended
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

if TYPE_CHECKING:
    from typing_extensions import Self


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
            remedy="Leave out labels that no row has, or all have."
            if self.statistics.multi_label
            else "Number the classes without gaps.",
        )
        self.sampled_priors, self.class_weight = self.priors, None
        self._weight_of_fit: Any = None  # Of `from_compiled`: beside the weights of the loss.
        self.strategies: list[Strategy] = []
        self.reasons: list[str] = []
        self.budget: int | None = (
            None  # Rows that are trained on in all, as `recommended` was told.
        )
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

    @classmethod
    def from_compiled(
        cls,
        model: keras.Model,
        labels: Any,
        *,
        class_weight: Any = None,
        output: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Read the plan off a model that is compiled and trained, to correct what it serves.

        A new model is trained by a plan of your own: `Rebalance`.

        Args:
            model: compiled with cross-entropy, Keras' focal losses or the losses here.
            labels: as `Rebalance`.
            class_weight: what ``fit(class_weight=...)`` was given, beside the weights of the loss.
            output: which of several named outputs.
            **kwargs: to `Rebalance`, what a loss does not say: ``class_shares``, ``activation``.

        Raises:
            ValueError: for a model that is not compiled, or with a loss that no plan has.
        """
        if isinstance(model, OffsetModel) and kwargs.get("class_shares") is not None:
            kwargs = {"offset": True, **kwargs}
        plan = cls(labels, **kwargs)
        plan = cls(labels, **{**arguments_of_model(model, output, class_weight, plan), **kwargs})
        plan._weight_of_fit = class_weight
        return plan

    @classmethod
    def recommended(
        cls,
        labels: Any,
        *,
        steps: int | None = None,
        batch_size: int = 256,
        activation: str | None = None,
        ignore_class: int | None = None,
    ) -> Self:
        """Return the plan to begin with, with its `reasons`.

        Over 31 real sets of rare events (`benchmarks/suite`) the initial bias alone was best or
        tied with the best. Balanced batches with their offset are ahead only where training ends
        before rows were seen twice, and before they show each positive five times.

        Args:
            labels: as `Rebalance`.
            steps: of training in all; None: enough to see every row several times.
            batch_size: rows a batch, as `dataset` gets it.
            activation, ignore_class: as `Rebalance`.

        Example:
            >>> import tfimbalance as tfi
            >>> plan = tfi.Rebalance.recommended({0: 990_000, 1: 10_000}, steps=1_000)
            >>> plan
            <Rebalance of 2 classes: sampling>
            >>> plan.reasons[1]  # doctest: +ELLIPSIS
            '1,000 steps of 256 rows are 0.26 passes over 1,000,000 rows: batches of 10% ...'
        """
        kwargs: dict[str, Any] = {"activation": activation, "ignore_class": ignore_class}
        plan = cls(labels, **kwargs)
        counted = isinstance(labels, (ClassStatistics, Mapping)) or is_dataset(labels)
        rows = None if counted else len(labels)
        # Beside an id that does not count, labels of several axes are those of masks or sequences.
        of_steps = ignore_class is not None and has_steps(labels)
        arguments, reasons = recommended(plan.statistics, steps, batch_size, rows, of_steps)
        if arguments:
            plan = cls(labels, **arguments, **kwargs)
        plan.reasons = reasons
        plan.budget = None if steps is None else steps * batch_size
        return plan

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
