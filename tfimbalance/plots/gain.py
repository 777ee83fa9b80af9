"""What flagging the top of the ranking finds: cumulative gain and lift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfimbalance._checks import FloatArray
from tfimbalance._evaluation.cuts import Points
from tfimbalance.plots._one_class import Picture, begin
from tfimbalance.plots._style import (
    curve,
    decade_below,
    legend,
    name_of,
    number_axis,
    percent,
    percent_axis,
    reference,
    thinned,
    widen,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# On log axes, how far below the base rate the shares of flagged rows go.
_LOWEST = 1e-2


def cumulative_gain(
    y_true: Any,
    y_pred: Any,
    *,
    log: bool | None = None,
    sample_weight: Any = None,
    from_logits: bool = False,
    class_id: int | None = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many of the positives are found by flagging the top of the ranking.

    How to read it: "the top 2% of the rows hold 60% of the positives". The dashed line is flagging
    at random, the dotted one a perfect ranking. The legend gives the recall where the base rate is
    flagged, at which recall and precision are equal.

    Use it when a budget decides (cases that can be looked into, slots that can be filled). For the
    cost of false alarms, see `precision_recall`.

    Args:
        log: whether the share of flagged rows is on a log scale. None: below a base rate of 10%,
            or as the axes are that already have a curve.
        y_true, y_pred, sample_weight, from_logits, class_id, label, ax: as `precision_recall`.

    Shapes, the axes returned and errors are those of `precision_recall`.

    Example:
        >>> from tfimbalance import plots
        >>> ax = plots.cumulative_gain([0, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.9])
        >>> ax.get_legend().get_texts()[0].get_text()
        'recall 0.500 at 40% flagged'
    """
    picture = begin(
        ax,
        ("Cumulative gain", "rows flagged", "positives found (recall)"),
        (y_true, y_pred, sample_weight, from_logits, class_id),
        log=log,
    )
    ax, is_log, rate = picture.ax, picture.is_log, picture.scores.base_rate
    points = Points.of(picture.scores)
    at = points.at_flagged(rate)
    text = f"recall {points.recall[at]:.3f} at {percent(points.flagged[at])} flagged"
    _draw(picture, points, points.recall, 0.0, name_of(label, text))
    # A straight line in shares is none on a log axis.
    grid = np.geomspace(1e-9, 1.0, 400) if is_log else np.array([0.0, 1.0])
    perfect = np.union1d(grid, [0.0, rate, 1.0])
    left: dict[str, Any] = {"ha": "right", "xytext": (-4, 0)}
    right: dict[str, Any] = {"ha": "left", "xytext": (4, 0)}
    found = np.minimum(perfect / rate, 1.0)
    text_of = {"xy": (0.8 * rate, 0.8), **left} if is_log else {"xy": (rate, 1.0), "va": "bottom"}
    reference(ax, "perfect", perfect, found, linestyle=":", text={"text": "perfect", **text_of})
    text_of = {"xy": (0.3, 0.3), **left} if is_log else {"xy": (0.5, 0.5), **right}
    reference(ax, "random", grid, grid, text={"text": "random", "va": "top", **text_of})
    # On a log axis the curve runs from corner to corner: the legend gets room of its own above.
    lines = len(ax.get_legend_handles_labels()[0])
    ax.set_ylim(-0.02, 1.05 + 0.085 * lines if is_log else 1.1)
    ax.set_yticks([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    legend(ax, loc="upper left" if is_log else "lower right")
    return ax


def lift(
    y_true: Any,
    y_pred: Any,
    *,
    log: bool | None = None,
    sample_weight: Any = None,
    from_logits: bool = False,
    class_id: int | None = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many times more positives are among the flagged rows than among all.

    How to read it: a lift of 20 at 1% means that the top 1% of the rows has 20 times the base rate
    of positives. The dashed line is flagging at random, the dotted one a perfect ranking. The
    legend gives the lift where the base rate is flagged. The far left is that of a handful of rows.

    Use it to say what a ranking is worth in front of an audience that knows the base rate. Not
    across data sets: the best possible lift is one over the base rate.

    Args:
        log: whether both axes are logarithmic. None: as `cumulative_gain`.
        y_true, y_pred, sample_weight, from_logits, class_id, label, ax: as `precision_recall`.

    Shapes, the axes returned and errors are those of `precision_recall`.

    Example:
        >>> from tfimbalance import plots
        >>> ax = plots.lift([0, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.9])
        >>> ax.get_legend().get_texts()[0].get_text()
        'lift 1.25 at 40% flagged'
    """
    picture = begin(
        ax,
        ("Lift", "rows flagged", "lift (times the base rate)"),
        (y_true, y_pred, sample_weight, from_logits, class_id),
        log=log,
    )
    ax, is_log, rate = picture.ax, picture.is_log, picture.scores.base_rate
    points = Points.of(picture.scores)
    times, at = points.precision / rate, points.at_flagged(rate)
    text = f"lift {times[at]:.3g} at {percent(points.flagged[at])} flagged"
    _draw(picture, points, times, times[0], name_of(label, text), log_values=is_log)
    low = 1e-9 if is_log else 0.0
    perfect = np.union1d(low, np.geomspace(rate, 1.0, 200))
    corner = {"text": "perfect", "xy": (rate, 1.0 / rate), "xytext": (3, 1)}
    reference(ax, "perfect", perfect, 1.0 / np.maximum(perfect, rate), linestyle=":", text=corner)
    left = {"xy": (0.0, 1.0), "xycoords": ("axes fraction", "data"), "xytext": (4, 3)}
    reference(ax, "random", [low, 1.0], [1.0, 1.0], text={"text": "random", **left})
    if is_log:
        number_axis(ax, "y", "{:g}".format, log=True)
        widen(ax, "y", 0.7, 1.8 / rate, first=picture.first)
    else:
        widen(ax, "y", 0.0, 1.12 / rate, first=picture.first)
    legend(ax)
    return ax


def _draw(
    picture: Picture,
    points: Points,
    values: FloatArray,
    start: float,
    label: str,
    *,
    log_values: bool = False,
) -> None:
    """Draw a curve over the rows flagged, from where nothing is flagged on, and set their axis."""
    ax, is_log, first, rate = picture.ax, picture.is_log, picture.first, picture.scores.base_rate
    percent_axis(ax, "x", log=is_log)
    if is_log:
        # At least a decade, even where ties let nothing be flagged but all rows.
        lowest = min(decade_below(max(float(points.flagged[0]), _LOWEST * rate)), 0.1)
        widen(ax, "x", lowest, 1.0, first=first)
    else:
        ax.set_xlim(-0.02, 1.02)
    x, y = np.concatenate([[0.0], points.flagged]), np.concatenate([[start], values])
    kept = thinned(
        np.log10(np.maximum(x, x[1])) if is_log else x,
        np.log10(np.maximum(y, 0.1)) if log_values else y,
    )
    curve(ax, x[kept], y[kept], label=label)
