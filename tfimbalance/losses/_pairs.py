"""Sums over all pairs of a positive and a negative, in memory of the order of the rows.

For every row i: ``sum_j negative[j] * phi(s_i - s_j)``, and its gradient. Scores and weights are
``(labels, rows)``; a weight of 0 says that a row is not of that side. Gradients are written out: an
automatic one would run back through the sort and the sums, and lose all digits in differences.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from tfimbalance.losses._kernels import only

Tensor = Any

# Pairs of the logistic surrogate that are held at once.
_PAIRS_AT_ONCE = 2**18


def squared_hinge_sums(scores: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Sum ``max(0, margin - (s_i - s_j))**2``: one sort, then running sums."""
    counted = positive + negative

    @ops.custom_gradient
    def kernel(scores: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        # A level that all scores share would only cost the margin its digits.
        level = ops.sum(counted * scores, axis=-1, keepdims=True)
        total = ops.sum(counted, axis=-1, keepdims=True)
        scores = scores - ops.divide_no_nan(level, total)
        # A pair counts the distance from the point of i up to the point of j, if that is above.
        points = ops.concatenate([scores - margin, scores], axis=-1)
        order, back = _sorting(points)
        points = ops.take(points, order)
        nothing = ops.zeros_like(scores)

        def summed(weights: list[Tensor], *, below: bool, power: int) -> tuple[Tensor, Tensor]:
            ordered = ops.take(ops.concatenate(weights, axis=-1), order)
            if below:
                sums = _sums_over_earlier(points, ordered, power)
            else:
                sums = _sums_over_earlier(ops.flip(points, -1), ops.flip(ordered, -1), power)
                sums = ops.flip(sums, -1)
            first, second = ops.split(ops.take(sums, back), 2, axis=-1)
            return first, second

        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Tensor:
            upstream = only(args, upstream)
            above, _ = summed([nothing, negative], below=False, power=1)
            _, below = summed([upstream, nothing], below=True, power=1)
            return 2.0 * (negative * below - upstream * above)

        return summed([nothing, negative], below=False, power=2)[0], gradient

    result: Tensor = kernel(scores)
    return result


def _sorting(points: Tensor) -> tuple[Tensor, Tensor]:
    """Return what sorts each row and what undoes that, as places in the flat tensor for `take`."""
    order = ops.argsort(points, axis=-1)
    shape, size = ops.shape(order), ops.shape(order)[-1]
    starts = ops.arange(shape[0], dtype=order.dtype)[:, None] * size
    order = order + starts
    # Scattering the places is cheaper than sorting the order.
    places = ops.reshape(starts + ops.arange(size, dtype=order.dtype)[None], (-1,))
    back = ops.scatter_update(places, ops.reshape(order, (-1, 1)), places)
    return order, ops.reshape(back, shape)


def _sums_over_earlier(points: Tensor, weights: Tensor, power: int) -> Tensor:
    """``sum_l weights[l] * |points[k] - points[l]|**power`` over ``l < k``, for sorted points.

    Running sums of gaps: every term has the sign of the weights, and nothing cancels. From k - 1
    to k each distance grows by the gap: its first power by ``gap``, its square by
    ``gap * (d[k - 1] + d[k])``.
    """
    gaps = ops.abs(points - _later(points, points[..., :1]))
    zero = ops.zeros_like(points[..., :1])
    first = ops.cumsum(gaps * _later(ops.cumsum(weights, axis=-1), zero), axis=-1)
    if power == 1:
        return first
    return ops.cumsum(gaps * (_later(first, zero) + first), axis=-1)


def _later(x: Tensor, start: Tensor) -> Tensor:
    return ops.concatenate([start, x[..., :-1]], axis=-1)


def logistic_sums(scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Sum ``log(1 + exp(-(s_i - s_j)))``: a block of positives at a time, against all rows."""

    @ops.custom_gradient
    def kernel(scores: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Tensor:
            upstream = only(args, upstream)
            inputs = (scores, positive, negative, upstream)
            return ops.map(lambda label: _logistic_slopes(*label), inputs)

        values = ops.map(lambda label: _logistic_values(*label), (scores, positive, negative))
        return values, gradient

    result: Tensor = kernel(scores)
    return result


def _logistic_values(scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    def add(rows: Tensor, counted: Tensor, sums: Tensor) -> tuple[Tensor]:
        values = ops.softplus(scores - ops.take(scores, rows)[:, None])
        found = ops.matmul(values, negative[:, None])[:, 0]
        return (ops.scatter_update(sums, rows[:, None], found),)

    return _over_blocks(positive, add, (ops.zeros_like(scores),))[0]


def _logistic_slopes(
    scores: Tensor, positive: Tensor, negative: Tensor, upstream: Tensor
) -> Tensor:
    def add(
        rows: Tensor, counted: Tensor, of_positives: Tensor, of_negatives: Tensor
    ) -> tuple[Tensor, Tensor]:
        slopes = ops.sigmoid(scores - ops.take(scores, rows)[:, None])
        found = ops.matmul(slopes, negative[:, None])[:, 0]
        weights = ops.take(upstream, rows) * counted
        return (
            ops.scatter_update(of_positives, rows[:, None], found),
            of_negatives + ops.matmul(weights[None], slopes)[0],
        )

    start = (ops.zeros_like(scores), ops.zeros_like(scores))
    of_positives, of_negatives = _over_blocks(positive, add, start)
    return negative * of_negatives - upstream * of_positives


def _over_blocks(
    positive: Tensor, add: Callable[..., tuple[Tensor, ...]], start: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Call ``add(rows, counted, *state)`` for blocks of rows until all positives have had a turn.

    The last block may end in a row that was there before, with ``counted`` 0.
    """
    size = ops.shape(positive)[0]
    if isinstance(size, int):
        if size == 0:
            return start
        block = max(1, min(_PAIRS_AT_ONCE // size, size))
    else:
        some = ops.maximum(size, 1)
        block = ops.clip(_PAIRS_AT_ONCE // some, 1, some)
    is_positive = ops.cast(ops.greater(positive, 0.0), "int32")
    positives_first = ops.cast(ops.argsort(1 - is_positive), "int32")
    number = ops.sum(is_positive)
    places = ops.arange(block, dtype="int32")

    def body(done: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        place = done + places
        rows = ops.take(positives_first, ops.minimum(place, size - 1))
        counted = ops.cast(place < size, positive.dtype)
        return (done + block, *add(rows, counted, *state))

    def condition(done: Tensor, *state: Tensor) -> Tensor:
        return done < number

    zero = ops.zeros((), dtype="int32")
    found: tuple[Tensor, ...] = ops.while_loop(condition, body, (zero, *start))
    return found[1:]
