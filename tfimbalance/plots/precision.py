"""Precision against recall: what a ranking is worth when positives are rare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfimbalance._evaluation.cuts import Points
from tfimbalance.plots._one_class import begin
from tfimbalance.plots._style import (
    curve,
    legend,
    mark,
    name_of,
    percent,
    reference,
    thinned,
    widen,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Left of this recall, precision is that of a handful of rows, and does not set the scale.
_SETTLED = 0.02


def precision_recall(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    from_logits: bool = False,
    class_id: int | None = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw precision against recall, with average precision and the threshold of the best F1.

    How to read it: the dashed line is the base rate, the precision of flagging at random. Average
    precision (AP) is the area under the steps. The dot is the highest F1; the legend says from
    which prediction on rows are flagged there. The scale ends above what is reached at a recall of
    2% or more.

    Use it to compare rankings on the same rows, not across data sets: the AP of chance is the base
    rate. Whether probabilities can be trusted, `reliability` shows.

    Args:
        y_true: labels of 0 and 1; for several classes, class ids, one-hot or multi-label rows.
        y_pred: probabilities of a positive, or one a class.
        sample_weight: what each row counts.
        from_logits: whether ``y_pred`` are logits: of a sigmoid, or with several columns of a
            softmax. They rank the rows; thresholds are still probabilities.
        class_id: the class drawn against the rest, where ``y_pred`` has several columns.
        label: name of the model in the legend.
        ax: axes to draw on; None makes one. On the same axes, each model has the next colour.

    Shapes:
        y_true, y_pred: ``(rows,)``, ``(rows, 1)`` or ``(rows, num_classes)``. sample_weight:
        ``(rows,)``.

    Returns:
        The axes.

    Raises:
        ValueError: for NaN, values that are not in ``[0, 1]`` unless ``from_logits=True``, rows of
            one class only, lengths that differ, or several columns without ``class_id``.
        ImportError: without Matplotlib.

    Example:
        >>> import tfimbalance as tfi
        >>> from tfimbalance import plots
        >>> ax = plots.precision_recall([0, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.9], label="a")
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('recall', 'precision')
        >>> print(ax.get_legend().get_texts()[0].get_text())
        a: AP 0.833
        best F1 0.800 from 0.3 on

    References:
        Saito and Rehmsmeier, The Precision-Recall Plot Is More Informative than the ROC Plot When
        Evaluating Binary Classifiers on Imbalanced Datasets, PLOS ONE 2015.
    """
    ax, scores, *_ = begin(
        ax,
        ("Precision and recall", "recall", "precision"),
        (y_true, y_pred, sample_weight, from_logits, class_id),
    )
    from sklearn.metrics import average_precision_score, precision_recall_curve

    counted = (scores.positive, scores.score)
    precision, recall, _ = precision_recall_curve(
        *counted, sample_weight=scores.weight, drop_intermediate=True
    )
    average = average_precision_score(*counted, sample_weight=scores.weight)
    # The last point, a precision of 1 where nothing is flagged, is a convention and no result.
    precision[-1] = precision[-2]
    kept = thinned(recall, precision)
    points = Points.of(scores)
    text = f"AP {average:.3f}\n{points.best_text}"
    # From right to left, each precision holds down to the recall of the next threshold.
    line = curve(
        ax, recall[kept], precision[kept], drawstyle="steps-post", label=name_of(label, text)
    )
    mark(ax, points.recall[points.best], points.precision[points.best], line.get_color())
    rate = scores.base_rate
    reference(ax, "base rate", [0, 1], [rate, rate], label=f"base rate {percent(rate)}")
    ax.set_xlim(-0.02, 1.02)
    _fit_precision(ax)
    legend(ax)
    return ax


def _fit_precision(ax: Axes) -> None:
    top = 0.0
    for line in ax.get_lines():
        recall = np.asarray(line.get_xdata(orig=True), dtype=np.float64)
        precision = np.asarray(line.get_ydata(orig=True), dtype=np.float64)
        top = max(top, float(precision[recall >= _SETTLED].max(initial=0.0)))
    # Near 1 the whole scale is no waste, and easier to compare.
    widen(ax, "y", 0.0, 1.03 if top > 0.6 else 1.15 * top, first=True)
