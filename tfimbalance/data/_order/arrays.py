"""The few array operations of the plan, in NumPy and in a TensorFlow graph.

What is written in them gives the same integers on both: NumPy is several times faster here, and a
graph travels to a worker in another process. Words are 64 bits, unsigned; counts are signed.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

# Odd multipliers with well-spread bits.
_ROUND_KEY, _ROUND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)


class NumPyOps:
    """In NumPy.

    ``put(index, values)`` moves ``values[i]`` to place ``index[i]`` of a permutation;
    ``running_sum`` adds up the lines above each line; ``half_round(x, other, size, key)`` adds a
    word made of ``other`` and ``key`` to ``x``, around a circle of ``size``; ``until_inside(step,
    x, size, *others)`` applies ``step(x, *others)`` again wherever ``x`` is not below ``size``.
    """

    arange: Any = staticmethod(lambda size: np.arange(size, dtype=np.int64))
    signed: Any = staticmethod(lambda x: x.astype(np.int64))
    unsigned: Any = staticmethod(lambda x: x.astype(np.uint64))
    shift: Any = staticmethod(lambda x, bits: x >> np.uint64(bits))
    where: Any = staticmethod(np.where)
    reshape: Any = staticmethod(np.reshape)
    broadcast: Any = staticmethod(np.broadcast_to)
    concat: Any = staticmethod(lambda parts: np.concatenate(parts, axis=1))
    take: Any = staticmethod(lambda x, index: x[index])
    columns: Any = staticmethod(lambda x, index: x[:, index])
    argsort: Any = staticmethod(lambda x: np.argsort(x, kind="stable"))
    searchsorted: Any = staticmethod(lambda ends, x, side: np.searchsorted(ends, x, side=side))
    running_sum: Any = staticmethod(lambda x: np.cumsum(x, axis=0) - x)

    @staticmethod
    def array(values: Any, unsigned: bool = False) -> Any:
        return np.asarray(values, np.uint64 if unsigned else np.int64)

    @staticmethod
    def put(index: Any, values: Any) -> Any:
        moved = np.empty_like(values)
        moved[index] = values
        return moved

    @staticmethod
    def half_round(x: Any, other: Any, size: Any, key: Any) -> Any:
        # In place: allocating each step would take twice as long.
        word = other + key
        word *= _ROUND_KEY
        spare = word >> _HALF
        word ^= spare
        word *= _ROUND
        word >>= _HALF
        word *= size  # The upper half of the word as a fraction of the circle.
        word >>= _HALF
        word += x
        np.subtract(word, size, out=spare)
        return np.minimum(word, spare, out=word)  # What went below 0 has become enormous.

    @staticmethod
    def until_inside(step: Any, x: Any, size: Any, *others: Any) -> Any:
        x, size, *each = np.broadcast_arrays(x, size, *others)
        at = np.flatnonzero(x >= size)
        if not at.size:
            return x
        x = x.copy()
        while at.size:
            x[at] = step(x[at], *(other[at] for other in each))
            at = at[x[at] >= size[at]]
        return x


class GraphOps:
    """In a TensorFlow graph; see `NumPyOps`."""

    arange: Any = staticmethod(lambda size: tf.range(size, dtype=tf.int64))
    signed: Any = staticmethod(lambda x: tf.cast(x, tf.int64))
    unsigned: Any = staticmethod(lambda x: tf.cast(x, tf.uint64))
    shift: Any = staticmethod(lambda x, bits: tf.bitwise.right_shift(x, np.uint64(bits)))
    where: Any = staticmethod(tf.where)
    reshape: Any = staticmethod(tf.reshape)
    broadcast: Any = staticmethod(tf.broadcast_to)
    concat: Any = staticmethod(lambda parts: tf.concat(parts, axis=1))
    take: Any = staticmethod(tf.gather)
    columns: Any = staticmethod(lambda x, index: tf.gather(x, index, axis=1))
    argsort: Any = staticmethod(lambda x: tf.argsort(x, stable=True))
    running_sum: Any = staticmethod(lambda x: tf.cumsum(x, axis=0, exclusive=True))

    @staticmethod
    def array(values: Any, unsigned: bool = False) -> Any:
        return tf.convert_to_tensor(values, tf.uint64 if unsigned else tf.int64)

    @staticmethod
    def searchsorted(ends: Any, x: Any, side: str) -> Any:
        flat = tf.searchsorted(ends, tf.reshape(x, [-1]), side=side, out_type=tf.int64)
        return tf.reshape(flat, tf.shape(x))

    @staticmethod
    def put(index: Any, values: Any) -> Any:
        return tf.scatter_nd(index[:, None], values, tf.shape(values, out_type=index.dtype))

    @staticmethod
    def half_round(x: Any, other: Any, size: Any, key: Any) -> Any:
        word = (other + key) * _ROUND_KEY
        word = (word ^ GraphOps.shift(word, 32)) * _ROUND
        x += GraphOps.shift(GraphOps.shift(word, 32) * size, 32)
        return tf.where(x >= size, x - size, x)

    @staticmethod
    def until_inside(step: Any, x: Any, size: Any, *others: Any) -> Any:
        def again(x: Any) -> Any:
            return [tf.where(x >= size, step(x, *others), x)]

        return tf.while_loop(lambda x: tf.reduce_any(x >= size), again, [x])[0]


Ops: TypeAlias = type[NumPyOps] | type[GraphOps]
