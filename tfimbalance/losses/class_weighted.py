"""Class weights around any Keras loss."""

from __future__ import annotations

import copy
import re
from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance._tensors import Tensor, align, compute_dtype, is_sparse, sparse_ids
from tfimbalance.losses._base import ImbalanceLoss, WeighableLoss, Weights
from tfimbalance.losses._targets import Elements, Targets, checked_labels
from tfimbalance.losses._weights import (
    as_weights,
    between,
    check_weight_count,
    negative_and_positive,
)
from tfimbalance.losses.registry import get

# Functions of Keras' losses, which its classes wrap.
_OF_LABELS = (keras.losses.binary_crossentropy, keras.losses.binary_focal_crossentropy)
_OF_ELEMENTS = (
    *_OF_LABELS,
    keras.losses.hinge,
    keras.losses.squared_hinge,
)
_OF_ONE_HOT_ROWS = (
    keras.losses.categorical_crossentropy,
    keras.losses.categorical_focal_crossentropy,
)
_OF_CLASSES = (keras.losses.sparse_categorical_crossentropy, *_OF_ONE_HOT_ROWS)


@keras.saving.register_keras_serializable("tfimbalance")
class ClassWeighted(WeighableLoss):
    """Put class weights on any Keras loss, in the loss itself instead of in ``fit``.

    Use it where ``fit(class_weight=...)`` refuses or misreads the target: masks, sequences, several
    labels a row, one head of many, ``sample_weight`` beside it. It weighs the validation loss too.

        loss = class_weight[y] * wrapped_loss(y, p)

    The class of a target follows from static shapes and from the wrapped loss:

    - one rank less than ``y_pred`` (or a last axis of 1 beside several classes): class ids;
    - the shape of ``y_pred`` under a binary loss, or a last axis of 1: 0 or 1 of each element; two
      weights are those of 0 and 1, any other number is one a label, for its ones;
    - otherwise the last axis is one-hot.

    Args:
        loss: a Keras loss: its name, function or instance.
        class_weight: ``{class: weight}`` or one weight a class.
            `tfimbalance.callbacks.ClassWeight` may change it in training.
        reduction, name, dtype: as `keras.losses.Loss`. The reduction of ``loss`` is not used.

    Shapes:
        y_true, y_pred: what ``loss`` takes. Returns what ``loss`` returns before reduction.

    Raises:
        ValueError: for a class without a weight, negative weights, a number of weights that does
            not fit ``y_pred``, or a loss that gives one number for the whole batch.

    Example:
        >>> import tfimbalance as tfi
        >>> loss = tfi.losses.ClassWeighted("sparse_categorical_crossentropy", {0: 1.0, 1: 3.0})
        >>> round(float(loss([0, 1], [[0.5, 0.5], [0.5, 0.5]])), 4)
        1.3863
    """

    def __init__(
        self,
        loss: Any,
        class_weight: Weights,
        *,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        self.loss = get(loss)
        if self.loss is None:
            raise bad_value("loss", expected="a Keras loss, its name or a function", received=None)
        if isinstance(self.loss, ImbalanceLoss) and not isinstance(self.loss, WeighableLoss):
            raise bad_value(
                "loss",
                expected="a loss that gives each row its own value",
                received=repr(self.loss.name),
                remedy="In a mean over pairs of classes, class weights cancel.",
            )
        label = getattr(self.loss, "name", None) or getattr(self.loss, "__name__", "loss")
        label = re.sub(r"\W", "", str(label))  # The name of a scope cannot hold <lambda>.
        super().__init__(class_weight, reduction, name or f"class_weighted_{label}", dtype)
        self.ignore_class = getattr(self.loss, "ignore_class", None)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Elements | None:
        """Return the loss of each output under a binary loss; None under any other."""
        if isinstance(self.loss, WeighableLoss):
            return self._by_itself(self._weights()).elements(y_true, y_pred)
        if getattr(self.loss, "fn", self.loss) in _OF_CLASSES and self._is_one(y_pred):
            raise bad_value(
                "loss",
                expected="a binary loss beside one output a row, whose softmax is always 1",
                received=f"{self.name!r} and y_pred of shape {tuple(y_pred.shape)}",
                remedy='ClassWeighted("binary_crossentropy", ...), or one output a class.',
            )
        if self._is_sparse(y_true, y_pred) or not self._is_binary(y_pred):
            return None
        return self._binary(y_true, y_pred, self._weights())

    def nats(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the wrapped loss, weighed but not reduced."""
        elements = self.elements(y_true, y_pred)
        if elements is not None:
            return elements.mean()
        weights = self._weights()
        if isinstance(self.loss, WeighableLoss):
            return ops.cast(self._by_itself(weights).nats(y_true, y_pred), weights.dtype)
        if self._is_sparse(y_true, y_pred):
            return self._sparse(y_true, y_pred, weights)
        y_true = align(y_true, y_pred)
        of_row = ops.sum(
            ops.cast(y_true, weights.dtype) * check_weight_count(weights, y_pred), axis=-1
        )
        return self._values(ops.cast(y_true, _dtype(y_pred)), y_pred, like=of_row) * of_row

    def valid(self, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        """Return what the wrapped loss does, or which targets are not of its ``ignore_class``."""
        if isinstance(self.loss, WeighableLoss):
            return self.loss.valid(y_true, y_pred)
        return super().valid(y_true, y_pred)

    @property
    def movable(self) -> tuple[str, ...]:
        """Names of the arguments, of the wrapped loss too, that `assign` can move in training."""
        own = super().movable
        inner = self.loss.movable if isinstance(self.loss, ImbalanceLoss) else ()
        return (*(name for name in inner if name not in own), *own)

    def assign(self, argument: str, value: Any) -> bool:
        """Move an argument: the class weights here, all others in the wrapped loss."""
        if argument in self.movable and argument not in super().movable:
            return bool(self.loss.assign(argument, value))
        return super().assign(argument, value)

    def _weights(self) -> Tensor:
        return as_weights("class_weight", self.class_weight, compute_dtype(self.dtype))

    def _by_itself(self, weights: Tensor) -> WeighableLoss:
        """Let a loss that takes class weights do it: it knows its classes, and labels, best."""
        own = self.loss.class_weight
        loss: WeighableLoss = copy.copy(self.loss)
        loss._class_weight = weights if own is None else weights * ops.cast(own, weights.dtype)
        return loss

    def _is_sparse(self, y_true: Tensor, y_pred: Tensor) -> bool:
        other = getattr(self.loss, "fn", self.loss) in (*_OF_ELEMENTS, *_OF_ONE_HOT_ROWS)
        return not other and is_sparse(y_true, y_pred)

    def _is_binary(self, y_pred: Tensor) -> bool:
        compares_elements = getattr(self.loss, "fn", self.loss) in _OF_ELEMENTS
        return compares_elements or self._is_one(y_pred)

    @staticmethod
    def _is_one(y_pred: Tensor) -> bool:
        return len(y_pred.shape) < 2 or y_pred.shape[-1] == 1

    def _sparse(self, y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
        targets = Targets.from_ids(y_true, y_pred, self.ignore_class)
        of_target = ops.take(check_weight_count(weights, y_pred), targets.ids, axis=0)
        of_target = ops.where(targets.known, of_target, float("nan"))
        ids = sparse_ids(y_true, y_pred)
        return self._values(ids, y_pred, like=of_target) * of_target

    def _binary(self, y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Elements:
        y_true = align(y_true, y_pred)
        y = ops.cast(y_true, weights.dtype)
        fn = getattr(self.loss, "fn", self.loss)
        if fn in _OF_ELEMENTS:  # Hinge losses take -1 for 0.
            good = checked_labels(y, lowest=0 if fn in _OF_LABELS else -1)
        else:
            good = ops.ones_like(y, dtype="bool")
        positive = ops.relu(y)
        of_element = between(positive, *negative_and_positive(weights, y_pred))
        y_true = ops.cast(y_true, _dtype(y_pred))
        if len(y_pred.shape) < 2:
            values = self._values(y_true[:, None], _per_element(y_pred), like=of_element)
        else:
            # Keras' losses average over the last axis; a last axis of 1 keeps the elements apart.
            values = self._values(y_true[..., None], _per_element(y_pred), like=of_element)
        return Elements(ops.where(good, values * of_element, float("nan")), None)

    def _values(self, y_true: Tensor, y_pred: Tensor, *, like: Tensor) -> Tensor:
        call = self.loss.call if isinstance(self.loss, keras.losses.Loss) else self.loss
        if "16" in _dtype(y_pred):  # Where the smallest number that Keras keeps from 0 is 0.
            y_pred = _in_float32(y_pred)
        values = call(y_true, y_pred)
        if len(values.shape) != len(like.shape):
            raise bad_value(
                "loss",
                expected=f"a loss that gives one value for each target, rank {len(like.shape)}",
                received=f"{self.name!r} giving shape {tuple(values.shape)}",
                remedy="A loss of the whole batch has no classes to weigh.",
            )
        return ops.cast(values, compute_dtype(self.dtype))


def _dtype(x: Tensor) -> str:
    return str(keras.backend.standardize_dtype(x.dtype))


def _in_float32(y_pred: Tensor) -> Tensor:
    """Cast, and keep the logits that Keras left on the tensor."""
    wide = ops.cast(y_pred, "float32")
    logits = getattr(y_pred, "_keras_logits", None)
    if logits is not None:
        wide._keras_logits = ops.cast(logits, "float32")
    return wide


def _per_element(y_pred: Tensor) -> Tensor:
    """Add a last axis of 1, and keep the logits that Keras left on the tensor."""
    expanded = y_pred[..., None]
    logits = getattr(y_pred, "_keras_logits", None)
    if logits is not None:
        expanded._keras_logits = logits[..., None]
    return expanded
