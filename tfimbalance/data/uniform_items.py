"""Batches of positives, each with a block of uniformly drawn items for all of its rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_flag, check_integer
from tfimbalance.data._epochs.stage import Stage
from tfimbalance.data._order.arrays import GraphOps
from tfimbalance.data._order.words import words
from tfimbalance.data._rows.rows import Rows

_ADDED = ("negatives", "draw_probability")


def mixed_negatives(
    positives: tf.data.Dataset,
    items: Any,
    *,
    item: str,
    num_uniform: int,
    seed: int = 0,
    initial_epoch: int = 0,
    in_graph: bool = False,
) -> tf.data.Dataset:
    """Add to each batch of positives items drawn uniformly, which all of its rows share.

    Use it with in-batch negatives where the catalogue holds items that are rarely a positive or
    never: without it, no row is ever compared with them, and their scores are left to chance. Where
    every item is a positive now and then, it changes little. A row's negatives are then a mixture,
    and so is the ``log_q`` of all of them: see `tfimbalance.retrieval.mixed_log_q`.

        Q*(item) = (n1 Q(item) + n2 / num_items) / (n1 + n2),  n1 = batch - 1, n2 = num_uniform  [1]

    Args:
        positives: of batches of a dictionary, or of tuples that begin with one. It should shuffle
            all of its rows: in-batch negatives are drawn like positives only then.
        items: the catalogue, each item in one row: a dictionary or frame of the features that the
            item tower reads, under the keys that they have in ``positives``, or the ids alone.
        item: key of the ids.
        num_uniform: items drawn for each batch, with replacement. The positive of a row may be
            among them, as the correction by ``log_q`` expects.
        seed: decides the draws. Workers that read shards of their own each take another.
        initial_epoch, in_graph: as `augment`.

    Returns:
        A `tf.data.Dataset` of as many batches, with two more keys in the dictionary:
        ``"negatives"``, the features of what was drawn, for the item tower; and
        ``"draw_probability"``, that of each in one draw, which is 1 / number of items.

    Shapes:
        positives: ``(batch, ...)``; items: ``(num_items, ...)``.
        ``"negatives"``: ``(num_uniform, ...)``.
        ``"draw_probability"``: ``(num_uniform,)``, float32.
        Replicas of a strategy each get their part of what was drawn, as of the batch.

    Raises:
        ValueError: for a dataset of something else, items that stand in two rows, and features that
            ``positives`` does not have or has in another type or shape.

    Example:
        >>> import numpy as np
        >>> import tensorflow as tf
        >>> import tfimbalance as tfi
        >>> plays = {"user": np.array([0, 0, 1, 2]), "film": np.array([3, 5, 3, 9])}
        >>> positives = tf.data.Dataset.from_tensor_slices(plays).shuffle(4).batch(2)
        >>> x = next(iter(tfi.data.mixed_negatives(
        ...     positives, np.arange(1000), item="film", num_uniform=3
        ... )))
        >>> x["film"].shape, x["negatives"]["film"].shape, float(x["draw_probability"][0])
        (TensorShape([2]), TensorShape([3]), 0.0010000000474974513)

    References:
        [1] Yang et al., Mixed negative sampling for learning two-tower neural networks in
        recommendations, WWW 2020. They take the batch for n1; a row has one negative less.
    """
    x = _features_of(positives)
    size = check_integer("num_uniform", num_uniform, minimum=1)
    if size >= 2**31:
        raise bad_value("num_uniform", expected="fewer than 2**31", received=num_uniform)
    seed = check_integer("seed", seed, minimum=0)
    in_graph = check_flag("in_graph", in_graph)
    catalogue = _catalogue(items, item, x)
    called = ("items", f"items[{item!r}]")
    rows = Rows(catalogue, catalogue[item], as_tensors=in_graph, called=called)
    _check_ids(np.asarray(catalogue[item]), item)

    def add(element: Any, word: Any) -> Any:
        drawn = words(GraphOps, word, GraphOps.unsigned(tf.range(size)))
        # A fraction of 53 bits: exact to 1e-9 even for catalogues of millions.
        fraction = tf.cast(GraphOps.signed(GraphOps.shift(drawn, 11)), tf.float64) * 2.0**-53
        numbers = tf.cast(fraction * rows.num_rows, tf.int64)
        probability = tf.fill([size], np.float32(1 / rows.num_rows))
        added = dict(zip(_ADDED, (rows.fetch(numbers)[0], probability), strict=True))
        if isinstance(element, dict):
            return {**element, **added}
        return ({**element[0], **added}, *element[1:])

    stage = Stage(positives, add, seed, initial_epoch)
    made = stage.stateless() if in_graph else stage.dataset()
    _check_alike(_features_of(made)["negatives"], x)
    return made


def _features_of(dataset: Any) -> dict[str, Any]:
    """Return the specs of the features of a dataset's batches."""
    spec = dataset.element_spec if isinstance(dataset, tf.data.Dataset) else None
    x = spec[0] if isinstance(spec, tuple) and spec else spec
    if not isinstance(x, dict) or hasattr(spec, "_fields"):
        raise bad_value(
            "positives",
            expected="a tf.data.Dataset of batches of a dictionary, or of tuples that begin with "
            "one",
            received=type(dataset).__name__ if spec is None else f"elements {spec}",
            remedy="tf.data.Dataset.from_tensor_slices({...}).shuffle(...).batch(...).",
        )
    return x


def _catalogue(items: Any, item: Any, x: dict[str, Any]) -> dict[str, Any]:
    """Return the features of the items by key, all of which the positives have."""
    taken = [key for key in _ADDED if key in x]
    if taken:
        raise bad_value(
            "positives",
            expected=f"no features {' and '.join(map(repr, _ADDED))}, which are added",
            received=f"features {sorted(x)}",
        )
    names = getattr(items, "column_names", getattr(items, "columns", None))
    if names is not None:
        items = {name: items[name] for name in names}
    catalogue = dict(items) if isinstance(items, dict) else {item: items}
    for name, features in (("positives", x), ("items", catalogue)):
        if not isinstance(item, str) or item not in features:
            raise bad_value(
                "item",
                expected=f"the key of the ids in `{name}`, one of {list(features)}",
                received=repr(item),
            )
    if x[item].shape.rank not in (1, None):
        raise bad_value(
            "positives",
            expected=f"batches of rows with one id each in {item!r}",
            received=f"{x[item]}",
            remedy="dataset.batch(batch_size).",
        )
    more = [key for key in catalogue if key not in x]
    if more:
        raise bad_value(
            "items",
            expected=f"features that `positives` have as well, as one tower reads both: {list(x)}",
            received=", ".join(map(repr, more)),
            remedy="Leave out what the tower does not read, and add what it reads to `positives`.",
        )
    return catalogue


def _check_ids(ids: NDArray[Any], item: str) -> None:
    """Raise unless each item is there once: what stands in two rows is drawn twice as often."""
    if ids.ndim != 1 or not ids.size or ids.dtype.kind not in "iuSUO":
        raise bad_value(
            "items",
            expected="items, and an integer or a string in each row, its id",
            received=f"{ids.dtype} of shape {ids.shape} in {item!r}",
        )
    order = np.argsort(ids, kind="stable")
    again = np.flatnonzero(ids[order][1:] == ids[order][:-1])
    if again.size:
        first, second = order[again[0]], order[again[0] + 1]
        raise bad_value(
            "items",
            expected="each item in one row, as all rows are drawn equally often",
            received=f"{ids[first]} in rows {first} and {second}",
            remedy=f"The catalogue, not the log: frame.drop_duplicates({item!r}).",
        )


def _check_alike(negatives: dict[str, Any], x: dict[str, Any]) -> None:
    """Raise unless the features of what is drawn are of the types and shapes of the positives'."""
    for key, drawn in negatives.items():
        try:
            alike = all(tf.nest.flatten(tf.nest.map_structure(_is_alike, drawn, x[key])))
        except (TypeError, ValueError):  # Nested in other ways.
            alike = False
        if not alike:
            raise bad_value(
                "items",
                expected=f"{key!r} of the type and shape it has in `positives`, {x[key]}",
                received=f"{drawn}",
                remedy='Convert one of them, such as items[key].astype("int32").',
            )


def _is_alike(drawn: Any, given: Any) -> bool:
    same = type(drawn) is type(given) and drawn.dtype == given.dtype
    return same and bool(drawn.shape[1:].is_compatible_with(given.shape[1:]))
