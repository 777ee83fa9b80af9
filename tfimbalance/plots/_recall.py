"""Recall of each class: which ones a model of many classes finds at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfimbalance._checks import FloatArray
from tfimbalance._evaluation.rows import Evaluated
from tfimbalance.plots._style import (
    axes_for,
    by_frequency,
    class_axis,
    curve,
    percent,
    percent_axis,
    reference,
    write_beside,
)
from tfimbalance.plots.balance import MOST_BARS
from tfimbalance.statistics import ClassStatistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Recall from which a number fits into its bar.
_ROOM = 0.15


def rarest_class(statistics: ClassStatistics) -> int:
    """Return the class of the fewest rows of which there are some, and some that are not of it."""
    counts = statistics.counts
    usable = (counts > 0) & (counts < statistics.totals)
    return int(np.where(usable, counts, np.iinfo(np.int64).max).argmin())


def recall_by_class(rows: Evaluated, threshold: float) -> FloatArray:
    """Return the recall of each class or label, NaN where it has no rows."""
    from sklearn.metrics import recall_score

    p = rows.probability
    decided = p.argmax(axis=1) if rows.is_softmax else p >= threshold
    if rows.known is not None:
        positive = rows.weights * rows.targets
        with np.errstate(invalid="ignore"):
            return np.asarray((positive * decided).sum(axis=0) / positive.sum(axis=0))
    each: dict[str, Any] = {"labels": np.arange(p.shape[1]), "average": None}
    return np.asarray(
        recall_score(rows.labels, decided, sample_weight=rows.weight, zero_division=np.nan, **each)
    )


def draw_recall(ax: Axes, stats: ClassStatistics, recall: FloatArray, names: Sequence[str]) -> Axes:
    """Draw the recall of each class as bars; of a long tail, as points by frequency."""
    what, plural = ("label", "labels") if stats.multi_label else ("class", "classes")
    mean, size = float(np.nanmean(recall)), len(recall)
    title = f"Recall of each {what} (mean {mean:.3f})"
    if size > MOST_BARS:
        tail = by_frequency(ax, stats.counts, title=title, plural=plural, ylabel="recall")
        ax, rank, order = tail
        curve(ax, rank, recall[order], marker=".", linestyle="none", alpha=0.5)
        reference(ax, "mean", [0.5, size + 0.5], [mean, mean])
        ax.set_ylim(-0.02, 1.03)
        return ax
    axes_for(ax, title=title, xlabel="recall", ylabel=what)
    class_axis(ax, names)
    ax.barh(np.arange(size), np.nan_to_num(recall), 0.74)
    for at, value in enumerate(recall):
        # Within the bar where it has room, so that the line of the mean crosses no numbers.
        inside = value > _ROOM
        text = "no rows" if np.isnan(value) else percent(float(value))
        x = 0.0 if inside or np.isnan(value) else float(value)
        write_beside(ax, text, x, at, of=size, color="white" if inside else "black")
    reference(ax, "mean", [mean, mean], [-0.6, size - 0.4], zorder=3)
    percent_axis(ax, "x", log=False)
    ax.set_xlim(0.0, 1.03)
    return ax
