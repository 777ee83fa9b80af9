"""How frequent each class is, before and after re-balancing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfimbalance._checks import FloatArray, bad_value, named_classes, per_class
from tfimbalance.offsets import add_up
from tfimbalance.plots._style import (
    axes_for,
    by_frequency,
    class_axis,
    curve,
    decade_below,
    legend,
    percent,
    percent_axis,
    write_beside,
)
from tfimbalance.statistics import ClassStatistics, as_statistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLE = "Class balance"
# More classes than this are a long tail, drawn as a line.
MOST_BARS = 20
# Up to this many bars have their value beside them.
_MOST_VALUES = 24
# Rows of the largest class for one of the smallest from which on linear bars cannot be read.
_MOST_LINEAR = 20.0


def class_balance(
    labels: Any,
    *,
    after: Any = None,
    class_names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of each class, before and after re-balancing.

    How to read it: one bar a class, and a second for what a strategy makes of it. If the largest
    class has more than 20 times the rows of the smallest, the axis is logarithmic: read the values,
    as lengths do not compare. More than 20 classes are drawn as a line from the most frequent to
    the rarest. Multi-label statistics show the rate of each label; those do not add up to 1.

    Use it before training, to see what there is and what a plan makes of it
    (``after=plan.effective_priors``).

    Args:
        labels: labels that `class_statistics` takes, `ClassStatistics`, or counts as
            ``{class: rows}``. (A bare list of numbers is taken for labels.)
        after: `ClassStatistics`, or counts or shares, ``(num_classes,)``; for multi-label
            statistics the rate of each label.
        class_names: a name a class; ids by default. Not written in a long tail.
        ax: axes to draw on, which are returned; None makes one.

    Raises:
        ValueError: for labels that cannot be counted, numbers that are no shares, or another
            number of classes or names.
        ImportError: without Matplotlib.

    Example:
        >>> import tfimbalance as tfi
        >>> from tfimbalance import plots
        >>> ax = plots.class_balance({0: 950, 1: 50}, after=[0.5, 0.5], class_names=["no", "click"])
        >>> [float(bar.get_width()) for bar in ax.patches]
        [0.95, 0.05, 0.5, 0.5]
    """
    stats = as_statistics(labels)
    sets = {"before": _shares(stats)}
    if after is not None:
        sets["after"] = shares_after(after, like=stats)
    names = named_classes(class_names, stats.num_classes)
    what = "label" if stats.multi_label else "class"
    positive = np.concatenate([shares[shares > 0] for shares in sets.values()])
    if not positive.size:
        raise bad_value(
            "labels", expected="rows of at least one label", received="none of any label"
        )
    is_log = bool(positive.max() > _MOST_LINEAR * positive.min())
    if stats.num_classes > MOST_BARS:
        return _draw_tail(ax, sets, what, is_log)
    low = decade_below(float(positive.min()) / 2) if is_log else 0.0
    return _draw_bars(ax, sets, what, names, low)


def _draw_bars(
    ax: Axes | None, sets: dict[str, FloatArray], what: str, names: list[str], low: float
) -> Axes:
    """Draw bars from ``low`` on; above 0, on a log scale."""
    # On the left: the legend stands on the right, above the bars.
    ax = axes_for(ax, title=_TITLE, xlabel="share of rows", ylabel=what, loc="left")
    class_axis(ax, names)
    height = 0.8 / len(sets)
    place = np.arange(len(names))
    written = len(names) * len(sets) <= _MOST_VALUES
    for at, (name, shares) in enumerate(sets.items()):
        offset = (at - (len(sets) - 1) / 2) * height
        bars = ax.barh(place + offset, np.nan_to_num(shares), height * 0.92, label=name)
        if not written:
            continue
        for bar, share in zip(bars, shares):
            y = bar.get_y() + bar.get_height() / 2
            text = "not known" if np.isnan(share) else percent(share)
            x = max(float(np.nan_to_num(share)), low)
            write_beside(ax, text, x, y, of=len(names) * len(sets))
    percent_axis(ax, "x", log=low > 0)
    top = max(float(np.nanmax(shares)) for shares in sets.values())
    # Room for the values beside the bars.
    ax.set_xlim(low, top * (top / low) ** 0.18 if low > 0 else top * 1.16)
    if low > 0:
        ax.set_xticks([tick for tick in 10.0 ** np.arange(-9, 1) if low <= tick <= 1.0])
    if len(sets) > 1:
        legend(ax, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.1)
    return ax


def _draw_tail(ax: Axes | None, sets: dict[str, FloatArray], what: str, is_log: bool) -> Axes:
    first = next(iter(sets.values()))
    plural = "classes" if what == "class" else "labels"
    # Both lines in the order of the first, so that a place is the same class.
    ylabel = f"share of rows, each {what}"
    ax, rank, order = by_frequency(ax, first, title=_TITLE, plural=plural, ylabel=ylabel)
    for name, shares in sets.items():
        empty = int((shares == 0).sum())
        note = f" ({empty:,} without rows)" if empty else ""
        drawn = shares[order]
        if is_log:
            drawn = np.where(drawn > 0, drawn, np.nan)  # No place on a log axis.
        curve(ax, rank, drawn, label=name + note, drawstyle="steps-mid")
    percent_axis(ax, "y", log=is_log)
    if not is_log:
        ax.set_ylim(0.0, None)
    counted = first[first > 0]
    ax.annotate(
        f"{len(first):,} {plural}; the most frequent {percent(float(counted.max()))},\n"
        f"the rarest {percent(float(counted.min()))} of the rows",
        (0.98, 0.97),
        xycoords="axes fraction",
        ha="right",
        va="top",
        fontsize=8,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
    )
    legend(ax, loc="lower left")
    return ax


def _shares(stats: ClassStatistics) -> FloatArray:
    """Return the share of each class; NaN of a label that is known of no row."""
    with np.errstate(invalid="ignore"):
        return np.asarray(stats.counts / stats.totals)


def shares_after(after: Any, *, like: ClassStatistics) -> FloatArray:
    """Return the shares after re-balancing, of the classes (or labels) of ``like``."""
    if isinstance(after, ClassStatistics):
        if after.multi_label != like.multi_label:
            raise bad_value(
                "after",
                expected=f"statistics with multi_label={like.multi_label}, as of `labels`",
                received=f"multi_label={after.multi_label}",
            )
        shares = _shares(after)
    else:
        shares = per_class("after", after)
    if shares.size != like.num_classes:
        raise bad_value(
            "after",
            expected=f"shares or counts of the {like.num_classes} classes of `labels`",
            received=f"{shares.size} numbers",
            remedy="Labels are counted first: tfi.class_statistics(labels).",
        )
    if like.multi_label:
        if (shares > 1).any():
            raise bad_value(
                "after",
                expected="the rate of each label, in [0, 1]",
                received=f"{shares.max():g}",
                remedy="Counts of labels need their number of rows: tfi.ClassStatistics(counts, "
                "num_samples, multi_label=True).",
            )
        return shares
    return add_up("after", shares, what="shares")
