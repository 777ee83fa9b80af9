"""The ways to train on rare events that are compared, a function each."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from imblearn.keras import BalancedBatchGenerator
from imblearn.over_sampling import SMOTE, SMOTENC, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler

import tfimbalance as tfi


@dataclass(frozen=True)
class Task:
    """Rows to train on, and the budget."""

    x: np.ndarray
    y: np.ndarray
    num_quantities: int
    steps: int
    batch_size: int
    seed: int

    @property
    def statistics(self) -> tfi.ClassStatistics:
        """Rows of each class."""
        return tfi.class_statistics(self.y)

    def natural(self, x: Any = None, y: Any = None) -> tf.data.Dataset:
        """Return batches as they come, of these or other rows, shuffled anew in each pass."""
        rows = (self.x, self.y) if x is None else (x, y)
        tensors = tf.constant(rows[0]), tf.constant(rows[1], "float32")
        numbers = tf.data.Dataset.range(len(rows[1])).shuffle(len(rows[1]), self.seed)
        batches = numbers.repeat().batch(self.batch_size)
        return batches.map(lambda i: tuple(tf.gather(part, i) for part in tensors))


@dataclass(frozen=True)
class Way:
    """What to train, and what is served."""

    data: Any
    loss: Any = "plain"
    # Corrects what is served, sets the bias, and chooses by the corrected log loss; without one the
    # epoch is chosen by `val_loss`, as tools do that know of no correction.
    plan: tfi.Rebalance | None = None
    with_bias: bool = False
    with_offset: bool = False
    class_weight: dict[int, float] | None = None
    members: int = 1  # The mean probability of more than one network is a way of its own.
    # A network of its own, made of widths, dropout and classes; several outputs are averaged.
    network: Any = None
    average_weights: bool = False  # Predict with the moving average of the weights.


def plain(task: Task) -> Way:
    return Way(task.natural(), members=2)


def initial_bias(task: Task) -> Way:
    return Way(task.natural(), plan=tfi.Rebalance(task.statistics), with_bias=True, members=2)


def _shares(task: Task, share: float, **kwargs: Any) -> Way:
    share = max(share, float(task.statistics.priors[1]))
    plan = tfi.Rebalance(task.statistics, class_shares={1: share}, **kwargs)
    data = plan.dataset(task.x, task.y, task.batch_size, steps_per_epoch=task.steps, seed=task.seed)
    return Way(data, plan.loss(from_logits=True), plan, True, plan.offset)


def balanced_10(task: Task) -> Way:
    return _shares(task, 0.1)


def balanced_25(task: Task) -> Way:
    return _shares(task, 0.25)


def balanced_25_offset(task: Task) -> Way:
    return _shares(task, 0.25, offset=True)


def annealed_10(task: Task) -> Way:
    """Return shares that fall from 10% to the natural one over a third of the steps."""
    prior, third, stages = float(task.statistics.priors[1]), task.steps // 3, 4
    shares = [*np.linspace(max(0.1, prior), prior, stages, endpoint=False), prior]
    steps = [third // stages] * stages + [task.steps - third // stages * stages]
    parts = [
        tfi.data.balanced_batches(
            task.x,
            task.y,
            batch_size=task.batch_size,
            class_shares={1: share},
            steps_per_epoch=many,
            offset=True,
            seed=10 * task.seed + stage,
        )
        for stage, (share, many) in enumerate(zip(shares, steps, strict=True))
    ]
    data = functools.reduce(tf.data.Dataset.concatenate, parts)
    return Way(data, plan=tfi.Rebalance(task.statistics), with_bias=True, with_offset=True)


def undersampling_offset(task: Task) -> Way:
    prior = float(task.statistics.priors[1])
    data = tfi.data.weighted_undersampling(
        task.x,
        task.y,
        keep_weight=min(1.0, 3 * prior / (1 - prior)),
        batch_size=task.batch_size,
        steps_per_epoch=task.steps,
        seed=task.seed,
    )
    return Way(data, plan=tfi.Rebalance(task.statistics), with_bias=True, with_offset=True)


def _loss(task: Task, **kwargs: Any) -> Way:
    plan = tfi.Rebalance(task.statistics, **kwargs)
    return Way(task.natural(), plan.loss(from_logits=True), plan, True)


def logit_adjusted(task: Task) -> Way:
    return _loss(task, tau=1.0)


def balanced_weights(task: Task) -> Way:
    return _loss(task, class_weight="balanced")


def focal(task: Task) -> Way:
    return _loss(task, focal_gamma=2.0)


def keras_class_weight(task: Task) -> Way:
    return Way(task.natural(), class_weight=tfi.class_weights(task.statistics))


def keras_focal(task: Task) -> Way:
    loss = keras.losses.BinaryFocalCrossentropy(True, alpha=0.25, gamma=2.0, from_logits=True)
    return Way(task.natural(), loss)


def over_sampling(task: Task) -> Way:
    sampler = RandomOverSampler(random_state=task.seed)
    return Way(task.natural(*sampler.fit_resample(task.x, task.y)))


def under_sampling(task: Task) -> Way:
    sampler = RandomUnderSampler(random_state=task.seed)
    return Way(task.natural(*sampler.fit_resample(task.x, task.y)))


def smote(task: Task) -> Way | None:
    neighbors, width = min(5, int(task.y.sum()) - 1), task.x.shape[1]
    flags = list(range(task.num_quantities, width))
    if not task.num_quantities:
        return None  # There is nothing to interpolate.
    kwargs = {"k_neighbors": neighbors, "random_state": task.seed}
    sampler = SMOTENC(flags, **kwargs) if flags else SMOTE(**kwargs)
    return Way(task.natural(*sampler.fit_resample(task.x, task.y)))


def balanced_batch_generator(task: Task) -> Way:
    size = min(task.batch_size, 2 * int(task.y.sum()))
    batches = BalancedBatchGenerator(task.x, task.y, batch_size=size, random_state=task.seed)
    spec = (tf.TensorSpec((None, task.x.shape[1])), tf.TensorSpec((None,)))
    endless = (batches[i % len(batches)] for i in range(task.steps))
    return Way(tf.data.Dataset.from_generator(lambda: endless, output_signature=spec))


OURS = (
    initial_bias,
    balanced_10,
    balanced_25,
    balanced_25_offset,
    annealed_10,
    undersampling_offset,
    logit_adjusted,
    balanced_weights,
    focal,
)
PEERS = (
    keras_class_weight,
    keras_focal,
    over_sampling,
    under_sampling,
    smote,
    balanced_batch_generator,
)
WAYS = {way.__name__: way for way in (plain, *OURS, *PEERS)}
