"""The plan that combines strategies, knows what they do to the odds, and undoes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfimbalance._checks import FloatArray, bad_value, check_choice, check_number
from tfimbalance._evaluation.ending import check_from_logits
from tfimbalance._evaluation.predictions import is_dataset
from tfimbalance.calibration import FocalCalibration, PriorCorrection, calibrated_model
from tfimbalance.callbacks import CorrectedValidation, NaturalRate
from tfimbalance.callbacks.natural_rate import resampled, warn_of_rates
from tfimbalance.data import balanced_batches, balanced_stream, class_sampling
from tfimbalance.losses import BinaryFocalLoss, BinaryLogitAdjustedLoss, LogitAdjustedLoss
from tfimbalance.rebalance._odds import Odds
from tfimbalance.rebalance._warnings import warn_of_double_correction
from tfimbalance.rebalance.audit import Audit
from tfimbalance.rebalance.plan_loss import PlanLoss
from tfimbalance.statistics import ClassStatistics, class_statistics

# What undoes a plan, in that order.
_CORRECTIONS = ("logit_adjustment", "focal_calibration", "prior_correction")


class Rebalance:
    """A plan: which strategies against imbalance are combined, and what that does to the odds.

    Use it whenever more than one strategy is at work, or probabilities are served. Sampling,
    weights and logit adjustment each multiply the odds of a class, and the factors multiply each
    other; focal loss bends what is left. The plan makes the dataset, the loss and the callbacks
    that fit together, and the model that undoes all of it, exactly:

        effective_k ~ prior_k * sampling_k * weight_k * adjustment_k

    Weights and adjustment refer to what is *sampled*: ``class_weight="balanced"`` beside balanced
    batches weighs every class 1. To ask for both at full strength warns, with the numbers.

    Args:
        stats: of the training data at its natural rate: `ClassStatistics` or labels.
        class_shares: shares of the classes in a batch, as `balanced_batches` takes them; None:
            as they come.
        class_weight: ``"balanced"``, ``"inverse_sqrt"`` or ``"effective_number"`` (of what is
            sampled), or ``{class: weight}`` or one weight a class; of labels, those of their
            positives. None: 1.
        tau: strength of logit adjustment, for the sampled shares; 0: none.
        focal_gamma: of the focal loss; 0: cross-entropy.
        activation: how outputs become probabilities: ``"sigmoid"`` (one output for two classes, or
            one a label) or ``"softmax"`` (one a class). None: sigmoid for two classes and for
            multi-label statistics, softmax otherwise.

    Attributes:
        statistics: the `ClassStatistics` of the data.
        priors: share of each class in the data (of each label's positives).
        sampled_priors: share of each class in the batches.
        class_weight: ``{class: weight}``, or None.
        effective_priors: the prior that the loss sees: what the model's raw outputs are
            calibrated for, once focal loss is inverted.

    Raises:
        ValueError: for a class without rows or with a share or a weight of 0 (named), unknown
            schemes, sampling of multi-label rows (which have no class), or a softmax of labels.

    Example:
        >>> import tfimbalance as tfi
        >>> stats = tfi.ClassStatistics([950, 50])
        >>> plan = tfi.Rebalance(stats, class_shares={1: 0.25}, class_weight="balanced")
        >>> plan.effective_priors.round(6).tolist()
        [0.5, 0.5]
        >>> print(plan.audit())
        class  prior  sampling  class weights  product  effective prior
            0  .9500     x 1.0          x 1.0    x 1.0            .5000
            1  .0500     x 6.3          x 3.0   x 19.0            .5000

    References:
        Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001.
    """

    def __init__(
        self,
        stats: Any,
        *,
        class_shares: str | Mapping[int, float] | Sequence[float] | None = None,
        class_weight: str | Mapping[int, float] | Sequence[float] | None = None,
        tau: float = 0.0,
        focal_gamma: float = 0.0,
        activation: str | None = None,
    ) -> None:
        self.statistics = stats if isinstance(stats, ClassStatistics) else _counted(stats)
        self.class_shares = class_shares
        self.tau = check_number("tau", tau)
        self.focal_gamma = check_number("focal_gamma", focal_gamma, minimum=0.0)
        self.activation = self._checked_activation(activation)
        self._odds = Odds(self.statistics, class_shares, class_weight, self.tau)
        self.priors = self._odds.priors
        self.sampled_priors = self._odds.sampled
        self.class_weight = self._odds.class_weight
        self.effective_priors = self._odds.effective()
        warn_of_double_correction(self._odds, from_scheme=isinstance(class_weight, str))

    def dataset(self, x: Any, y: Any = None, batch_size: int = 256, **kwargs: Any) -> Any:
        """Make the batches of the plan.

        Args:
            x: rows as `balanced_batches` takes them, or a `tf.data.Dataset` of ``(x, y)`` rows,
                which goes to `balanced_stream`.
            y: labels; None beside a dataset.
            batch_size: rows a batch.
            **kwargs: to those two: ``seed``, ``sample_weight``, ``labels`` and so on. Sample
                weights that differ between classes are class weights of which the plan knows
                nothing. Rates of streams, and of ``in_graph=True``, are not compared with the plan.

        Returns:
            A `tf.data.Dataset` for ``fit``.

        Raises:
            ValueError: as those two, and for multi-label statistics.
        """
        if self.statistics.multi_label:
            raise bad_value(
                "stats",
                expected="classes that exclude one another",
                received="multi-label statistics",
                remedy="A row of several labels has no share: pass the rows to fit as they are.",
            )
        shares = "natural" if self.class_shares is None else self.class_shares
        if is_dataset(x) or callable(x):
            if y is not None:
                raise bad_value("y", expected="None beside a dataset", received=type(y).__name__)
            if not isinstance(shares, str):  # A stream does not know what a mapping leaves open.
                shares = self.sampled_priors.tolist()
            kwargs = {"num_classes": self.statistics.num_classes, **kwargs}
            return balanced_stream(x, batch_size=batch_size, class_shares=shares, **kwargs)
        batches = balanced_batches(x, y, batch_size=batch_size, class_shares=shares, **kwargs)
        if not kwargs.get("in_graph"):
            read = class_sampling(batches).read
            if read.num_classes != self.statistics.num_classes:
                raise bad_value(
                    "y",
                    expected=f"the {self.statistics.num_classes} classes of the plan",
                    received=f"labels of {read.num_classes} classes, counts {read.counts.tolist()}",
                    remedy="Labels are class ids 0, 1, 2, ...; the plan is made of the same ones.",
                )
            warn_of_rates(
                read,
                self.priors,
                self.statistics.num_samples,
                where="the rows of dataset()",
                advice="The plan corrects for the rates that it was made of: make it of the labels "
                "of these rows.",
            )
        return batches

    def loss(self, *, from_logits: bool = False, **kwargs: Any) -> keras.losses.Loss:
        """Make the loss of the plan, class weights included.

        Args:
            from_logits: whether the model returns logits. Prefer that.
            **kwargs: of `keras.losses.Loss`: ``reduction``, ``name``, ``dtype``; and
                ``ignore_class`` for a softmax.

        Returns:
            `LogitAdjustedLoss` for a softmax (class ids or one-hot rows), `BinaryLogitAdjustedLoss`
            or `BinaryFocalLoss` for sigmoids; strategies that are not in the plan have strength 0.
        """
        unknown = sorted(set(kwargs) - {"reduction", "name", "dtype", "ignore_class"})
        if unknown:
            raise bad_value(
                unknown[0],
                expected="reduction, name, dtype or ignore_class",
                received=f"{unknown[0]}={kwargs[unknown[0]]!r}",
                remedy="What changes the odds belongs to the plan, which undoes it: "
                "Rebalance(..., class_weight=..., tau=..., focal_gamma=...).",
            )
        kwargs = {"from_logits": from_logits, "gamma": self.focal_gamma, **kwargs}
        if self.activation == "softmax":
            return LogitAdjustedLoss(
                self.sampled_priors, tau=self.tau, class_weight=self.class_weight, **kwargs
            )
        several = self.statistics.multi_label
        if self.tau == 0.0:
            weights = None if self.class_weight is None else list(self.class_weight.values())
            if several:
                return BinaryFocalLoss(pos_weight=weights, **kwargs)
            return BinaryFocalLoss(class_weight=weights, **kwargs)
        if several and self.statistics.num_classes == 2 and self.class_weight is not None:
            raise bad_value(
                "class_weight",
                expected="None beside tau for two labels",
                received=f"{self.class_weight}",
                remedy="They would be read as weights of 0 and 1: adjust the logits alone.",
            )
        prior = self.sampled_priors if several else self.sampled_priors[1]
        return BinaryLogitAdjustedLoss(
            prior, tau=self.tau, class_weight=self.class_weight, **kwargs
        )

    def callbacks(
        self,
        validation_data: Any = None,
        *,
        metrics: Sequence[keras.metrics.Metric] | None = None,
        output: str | None = None,
        from_logits: bool | None = None,
        batch_size: int = 1024,
    ) -> list[keras.callbacks.Callback]:
        """Make the callbacks of the plan.

        Args:
            validation_data: rows at the natural rate, as `CorrectedValidation` takes them; None:
                the callbacks only watch that what ``fit`` validates on is not re-sampled.
            metrics: as `CorrectedValidation`.
            output: which of several named outputs is measured.
            from_logits: as `corrected`.
            batch_size: rows of arrays that are predicted at once.

        Returns:
            `NaturalRate`, one that warns if the compiled loss is not that of the plan, and with
            ``validation_data`` `CorrectedValidation`, which logs
            ``val_corrected_normalized_entropy`` for `keras.callbacks.EarlyStopping`
            (``mode="min"``).
        """
        watch: list[keras.callbacks.Callback] = [
            NaturalRate(self.statistics),
            PlanLoss(self.loss(), output=output),
        ]
        if validation_data is None:
            return watch

        def correct(model: keras.Model) -> keras.Model:
            return self.corrected(model, output=output, from_logits=from_logits)

        return [
            *watch,
            CorrectedValidation(
                validation_data,
                correct,
                metrics=metrics,
                priors=self.statistics,
                output=output,
                batch_size=batch_size,
            ),
        ]

    def check_validation(self, labels: Any) -> float:
        """Warn if rows to validate on are not at the natural rate.

        Args:
            labels: labels, ``(x, y)``, or a dataset, as `class_statistics` takes them.

        Returns:
            By how many standard errors the rate of a class differs from its prior, at most.
        """
        found = resampled(labels)
        if found is None:
            labels = labels[1] if isinstance(labels, tuple) else labels
            found = class_statistics(
                labels,
                num_classes=self.statistics.num_classes,
                multi_label=self.statistics.multi_label,
            )
        return warn_of_rates(
            found, self.priors, self.statistics.num_samples, where="validation data"
        )

    def layers(
        self, *, from_logits: bool = False, target_priors: Any = None, prefix: str = ""
    ) -> list[Any]:
        """Return the corrections in their order: adjustment, focal loss, weights and sampling.

        Args:
            from_logits: whether logits come (and leave).
            target_priors: the prior where the model is used; None: that of the data.
            prefix: of the names of the layers.
        """
        odds = self._odds
        kind = {"from_logits": from_logits, "multi_label": odds.multi_label}
        adjustment, focal, prior = (prefix + name for name in _CORRECTIONS)
        layers: list[Any] = []
        if self.tau:
            layers.append(_correction(adjustment, odds.even(), odds.adjustment(), kind))
        if self.focal_gamma:
            layers.append(FocalCalibration(self.focal_gamma, name=focal, **kind))
        learned, target = odds.effective(adjusted=False), odds.target(target_priors)
        layers.append(_correction(prior, learned, target, kind))
        return [layer for layer in layers if layer is not None]

    def corrected(
        self,
        model: keras.Model,
        *,
        target_priors: Any = None,
        output: str | None = None,
        from_logits: bool | None = None,
    ) -> keras.Model:
        """Return the model to serve: the trained one, and what undoes the plan, as layers.

        It predicts probabilities at the natural rate, shares the weights of ``model``, and saves,
        loads (after ``import tfimbalance``) and exports (without it) as any Keras model.

        Args:
            model: trained on `dataset` with `loss`.
            target_priors: the prior where the model is used, if not that of the data: counts,
                probabilities or `ClassStatistics`; `calibration.estimate_priors` estimates it.
            output: which of several named outputs is corrected.
            from_logits: whether that output are logits. None: as the end of the model shows.

        Raises:
            ValueError: for a model of another number of outputs than the plan, one whose end does
                not show whether it gives logits, or one that is corrected already.
        """
        if output is None and isinstance(getattr(model, "output_shape", None), dict):
            raise bad_value(
                "output",
                expected=f"one of the outputs {list(model.output_shape)}",
                received=None,
            )
        logits = from_logits if output is not None else check_from_logits(model, from_logits)
        if logits is None:
            raise bad_value("from_logits", expected=f"True or False of {output!r}", received=None)
        self._check_width(model, output)
        prefix = "" if output is None else f"{output}_"
        _check_not_corrected(model, prefix)
        return calibrated_model(
            model,
            self.layers(from_logits=logits, target_priors=target_priors, prefix=prefix),
            output=output,
            from_logits=logits,
            softmax=self.activation == "softmax",
        )

    def audit(self) -> Audit:
        """Return a table of what each strategy does to the odds of each class.

        Factors are relative to the most frequent class (of labels, to their negatives). ``print``
        shows it, ``rows`` holds the numbers: ``pandas.DataFrame(plan.audit().rows)``.
        """
        return Audit(
            self.priors,
            self._odds.strategies,
            self.effective_priors,
            multi_label=self.statistics.multi_label,
            focal_gamma=self.focal_gamma,
        )

    def __repr__(self) -> str:
        names = [s.name for s in self._odds.strategies] + ["focal loss"] * bool(self.focal_gamma)
        return f"<Rebalance of {self.statistics.num_classes} classes: {', '.join(names) or 'none'}>"

    def _checked_activation(self, activation: str | None) -> str:
        several, two = self.statistics.multi_label, self.statistics.num_classes == 2
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

    def _check_width(self, model: keras.Model, output: str | None) -> None:
        shape = getattr(model, "output_shape", None)
        shape = shape.get(output) if isinstance(shape, dict) else shape
        if not isinstance(shape, tuple) or not shape or isinstance(shape[0], tuple):
            return
        width = 1 if len(shape) < 2 else shape[-1]
        one = self.activation == "sigmoid" and not self.statistics.multi_label
        wanted = 1 if one else self.statistics.num_classes
        if width not in (None, wanted):
            raise bad_value(
                "model",
                expected=f"{wanted} outputs, as the plan has",
                received=f"an output of shape {shape}",
                remedy='Two classes with an output each: Rebalance(..., activation="softmax").'
                if wanted == 1 and width == 2
                else "",
            )


def _counted(labels: Any) -> ClassStatistics:
    try:
        return class_statistics(labels)
    except ValueError as error:
        hint = "Labels that do not exclude one another: tfi.class_statistics(y, multi_label=True)."
        raise ValueError(f"Rebalance: {error} {hint}") from error


def _check_not_corrected(model: keras.Model, prefix: str) -> None:
    """Refuse to undo twice what was done once, to this output."""
    for layer in getattr(model, "layers", []):
        if isinstance(layer, keras.Model):
            _check_not_corrected(layer, prefix)
        is_ours = isinstance(layer, (PriorCorrection, FocalCalibration))
        if is_ours and (not prefix or layer.name in {prefix + name for name in _CORRECTIONS}):
            raise bad_value(
                "model",
                expected="the model as it was trained",
                received=f"one that is corrected already, by its layer {layer.name!r}",
                remedy="Correct the trained model once; for another target_priors, again from it.",
            )


def _correction(
    name: str, train: FloatArray, target: FloatArray, kind: dict[str, bool]
) -> PriorCorrection | None:
    """Return the layer, or None where there is nothing to correct."""
    if np.abs(np.log(train / target)).max() < 1e-9:
        return None
    return PriorCorrection(train.tolist(), target.tolist(), name=name, **kind)
