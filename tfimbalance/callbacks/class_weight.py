"""Class weights that are computed from labels and drive the compiled loss."""

from __future__ import annotations

import warnings
from typing import Any

from tfimbalance._checks import bad_value, check_integer
from tfimbalance.callbacks._driven import DrivingCallback, instance_of, loss_name
from tfimbalance.losses._base import ImbalanceLoss
from tfimbalance.statistics import as_statistics
from tfimbalance.weights import class_weights


class ClassWeight(DrivingCallback):
    """Compute class weights from labels, and set them on the compiled losses while training.

    Use it in one of two ways, not both: weights would count twice.
    ``fit(class_weight=callback.class_weight)`` works with any loss, but weighs one output and the
    training loss alone. ``fit(callbacks=[callback])`` sets the weights of the losses that take them
    (all of `tfimbalance.losses` but the pairwise one), validation included, from ``start_epoch``
    on. Such deferred re-weighting [1] learns features unweighted, often better on long tails.

    Args:
        labels, scheme, beta, empty_classes, ignore_class: as `tfimbalance.class_weights`.
        start_epoch: first epoch (from 0) with these weights. Until then every class weighs 1. The
            last weights stay in the loss, and in a model that is saved.
        output: name of the output whose loss is driven; None drives all.
        verbose: 1 prints one line when the weights change.

    Attributes:
        class_weight: ``{class: weight}``, for ``fit(class_weight=...)``.
        statistics: the `ClassStatistics` behind it.

    Logs:
        ``class_weight_<k>``, with ``output`` ``<output>_class_weight_<k>``: the weight that each of
        the first ten classes had in an epoch. They go to History, and to TensorBoard if this
        callback stands before it.

    Raises:
        ValueError: for labels that cannot be counted, an empty class, and, before the first step,
            for a model without a loss that takes class weights, an unknown output, or a loss with
            another number of classes.

    Example:
        >>> import tfimbalance as tfi
        >>> callback = tfi.callbacks.ClassWeight([0, 0, 0, 1], start_epoch=5)
        >>> callback.class_weight
        {0: 0.6666666666666666, 1: 2.0}

    References:
        [1] Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss,
        NeurIPS 2019, arXiv 1906.07413.
    """

    _MOST_LOGGED = 10

    def __init__(
        self,
        labels: Any,
        *,
        scheme: str = "balanced",
        beta: float | None = None,
        empty_classes: str = "raise",
        ignore_class: int | None = None,
        start_epoch: int = 0,
        output: str | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__("class_weight", output=output, verbose=verbose)
        self.statistics = as_statistics(labels, ignore_class)
        self.class_weight = class_weights(
            self.statistics, scheme=scheme, beta=beta, empty_classes=empty_classes
        )
        self.start_epoch = check_integer("start_epoch", start_epoch, minimum=0)

    def on_train_begin(self, logs: Any = None) -> None:
        """Find the losses to drive, and refuse a model that has none."""
        epochs = (self.params or {}).get("epochs")
        if epochs is not None and self.start_epoch >= epochs:
            warnings.warn(
                f"ClassWeight: start_epoch={self.start_epoch} is not reached in {epochs} epochs; "
                "until then every class weighs 1.",
                stacklevel=2,
            )
        if self.statistics.multi_label and self.statistics.num_classes == 2:
            raise bad_value(
                "labels",
                expected="other than two labels, whose weights would be read as those of 0 and 1",
                received="multi-label statistics of two labels",
                remedy="Use WeightedBinaryCrossentropy(pos_weight=[...]).",
            )
        super().on_train_begin(logs)

    def value(self, epoch: int) -> dict[int, float]:
        """Return the weights that hold in an epoch."""
        started = epoch >= self.start_epoch
        return self.class_weight if started else dict.fromkeys(self.class_weight, 1.0)

    def shown(self) -> dict[str, float]:
        """Return the weights of the first classes."""
        return {f"class_weight_{k}": w for k, w in self._current.items() if k < self._MOST_LOGGED}

    def missing(self, losses: dict[str, Any]) -> ValueError:
        """Return the error that shows a loss that takes class weights."""
        loss = next(iter(losses.values()), "binary_crossentropy")
        if isinstance(loss, ImbalanceLoss):
            remedy = "In a mean over pairs of classes, weights cancel: leave the callback out."
        elif isinstance(ours := instance_of(loss), ImbalanceLoss):
            written = f"tfi.losses.{type(ours).__name__}()"
            remedy = f"Compile with the loss itself, not its name: loss={written}."
        else:
            remedy = (
                f'Compile with loss=ClassWeighted("{loss_name(loss)}", {{0: 1.0, 1: 1.0}}), or '
                "pass fit(class_weight=callback.class_weight) instead of the callback."
            )
        return bad_value(
            "loss",
            expected="a compiled loss that takes class weights",
            received=str({output: loss_name(found) for output, found in losses.items()}),
            remedy=remedy,
        )
