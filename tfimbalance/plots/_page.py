"""The page of `report` and `TensorBoardReport`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras

from tfimbalance._checks import bad_value, check_number
from tfimbalance._evaluation.ending import check_from_logits, last_activation
from tfimbalance.plots._one_class import read_ids, read_predictions
from tfimbalance.plots._recall import Classes, draw_recall, read_classes, recall_by_class
from tfimbalance.plots._style import percent, set_colors
from tfimbalance.plots.balance import class_balance
from tfimbalance.plots.gain import cumulative_gain, lift
from tfimbalance.plots.precision import precision_recall
from tfimbalance.plots.reliability import reliability
from tfimbalance.plots.threshold import threshold_curves
from tfimbalance.statistics import class_statistics

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SIZE = (13.0, 8.0)


@dataclass(frozen=True)
class Options:
    """What `report` and `TensorBoardReport` have in common."""

    before: Any
    after: Any
    from_logits: bool | None
    class_id: int | None
    multi_label: bool | None
    threshold: float | None
    class_names: Sequence[str] | None
    batch_size: int
    title: str | None


def check_model(model: Any, options: Options) -> None:
    """Refuse, before anything is predicted, a model that the page cannot be made of."""
    if not isinstance(model, keras.Model):
        raise bad_value(
            "model",
            expected="a Keras model",
            received=f"a {type(model).__name__}",
            remedy="For predictions that are there already, call precision_recall(y_true, y_pred) "
            "and the others.",
        )
    check_from_logits(model, options.from_logits)


def draw(
    figure: Figure, model: keras.Model, rows: Any, options: Options, *, epoch: int | None = None
) -> Figure:
    """Draw the page on an empty figure."""
    y_true, y_pred, weight = rows
    from_logits = check_from_logits(model, options.from_logits)
    predicted = read_predictions(y_pred, from_logits=from_logits)
    axes = list(figure.subplots(2, 3).flat)
    for ax in axes:
        set_colors(ax)
    style: dict[str, Any] = {"sample_weight": weight, "from_logits": from_logits}
    if predicted.shape[1] == 1:
        style["class_id"] = options.class_id
        stats = class_statistics(read_ids(y_true, num_classes=2), num_classes=2)
        threshold_curves(y_true, predicted, threshold=options.threshold, ax=axes[5], **style)
        what = f"{percent(stats.priors[1])} positive"
    else:
        multi_label = is_multi_label(model, options)
        classes = read_classes(
            y_true,
            predicted,
            from_logits=from_logits,
            class_id=options.class_id,
            multi_label=multi_label,
            threshold=_deciding(options.threshold, multi_label),
        )
        stats, style["class_id"] = classes.statistics, classes.column
        y_true, predicted = classes.y_true, classes.y_pred
        given = options.class_names
        names = [str(name) for name in (range(stats.num_classes) if given is None else given)]
        draw_recall(axes[5], classes, recall_by_class(classes, weight), names)
        what = _name_class(classes, names)
    before = stats if options.before is None else options.before
    class_balance(before, after=options.after, class_names=options.class_names, ax=axes[0])
    precision_recall(y_true, predicted, ax=axes[1], **style)
    reliability(y_true, predicted, ax=axes[2], **style)
    cumulative_gain(y_true, predicted, ax=axes[3], **style)
    lift(y_true, predicted, ax=axes[4], **style)
    title = options.title or model.name
    if epoch is not None:
        title += f", epoch {epoch + 1}"
    figure.suptitle(f"{title}: {stats.num_samples:,} rows, {what}", fontsize="large")
    return figure


def is_multi_label(model: keras.Model, options: Options) -> bool:
    """Tell whether the outputs of a model exclude one another, by its last layer or by word."""
    if options.multi_label is None:
        return last_activation(model) == "sigmoid"
    return bool(options.multi_label)


def _deciding(threshold: float | None, multi_label: bool) -> float:
    if threshold is None:
        return 0.5
    if not multi_label:
        raise bad_value(
            "threshold",
            expected="None, because the highest of several outputs decides",
            received=threshold,
            remedy="If a row may carry several labels, pass multi_label=True. For one class: "
            "threshold_curves(y_true, y_pred, class_id=..., threshold=...).",
        )
    return check_number("threshold", threshold, minimum=0.0, maximum=1.0)


def _name_class(classes: Classes, names: Sequence[str]) -> str:
    stats, k = classes.statistics, classes.class_id
    what, plural = ("label", "labels") if stats.multi_label else ("class", "classes")
    named = f"{what} {k}" if names[k] == str(k) else f"{what} {k} ({names[k]})"
    rarest = ", the rarest" if classes.is_rarest else ""
    rest = "" if stats.multi_label else ", against the rest"
    return (
        f"{stats.num_classes} {plural}; curves of {named}{rarest}{rest}: "
        f"{percent(stats.priors[k])} positive"
    )
