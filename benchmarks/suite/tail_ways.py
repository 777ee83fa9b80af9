"""The ways to train on long tails that are compared, a function each."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np
from imblearn.over_sampling import RandomOverSampler
from training import dense
from ways import Task, Way

import tfimbalance as tfi


def plain(task: Task) -> Way:
    return Way(task.natural())


def initial_bias(task: Task) -> Way:
    return _plan(task)


def balanced(task: Task) -> Way:
    return _plan(task, class_shares="balanced")


def balanced_offset(task: Task) -> Way:
    return _plan(task, class_shares="balanced", offset=True)


def annealed(task: Task) -> Way:
    """Return balanced batches for a third of the steps, natural ones from there; with offsets."""
    first, then = (_plan(task, class_shares=s, offset=True) for s in ("balanced", "natural"))
    return replace(then, data=first.data.take(task.steps // 3).concatenate(then.data))


def decoupled(task: Task) -> Way:
    """Return natural batches, then balanced ones for the head alone (cRT: Kang et al., 2020)."""
    first, then = (_plan(task, class_shares=s) for s in ("natural", "balanced"))
    steps = task.steps * 2 // 3
    data, network = first.data.take(steps).concatenate(then.data), partial(_frozen, after=steps)
    return replace(then, data=data, network=network)


def _frozen(width: int, widths: list[int], dropout: float, units: int, after: int) -> keras.Model:
    layers = dense(width, widths, dropout, units).layers
    return keras.Sequential([keras.Input((width,)), *layers[:-1], Freeze(after), layers[-1]])


class Freeze(keras.layers.Layer):
    """Passes no gradient on, after so many steps."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after
        self.steps = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any, training: bool = False) -> Any:
        """Return the inputs."""
        if training:
            self.steps.assign_add(1.0)
        free = keras.ops.cast(self.steps <= self.after, x.dtype)
        return free * x + (1 - free) * keras.ops.stop_gradient(x)


def square_root(task: Task) -> Way:
    roots = np.sqrt(task.statistics.priors)
    return _plan(task, class_shares=(roots / roots.sum()).tolist())


def _plan(task: Task, **kwargs: Any) -> Way:
    plan = tfi.Rebalance(task.statistics, activation="softmax", **kwargs)
    data = task.natural()
    if plan.class_shares is not None:
        shape = {"steps_per_epoch": task.steps, "seed": task.seed}
        data = plan.dataset(task.x, task.y, task.batch_size, **shape)
    return Way(data, plan.loss(from_logits=True), plan, True, plan.offset)


def logit_adjusted(task: Task) -> Way:
    return _plan(task, tau=1.0)


def balanced_weights(task: Task) -> Way:
    return _plan(task, class_weight="balanced")


def focal(task: Task) -> Way:
    return _plan(task, focal_gamma=2.0)


def vector_scaling_05(task: Task) -> Way:
    return Way(
        task.natural(), tfi.losses.VectorScalingLoss(task.statistics, gamma=0.05, from_logits=True)
    )


def vector_scaling_15(task: Task) -> Way:
    return Way(
        task.natural(), tfi.losses.VectorScalingLoss(task.statistics, gamma=0.15, from_logits=True)
    )


def vector_scaling_30(task: Task) -> Way:
    return Way(
        task.natural(), tfi.losses.VectorScalingLoss(task.statistics, gamma=0.3, from_logits=True)
    )


def keras_class_weight(task: Task) -> Way:
    return Way(task.natural(), class_weight=tfi.class_weights(task.statistics))


def over_sampling(task: Task) -> Way:
    sampler = RandomOverSampler(random_state=task.seed)
    return Way(task.natural(*sampler.fit_resample(task.x, task.y)))


ALL = (
    plain,
    initial_bias,
    balanced,
    balanced_offset,
    annealed,
    decoupled,
    square_root,
    logit_adjusted,
    balanced_weights,
    focal,
    vector_scaling_05,
    vector_scaling_15,
    vector_scaling_30,
    keras_class_weight,
    over_sampling,
)
TAIL_WAYS = {way.__name__: way for way in ALL}
