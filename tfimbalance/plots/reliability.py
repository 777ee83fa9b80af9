"""Observed rates against predicted probabilities: whether a probability can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfimbalance._checks import FloatArray, check_choice, check_integer, check_number
from tfimbalance._evaluation.one_class import OneClass
from tfimbalance.plots._bins import Bins, equal_mass_bins
from tfimbalance.plots._one_class import Picture, begin
from tfimbalance.plots._style import (
    RARE,
    curve,
    label_steps,
    legend,
    name_of,
    percent_axis,
    reference,
    widen,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.typing import ColorType

# On log axes, predictions this far below the base rate are drawn at the edge.
_LOWEST = 1e-3
# Part of the axes' height that the histogram of predictions takes.
_HISTOGRAM = 0.12


def reliability(
    y_true: Any,
    y_pred: Any,
    *,
    num_bins: int = 15,
    bins: str | None = None,
    confidence: float = 0.95,
    log: bool | None = None,
    sample_weight: Any = None,
    from_logits: bool = False,
    class_id: int | None = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the observed rate of positives against the predicted probability.

    How to read it: on the dashed diagonal, predictions are right. Below it they are too high, as
    after training on balanced batches or with class weights; above it, too low. Each point is a
    bin with Wilson's confidence interval [1]; with weights, that of as many equal rows as tell as
    much. On log axes, a triangle marks the upper end of the interval of a bin without positives.
    The legend gives the calibration ratio, mean prediction over observed rate (1 is right). At the
    foot stands a histogram of the predictions.

    Bins hold equal numbers of rows, or of *predicted positives*. With equal numbers of rows, the
    last bin holds nearly all positives of a good model of rare events, and says nothing about where
    decisions are made. (With equal widths, all bins but one would be empty at a rate of 1%.)

    Use it before a probability is served, and again after a correction. Not to compare rankings.

    Args:
        num_bins: bins of equal mass, at least 1; equal predictions stay in one bin.
        bins: what the mass is of, ``"rows"`` or ``"positives"`` (predicted ones). None decides by
            the base rate: rows from 10% on.
        confidence: of the intervals, within ``(0, 1)``.
        log: whether both axes are logarithmic. None: as `cumulative_gain`.
        y_true, y_pred, sample_weight, from_logits, class_id, label, ax: as `precision_recall`.

    Shapes, the axes returned and errors are those of `precision_recall`.

    Example:
        >>> import numpy as np
        >>> from tfimbalance import plots
        >>> rng = np.random.default_rng(0)
        >>> p = rng.beta(1, 50, 20_000)  # 2% positives
        >>> ax = plots.reliability(rng.random(20_000) < p, 10 * p / (1 + 9 * p), label="times 10")
        >>> ax.get_xscale(), ax.get_ylabel()
        ('log', 'observed rate')

    References:
        [1] Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 1927.
    """
    if bins is not None:
        check_choice("bins", bins, ("rows", "positives"))
    check_integer("num_bins", num_bins, minimum=1)
    check_number("confidence", confidence, minimum=0.0, maximum=1.0, exclusive=True)
    picture = begin(
        ax,
        ("Reliability", "predicted probability", "observed rate"),
        (y_true, y_pred, sample_weight, from_logits, class_id),
        log=log,
    )
    ax, scores, _, is_log = picture
    if is_log:
        for axis in ("x", "y"):
            percent_axis(ax, axis, log=True)
    found = equal_mass_bins(
        scores,
        mass=bins or ("positives" if scores.base_rate < RARE else "rows"),
        num_bins=num_bins,
        confidence=confidence,
    )
    lowest = _LOWEST * scores.base_rate if is_log else 0.0
    # First the limits: Matplotlib's own, of bins that all lie at the edge, would be none.
    _limit(picture, found, lowest)
    color = _draw_bins(picture, found, lowest, name_of(label, _ratio_text(scores)))
    _draw_histogram(picture, lowest, color)
    if is_log:
        label_steps(ax, "x")
        label_steps(ax, "y")
    grid = np.geomspace(1e-9, 1.0, 10) if is_log else np.array([0.0, 1.0])
    reference(ax, "diagonal", grid, grid)
    legend(ax)
    return ax


def _ratio_text(scores: OneClass) -> str:
    predicted = float(np.average(scores.probability, weights=scores.weight))
    ratio = predicted / scores.base_rate
    return f"mean p / rate = {ratio:.2f}" if 0.1 <= ratio < 10 else f"mean p / rate = {ratio:.2g}"


def _draw_bins(picture: Picture, bins: Bins, lowest: float, label: str) -> ColorType:
    ax, _, _, is_log = picture
    # 0 has no place on a log axis: such bins stand at its edge.
    x = np.maximum(bins.predicted, lowest)
    seen = bins.observed > 0 if is_log else np.ones(len(x), bool)
    line = curve(
        ax, x[seen], bins.observed[seen], marker="o", markersize=4, linewidth=1.3, label=label
    )
    color = line.get_color()
    line.set_zorder(4)
    ax.vlines(x[seen], bins.low[seen], bins.high[seen], color=color, alpha=0.45, linewidth=2.2)
    if (~seen).any():
        known = [entry.get_gid() for entry in ax.get_lines()]
        name = "tfimbalance:upper limit"
        ax.plot(
            x[~seen],
            bins.high[~seen],
            "v",
            color=color,
            markerfacecolor="white",
            markersize=5,
            gid=name,
            # Said once, however many models there are.
            label=None if name in known else "no positives: upper limit",
        )
    return color


def _limit(picture: Picture, bins: Bins, lowest: float) -> None:
    ax, _, first, is_log = picture
    if not is_log:
        # Both axes alike, as far as there is something to see.
        top = min(1.03, 1.1 * float(max(bins.predicted.max(), bins.high.max())))
        widen(ax, "x", -0.02 * top, top, first=first)
        widen(ax, "y", -0.02 * top, top, first=first)
        return
    seen = bins.observed > 0
    x = np.maximum(bins.predicted, lowest)
    ends = np.concatenate([bins.low[seen], bins.high[~seen]])
    # A little above 1, so that markers there are whole.
    high = min(1.3, 2 * float(max(bins.predicted.max(), bins.high.max())))
    widen(ax, "x", 0.7 * float(x.min()), high, first=first)
    # The histogram lies under the lowest interval, not over it.
    widen(ax, "y", 0.3 * float(ends.min()), high, first=first)


def _draw_histogram(picture: Picture, lowest: float, color: ColorType) -> None:
    ax, scores, _, is_log = picture
    p = scores.probability
    edges: FloatArray
    if is_log:
        # As wide as 40 bins need, where all predictions are one. Those of less are of the first.
        low = max(float(p.min()), lowest)
        edges = np.geomspace(low, max(float(p.max()), 2 * lowest, 1.05 * low), 41)
        p = np.clip(p, edges[0], edges[-1])
    else:
        edges = np.linspace(0.0, 1.0, 51)
    mass, _ = np.histogram(p, bins=edges, weights=scores.weight)
    if not mass.any():
        return
    ax.stairs(
        _HISTOGRAM * mass / mass.max(),
        edges,
        transform=ax.get_xaxis_transform(),
        fill=True,
        color=color,
        alpha=0.25,
        zorder=1,
    )
