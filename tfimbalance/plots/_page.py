"""The page of `report` and `TensorBoardReport`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfimbalance._checks import bad_value, check_number, named_classes
from tfimbalance._evaluation.rows import Evaluated
from tfimbalance.plots._one_class import chosen_class
from tfimbalance.plots._recall import draw_recall, rarest_class, recall_by_class
from tfimbalance.plots._style import percent, set_colors
from tfimbalance.plots.balance import class_balance
from tfimbalance.plots.gain import cumulative_gain, lift
from tfimbalance.plots.precision import precision_recall
from tfimbalance.plots.reliability import reliability
from tfimbalance.plots.threshold import threshold_curves
from tfimbalance.statistics import ClassStatistics

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SIZE = (13.0, 8.0)


@dataclass(frozen=True)
class Options:
    """What `report` and `TensorBoardReport` have in common."""

    before: Any
    after: Any
    class_id: int | None
    threshold: float | None
    class_names: Sequence[str] | None
    title: str

    def check(self, rows: Evaluated) -> None:
        """Refuse, before training, what does not go with the outputs of a model."""
        width = rows.given.shape[1]
        named_classes(self.class_names, max(width, 2))
        if self.class_id is not None:
            chosen_class(self.class_id, width)
        if self.threshold is not None:
            check_number("threshold", self.threshold, minimum=0.0, maximum=1.0)
            if rows.is_softmax:
                raise bad_value(
                    "threshold",
                    expected="None, because the highest of several outputs decides",
                    received=self.threshold,
                    remedy="If a row may carry several labels, pass multi_label=True. For one "
                    "class: threshold_curves(y_true, y_pred, class_id=..., threshold=...).",
                )


def draw(figure: Figure, rows: Evaluated, options: Options) -> Figure:
    """Draw the page on an empty figure."""
    options.check(rows)
    if not len(rows.weight):
        raise bad_value("y", expected="rows that count", received="none: all are left out")
    axes = list(figure.subplots(2, 3).flat)
    for ax in axes:
        set_colors(ax)
    width, k = rows.given.shape[1], 0
    if rows.labels.ndim == 2 and width > 1:
        known = None if rows.known is None else rows.known.sum(axis=0)
        stats = ClassStatistics(rows.targets.sum(axis=0), len(rows.labels), True, known)
    else:
        ids = rows.labels if rows.is_softmax else rows.labels[:, 0]
        stats = ClassStatistics(np.bincount(ids, minlength=max(width, 2)))
    what = f"{percent(stats.priors[1])} positive" if width == 1 else ""
    if width > 1:
        k = rarest_class(stats) if options.class_id is None else options.class_id
        names = named_classes(options.class_names, width)
        threshold = 0.5 if options.threshold is None else options.threshold
        draw_recall(axes[5], stats, recall_by_class(rows, threshold), names)
        what = _name_class(stats, k, names)
    before = stats if options.before is None else options.before
    class_balance(before, after=options.after, class_names=options.class_names, ax=axes[0])
    # One class against the rest is what each picture is of.
    one = rows.one_class(k)
    curves: dict[str, Any] = {"sample_weight": one.weight, "from_logits": one.from_logits}
    for draw_on, ax in zip((precision_recall, reliability, cumulative_gain, lift), axes[1:5]):
        draw_on(one.positive, one.score, ax=ax, **curves)
    if width == 1:
        threshold_curves(one.positive, one.score, threshold=options.threshold, ax=axes[5], **curves)
    figure.suptitle(f"{options.title}: {stats.num_samples:,} rows, {what}", fontsize="large")
    return figure


def _name_class(stats: ClassStatistics, k: int, names: Sequence[str]) -> str:
    what, plural = ("label", "labels") if stats.multi_label else ("class", "classes")
    named = f"{what} {k}" if names[k] == str(k) else f"{what} {k} ({names[k]})"
    rarest = ", the rarest" if k == rarest_class(stats) else ""
    rest = "" if stats.multi_label else ", against the rest"
    return (
        f"{stats.num_classes} {plural}; curves of {named}{rarest}{rest}: "
        f"{percent(stats.counts[k] / stats.totals[k])} positive"
    )
