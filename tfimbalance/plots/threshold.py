"""What each threshold gives: precision, recall, F1 and the share of rows flagged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfimbalance._checks import FloatArray, check_number
from tfimbalance._evaluation.cuts import Points
from tfimbalance.plots._one_class import Picture, begin
from tfimbalance.plots._style import (
    curve,
    legend_below,
    mark,
    name_of,
    number_axis,
    percent,
    reference,
    thinned,
    widen,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.typing import ColorType

_STYLES = {"precision": "-", "recall": "--", "F1": "-.", "rows flagged": ":"}
# A logit axis has no place for 0 and 1.
_EDGE = 1e-7
_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
# On an axis wider than this, in logits, only those that are about 4.6 apart have room.
_WIDE = 15.0
_FEW_TICKS = (1e-6, 1e-4, 0.01, 0.5, 0.99, 0.9999)


def threshold_curves(
    y_true: Any,
    y_pred: Any,
    *,
    threshold: float | None = None,
    log: bool | None = None,
    sample_weight: Any = None,
    from_logits: bool = False,
    class_id: int | None = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw precision, recall, F1 and the share of rows flagged against the threshold.

    How to read it: rows predicted at least the threshold are flagged. To the right, fewer are, with
    higher precision and lower recall. The dot is the best F1. A calibrated model of rare events
    has it far below 1/2; re-balanced training only moves it, since the ranking decides.

    Use it to choose a threshold, on rows that neither trained the model nor measure it. With known
    costs, that of a calibrated model is cost of a false alarm / (that + cost of a miss).

    Args:
        threshold: a threshold to draw, in ``[0, 1]`` even where ``y_pred`` are logits; the legend
            says what it gives.
        log: whether thresholds are on a logit scale, logarithmic at both ends. None: as
            `cumulative_gain`.
        label: name of the model in the legend. With it a model has one colour, without it each
            curve has its own.
        y_true, y_pred, sample_weight, from_logits, class_id, ax: as `precision_recall`.

    Shapes, the axes returned and errors are those of `precision_recall`.

    Example:
        >>> from tfimbalance import plots
        >>> ax = plots.threshold_curves([0, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.9], threshold=0.5)
        >>> for text in ax.get_legend().get_texts()[-2:]:
        ...     print(text.get_text())
        best F1 0.800 from 0.3 on
        at 0.5: precision 100%, recall 50%, flagged 20%
    """
    if threshold is not None:
        check_number("threshold", threshold, minimum=0.0, maximum=1.0)
    picture = begin(
        ax,
        ("Thresholds", "threshold", "share"),
        (y_true, y_pred, sample_weight, from_logits, class_id),
        log=log,
        scale="logit",
    )
    ax, scores, first, is_logit = picture
    points = Points.of(scores)
    _threshold_axis(picture, points)
    color = _draw_curves(picture, points, label)
    best, text = points.best, points.best_text
    given = "" if threshold is None else _describe(points, threshold)
    text = f"{text}\n{given}" if given and (label is not None or not first) else text
    best_threshold = _inside(points.threshold[best], is_logit)
    mark(ax, best_threshold, points.f1[best], color, name_of(label, text))
    if threshold is not None:
        at = float(_inside(np.asarray(float(threshold)), is_logit))
        name = given if label is None and first else None
        reference(ax, "threshold", [at, at], [-1.0, 2.0], linestyle="-", label=name)
    ax.set_ylim(-0.02, 1.03)
    legend_below(ax, ncols=2, columnspacing=1.2)
    return ax


def _draw_curves(picture: Picture, points: Points, label: str | None) -> ColorType:
    """Draw the four curves and return the colour of F1, or of the model."""
    ax, _, first, is_logit = picture
    shown = dict(zip(_STYLES, (points.precision, points.recall, points.f1, points.flagged)))
    x = _inside(points.threshold, is_logit)
    kept = thinned(np.log(x / (1 - x)) if is_logit else x, *shown.values())
    colors: dict[str, ColorType] = {}
    for name, values in shown.items():
        # A threshold between two predictions flags what the higher one does.
        line = curve(
            ax,
            x[kept],
            values[kept],
            linestyle=_STYLES[name],
            linewidth=1.5,
            drawstyle="steps-post",
            label=name if label is None and first else None,
            **({"color": colors["precision"]} if label is not None and colors else {}),
        )
        colors[name] = line.get_color()
        if label is not None and first:
            # The kinds of lines are the same for all models, and named in no colour of theirs.
            ax.plot([], [], color="0.35", linestyle=_STYLES[name], linewidth=1.5, label=name)
    return colors["F1"]


def _inside(threshold: FloatArray, is_logit: bool) -> FloatArray:
    return np.asarray(np.clip(threshold, _EDGE, 1 - _EDGE) if is_logit else threshold)


def _threshold_axis(picture: Picture, points: Points) -> None:
    ax, _, first, is_logit = picture
    if not is_logit:
        ax.set_xlim(-0.02, 1.02)
        return
    from matplotlib.ticker import FixedLocator, NullLocator

    ax.set_xscale("logit")
    number_axis(ax, "x", _as_power, log=False)
    # Lower down, nearly everything is flagged, and nothing moves any more.
    low = float(_inside(points.threshold[points.at_flagged(0.95)], is_logit))
    high = float(_inside(points.threshold[0], is_logit))
    widen(ax, "x", 0.8 * low, 1 - 0.8 * (1 - high), first=first)
    left, right = ax.get_xlim()
    span = np.log(right / (1 - right)) - np.log(left / (1 - left))
    ax.xaxis.set_major_locator(FixedLocator(_TICKS if span < _WIDE else _FEW_TICKS))
    ax.xaxis.set_minor_locator(NullLocator())


def _as_power(probability: float) -> str:
    if probability >= 1e-3:
        return f"{probability:g}"
    return f"$10^{{{round(np.log10(probability))}}}$"


def _describe(points: Points, threshold: float) -> str:
    at = points.at_threshold(threshold)
    if at is None:
        return f"at {threshold:g}: nothing flagged"
    precision, recall, flagged = (percent(of[at]) for of in points[1:4])
    return f"at {threshold:g}: precision {precision}, recall {recall}, flagged {flagged}"
