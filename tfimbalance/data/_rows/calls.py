"""Functions that a dataset calls: NumPy ones that hold no data, and plain graphs."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keep a function from being rewritten by autograph, which takes longer than a first batch."""
    converted: Callable[..., Any] = tf.autograph.experimental.do_not_convert(function)
    return converted


def call(
    function: Callable[..., Any],
    dtype: tf.DType,
    *first: tf.Tensor,
    shape: Sequence[int | None] = (),
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a dataset function that calls into NumPy with ``first`` and the element."""

    def in_graph(element: tf.Tensor) -> tf.Tensor:
        result = tf.numpy_function(weak(function), [*first, element], dtype, stateful=False)
        return tf.ensure_shape(result, shape)

    return plain(in_graph)


def weak(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls a method without keeping its object alive."""
    reference = weakref.WeakMethod(method)

    def call_if_alive(*args: Any) -> Any:
        alive = reference()
        if alive is None:
            raise RuntimeError(
                "The dataset of tfimbalance.data is gone. Keep a reference to it, or to one made "
                "from it, for as long as its batches are read."
            )
        return alive(*args)

    return call_if_alive
