"""Rare rows mixed with their nearest neighbours in the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfimbalance._checks import bad_value, check_choice, check_integer, check_number
from tfimbalance.data._epochs.stage import change_rows
from tfimbalance.data._order.arrays import GraphOps
from tfimbalance.data._order.words import words
from tfimbalance.data._rows.labels import check_elements


def smote_mixup(
    dataset: tf.data.Dataset,
    *,
    classes: Sequence[int] = (1,),
    fraction: float = 0.5,
    k_neighbors: int = 5,
    whole_numbers: str = "keep",
    label_fn: Callable[..., Any] | None = None,
    seed: int = 0,
    initial_epoch: int = 0,
    in_graph: bool = False,
) -> tf.data.Dataset:
    """Mix rare rows with their nearest neighbours of the same class in the batch.

    Use it on balanced batches, of streams too, where the same few positives come again and again:
    they become points between them. `smote_batches` looks for neighbours in all of the data.

        x_new = x_i + u (x_j - x_i),  u uniform in [0, 1),  j one of the k nearest to i        [1]

    Floating-point features are mixed, all with the same u. Integers, strings, sparse and ragged
    features, labels and weights are those of row i.

    Args:
        dataset: of batches ``(x, y)`` or ``(x, y, sample_weight)``.
        fraction: of their rows that are mixed; the others stay as they are.
        k_neighbors: among how many nearest rows the other one is drawn; copies count once.
        whole_numbers: ``"keep"``: where both rows hold whole numbers, such as flags and one-hot
            columns, the value of row i stays. ``"mix"``: all floating-point values are mixed.
        classes, label_fn, initial_epoch, in_graph: as `augment`.
        seed: decides which rows, which neighbours and how far.

    Returns:
        A `tf.data.Dataset` of as many batches, of the same structure. Distances take ``m x m``
        numbers for m rows of those classes in a batch.

    Raises:
        ValueError: for a dataset of something else, features without a dense floating-point array,
            or arguments outside their bounds.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> x, y = np.linspace(0.1, 0.9, 100, dtype="float32"), np.repeat([0, 1], [90, 10])
        >>> batches = tfi.data.balanced_batches(x[:, None], y, batch_size=20)
        >>> mixed = tfi.data.smote_mixup(batches, fraction=1.0)
        >>> rows, labels = next(iter(mixed))
        >>> new = rows.numpy()[labels.numpy() == 1]
        >>> bool(((new >= x[90]) & (new <= x[99])).all()), np.isin(new, x).all()
        (True, np.False_)

    References:
        [1] Chawla et al., SMOTE, JAIR 2002, arXiv 1106.1813.
    """
    x = check_elements(dataset, "batches ")[0]
    fraction = check_number("fraction", fraction, minimum=0.0, maximum=1.0)
    neighbors = check_integer("k_neighbors", k_neighbors, minimum=1)
    check_choice("whole_numbers", whole_numbers, ("keep", "mix"))
    if not any(_is_mixed(leaf) for leaf in tf.nest.flatten(x)):
        raise bad_value(
            "dataset",
            expected="a dense floating-point array among the features, to mix rows of",
            received=f"{x}",
        )

    def mix(rows: Any, ids: tf.Tensor, word: Any) -> Any:
        mixed = [part for part in tf.nest.flatten(rows) if _is_mixed(part)]
        other, found = _neighbors(mixed, ids, word, neighbors)
        hit = _uniform_of_rows(word, 2, ids) < fraction
        far = tf.where(hit & found, _uniform_of_rows(word, 1, ids), 0.0)

        def mix_part(own: Any) -> Any:
            if not _is_mixed(own):
                return own
            # A difference of two rows of half precision may be too large for it.
            wide = tf.float32 if own.dtype.size == 2 else own.dtype
            own, dtype = tf.cast(own, wide), own.dtype
            step = tf.gather(own, other) - own
            if whole_numbers == "keep":
                whole = (own == tf.round(own)) & (step == tf.round(step))
                step = tf.where(whole, tf.zeros_like(step), step)
            length = tf.reshape(far, [-1, *[1] * (own.shape.rank - 1)])
            return tf.cast(own + tf.cast(length, wide) * step, dtype)

        return tf.nest.map_structure(mix_part, rows)

    return change_rows(dataset, mix, classes, label_fn, seed, initial_epoch, in_graph)


def _is_mixed(leaf: Any) -> bool:
    others = (tf.SparseTensor, tf.RaggedTensor, tf.SparseTensorSpec, tf.RaggedTensorSpec)
    return not isinstance(leaf, others) and bool(leaf.dtype.is_floating)


def _neighbors(parts: list[Any], ids: Any, word: Any, k: int) -> tuple[Any, Any]:
    """Return for each row one of its nearest of the same class, and whether there is one."""
    # Far from 0, differences would be lost in rounding.
    wide = [tf.cast(part, tf.float32) if part.dtype.size == 2 else part for part in parts]
    centred = [part - tf.reduce_mean(part, axis=0, keepdims=True) for part in wide]
    flat = [tf.reshape(tf.cast(part, tf.float32), [tf.size(ids), -1]) for part in centred]
    features = tf.concat(flat, axis=1)
    squares = tf.reduce_sum(features**2, axis=1)
    distance = squares[:, None] + squares - 2.0 * tf.matmul(features, features, transpose_b=True)
    # A copy of a row is no neighbour of it, and counts once as that of others.
    code, number, of_class = _codes(features), tf.range(tf.size(ids)), ids[:, None] == ids
    equal = of_class & (code[:, None] == code)
    is_copy = tf.reduce_any(equal & (number < number[:, None]), axis=1)
    same = of_class & ~equal & ~is_copy
    distance = tf.where(same, distance, distance.dtype.max)
    most = tf.minimum(k, tf.size(ids))
    _, nearest = tf.math.top_k(-distance, most)
    count = tf.minimum(tf.reduce_sum(tf.cast(same, tf.int64), axis=1), tf.cast(most, tf.int64))
    which = tf.cast(_uniform_of_rows(word, 3, ids) * tf.cast(count, tf.float32), tf.int64)
    which = tf.minimum(which, tf.maximum(count - 1, 0))
    return tf.gather(nearest, which[:, None], batch_dims=1)[:, 0], count > 0


def _codes(features: Any) -> Any:
    """Return a number for each row, which rows have in common only if they are equal."""
    bits = tf.cast(tf.bitcast(features, tf.int32), tf.int64)
    columns = tf.range(tf.shape(features, tf.int64)[1])
    drawn = words(GraphOps, GraphOps.array([0], unsigned=True), GraphOps.unsigned(columns))
    # Sums of integers are exact in any order; odd factors lose no bit.
    return tf.reduce_sum(bits * (2 * tf.cast(GraphOps.shift(drawn, 1), tf.int64) + 1), axis=1)


def _uniform_of_rows(word: Any, number: int, like: Any) -> Any:
    """Return a number in [0, 1) for each row."""
    own = words(GraphOps, word, GraphOps.array([number], unsigned=True))
    drawn = words(GraphOps, own, GraphOps.unsigned(tf.range(tf.size(like, tf.int64))))
    return tf.cast(GraphOps.shift(drawn, 40), tf.float32) * 2.0**-24
