"""Labels beside predictions of any shape -> rows that count, checked and in float64."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import FloatArray, bad_entry, bad_value, check_flag
from tfimbalance._evaluation.labels import UNKNOWN, as_numpy, of_kind, read_labels
from tfimbalance._evaluation.one_class import OneClass

# Probabilities round to a little more than 1, a softmax of many classes more than that.
_ROUNDING, _SUM_ROUNDING = 1e-3, 1e-2
# Below half of float64's exponents: a probability of 0 has a finite logit.
_FLOOR = 2.0**-511


class Evaluated(NamedTuple):
    """Labels beside predictions: the rows that count."""

    # Class ids ``(rows,)`` of classes that exclude one another; else 0 and 1, ``(rows, outputs)``,
    # and `UNKNOWN` for labels that are not known.
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
            ignore_class: label that does not count; of multi-label rows, each for itself.
            from_logits: whether predictions are logits.
            activation: None takes two outputs or more for a softmax.
        """
        from_logits = check_flag("from_logits", from_logits)
        given, each = _predictions(y_pred)
        width = given.shape[1]
        several = width > 1 and activation == "sigmoid"
        labels, weight = read_labels(
            y_true, sample_weight, mask, ignore_class, each, width, several
        )
        counts = weight > 0
        if not counts.all():
            labels, given, weight = labels[counts], given[counts], weight[counts]
        given, softmax = _checked(given, np.flatnonzero(counts), from_logits, activation)
        one_hot = labels.ndim == 2 and width > 1
        labels = of_kind(labels, width, softmax, ignore_class)
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
        several = width > 1 and activation == "sigmoid"
        labels, weight = read_labels(
            y_true, sample_weight, None, ignore_class, each, width, several
        )
        return of_kind(labels[weight > 0], width, width > 1 and not several, ignore_class)

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
            return np.asarray(self.labels == 1)
        return np.asarray(self.labels[:, None] == np.arange(self.given.shape[1]))

    @property
    def known(self) -> NDArray[np.bool_] | None:
        """Which labels are known, ``(rows, outputs)``; None if all are."""
        return np.asarray(self.labels != UNKNOWN) if self._has_unknown else None

    @property
    def _has_unknown(self) -> bool:
        return self.labels.ndim == 2 and self.labels.dtype.kind != "b"

    @property
    def weights(self) -> FloatArray:
        """Weight of each label of a row, ``(rows, outputs)``, or of all of them, ``(rows, 1)``."""
        weight, known = self.weight[:, None], self.known
        return weight if known is None else weight * known

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

    def one_class(self, k: int, *, of_known: bool = True) -> OneClass:
        """Return the rows of output ``k`` against the rest: those of which it is known, or all."""
        positive = self.labels[:, k] == 1 if self.labels.ndim == 2 else self.labels == k
        score, weight = self.given[:, k], self.weight
        if self.is_softmax and self.from_logits:
            from scipy.special import logsumexp

            score = score - logsumexp(np.delete(self.given, k, axis=1), axis=1)
        if of_known and self._has_unknown:
            known = self.labels[:, k] != UNKNOWN
            positive, score, weight = positive[known], score[known], weight[known]
        return OneClass(np.asarray(positive, bool), score, weight, self.from_logits)


def probabilities(y_pred: Any, *, from_logits: bool, activation: str | None) -> FloatArray:
    """Return the probabilities behind predictions without labels, ``(rows, outputs)``."""
    from_logits = check_flag("from_logits", from_logits)
    given, _ = _predictions(y_pred)
    given, softmax = _checked(given, np.arange(len(given)), from_logits, activation)
    kind = "softmax" if softmax else "sigmoid"
    return Evaluated(given[:, :0], given, given[:, 0], kind, from_logits).probability


def _predictions(y_pred: Any) -> tuple[FloatArray, tuple[int, ...]]:
    """Return predictions as ``(rows, outputs)``, and the shape that the rows had."""
    received = f"a {type(y_pred).__name__} of rows that differ in length, or of no numbers"
    try:
        if type(y_pred).__name__ == "SparseTensor":  # Its owner knows what is left out.
            raise TypeError
        raw = np.asarray(as_numpy(y_pred))
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
