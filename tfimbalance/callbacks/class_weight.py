"""Class weights that are computed from labels and drive the compiled loss."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import keras

from tfimbalance._checks import bad_value, check_integer
from tfimbalance.losses import get
from tfimbalance.losses._base import ImbalanceLoss
from tfimbalance.statistics import ClassStatistics, class_statistics
from tfimbalance.weights import class_weights

_REMEDY = (
    'Compile with a loss that does, for example loss=ClassWeighted("{name}", {{0: 1.0, 1: 1.0}}).'
)


class ClassWeight(keras.callbacks.Callback):
    """Compute class weights from labels, and set them on the compiled losses while training.

    Use it in one of two ways. ``fit(class_weight=callback.class_weight)`` needs no other loss, but
    weighs one output and the training loss alone. ``fit(callbacks=[callback])`` sets the weights of
    the losses that take them (every loss of `tfimbalance.losses`), validation included, on one
    output or all, from ``start_epoch`` on: deferred re-weighting [1], for which a loss that learns
    its features unweighted first is often better on long tails. Do not use both at once: weights
    would count twice.

    Args:
        labels: what `class_statistics` takes: labels, a dataset, or `ClassStatistics`.
        scheme: ``"balanced"``, ``"inverse_sqrt"`` or ``"effective_number"``; see `class_weights`.
        beta: of the effective number.
        empty_classes: ``"raise"``, or ``"zero"`` to give a class without rows the weight 0.
        start_epoch: first epoch (from 0) with these weights. Until then every class weighs 1.
        output: name of the output whose loss is driven; None drives all.
        verbose: 1 prints one line when the weights change.

    Attributes:
        class_weight: ``{class: weight}``, for ``fit(class_weight=...)``.
        statistics: the `ClassStatistics` behind it.

    Logs:
        ``class_weight_<k>`` at the end of each epoch: the weight that class k had in it (classes
        above the tenth are left out, to keep the table readable). History has them; put this
        callback before TensorBoard, and that has them too.

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
        start_epoch: int = 0,
        output: str | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__()
        self.statistics = (
            labels if isinstance(labels, ClassStatistics) else class_statistics(labels)
        )
        self.class_weight = class_weights(
            self.statistics, scheme=scheme, beta=beta, empty_classes=empty_classes
        )
        self.start_epoch = check_integer("start_epoch", start_epoch, minimum=0)
        self.output = output
        self.verbose = verbose
        self._driven: dict[str, ImbalanceLoss] = {}
        self._current: dict[int, float] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        """Find the losses to drive, and refuse a model that has none."""
        self._current = {}
        if self.statistics.multi_label and self.statistics.num_classes == 2:
            raise bad_value(
                "labels",
                expected="other than two labels, whose weights would be read as those of 0 and 1",
                received="multi-label statistics of two labels",
                remedy="Use WeightedBinaryCrossentropy(pos_weight=[...]).",
            )
        found = _losses(self.model)
        if self.output is not None and self.output not in found:
            raise bad_value(
                "output", expected=f"one of {sorted(found)}", received=repr(self.output)
            )
        wanted = {name: found[name] for name in found if self.output in (None, name)}
        self._driven = {k: v for k, v in wanted.items() if isinstance(v, ImbalanceLoss)}
        if not self._driven:
            given = {output: _name(loss) for output, loss in wanted.items()}
            raise bad_value(
                "loss",
                expected="a compiled loss that takes class weights",
                received=str(given),
                remedy=_REMEDY.format(name=next(iter(given.values()), "binary_crossentropy"))
                + " Or pass fit(class_weight=callback.class_weight) instead of the callback.",
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the weights that hold in this epoch."""
        started = epoch >= self.start_epoch
        weights = self.class_weight if started else dict.fromkeys(self.class_weight, 1.0)
        if weights == self._current:
            return
        fresh = [loss.assign_class_weight(weights) for loss in self._driven.values()]
        # A step that was compiled when a loss had no weights does not read them; JAX compiles the
        # values in.
        if any(fresh) or keras.backend.backend() == "jax":
            self.model.make_train_function(force=True)
            self.model.make_test_function(force=True)
        self._current = weights
        if self.verbose:
            targets = ", ".join(sorted(self._driven))
            shown = {k: float(f"{w:.4g}") for k, w in self._shown().items()}
            sys.stdout.write(f"\nClassWeight: from epoch {epoch + 1}, {targets}: {shown}\n")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report the weights of this epoch to History, TensorBoard and the progress bar."""
        if logs is not None:
            logs.update({f"class_weight_{k}": weight for k, weight in self._shown().items()})

    def _shown(self) -> dict[int, float]:
        return {k: w for k, w in self._current.items() if k < self._MOST_LOGGED}


def _losses(model: keras.Model) -> dict[str, Any]:
    """Return the compiled losses by the names of their outputs.

    Keras has no public way to reach the instance behind a loss compiled by name. It makes one in
    its compiled loss, when the first step is traced; until then the name is replaced by an instance
    there. Where Keras has moved these, what the user gave to ``compile`` is read instead, and a
    name is found not to take weights.
    """
    compiled: Any = getattr(model, "_compile_loss", None)
    built = getattr(compiled, "_flat_losses", None)
    if built:
        return {str(entry.name): entry.loss for entry in built}
    if hasattr(compiled, "_user_loss"):
        compiled._user_loss = keras.tree.map_structure(_instance, compiled._user_loss)
    given = getattr(compiled, "_user_loss", model.loss)
    names = getattr(model, "output_names", None)
    if isinstance(given, dict):
        return {str(name): loss for name, loss in given.items()}
    if isinstance(given, (list, tuple)):
        return {str(name): loss for name, loss in zip(names or range(len(given)), given)}
    return {str(names[0]) if names and len(names) == 1 else _name(given): given}


def _instance(loss: Any) -> Any:
    """Return an instance for the name or the class of a loss of this package."""
    if isinstance(loss, str) or inspect.isclass(loss):
        found = get(loss)
        return found if isinstance(found, ImbalanceLoss) else loss
    return loss


def _name(loss: Any) -> str:
    return str(getattr(loss, "name", None) or getattr(loss, "__name__", loss))
