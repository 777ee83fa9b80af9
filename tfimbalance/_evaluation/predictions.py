"""Rows and a model -> labels, predictions and weights of the same rows, in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_integer

_EXPECTED = "(x, y), (x, y, sample_weight), or a finite tf.data.Dataset of batches of them"


class Predicted(NamedTuple):
    """What is known of some rows.

    Attributes:
        y_true: labels, as they came.
        y_pred: what the model says of them.
        sample_weight: ``(rows,)``, or None.
    """

    y_true: NDArray[Any]
    y_pred: NDArray[Any]
    sample_weight: NDArray[Any] | None


def is_dataset(x: Any) -> bool:
    """Tell a tf.data.Dataset without importing TensorFlow, as for `class_statistics`."""
    return hasattr(x, "element_spec") and hasattr(x, "as_numpy_iterator")


def check_rows(data: Any, *, argument: str, output: str | None = None) -> None:
    """Refuse, before anything is predicted, what has no labels, no batches or no end."""
    if not is_dataset(data):
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3) or data[1] is None:
            raise bad_value(argument, expected=_EXPECTED, received=_described(data))
        return
    if int(data.cardinality()) == -1:
        raise bad_value(
            argument,
            expected="a dataset that ends",
            received="an infinite one",
            remedy="Leave out .repeat(), or bound it with .take(n).",
        )
    spec = data.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise bad_value(argument, expected=_EXPECTED, received=f"elements of {spec}")
    target = spec[1][output] if output is not None and isinstance(spec[1], dict) else spec[1]
    if not hasattr(target, "shape"):
        raise bad_value(
            argument,
            expected="one tensor of labels",
            received=f"labels of structure {type(target).__name__}",
            remedy='Choose one output: dataset.map(lambda x, y: (x, y["click"])).',
        )
    if target.shape.rank == 0:
        raise bad_value(
            argument,
            expected="a dataset of batches",
            received="one of single rows",
            remedy="Batch it: dataset.batch(1024).",
        )


def head(data: Any, rows: int = 32) -> Any:
    """Return the first rows, or the first batch, on which mistakes show before training does."""
    if is_dataset(data):
        return data.take(1)
    given = (part for part in data if part is not None)
    return tuple(
        # A list of numbers is one array, not a structure of as many.
        part[:rows]
        if isinstance(part, list) and not any(hasattr(item, "shape") for item in part)
        else keras.tree.map_structure(lambda array: array[:rows], part)
        for part in given
    )


def predicted_batches(
    model: keras.Model, data: Any, *, output: str | None = None, batch_size: int = 1024
) -> Iterator[Predicted]:
    """Yield what the model says of the rows: batch by batch of a dataset, arrays at once.

    Labels and predictions of a dataset come from one pass: in a second one, a dataset that shuffles
    has another order.
    """
    check_integer("batch_size", batch_size, minimum=1)
    if not is_dataset(data):
        x, y, weight = (*data, None)[:3]
        y_pred = model.predict(x, batch_size=batch_size, verbose=0)
        yield _one_output(y, y_pred, weight, output)
        return
    for batch in data:
        x, y, weight = (*batch, None)[:3]
        yield _one_output(y, model.predict_on_batch(x), weight, output)


def predict(
    model: keras.Model,
    data: Any,
    *,
    argument: str,
    output: str | None = None,
    batch_size: int = 1024,
) -> Predicted:
    """Return what the model says of all rows."""
    check_rows(data, argument=argument, output=output)
    batches = list(predicted_batches(model, data, output=output, batch_size=batch_size))
    if not batches:
        raise bad_value(argument, expected="at least one batch", received="an empty dataset")
    y_true, y_pred, weights = zip(*batches, strict=True)
    return Predicted(
        np.concatenate(y_true),
        np.concatenate(y_pred),
        None if weights[0] is None else np.concatenate(weights),
    )


def _one_output(y: Any, y_pred: Any, weight: Any, output: str | None) -> Predicted:
    if isinstance(y_pred, (dict, list, tuple)):
        names = list(y_pred) if isinstance(y_pred, dict) else []
        if output not in names:
            raise bad_value(
                "output",
                expected=f"one of the outputs {', '.join(map(str, names))}"
                if names
                else "a model of one output, or of a dict of outputs",
                received=f"{output!r} for a model of {len(y_pred)} outputs",
                remedy="Choose one: keras.Model(model.input, model.outputs[0]).",
            )
        y_pred = dict(y_pred)[output]
        y = y[output] if isinstance(y, dict) else y
        weight = weight[output] if isinstance(weight, dict) else weight
    y_pred = np.asarray(y_pred)
    if weight is not None:
        each = y_pred.shape[:-1] if y_pred.ndim > 1 else y_pred.shape
        weight = np.asarray(weight)
        # A weight a row of a sequence is that of all its steps.
        weight = (
            weight.reshape(-1)
            if weight.size >= np.prod(each)
            else np.repeat(weight.reshape(-1), int(np.prod(each[1:])))
        )
        if weight.size != np.prod(each):
            raise bad_value(
                "sample_weight",
                expected=f"a weight a row, shape {each}",
                received=f"{weight.size} numbers",
                remedy="Labels of a row cannot weigh differently.",
            )
    return Predicted(np.asarray(y), y_pred, weight)


def _described(data: Any) -> str:
    if isinstance(data, (tuple, list)):
        return f"a {type(data).__name__} of {len(data)}"
    return f"a {type(data).__name__}"
