"""What could rank better than plain training at the full budget, a function each.

All start from the initial bias; so their controls are `initial_bias`, alone and in the mean of 2.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from ways import Task, Way, annealed_10, initial_bias

import tfimbalance as tfi
from tfimbalance.layers import BatchEnsembleDense


def _trunk(x: Any, widths: list[int], dropout: float) -> Any:
    for hidden in widths:
        x = keras.layers.Dense(hidden, "relu")(x)
        x = keras.layers.Dropout(dropout)(x) if dropout else x
    return x


def _of_members(plan: tfi.Rebalance, members: int, of_trunk: bool) -> Any:
    """Return a network of members (all layers), or of heads (the last layer) on one trunk."""

    def network(width: int, widths: list[int], dropout: float, units: int) -> keras.Model:
        features = keras.Input((width,))
        if of_trunk:
            x = features
            for hidden in widths:
                x = BatchEnsembleDense(hidden, members=members, activation="relu")(x)
                x = keras.layers.Dropout(dropout)(x) if dropout else x
        else:
            x = _trunk(features, widths, dropout)
        start = plan.initializer()
        last = BatchEnsembleDense(units, members=members, bias_initializer=start)
        return keras.Model(features, last(x))

    return network


def _batch_ensemble(task: Task, members: int) -> Way:
    plan = tfi.Rebalance(task.statistics)
    data = task.natural().map(lambda x, y: (x, tf.repeat(y[:, None, None], members, 1)))
    return Way(data, plan=plan, network=_of_members(plan, members, True))


def batch_ensemble_4(task: Task) -> Way:
    return _batch_ensemble(task, 4)


def batch_ensemble_16(task: Task) -> Way:
    return _batch_ensemble(task, 16)


def heads_of_own_draws(task: Task) -> Way:
    """Return 4 heads on one trunk, each with balanced draws of its own (Liu et al. 2009)."""
    share, each = max(0.1, float(task.statistics.priors[1])), task.batch_size // 4
    plan = tfi.Rebalance(task.statistics, class_shares={1: share})
    draws = tuple(
        plan.dataset(task.x, task.y, each, steps_per_epoch=task.steps, seed=10 * task.seed + head)
        for head in range(4)
    )

    def stacked(*parts: Any) -> Any:
        y = tf.cast(tf.concat([y for _, y in parts], 0), "float32")
        own = 4.0 * tf.repeat(tf.eye(4), each, 0)
        return tf.concat([x for x, _ in parts], 0), tf.repeat(y[:, None, None], 4, 1), own

    network = _of_members(plan, 4, False)
    return Way(tf.data.Dataset.zip(draws).map(stacked), plan=plan, network=network)


def average_of_weights(task: Task) -> Way:
    way = initial_bias(task)
    return Way(way.data, plan=way.plan, with_bias=True, average_weights=True)


def early_mixup(task: Task) -> Way:
    way = annealed_10(task)
    mixed = tfi.data.smote_mixup(way.data.take(task.steps // 3), seed=task.seed)
    data = mixed.concatenate(way.data.skip(task.steps // 3))
    return Way(data, plan=way.plan, with_bias=True, with_offset=True)


def smoothed_labels(task: Task) -> Way:
    plan = tfi.Rebalance(task.statistics)
    smooth = 0.05 * float(task.statistics.priors[1])
    data = task.natural().map(lambda x, y: (x, 0.95 * y + smooth))
    return Way(data, plan=plan, with_bias=True)


def piecewise_linear(task: Task) -> Way:
    """Return quantities as lengths of 8 quantile bins (Gorishniy et al. 2022)."""
    many, plan = task.num_quantities, tfi.Rebalance(task.statistics)
    edges = np.quantile(task.x[:, :many], np.linspace(0, 1, 9), axis=0).T.astype("float32")
    low, span = edges[:, :-1], np.maximum(np.diff(edges), 1e-6)

    def network(width: int, widths: list[int], dropout: float, units: int) -> keras.Model:
        features = keras.Input((width,))
        bins = ops.clip((features[:, :many, None] - low) / span, 0.0, 1.0)
        x = ops.concatenate([ops.reshape(bins, (-1, 8 * many)), features[:, many:]], 1)
        x = _trunk(x, widths, dropout)
        return keras.Model(features, keras.layers.Dense(units)(x))

    return Way(task.natural(), plan=plan, with_bias=True, network=network) if many else None


BEYOND = {
    way.__name__: way
    for way in (
        batch_ensemble_4,
        batch_ensemble_16,
        heads_of_own_draws,
        average_of_weights,
        early_mixup,
        smoothed_labels,
        piecewise_linear,
    )
}
