"""One page about a model: everything here, from one prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras

from tfimbalance._checks import bad_value, checked_ignore_class
from tfimbalance._evaluation.ending import check_from_logits, last_activation, output_names
from tfimbalance._evaluation.predictions import check_rows, predict
from tfimbalance._evaluation.rows import Evaluated
from tfimbalance._labels import is_dataset
from tfimbalance.plots._page import SIZE, Options, draw
from tfimbalance.plots._style import pyplot

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    ignore_class: int | None = None,
    class_names: Sequence[str] | None = None,
    batch_size: int = 1024,
    title: str | None = None,
) -> Figure:
    """Draw one page about a model: balance, ranking, calibration and thresholds.

    The model predicts once. The page is a Matplotlib figure of 2 x 3 axes: `class_balance`,
    `precision_recall`, `reliability`, `cumulative_gain`, `lift` and `threshold_curves`. With one
    output a class, the curves are of one class against the rest, and the recall of each class takes
    the place of the thresholds.

    Use it on validation data at the natural rate: on re-balanced data no probability is right.

    Args:
        model: a Keras model of one output, ``(rows, 1)`` or ``(rows, num_classes)``.
        x: what ``model.predict`` takes, or a finite ``tf.data.Dataset`` of batches of ``(x, y)`` or
            ``(x, y, sample_weight)``, which is read once.
        y: labels: 0 and 1, class ids, one-hot or multi-label rows. None with a dataset.
        sample_weight: what each row counts, except in the class balance. None with a dataset.
        before: what `class_balance` takes, such as statistics of the training data; by default the
            labels' own balance.
        after: as `class_balance`, for example ``plan.effective_priors``.
        from_logits: whether the model returns logits. None reads it from the last activation.
        class_id: the class of the curves, where the model has one output a class; None: the rarest.
        multi_label: whether a row may carry several labels. None: if the outputs are of a sigmoid.
        threshold: a probability, drawn among the thresholds. Of multi-label models, the one that
            decides in the recall of each label, 1/2 by default. For classes that exclude one
            another it is None: the highest output decides.
        ignore_class: label that does not count, such as the void class of masks; of multi-label
            rows, what stands for a label that is not known.
        class_names: a name a class.
        batch_size: rows predicted at a time, for arrays.
        title: first words of the title; the model's name by default.

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
    if not isinstance(model, keras.Model):
        raise bad_value(
            "model",
            expected="a Keras model",
            received=f"a {type(model).__name__}",
            remedy="For predictions that are there already, call precision_recall(y_true, y_pred) "
            "and the others.",
        )
    if names := output_names(model):
        raise bad_value(
            "model",
            expected="a model of one output",
            received=f"one of {len(names)} outputs, {', '.join(names)}",
            remedy="Draw one: keras.Model(model.inputs, model.output[...]).",
        )
    logits = check_from_logits(model, from_logits)
    data = _together(x, y, sample_weight)
    check_rows(data, argument="x")
    plt = pyplot()
    if multi_label is None:
        multi_label = last_activation(model) == "sigmoid"
    found = predict(model, data, argument="x", batch_size=batch_size)
    activation = "sigmoid" if multi_label else None
    rows = Evaluated.read(
        *found[:3],
        mask=found.mask,
        ignore_class=checked_ignore_class(ignore_class),
        from_logits=logits,
        activation=activation,
    )
    options = Options(before, after, class_id, threshold, class_names, title or model.name)
    figure: Figure = plt.figure(figsize=SIZE, layout="constrained")
    try:
        return draw(figure, rows, options)
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
        return (x, y, sample_weight)
    if y is not None or sample_weight is not None:
        raise bad_value(
            "y",
            expected="None, because a dataset brings its labels and weights along",
            received=f"a {type(y if y is not None else sample_weight).__name__}",
        )
    return x
