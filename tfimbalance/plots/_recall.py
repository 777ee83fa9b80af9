"""Recall of each class: which ones a model of many classes finds at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_same_length
from tfimbalance.plots._one_class import (
    FloatArray,
    chosen_class,
    read_ids,
    sigmoid,
    zero_one_rows,
)
from tfimbalance.plots._style import axes_for, curve, percent, percent_axis, reference
from tfimbalance.plots.balance import MOST_BARS
from tfimbalance.statistics import ClassStatistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Classes:
    """What was true and decided: class ids ``(rows,)``, or rows of labels ``(rows, width)``.

    ``y_true``, ``y_pred`` and ``column`` are what a picture of one class takes; ``column`` is its
    ``class_id``.
    """

    actual: NDArray[Any]
    decided: NDArray[Any]
    statistics: ClassStatistics
    class_id: int
    is_rarest: bool
    y_true: NDArray[Any]
    y_pred: FloatArray
    column: int | None


def read_classes(
    y_true: Any,
    predicted: FloatArray,
    *,
    from_logits: bool,
    class_id: int | None,
    multi_label: bool,
    threshold: float,
) -> Classes:
    """Check the labels beside predictions ``(rows, width)``, and choose the class of the curves."""
    rows, width = predicted.shape
    actual: NDArray[Any]
    decided: NDArray[Any]
    if multi_label:
        hit = zero_one_rows(y_true, width)
        if hit is None:
            raise bad_value(
                "y_true",
                expected=f"multi-label rows of shape (rows, {width})",
                received=f"shape {np.shape(y_true)}",
                remedy="For classes that exclude one another: multi_label=False.",
            )
        actual = hit
        decided = (sigmoid(predicted) if from_logits else predicted) >= threshold
        statistics = ClassStatistics(hit.sum(axis=0), len(hit), multi_label=True)
    else:
        actual = read_ids(y_true, num_classes=width)
        decided = predicted.argmax(axis=1)
        statistics = ClassStatistics(np.bincount(actual, minlength=width))
    check_same_length("y", len(actual), reference="x", expected=rows)
    rarest = _rarest(statistics)
    k = rarest if class_id is None else chosen_class(class_id, width)
    return Classes(
        actual,
        decided,
        statistics,
        class_id=k,
        is_rarest=k == rarest,
        # Logits of labels are one sigmoid each; those of classes belong together.
        y_true=actual[:, k] if multi_label else actual,
        y_pred=predicted[:, k] if multi_label else predicted,
        column=None if multi_label else k,
    )


def _rarest(statistics: ClassStatistics) -> int:
    """Return the class of the fewest rows of which there are some, and some that are not of it."""
    counts = statistics.counts
    usable = (counts > 0) & (counts < statistics.num_samples)
    return int(np.where(usable, counts, np.iinfo(np.int64).max).argmin())


# Recall from which a number fits into its bar.
_ROOM = 0.15


def recall_by_class(classes: Classes, sample_weight: Any) -> FloatArray:
    """Return the recall of each class or label, NaN where it has no rows."""
    from sklearn.metrics import recall_score

    return np.asarray(
        recall_score(
            classes.actual,
            classes.decided,
            labels=np.arange(classes.statistics.num_classes),
            average=None,
            sample_weight=sample_weight,
            zero_division=np.nan,
        )
    )


def draw_recall(ax: Axes, classes: Classes, recall: FloatArray, names: Sequence[str]) -> Axes:
    """Draw the recall of each class as bars; of a long tail, as points by frequency."""
    stats = classes.statistics
    what, plural = ("label", "labels") if stats.multi_label else ("class", "classes")
    mean, size = float(np.nanmean(recall)), len(recall)
    title = f"Recall of each {what} (mean {mean:.3f})"
    if size > MOST_BARS:
        xlabel = f"{plural}, from the most frequent to the rarest"
        axes_for(ax, title=title, xlabel=xlabel, ylabel="recall")
        rank = np.arange(1.0, size + 1)
        order = np.argsort(-stats.counts, kind="stable")
        curve(ax, rank, recall[order], marker=".", linestyle="none", alpha=0.5)
        reference(ax, "mean", [0.5, size + 0.5], [mean, mean])
        ax.set(xlim=(0.5, size + 0.5), ylim=(-0.02, 1.03))
        return ax
    axes_for(ax, title=title, xlabel="recall", ylabel=what)
    ax.grid(visible=False, axis="y")
    ax.barh(np.arange(size), np.nan_to_num(recall), 0.74)
    for at, value in enumerate(recall):
        # Within the bar where it has room, so that the line of the mean crosses no numbers.
        inside = value > _ROOM
        ax.annotate(
            "no rows" if np.isnan(value) else percent(float(value)),
            (0.0 if inside or np.isnan(value) else float(value), at),
            xytext=(3, 0),
            textcoords="offset points",
            color="white" if inside else "black",
            va="center",
            fontsize=8 if size <= 12 else 7,
        )
    reference(ax, "mean", [mean, mean], [-0.6, size - 0.4], zorder=3)
    percent_axis(ax, "x", log=False)
    ax.set_xlim(0.0, 1.03)
    ax.set_yticks(np.arange(size), names, fontsize=9 if size <= 10 else 7)
    ax.set_ylim(size - 0.4, -0.6)
    return ax
