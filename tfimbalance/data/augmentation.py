"""Rare rows changed on the way by a function of the user's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfimbalance._checks import bad_value
from tfimbalance.data._epochs.stage import change_rows


def augment(
    dataset: tf.data.Dataset,
    function: Callable[..., Any],
    *,
    classes: Sequence[int] = (1,),
    label_fn: Callable[..., Any] | None = None,
    seed: int = 0,
    initial_epoch: int = 0,
    in_graph: bool = False,
) -> tf.data.Dataset:
    """Change the rows of some classes, and leave the others as they are.

    Use it for your own augmentation of rare rows, so that those which come often are not the same
    each time. Frequent classes need none, and stay as fast as they were.

    Args:
        dataset: of batches ``(x, y)`` or ``(x, y, sample_weight)``, balanced or not.
        function: ``function(x)`` or ``function(x, seed)`` of the rows of those classes alone, a
            batch of any size, in a graph: TensorFlow operations, Keras layers. It returns as many
            rows, of the same structure, types and shapes. ``seed``, by that name, is a pair of
            integers for ``tf.random.stateless_*`` and ``tf.image.stateless_*``, new for each batch
            and the same in each run. Batches made with ``offset=True`` hand over ``(x, offset)``.
        classes: which classes; the positives by default.
        label_fn: a function of the elements that returns the class of each row, where ``y`` is not
            a class itself.
        seed: decides what ``function`` is given as its seed.
        initial_epoch: epoch to start with.
        in_graph: True makes a dataset that calls into no Python and can be sent to a tf.data
            service; seeds are then the same in each epoch.

    Returns:
        A `tf.data.Dataset` of as many batches, of the same structure.

    Raises:
        ValueError: for a dataset of something else, or a ``function`` that changes structure, type
            or shape.

    Example:
        >>> import numpy as np
        >>> import tensorflow as tf
        >>> import tfimbalance as tfi
        >>> x, y = np.zeros((100, 2), "float32"), np.repeat([0, 1], [90, 10])
        >>> batches = tfi.data.balanced_batches(x, y, batch_size=4)
        >>> noisy = tfi.data.augment(
        ...     batches, lambda x, seed: x + tf.random.stateless_uniform(tf.shape(x), seed)
        ... )
        >>> rows, labels = next(iter(noisy))
        >>> (rows.numpy().sum(axis=1) > 0).astype(int).tolist() == labels.numpy().tolist()
        True
    """
    of_rows = _with_seed(function)

    def make(rows: Any, ids: tf.Tensor, word: Any) -> Any:
        changed = of_rows(rows, tf.bitcast(word, tf.int32)[0])
        _check_same(rows, changed)
        return changed

    return change_rows(dataset, make, classes, label_fn, seed, initial_epoch, in_graph)


def _with_seed(function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """Return the function as one of rows and a seed, which it may not take."""
    if not callable(function):
        raise bad_value("function", expected="a function of rows", received=repr(function))
    if isinstance(function, keras.layers.Layer):
        # Some layers of noise do nothing unless they are told that this is training.
        return lambda rows, seed: function(rows, training=True)
    try:
        parameters = dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # Some functions of C have no signature.
        parameters = {}
    if "seed" in parameters:
        return lambda rows, seed: function(rows, seed=seed)
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters.values() if p.kind in positional and p.default is p.empty]
    if len(needed) == 2:
        return function
    return lambda rows, seed: function(rows)


def _check_same(rows: Any, changed: Any) -> None:
    expected = tf.nest.map_structure(tf.type_spec_from_value, rows)
    try:
        received = tf.nest.map_structure(tf.type_spec_from_value, changed)
        fits = tf.nest.map_structure(lambda e, r: e.is_compatible_with(r), expected, received)
        same = all(tf.nest.flatten(fits))
    except (TypeError, ValueError):
        received, same = changed, False
    if not same:
        raise bad_value(
            "function",
            expected=f"rows of the same structure, types and shapes, {expected}",
            received=received,
        )
