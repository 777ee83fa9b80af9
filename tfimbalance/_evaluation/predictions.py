"""Rows and a model -> labels, predictions and weights of the same rows, in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from tfimbalance._checks import bad_value, check_integer
from tfimbalance._evaluation.ending import output_names
from tfimbalance._labels import check_dataset, is_dataset, named
from tfimbalance._tensors import mask_of

_EXPECTED = "(x, y), (x, y, sample_weight), or a finite tf.data.Dataset of batches of them"


class Predicted(NamedTuple):
    """Labels and weights as they came, beside predictions and the mask of what counts (or None)."""

    y_true: Any
    y_pred: Any
    sample_weight: Any
    mask: Any


def check_rows(data: Any, *, argument: str, output: str | None = None) -> None:
    """Refuse, before anything is predicted, what has no labels, no batches or no end."""
    if not is_dataset(data):
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3) or data[1] is None:
            size = f" of {len(data)}" if isinstance(data, (tuple, list)) else ""
            received = f"a {type(data).__name__}{size}"
            raise bad_value(argument, expected=_EXPECTED, received=received)
        return
    spec = data.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise bad_value(argument, expected=_EXPECTED, received=f"elements of {spec}")
    if check_dataset(data, argument=argument, output=output).shape.rank == 0:
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


class Predictor(keras.Model):
    """A model that returns the masks of its outputs beside them, which `predict` would lose."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__(autocast=False)  # Inputs are the model's to round.
        self.model = model
        self.names = output_names(model)
        # Of a prediction without its rows, and whether it has a mask, once there is one.
        self.row_shape: tuple[int, ...] = ()
        self.has_masks = False

    def call(self, inputs: Any) -> Any:
        """Return ``(prediction,)`` or ``(prediction, mask)`` for each output."""
        y_pred = self.model(inputs, training=False)
        if keras.ops.is_tensor(y_pred):
            return _with_mask(y_pred)
        return keras.tree.map_structure(_with_mask, y_pred)

    def batches(
        self, data: Any, *, argument: str, output: str | None = None, batch_size: int = 1024
    ) -> Iterator[Predicted]:
        """Yield what the model says of the rows: batch by batch of a dataset, arrays at once."""
        if not is_dataset(data):
            x, y, weight = (*data, None)[:3]
            x = keras.tree.map_structure(words_as_objects, x)
            y_pred = self.predict(x, batch_size=batch_size, verbose=0)
            yield self._one_output(y, y_pred, weight, output)
            return
        batch = None
        # Labels and predictions from one pass: in a second one, a shuffled dataset has another
        # order.
        for batch in data:
            x, y, weight = (*batch, None)[:3]
            yield self._one_output(y, self.predict_on_batch(x), weight, output)
        if batch is None:
            raise bad_value(argument, expected="at least one batch", received="an empty dataset")

    def _one_output(self, y: Any, y_pred: Any, weight: Any, output: str | None) -> Predicted:
        if isinstance(y_pred, dict) or any(isinstance(part, tuple) for part in y_pred):
            names = list(y_pred) if isinstance(y_pred, dict) else self.names
            if output not in names:
                raise bad_value(
                    "output",
                    expected=f"one of the outputs {', '.join(map(str, names))}",
                    received=f"{output!r} for a model of {len(y_pred)} outputs",
                )
            y_pred, y, weight = (of_output(part, output, names) for part in (y_pred, y, weight))
        prediction, *mask = y_pred
        self.row_shape, self.has_masks = tuple(np.shape(prediction)[1:]), bool(mask)
        return Predicted(
            np.asarray(y),
            np.asarray(prediction),
            None if weight is None else np.asarray(weight),
            np.asarray(mask[0]) if mask else None,
        )


def words_as_objects(array: Any) -> Any:
    """Return words of NumPy as objects: Keras knows no dtype of a fixed number of letters."""
    is_words = isinstance(array, np.ndarray) and array.dtype.kind in "US"
    return array.astype(object) if is_words else array


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
    batch_size = check_integer("batch_size", batch_size, minimum=1)
    rows = Predictor(model).batches(data, argument=argument, output=output, batch_size=batch_size)
    parts = zip(*rows)
    return Predicted(
        *(
            None if part[0] is None else np.concatenate([*map(np.atleast_1d, part)])
            for part in parts
        )
    )


def _with_mask(y_pred: Any) -> tuple[Any, ...]:
    mask = mask_of(y_pred)
    return (y_pred,) if mask is None else (y_pred, mask)


def of_output(part: Any, output: Any, names: list[Any]) -> Any:
    """Return one output's part of a structure; what is none belongs to it already."""
    if isinstance(part, dict):
        return named(part, output)
    # The labels of one output may be a list as well.
    is_several = isinstance(part, (list, tuple)) and output in names
    return part[names.index(output)] if is_several else part
