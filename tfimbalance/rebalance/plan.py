"""The plan that combines strategies, knows what they do to the odds, and undoes it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras

from tfimbalance._checks import bad_value
from tfimbalance.callbacks import CorrectedValidation, NaturalRate, Validation
from tfimbalance.layers import OffsetModel
from tfimbalance.rebalance.audit import Audit
from tfimbalance.rebalance.plan_loss import (
    PlanLoss,
    check_offset,
    trained_steps,
    warn_of_other_loss,
)
from tfimbalance.rebalance.serving import corrected_model, correction_layers, with_slope
from tfimbalance.rebalance.training import Training


class Rebalance(Training):
    """A plan: which strategies against imbalance are combined, and what that does to the odds.

    Use it whenever more than one strategy is at work, or probabilities are served. Sampling,
    weights and logit adjustment each multiply the odds of a class; focal loss bends what is left.
    The plan makes the dataset, the loss and the callbacks that fit together (`compile` puts a model
    to them), and the model that undoes all of it, exactly:

        effective_k ~ prior_k * sampling_k * weight_k * adjustment_k

    Weights and adjustment refer to what is *sampled*: ``class_weight="balanced"`` beside balanced
    batches weighs every class 1. Two strategies at full strength warn, with the numbers.

    Args:
        labels: of the training data at its natural rate: labels, `ClassStatistics`, counts as
            ``{class: rows}``, or a dataset.
        class_shares: shares of the classes in a batch, as `balanced_batches` takes them; None:
            as they come.
        class_weight: ``"balanced"``, ``"inverse_sqrt"`` or ``"effective_number"`` (of what is
            sampled), or ``{class: weight}`` or one weight a class; of labels, those of their
            positives. None: 1.
        tau: strength of logit adjustment, for the sampled shares; 0: none.
        focal_gamma: of the focal loss; 0: cross-entropy.
        offset: True trains with the offset of ``class_shares`` beside the inputs (`dataset` brings
            it, `model` adds it), so that nothing is left to undo of them: the model learns
            probabilities of the data. Weights and ``tau`` still refer to what is sampled. Not for
            focal loss, which would bend the offset as well.
        activation: how outputs become probabilities: ``"sigmoid"`` (one output for two classes, or
            one a label) or ``"softmax"`` (one a class). None: sigmoid for two classes and for
            multi-label statistics, softmax otherwise.
        ignore_class: an id that does not count, as in `class_statistics`, the loss and validation.

    Attributes:
        statistics: the `ClassStatistics` of the data.
        priors: share of each class in the data (of each label's positives).
        sampled_priors: share of each class in the batches.
        class_weight: ``{class: weight}``, or None.
        effective_priors: the prior that the loss sees: what the model's raw outputs are
            calibrated for, once focal loss is inverted.
        starting_priors: what a new model should predict before it has learnt from any input.
        reasons: why `recommended` chose it, as sentences; [] for a plan of one's own.
        budget: rows of all training that `recommended` was told, ``steps * batch_size``, or None.
        strategies: those that are used, in the order in which they act.

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

    def validation(
        self,
        data: Any,
        *,
        output: str | None = None,
        from_logits: bool | None = None,
        ignore_class: int | None = None,
        batch_size: int = 1024,
    ) -> Validation:
        """Return validation rows beside the corrected model, for all callbacks that read them.

        Args:
            data, batch_size, ignore_class (by default the plan's): as `callbacks.Validation`.
            output, from_logits: as `corrected`.
        """
        return Validation(
            data,
            correct=partial(self.corrected, output=output, from_logits=from_logits),
            priors=self.statistics,
            output=output,
            from_logits=from_logits,
            multi_label=self.statistics.multi_label,
            ignore_class=self.ignore_class if ignore_class is None else ignore_class,
            batch_size=batch_size,
        )

    def callbacks(
        self,
        validation_data: Any = None,
        *,
        metrics: Sequence[keras.metrics.Metric] | None = None,
        output: str | None = None,
        from_logits: bool | None = None,
    ) -> list[keras.callbacks.Callback]:
        """Make the callbacks of the plan.

        Args:
            validation_data: what `validation` returns, or rows as it takes them; None: the
                callbacks only watch that what ``fit`` validates on is not re-sampled.
            metrics: as `CorrectedValidation`.
            output, from_logits: as `corrected`.

        Returns:
            `NaturalRate`; one that warns if the compiled loss is not that of the plan; and with
            ``validation_data`` `CorrectedValidation`, which logs
            ``val_corrected_normalized_entropy`` for ``EarlyStopping(mode="min")``.
        """
        rows = validation_data
        if rows is not None and not isinstance(rows, Validation):
            rows = self.validation(rows, output=output, from_logits=from_logits)
        output = output or getattr(rows, "output", None)
        watch = [
            NaturalRate(self.statistics, ignore_class=self.ignore_class),
            PlanLoss(self, output=output),
        ]
        return watch if rows is None else [*watch, CorrectedValidation(rows, metrics=metrics)]

    def layers(
        self, *, from_logits: bool = False, target_priors: Any = None, prefix: str = ""
    ) -> list[Any]:
        """Return the corrections in their order: those of the strategies, the last one first.

        Args:
            from_logits: whether logits come (and leave).
            target_priors: the prior where the model is used; None: that of the data.
            prefix: of the names of the layers.
        """
        return correction_layers(self, from_logits, target_priors, prefix)

    def corrected(
        self,
        model: keras.Model,
        *,
        target_priors: Any = None,
        output: str | None = None,
        from_logits: bool | None = None,
    ) -> keras.Model:
        """Return the model to serve: the trained one, and what undoes the plan, as layers.

        It predicts at the natural rate, shares the weights of ``model``, and saves, loads (after
        ``import tfimbalance``) and exports (without it) as any Keras model.

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
        if isinstance(model, OffsetModel) or trained_steps(model):
            check_offset(self, model)
        warn_of_other_loss(self, model, output, fit_may_weigh=True)
        return corrected_model(self, model, target_priors, output, from_logits)

    def calibrated(
        self,
        model: keras.Model,
        validation_data: Any,
        *,
        output: str | None = None,
        from_logits: bool | None = None,
    ) -> keras.Model:
        """Return `corrected`, and behind it a slope and a bias fitted on validation rows.

        They mend what no prior correction sees: a model that is too sure of itself. Fewer than 150
        rows of the rarest class would fit noise: then a warning says so, and the correction stands
        alone (of several labels, that of those which have fewer).

        Args:
            model, output, from_logits: as `corrected`.
            validation_data: as `callbacks`: rows at their natural rate, which training did not see.

        References:
            Platt, Probabilistic Outputs for Support Vector Machines, 1999.
        """
        rows = validation_data
        if not isinstance(rows, Validation):
            rows = self.validation(rows, output=output, from_logits=from_logits)
        if output not in (None, rows.output):
            raise bad_value(
                "output",
                expected=f"{rows.output!r}, the output of validation_data",
                received=repr(output),
            )
        logits = rows.from_logits if from_logits is None else from_logits
        served = self.corrected(model, output=rows.output, from_logits=logits)
        return with_slope(self, served, rows)

    def audit(self) -> Audit:
        """Return a table of what each strategy does to the odds of each class.

        Factors are relative to the most frequent class (of labels, to their negatives). ``print``
        shows it, ``rows`` holds the numbers: ``pandas.DataFrame(plan.audit().rows)``.
        """
        return Audit(self)
