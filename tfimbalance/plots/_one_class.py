"""What a picture is of: one class against the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tfimbalance._checks import bad_value, check_integer
from tfimbalance._evaluation.one_class import OneClass
from tfimbalance._evaluation.rows import Evaluated
from tfimbalance.plots._style import axes_for, is_first, use_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Picture(NamedTuple):
    """Axes to draw on, named, and what to draw."""

    ax: Axes
    scores: OneClass
    first: bool  # Whether no model is drawn on them yet, so that scales are still free.
    is_log: bool  # Whether the scale is that of rare events.


def begin(
    ax: Axes | None,
    names: tuple[str, str, str],
    rows: tuple[Any, Any, Any, bool, int | None],
    *,
    log: bool | None = None,
    scale: str = "log",
) -> Picture:
    """Read the rows, make or name the axes, and choose the scale (an earlier model's is kept)."""
    scores = read_one_class(*rows)
    wanted = use_log(log, scores.base_rate)
    ax = axes_for(ax, title=names[0], xlabel=names[1], ylabel=names[2])
    first = is_first(ax)
    is_log = wanted if first or log is not None else ax.get_xscale() == scale
    return Picture(ax, scores, first, is_log)


def read_one_class(
    y_true: Any, y_pred: Any, sample_weight: Any, from_logits: bool, class_id: int | None
) -> OneClass:
    """Check what a picture is to be made of, and choose the class."""
    rows = read_columns(y_true, y_pred, sample_weight, from_logits=from_logits)
    width = rows.given.shape[1]
    k = chosen_class(class_id, width)
    found = rows.one_class(k)
    if found.positive.all() or not found.positive.any():
        kind = "positive" if found.positive.any() else "negative"
        raise bad_value(
            "y_true",
            expected="rows of both classes" + (f", {k} and the rest" if width > 1 else ""),
            received=f"{len(found.positive)} rows, all {kind}"
            if len(found.positive)
            else "0 rows that weigh anything",
            remedy="Take more validation rows, or split with stratify=y.",
        )
    return found


def read_columns(y_true: Any, y_pred: Any, sample_weight: Any, *, from_logits: bool) -> Evaluated:
    """Read predictions of which each column is drawn against the rest."""
    if not isinstance(from_logits, (bool, np.bool_)):
        raise bad_value("from_logits", expected="True or False", received=repr(from_logits))
    # Probabilities stand for themselves; logits of several columns go through a softmax.
    activation = None if from_logits else "sigmoid"
    return Evaluated.read(
        y_true, y_pred, sample_weight, from_logits=from_logits, activation=activation
    )


def chosen_class(class_id: int | None, width: int) -> int:
    """Return the class to draw, or raise if there is none of that number."""
    if width == 1:
        if class_id is None:
            return 0
        expected = "None, because there is one column, the positive class"
        raise bad_value("class_id", expected=expected, received=class_id)
    if class_id is None or not 0 <= check_integer("class_id", class_id, minimum=0) < width:
        raise bad_value(
            "class_id",
            expected=f"one of the {width} classes of y_pred, 0 to {width - 1}",
            received=class_id,
            remedy="Each picture is of one class against the rest: class_id=1, for example.",
        )
    return int(class_id)
