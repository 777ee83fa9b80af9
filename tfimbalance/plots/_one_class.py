"""Labels and predictions of any accepted kind -> one positive class, scores and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_integer, check_same_length
from tfimbalance._labels import as_array, class_ids, first_row, zero_one

FloatArray = NDArray[np.float64]

# Softmax in half or single precision rounds to a little more than 1.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Scores:
    """Rows of one class against the rest.

    ``score`` orders the rows. Where logits were given it is the logit: in float64 their sigmoid is
    exactly 1 from 37 on, where rows could no longer be told apart.
    """

    positive: NDArray[np.bool_]
    score: FloatArray
    weight: FloatArray
    from_logits: bool

    @property
    def probability(self) -> FloatArray:
        """Predicted probability of a positive."""
        return self.as_probability(self.score)

    @property
    def base_rate(self) -> float:
        """Share of the (weighted) rows that are positive."""
        return float(self.weight[self.positive].sum() / self.weight.sum())

    def as_probability(self, score: FloatArray) -> FloatArray:
        """Turn scores, or thresholds of them, into probabilities."""
        return sigmoid(score) if self.from_logits else score


def sigmoid(logits: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(-z)) without overflow on either side."""
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1.0, small) / (1.0 + small))


def read_scores(
    y_true: Any, y_pred: Any, *, sample_weight: Any, from_logits: bool, class_id: int | None
) -> Scores:
    """Check what a picture is to be made of, and bring it to one form."""
    predicted = read_predictions(y_pred, from_logits=from_logits)
    width = predicted.shape[1]
    if width == 1:
        if class_id is not None:
            raise bad_value(
                "class_id",
                expected="None, because y_pred has one column, the positive class",
                received=class_id,
            )
        score = predicted[:, 0]
        truth = read_ids(y_true, num_classes=2) == 1
    else:
        class_id = chosen_class(class_id, width)
        truth = _is_class(y_true, class_id, width, exclusive=from_logits)
        score = _against_the_rest(predicted, class_id) if from_logits else predicted[:, class_id]
    check_same_length("y_true", len(truth), reference="y_pred", expected=len(score))
    weight = _read_weight(sample_weight, len(score))
    kept = weight > 0  # A row without weight would still make a point of every curve.
    truth, score, weight = truth[kept], score[kept], weight[kept]
    if truth.all() or not truth.any():
        only = "no rows" if not truth.size else f"{truth.size} rows, all "
        only += "" if not truth.size else ("positive" if truth.all() else "negative")
        raise bad_value(
            "y_true",
            expected="rows of both classes" + (f", {class_id} and the rest" if width > 1 else ""),
            received=only,
            remedy="Take more validation rows, or split with stratify=y.",
        )
    return Scores(truth, score, weight, from_logits)


def read_predictions(y_pred: Any, *, from_logits: bool) -> FloatArray:
    """Return predictions as float64 ``(rows, outputs)``, refusing what is not a probability."""
    if not isinstance(from_logits, (bool, np.bool_)):
        raise bad_value("from_logits", expected="True or False", received=repr(from_logits))
    try:
        predicted = np.asarray(y_pred, dtype=np.float64)
    except (TypeError, ValueError):
        raise bad_value(
            "y_pred", expected="an array of predictions", received=f"a {type(y_pred).__name__}"
        ) from None
    if predicted.ndim not in (1, 2) or predicted.size == 0:
        raise bad_value(
            "y_pred",
            expected="at least one prediction, of shape (rows,), (rows, 1) or (rows, num_classes)",
            received=f"shape {predicted.shape}",
            remedy="Elements of sequences or masks: y_pred.reshape(-1, num_classes).",
        )
    predicted = predicted.reshape(len(predicted), -1)
    broken = ~np.isfinite(predicted)
    if broken.any():
        row = first_row(broken)
        raise bad_value(
            "y_pred",
            expected="finite predictions",
            received=f"{predicted[row][broken[row]][0]} in row {row}",
            remedy="Look for a loss that became NaN in training, or for empty features.",
        )
    if from_logits:
        return predicted
    outside = (predicted < -_ROUNDING) | (predicted > 1 + _ROUNDING)
    if outside.any():
        row = first_row(outside)
        raise bad_value(
            "y_pred",
            expected="probabilities in [0, 1]",
            received=f"{predicted[row][outside[row]][0]:g} in row {row}",
            remedy="If these are logits: from_logits=True.",
        )
    return np.clip(predicted, 0.0, 1.0)


def read_ids(y_true: Any, *, num_classes: int) -> NDArray[Any]:
    """Return class ids ``(rows,)`` of ids or one-hot rows."""
    try:
        ids, _ = class_ids(y_true, num_classes=num_classes)
    except ValueError as error:
        raise ValueError(_of_y_true(error)) from None
    if ids.ndim != 1:
        raise bad_value(
            "y_true",
            expected="labels of shape (rows,), (rows, 1) or (rows, num_classes)",
            received=f"shape {np.shape(y_true)}",
        )
    return ids


def chosen_class(class_id: int | None, width: int) -> int:
    """Return the class to draw, or raise if there is none of that number."""
    if class_id is None or not 0 <= check_integer("class_id", class_id, minimum=0) < width:
        raise bad_value(
            "class_id",
            expected=f"one of the {width} classes of y_pred, 0 to {width - 1}",
            received=class_id,
            remedy="Each picture is of one class against the rest: class_id=1, for example.",
        )
    return int(class_id)


def zero_one_rows(y_true: Any, width: int) -> NDArray[np.bool_] | None:
    """Return one-hot or multi-label rows as booleans, None where the labels are ids."""
    try:
        labels = as_array(y_true)
        if labels.ndim != 2 or labels.shape[1] == 1:
            return None
        if labels.shape[1] != width:
            raise bad_value(
                "y_true",
                expected=f"class ids, or rows as wide as y_pred ({width})",
                received=f"shape {labels.shape}",
            )
        return zero_one(labels, kind="one-hot or multi-label", remedy="Threshold soft labels.")
    except ValueError as error:
        raise ValueError(_of_y_true(error)) from None


def _of_y_true(error: ValueError) -> str:
    # The rules of labels are shared; here the argument has another name.
    return str(error).replace("`labels`", "`y_true`", 1)


def _is_class(y_true: Any, class_id: int, width: int, *, exclusive: bool) -> NDArray[np.bool_]:
    hit = zero_one_rows(y_true, width)
    if hit is None:
        return np.asarray(read_ids(y_true, num_classes=width) == class_id)
    if exclusive and (hit.sum(axis=1) != 1).any():
        row = first_row(hit.sum(axis=1) != 1)
        raise bad_value(
            "y_true",
            expected="one-hot rows, because the logits of several columns go through a softmax",
            received=f"{int(hit[row].sum())} ones in row {row}",
            remedy="If a row may carry several labels, pass one: y_true[:, k], y_pred[:, k].",
        )
    return np.asarray(hit[:, class_id])


def _against_the_rest(logits: FloatArray, class_id: int) -> FloatArray:
    """Return the log odds of a class under a softmax: its logit less that of all others."""
    others = np.delete(logits, class_id, axis=1)
    top = others.max(axis=1)
    rest = top + np.log(np.exp(others - top[:, None]).sum(axis=1))
    return np.asarray(logits[:, class_id] - rest)


def _read_weight(sample_weight: Any, rows: int) -> FloatArray:
    if sample_weight is None:
        return np.ones(rows)
    weight = np.asarray(sample_weight, dtype=np.float64).reshape(-1)
    check_same_length("sample_weight", len(weight), reference="y_pred", expected=rows)
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        raise bad_value(
            "sample_weight",
            expected="finite numbers of at least 0",
            received=f"{weight[bad][0]} in row {first_row(bad)}",
        )
    return weight
