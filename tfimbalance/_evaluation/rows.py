"""Labels beside predictions of any shape -> rows that count, checked and in float64."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfimbalance._checks import FloatArray, bad_entry, bad_value, check_flag, check_weights
from tfimbalance._evaluation.one_class import OneClass
from tfimbalance._labels import as_array, class_ids, zero_one

# Probabilities round to a little more than 1, a softmax of many classes more than that.
_ROUNDING, _SUM_ROUNDING = 1e-3, 1e-2
# Below half of float64's exponents: a probability of 0 has a finite logit.
_FLOOR = 2.0**-511


class Evaluated(NamedTuple):
    """Labels beside predictions: the rows that count."""

    # Class ids ``(rows,)`` of classes that exclude one another; else 0 and 1, ``(rows, outputs)``.
    labels: NDArray[Any]
    given: FloatArray  # Logits or probabilities, ``(rows, outputs)``.
    weight: FloatArray  # Of each row, above 0.
    activation: str  # "softmax" for classes that exclude one another, else "sigmoid".
    from_logits: bool
    one_hot: bool = False  # Whether labels of several outputs came as rows.

    @classmethod
    def read(
        cls,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        *,
        mask: Any = None,
        ignore_class: int | None = None,
        from_logits: bool = False,
        activation: str | None = None,
    ) -> Evaluated:
        """Read labels of any accepted kind beside their predictions.

        Args:
            y_true: class ids, one-hot or multi-label rows, or 0 and 1 beside one output.
            y_pred: logits or probabilities, ``(rows, ..., outputs)`` or ``(rows,)``.
            sample_weight, mask: one number a row, or one a step of sequences and masks. Rows of
                weight 0 do not count, and may hold anything.
            ignore_class: label that does not count.
            from_logits: whether predictions are logits.
            activation: None takes two outputs or more for a softmax.
        """
        from_logits = check_flag("from_logits", from_logits)
        given, each = _predictions(y_pred)
        width = given.shape[1]
        labels, weight = _read_labels(y_true, sample_weight, mask, ignore_class, each, width)
        counts = weight > 0
        if not counts.all():
            labels, given, weight = labels[counts], given[counts], weight[counts]
        given, softmax = _checked(given, np.flatnonzero(counts), from_logits, activation)
        one_hot = labels.ndim == 2 and width > 1
        labels = _of_kind(labels, width, softmax)
        return cls(labels, given, weight, "softmax" if softmax else "sigmoid", from_logits, one_hot)

    @classmethod
    def check(
        cls,
        y_true: Any,
        sample_weight: Any = None,
        *,
        shape: tuple[int, ...],
        ignore_class: int | None = None,
        activation: str | None = None,
    ) -> NDArray[Any]:
        """Return the labels that count beside predictions of a shape, or raise as `read` does."""
        each, width = (shape[:-1], shape[-1]) if len(shape) > 1 else (shape, 1)
        labels, weight = _read_labels(y_true, sample_weight, None, ignore_class, each, width)
        return _of_kind(labels[weight > 0], width, width > 1 and activation != "sigmoid")

    @classmethod
    def together(cls, batches: list[Evaluated]) -> Evaluated:
        """Return the rows of several batches as one."""
        labels, given, weight = (np.concatenate(parts) for parts in list(zip(*batches))[:3])
        return cls(labels, given, weight, *batches[0][3:])

    @property
    def is_softmax(self) -> bool:
        """Whether the outputs are classes that exclude one another."""
        return self.activation == "softmax"

    @property
    def targets(self) -> NDArray[np.bool_]:
        """0 and 1 for each output, ``(rows, outputs)``; one-hot for classes."""
        if self.labels.ndim == 2:
            return np.asarray(self.labels, bool)
        return np.asarray(self.labels[:, None] == np.arange(self.given.shape[1]))

    @property
    def probability(self) -> FloatArray:
        """Probability of each output, ``(rows, outputs)``."""
        from scipy.special import expit, softmax

        if not self.from_logits:
            return self.given
        return np.asarray(softmax(self.given, axis=1) if self.is_softmax else expit(self.given))

    @property
    def logits(self) -> FloatArray:
        """Logits, ``(rows, outputs)``; finite for probabilities of 0 and 1."""
        if self.from_logits:
            return self.given
        log_p = np.log(self.given + _FLOOR)
        return log_p if self.is_softmax else log_p - np.log(1.0 - self.given + _FLOOR)

    def one_class(self, k: int) -> OneClass:
        """Return the rows of output ``k`` against the rest."""
        positive = self.labels[:, k] if self.labels.ndim == 2 else self.labels == k
        score = self.given[:, k]
        if self.is_softmax and self.from_logits:
            from scipy.special import logsumexp

            score = score - logsumexp(np.delete(self.given, k, axis=1), axis=1)
        return OneClass(np.asarray(positive, bool), score, self.weight, self.from_logits)


def probabilities(y_pred: Any, *, from_logits: bool, activation: str | None) -> FloatArray:
    """Return the probabilities behind predictions without labels, ``(rows, outputs)``."""
    from_logits = check_flag("from_logits", from_logits)
    given, _ = _predictions(y_pred)
    given, softmax = _checked(given, np.arange(len(given)), from_logits, activation)
    kind = "softmax" if softmax else "sigmoid"
    return Evaluated(given[:, :0], given, given[:, 0], kind, from_logits).probability


def _numpy(x: Any) -> Any:
    return ops.convert_to_numpy(x) if ops.is_tensor(x) else x


def _predictions(y_pred: Any) -> tuple[FloatArray, tuple[int, ...]]:
    """Return predictions as ``(rows, outputs)``, and the shape that the rows had."""
    received = f"a {type(y_pred).__name__} of rows that differ in length, or of no numbers"
    try:
        if type(y_pred).__name__ == "SparseTensor":  # Its owner knows what is left out.
            raise TypeError
        raw = np.asarray(_numpy(y_pred))
        received = f"values of dtype {raw.dtype}"
        words = raw.dtype.kind == "O" and any(isinstance(v, (str, bytes)) for v in raw.flat)
        if words or raw.dtype.kind in "SUcMm":  # What NumPy would turn into numbers all the same.
            raise TypeError
        array = raw.astype(np.float64)
    except (TypeError, ValueError):
        raise bad_value("y_pred", expected="an array of predictions", received=received) from None
    if array.ndim == 0 or array.size == 0:
        raise bad_value(
            "y_pred", expected="at least one prediction", received=f"shape {array.shape}"
        )
    each = array.shape[:-1] if array.ndim > 1 else array.shape
    return array.reshape(-1, array.shape[-1] if array.ndim > 1 else 1), each


def _read_labels(
    y_true: Any,
    sample_weight: Any,
    mask: Any,
    ignore_class: int | None,
    each: tuple[int, ...],
    width: int,
) -> tuple[NDArray[Any], FloatArray]:
    """Return labels as `_shaped` does, and the weight of each row: 0 where it does not count."""
    labels = _shaped(as_array(_numpy(y_true), argument="y_true"), each, width)
    weight = _row_weights(sample_weight, each)
    if mask is not None:
        weight = weight * _per_row(_numpy(mask), each, "mask").astype(bool)
    if ignore_class is not None:
        if labels.ndim == 2:
            raise bad_value(
                "ignore_class",
                expected="None beside one-hot or multi-label rows",
                received=repr(ignore_class),
                remedy="Pass class ids, or leave rows out with a sample_weight of 0.",
            )
        weight = weight * (labels != ignore_class)
    return labels, weight


def _shaped(labels: NDArray[Any], each: tuple[int, ...], width: int) -> NDArray[Any]:
    """Return labels as ids, ``(rows,)``, or as rows as wide as the predictions (or of two)."""
    size = int(np.prod(each))
    if labels.shape == each or labels.shape == (*each, 1):
        return labels.reshape(size)
    one_hot_pair = width == 1 and labels.shape == (*each, 2)
    if labels.shape == (*each, width) or one_hot_pair:
        return labels.reshape(size, -1)
    wide = f" or {(*each, width)}" if width > 1 else ""
    raise bad_value(
        "y_true",
        expected=f"labels of {size} rows, shape {each}{wide}, as many as `y_pred`",
        received=f"shape {labels.shape}",
        remedy="Every array must describe the same rows in the same order.",
    )


def _row_weights(sample_weight: Any, each: tuple[int, ...]) -> FloatArray:
    size = int(np.prod(each))
    if sample_weight is None:
        return np.ones(size)
    weight = _per_row(_numpy(sample_weight), each, "sample_weight").astype(np.float64)
    check_weights(weight)
    return weight


def _per_row(values: Any, each: tuple[int, ...], argument: str) -> NDArray[Any]:
    """Return one number for each row; that of a sequence is that of all its steps."""
    try:
        array: NDArray[Any] = np.asarray(values)
        array = array.astype(np.float64) if array.dtype.kind == "O" else array
    except (TypeError, ValueError):
        array = np.asarray("")
    if array.dtype.kind not in "biuf":
        raise bad_value(
            argument, expected="one number a row", received=f"values in a {type(values).__name__}"
        )
    if array.ndim == len(each) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    array = array.reshape(array.shape + (1,) * (len(each) - array.ndim))
    fits = [array.shape[axis] in (1, size) for axis, size in enumerate(each[: array.ndim])]
    if array.ndim != len(each) or array.shape[:1] != each[:1] or not all(fits):
        raise bad_value(
            argument,
            expected=f"one number a row, shape {each[:1]}"
            + (f", or one a step, shape {each}" if len(each) > 1 else ""),
            received=f"shape {np.shape(values)}",
            remedy="Every array must describe the same rows in the same order, and all labels of a "
            "row weigh alike.",
        )
    return np.broadcast_to(array, each).reshape(-1)


def _checked(
    given: FloatArray, numbers: NDArray[Any], from_logits: bool, activation: str | None
) -> tuple[FloatArray, bool]:
    """Return predictions that can be what they are said to be, and whether of a softmax."""
    broken = ~np.isfinite(given)
    if broken.any():
        raise bad_entry(
            "y_pred",
            given,
            broken,
            expected="finite predictions",
            remedy="Look for a loss that became NaN in training (lower the learning rate, or clip "
            "gradients), or for empty features.",
            numbers=numbers,
        )
    softmax = given.shape[1] > 1 and activation != "sigmoid"
    if from_logits:
        return given, softmax
    outside = (given < -_ROUNDING) | (given > 1 + _ROUNDING)
    if outside.any():
        raise bad_entry(
            "y_pred",
            given,
            outside,
            expected="probabilities, in [0, 1]",
            remedy="Logits need from_logits=True.",
            numbers=numbers,
        )
    given = np.clip(given, 0.0, 1.0)
    total = given.sum(axis=1)
    off = np.abs(total - 1.0) > _SUM_ROUNDING
    if softmax and off.any():
        raise bad_entry(
            "y_pred",
            total,
            off,
            expected="probabilities of classes, which add up to 1",
            remedy="Labels that do not exclude one another have a sigmoid each.",
            where="as the sum of row",
            numbers=numbers,
        )
    return given, softmax


def _of_kind(labels: NDArray[Any], width: int, softmax: bool) -> NDArray[Any]:
    """Return class ids, ``(rows,)``, or 0 and 1 of each output, ``(rows, width)``."""
    if labels.ndim == 2 and width > 1 and not softmax:
        remedy = "Labels of 0 and 1 are needed; threshold soft ones: y > 0.5."
        return zero_one(labels, kind="one-hot or multi-label", remedy=remedy, argument="y_true")
    ids, _ = class_ids(labels, num_classes=max(width, 2), argument="y_true")
    if softmax:
        return ids.astype(np.int64)
    return np.asarray(ids == 1)[:, None] if width == 1 else ids[:, None] == np.arange(width)
