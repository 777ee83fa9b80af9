"""The plumbing that every loss shares: class weights that can change, masks, dtypes, configs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfimbalance._checks import FloatArray, bad_value, check_flag, check_number, per_class
from tfimbalance._config import config_of
from tfimbalance._tensors import (
    Tensor,
    as_float,
    as_numbers,
    compute_dtype,
    is_sparse,
    like_rows,
    mask_of,
    row_weights,
    sparse_ids,
    widened,
)
from tfimbalance.losses._kernels import only
from tfimbalance.losses._logits import to_logits
from tfimbalance.losses._movable import Movable, compile_again
from tfimbalance.losses._targets import Elements

Weights = Mapping[int, float] | Sequence[float] | Any


class _Reduction(keras.losses.Loss):
    """Keras' own weighting and reduction, for values that are computed already."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        del y_pred
        return y_true


class ImbalanceLoss(keras.losses.Loss):
    """Base of the losses here: a subclass writes `nats`, one formula on tensors of matching dtype.

    Or `elements`, where outputs stand alone: then labels may be unknown, and weigh differently.

    Unlike `keras.losses.Loss` it leaves targets uncast, so that class ids survive bfloat16, and
    probabilities as they left the model, so that their logits can be found. Half precision is
    computed and averaged in float32, and rounded once, to the largest finite number at most.
    """

    # What it takes: "binary" (0 and 1 for each output), "one_hot", "sparse" (class ids).
    targets: tuple[str, ...] = ("binary",)
    ignore_class: int | None = None
    # Arguments besides the numbers of `_make_movable` that move, each by its ``_assign_<name>``.
    _assigned: tuple[str, ...] = ()

    def __init__(self, reduction: str, name: str | None, dtype: Any) -> None:
        self._movable: dict[str, dict[str, Any]] = {}
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Elements | None:
        """Return the loss of each output, where outputs stand alone; None where they do not."""
        del y_true, y_pred
        return None

    def nats(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the unreduced loss: that of `elements`, if a subclass does not write its own."""
        elements = self.elements(y_true, y_pred)
        if elements is None:
            raise NotImplementedError(f"{type(self).__name__} needs `nats` or `elements`.")
        return elements.mean()

    def valid(self, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        """Return which values count, or None if all do: ids other than ``ignore_class``."""
        if self.ignore_class is None or not is_sparse(y_true, y_pred):
            return None
        return ops.not_equal(sparse_ids(y_true, y_pred), self.ignore_class)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss before reduction, shape of the target without its last axis."""
        return _rounded(self.nats(as_numbers("y_true", y_true), as_float(y_pred)), self.dtype)

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        with keras.name_scope(self.name):
            y_true = as_numbers("y_true", y_true)
            value = self._reduced(y_true, as_float(y_pred), sample_weight)
            return _rounded(value, self.dtype)

    def _reduced(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None) -> Tensor:
        mask = mask_of(y_pred)
        y_true = _without_padding(y_true, self.ignore_class, sample_weight, mask)
        elements = None if self._has_own_nats() else self.elements(y_true, y_pred)
        if elements is None:
            values, valid = self.nats(y_true, y_pred), self.valid(y_true, y_pred)
            if sample_weight is not None:
                sample_weight = row_weights(sample_weight, values)
        else:
            values, valid, sample_weight = elements.of_rows(sample_weight)
        if mask is not None and valid is None:
            valid = ops.ones_like(values)
        if valid is not None:
            sample_weight = self._folded(valid, mask, sample_weight)
        return self._reduce(values, sample_weight)

    def _has_own_nats(self) -> bool:
        """Tell a subclass that writes `nats` over the `elements` of its base."""
        defines = [vars(cls).keys() & {"nats", "elements"} for cls in type(self).__mro__]
        return next(names for names in defines if names) == {"nats"}

    def _reduce(self, values: Tensor, sample_weight: Tensor | None) -> Tensor:
        # Named: torch.compile compiles again for every name that Keras counts up.
        dtype = compute_dtype(self.dtype)
        reduction = _Reduction(reduction=self.reduction, dtype=dtype, name="reduction")
        return reduction(values, values, sample_weight)

    def _folded(self, valid: Tensor, mask: Tensor | None, sample_weight: Tensor | None) -> Tensor:
        """Fold what counts and the mask into the weights; the rest leaves the mean as well."""
        weight = ops.cast(valid, compute_dtype(self.dtype))
        if mask is not None:
            weight = weight * ops.cast(like_rows(mask, valid), weight.dtype)
        if self.reduction in ("mean", "sum_over_batch_size"):
            total = ops.cast(ops.size(weight), weight.dtype)
            weight = weight * ops.divide_no_nan(total, ops.sum(weight))
        return weight if sample_weight is None else weight * ops.cast(sample_weight, weight.dtype)

    @property
    def movable(self) -> tuple[str, ...]:
        """Names of the arguments that are variables, which `assign` can move in training."""
        return (*self._movable, *self._assigned)

    def assign(self, argument: str, value: Any) -> bool:
        """Move an argument, such as ``tau``; a compiled step sees it (JAX compiles again).

        Args:
            argument: one of `movable`.
            value: what the constructor takes.

        Returns:
            Whether the loss had no such variable before: a step that was compiled without it has
            to be compiled again (`tfimbalance.callbacks` do).

        Raises:
            ValueError: for an argument that is not `movable`, or a value that it may not have.
        """
        if argument not in self.movable:
            raise bad_value(
                "argument",
                expected=f"an argument of {self.name!r} that may move"
                + (f", one of {list(self.movable)}" if self.movable else "; it has none"),
                received=repr(argument),
            )
        if argument not in self._movable:
            fresh = bool(getattr(self, f"_assign_{argument}")(value))
            if fresh:
                compile_again()
            return fresh
        getattr(self, argument).assign(check_number(argument, value, **self._movable[argument]))
        return False

    def __setattr__(self, name: str, value: Any) -> None:
        # ``loss.tau = 0.5`` would hide the variable from a step that is already compiled.
        is_property = isinstance(getattr(type(self), name, None), property)
        if is_property or (name in self.__dict__.get("_movable", ()) and name in self.__dict__):
            self.assign(name, value)
        else:
            super().__setattr__(name, value)

    def _make_movable(self, argument: str, value: float, **bounds: Any) -> keras.Variable:
        self._movable[argument] = bounds
        return self._variable(argument, check_number(argument, value, **bounds))

    def _store(self, name: str, values: FloatArray, *, argument: str, noun: str) -> bool:
        """Set the variable ``name``, which keeps its shape; return whether it is a new one."""
        variable = getattr(self, name, None)
        if variable is None:
            setattr(self, name, self._variable(name.lstrip("_"), values))
            return True
        shape = tuple(variable.shape)
        if shape != values.shape:
            raise bad_value(
                argument,
                expected=f"{_number_of(shape, noun)}, as many as before",
                received=_number_of(values.shape, noun),
            )
        variable.assign(values)
        return False

    def _variable(self, name: str, value: Any) -> keras.Variable:
        """Make a value one that may change inside a compiled step."""
        return Movable(
            value,
            trainable=False,
            dtype=compute_dtype(self.dtype),
            autocast=False,
            name=f"{self.name}_{name}",
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments; what may move, as it is now."""
        return config_of(self)


class WeighableLoss(ImbalanceLoss):
    """Base of the losses that take class weights, in a variable that a callback may change."""

    _assigned: tuple[str, ...] = ("class_weight",)

    def __init__(
        self, class_weight: Weights | None, reduction: str, name: str | None, dtype: Any
    ) -> None:
        super().__init__(reduction, name, dtype)
        self._class_weight: keras.Variable | None = None
        if class_weight is not None:
            self._assign_class_weight(class_weight)

    @property
    def class_weight(self) -> keras.Variable | None:
        """The class weights as a variable, or None if every class weighs 1."""
        return self._class_weight

    def _assign_class_weight(self, class_weight: Weights) -> bool:
        weights = per_class("class_weight", class_weight)
        return self._store("_class_weight", weights, argument="class_weight", noun="weights")


class CrossentropyLoss(WeighableLoss):
    """Base of the losses of probabilities; arguments are passed in the family's order."""

    def __init__(
        self,
        class_weight: Weights | None,
        from_logits: bool,
        label_smoothing: float,
        reduction: str,
        name: str | None,
        dtype: Any,
    ) -> None:
        super().__init__(class_weight, reduction, name, dtype)
        self.from_logits = check_flag("from_logits", from_logits)
        self.label_smoothing = check_number(
            "label_smoothing", label_smoothing, minimum=0.0, maximum=1.0
        )

    def _logits(self, y_pred: Tensor, activation: str) -> Tensor:
        dtype = compute_dtype(self.dtype)
        return to_logits(y_pred, from_logits=self.from_logits, activation=activation, dtype=dtype)

    def _arguments(self, **own: Any) -> dict[str, Any]:
        """Return what the function behind the loss takes: its own, and what all of them take."""
        return {
            **own,
            "class_weight": self.class_weight,
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
            "dtype": compute_dtype(self.dtype),
        }


def _number_of(shape: tuple[int, ...], noun: str) -> str:
    return f"{shape[0]} {noun}" if shape else "one number"


def _without_padding(y_true: Tensor, ignore_class: int | None, *weights: Tensor | None) -> Tensor:
    """Return 0 for targets of weight 0 or masked ones, which may hold anything, and no class."""
    for weight in weights:
        if weight is None:
            continue
        weight = as_numbers("sample_weight", weight)
        extra = len(weight.shape) - len(y_true.shape)
        if extra > 1 or (extra == 1 and weight.shape[-1] != 1):
            continue  # Of outputs, or refused beside the values.
        counts = ops.not_equal(like_rows(weight, y_true), 0)
        if all(c in (1, n) for c, n in zip(counts.shape, y_true.shape)):
            if ignore_class is not None:  # They count in no mean, whatever their weight.
                counts = ops.logical_or(counts, ops.equal(widened(y_true), ignore_class))
            y_true = ops.where(counts, y_true, ops.zeros_like(y_true))
    return y_true


def _rounded(values: Tensor, dtype: str) -> Tensor:
    """Cast to the dtype of the loss, at most its largest number; the gradient sees no bound."""

    @ops.custom_gradient
    def bounded(values: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        return ops.minimum(values, 65504.0), lambda *args, upstream=None: only(args, upstream)

    if dtype == "float16" and keras.backend.standardize_dtype(values.dtype) != dtype:
        values = bounded(values)
    return ops.cast(values, dtype)
