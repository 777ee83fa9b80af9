"""One page about a model: everything here, from one prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras

from tfimbalance._checks import bad_value, check_number
from tfimbalance._models import check_from_logits, last_activation
from tfimbalance._predictions import check_rows, is_dataset, predict
from tfimbalance.plots._classes import Classes, read_classes
from tfimbalance.plots._recall import draw_recall, recall_by_class
from tfimbalance.plots._scores import read_ids, read_predictions
from tfimbalance.plots._style import percent, pyplot, set_colors
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


def report(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    before: Any = None,
    after: Any = None,
    from_logits: bool | None = None,
    class_id: int | None = None,
    multi_label: bool | None = None,
    threshold: float | None = None,
    class_names: Sequence[str] | None = None,
    batch_size: int = 1024,
    title: str | None = None,
) -> Figure:
    """Draw one page about a model: balance, ranking, calibration and thresholds.

    The model predicts once. With one output, the page has `class_balance`, `precision_recall`,
    `reliability`, `cumulative_gain`, `lift` and `threshold_curves`. With one output a class, the
    curves are of one class against the rest, the rarest unless ``class_id`` says another, and the
    recall of each class takes the place of the thresholds: where the highest output decides, or
    with labels that do not exclude one another, ``threshold``.

    Use it on validation data at the natural rate. On re-balanced data every probability is one of
    a world that does not exist.

    Args:
        model: a Keras model of one output.
        x: what ``model.predict`` takes, or a finite ``tf.data.Dataset`` of batches of ``(x, y)`` or
            ``(x, y, sample_weight)``, which is read once.
        y: labels: 0 and 1, class ids, one-hot or multi-label rows. None with a dataset.
        sample_weight: what each row counts, except in the class balance. None with a dataset.
        before: what `class_balance` takes; the labels' own balance by default. Give it the
            statistics of the training data, if that is what was re-balanced.
        after: as for `class_balance`, for example ``plan.effective_priors``.
        from_logits: whether the model returns logits. None reads it from the activation of the last
            layer: linear, or sigmoid or softmax.
        class_id: the class of the curves, where the model has one output a class.
        multi_label: whether a row may carry several labels. None reads it from the last layer:
            several outputs through a sigmoid do not exclude one another.
        threshold: a probability, drawn among the thresholds. Of multi-label models, the one that
            decides in the recall of each label, 1/2 by default. None for classes that exclude one
            another.
        class_names: a name a class.
        batch_size: rows predicted at a time, for arrays.
        title: first words of the title; the model's name by default.

    Shapes:
        The model returns ``(rows, 1)`` or ``(rows, num_classes)``.

    Returns:
        A Matplotlib figure of 2 x 3 axes.

    Raises:
        ValueError: for several outputs, an end of the model that does not show whether it returns
            logits, an infinite dataset, and as for `precision_recall`.
        ImportError: without Matplotlib.

    Example:
        >>> import keras, numpy as np
        >>> from tfimbalance import plots
        >>> x = np.random.default_rng(0).normal(size=(500, 2))
        >>> y = x[:, 0] > 1.5
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> figure = plots.report(model, x, y, title="Untrained")
        >>> [axes.get_title() for axes in figure.axes][1:4]
        ['Precision and recall', 'Reliability', 'Cumulative gain']
    """
    options = Options(
        before,
        after,
        from_logits,
        class_id,
        multi_label,
        threshold,
        class_names,
        batch_size,
        title,
    )
    check_model(model, options)
    data = _together(x, y, sample_weight)
    check_rows(data, argument="x")
    plt = pyplot()
    rows = predict(model, data, argument="x", batch_size=batch_size)
    figure: Figure = plt.figure(figsize=SIZE, layout="constrained")
    try:
        return draw(figure, model, rows, options)
    except Exception:
        plt.close(figure)  # Nobody else can: it has not been returned.
        raise


def _together(x: Any, y: Any, sample_weight: Any) -> Any:
    """Return rows and labels as one: a dataset brings its own along."""
    if not is_dataset(x):
        if y is None:
            raise bad_value(
                "y",
                expected="the labels of the rows of x",
                received=None,
                remedy="Only a tf.data.Dataset of (x, y) brings its labels along.",
            )
        return (x, y) if sample_weight is None else (x, y, sample_weight)
    if y is not None or sample_weight is not None:
        raise bad_value(
            "y",
            expected="None, because a dataset brings its labels and weights along",
            received=f"a {type(y if y is not None else sample_weight).__name__}",
        )
    return x


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
