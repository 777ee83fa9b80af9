"""Positives of implicit feedback, each with items that the user did not choose."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_flag, check_integer, check_number, per_class
from tfimbalance.data._epochs.batches import PlannedBatches
from tfimbalance.data._epochs.schedule import Schedule
from tfimbalance.data._order.items import Known, NegativeDraws
from tfimbalance.data._order.plan import BalancedPlan
from tfimbalance.data._rows.calls import weak
from tfimbalance.data._rows.rows import Rows, in_block
from tfimbalance.data._rows.tensors import taken

_POPULARITY_POWER = 0.75


def with_negatives(
    positives: Any,
    *,
    num_items: int,
    num_negatives: int = 4,
    replace: bool = True,
    distribution: Any = "uniform",
    power: float | None = None,
    exclude_positives: bool = False,
    item: Any = None,
    user: Any = None,
    as_lists: bool = False,
    batch_size: int = 256,
    steps_per_epoch: int | None = None,
    seed: int = 0,
    initial_epoch: int = 0,
    num_shards: int = 1,
    shard_index: int = 0,
) -> tf.data.Dataset:
    """Give each positive pair of user and item some items drawn as negatives, anew in each epoch.

    Use it for implicit feedback, where only positives are known: clicks, purchases, plays. With
    ``draw_probability`` beside each item, what the draws do to the logits can be undone while
    training, and what is served is ``log p(item | user)``, up to a constant for a softmax:

        softmax over a list:  logits - log(draw_probability)                            [1]
        sigmoid of a row:     logit - log(num_negatives * draw_probability)

    Args:
        positives: ``(users, items)``, an array of these two columns, or a dictionary or frame with
            a row for each positive. Negatives get the other columns of their positive, which are
            right for the user and the moment but not for the item: look those up in a ``map``.
        num_items: how many items there are; their ids are 0 to ``num_items - 1``.
        num_negatives: drawn for each positive.
        replace: False makes the negatives of a positive different items. The corrections above stay
            exact for uniform draws; popular items come less often than other probabilities say.
        distribution: ``"uniform"``; ``"popularity"``, as often as an item is among the positives,
            to the ``power``; or one probability or frequency for each item.
        power: of the popularity; 0.75 by default.
        exclude_positives: True draws again where an item is one of the user's positives, which
            ranks well and learns no probability: leave it at False for the corrections above.
        item: key of the items; ``"item"`` in a dictionary, 1 in a tuple.
        user: key of the users, for ``exclude_positives``; ``"user"`` in a dictionary, 0 in a tuple.
        as_lists: True makes one row a positive, with a list of items of which the first is the
            positive, for a softmax. False makes one row an item, for a sigmoid.
        batch_size: positives a batch.
        steps_per_epoch, seed, initial_epoch, num_shards, shard_index: as `balanced_batches`;
            ``seed`` decides the draws, too.

    Returns:
        A `tf.data.Dataset` of ``(x, y)`` of known cardinality. ``x`` is ``positives`` with
        ``"draw_probability"``, or a third element of the tuple: the probability that one draw gives
        the item, also of a positive. Memory: three numbers an item and, with
        ``exclude_positives``, one a positive.

    Shapes:
        with ``rows = batch_size * (1 + num_negatives)``, items, ``draw_probability`` (float32) and
        ``y`` (int32) are ``(rows,)``, each positive followed by its negatives; as lists they are
        ``(batch_size, 1 + num_negatives)``, and other columns ``(batch_size, ...)``.

    Raises:
        ValueError: for ids outside the items, an unknown distribution, positives that are never
            drawn (unless ``exclude_positives``: the corrections would be infinite), a user who has
            all items that are drawn, too few items for ``replace=False``, or missing columns.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> pairs = np.array([0, 0, 1, 2]), np.array([3, 5, 3, 9])
        >>> dataset = tfi.data.with_negatives(pairs, num_items=10, num_negatives=2, batch_size=4)
        >>> (users, items, draw_probability), labels = next(iter(dataset))
        >>> labels.numpy().tolist(), float(draw_probability[0])
        ([1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0], 0.10000000149011612)

    References:
        [1] Yi et al., Sampling-bias-corrected neural modeling for large corpus item
        recommendations, RecSys 2019.
    """
    num_items = check_integer("num_items", num_items, minimum=2)
    num_negatives = check_integer("num_negatives", num_negatives, minimum=1)
    replace, as_lists = check_flag("replace", replace), check_flag("as_lists", as_lists)
    schedule = Schedule.of(
        batch_size, steps_per_epoch, seed, initial_epoch, num_shards, shard_index
    )
    columns = _columns(positives)
    in_dictionary = isinstance(columns, dict)
    item_key = item if item is not None else ("item" if in_dictionary else 1)
    items = _ids(_named_column("items", columns, item_key), item_key, num_items)
    columns = _replaced(columns, item_key, items)
    if in_dictionary and "draw_probability" in columns:
        raise bad_value(
            "positives",
            expected='no column "draw_probability", which is added',
            received=f"columns {sorted(columns)}",
        )
    rows = Rows(columns, items)
    probabilities = _draw_probabilities(distribution, power, items, num_items)
    known = None
    if check_flag("exclude_positives", exclude_positives):
        user_key = user if user is not None else ("user" if in_dictionary else 0)
        known = Known(_named_column("users", columns, user_key), items, probabilities)
    elif user is not None:
        raise bad_value(
            "user", expected="None, as only exclude_positives=True looks at users", received=user
        )
    else:
        _check_drawable(probabilities, items)
    plan = BalancedPlan(np.zeros(rows.num_rows, np.uint8), 1, [Fraction(1)], batch_size, seed)
    draws = NegativeDraws(probabilities, items, num_negatives, known, seed, replace=replace)
    schedule = schedule.over(rows.num_rows)
    return _WithNegatives(plan, rows, schedule, draws, item_key, as_lists).dataset()


def _columns(positives: Any) -> Any:
    """Return the arrays of the positives, by name or by place."""
    names = getattr(positives, "column_names", getattr(positives, "columns", None))
    if names is not None:
        return {name: positives[name] for name in names}
    if isinstance(positives, (dict, tuple, list)):
        return positives if isinstance(positives, dict) else tuple(positives)
    if np.ndim(positives) == 2:
        return tuple(np.asarray(positives).T)
    raise bad_value(
        "positives",
        expected="(users, items), a dictionary or frame of columns, or an array of two columns",
        received=f"{type(positives).__name__} of shape {np.shape(positives)}",
    )


def _named_column(name: str, columns: Any, key: Any) -> NDArray[Any]:
    try:
        column = np.asarray(columns[key])
    except (KeyError, IndexError, TypeError, AttributeError):
        given = sorted(columns) if isinstance(columns, dict) else list(range(len(columns)))
        raise bad_value(
            "positives",
            expected=f"{name} as {key!r}",
            received=f"columns {given}",
            remedy="Say where they are: item=..., user=...",
        ) from None
    if column.ndim != 1 or column.size == 0:
        raise bad_value(
            "positives",
            expected=f"one of the {name} a row, and at least one positive",
            received=f"shape {column.shape} in {key!r}",
        )
    return column


def _ids(items: NDArray[Any], key: Any, num_items: int) -> NDArray[Any]:
    if items.dtype.kind not in "iu":
        raise bad_value(
            "positives",
            expected="integer ids of items",
            received=f"{items.dtype} in {key!r}",
            remedy="Number the items: pandas.factorize(items).",
        )
    if items.min() < 0 or items.max() >= num_items:
        raise bad_value(
            "positives",
            expected=f"items from 0 to num_items - 1 = {num_items - 1}",
            received=f"{items.max() if items.max() >= num_items else items.min()}",
        )
    # Wide enough for items that are drawn: 300 would wrap in uint8.
    fits = num_items - 1 <= np.iinfo(items.dtype).max
    return items if fits else items.astype(np.int32 if num_items <= 2**31 else np.int64)


def _replaced(columns: Any, key: Any, column: NDArray[Any]) -> Any:
    """Return the columns with another one in the place of ``key``."""
    if isinstance(columns, dict):
        return {**columns, key: column}
    places = range(len(columns))
    return tuple(column if place == places[key] else columns[place] for place in places)


def _draw_probabilities(
    distribution: Any, power: float | None, items: NDArray[Any], num_items: int
) -> NDArray[np.float64]:
    if isinstance(distribution, str) and distribution == "popularity":
        strength = _POPULARITY_POWER if power is None else power
        strength = check_number("power", strength, minimum=0.0)
        counts = np.bincount(items, minlength=num_items).astype(np.float64)
        # An item that was never chosen is never drawn, whatever the power.
        frequency = np.where(counts > 0, counts**strength, 0.0)
        return np.asarray(frequency / frequency.sum())
    if power is not None:
        raise bad_value(
            "power",
            expected='None, because only distribution="popularity" has a power',
            received=power,
        )
    if isinstance(distribution, str):
        if distribution != "uniform":
            raise bad_value(
                "distribution",
                expected='"uniform", "popularity" or one probability an item',
                received=repr(distribution),
            )
        return np.full(num_items, 1.0 / num_items)
    vector = per_class("distribution", distribution)
    if len(vector) != num_items or vector.sum() <= 0:
        raise bad_value(
            "distribution",
            expected=f"a frequency for each of num_items={num_items} items, not all 0",
            received=f"{len(vector)} of them with a sum of {vector.sum():g}",
        )
    return np.asarray(vector / vector.sum())


def _check_drawable(probabilities: NDArray[np.float64], items: NDArray[Any]) -> None:
    never = probabilities[items].astype(np.float32) == 0
    if never.any():
        raise bad_value(
            "distribution",
            expected="a probability above 0 for every item that is a positive, as log(0) would "
            "correct it",
            received=f"0 for item {items[never][0]}",
            remedy="np.maximum(frequency, 1e-9 * frequency.sum()) draws it hardly ever; "
            "exclude_positives=True ranks without a correction.",
        )


class _WithNegatives(PlannedBatches):
    """Positives in a random order, with what was drawn for them."""

    per_row = 2

    def __init__(
        self,
        plan: BalancedPlan,
        rows: Rows,
        schedule: Schedule,
        draws: NegativeDraws,
        item_key: Any,
        as_lists: bool,
    ) -> None:
        super().__init__(plan, rows, schedule)
        self._draws, self._item_key, self._as_lists = draws, item_key, as_lists

    def fetch(self, epoch: tf.Tensor, numbers: tf.Tensor) -> tuple[Any, ...]:
        size, width = numbers.shape[0] // 2, 1 + self._draws.num_negatives
        columns, positive = self._rows.fetch(numbers[:size])
        items, probability = tf.numpy_function(
            weak(self._draw), [numbers], [positive.dtype, tf.float32], stateful=False
        )
        items = tf.ensure_shape(items, [size, width])
        probability = tf.ensure_shape(probability, [size, width])
        labels = tf.tile(tf.one_hot([0], width, dtype=tf.int32), [size, 1])
        if not self._as_lists:
            # A row for each item: the other columns again for each.
            again = tf.repeat(tf.range(size), width)
            columns = tf.nest.map_structure(lambda column: taken(column, again), columns)
            items, probability, labels = (
                tf.reshape(part, [-1]) for part in (items, probability, labels)
            )
        if isinstance(columns, dict):
            columns = {**columns, self._item_key: items, "draw_probability": probability}
        else:
            listed = list(columns)
            listed[self._item_key] = items
            columns = (*listed, probability)
        blocks = tf.nest.map_structure(lambda part: in_block(part, self._block), (columns, labels))
        return tuple(blocks)

    def _draw(self, numbers: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.float32]]:
        return self._draws.draw(*np.split(numbers, 2))
