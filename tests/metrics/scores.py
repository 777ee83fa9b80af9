"""Scores of two Gaussians, whose logits are known and calibrated. Imports nothing of ours."""

import numpy as np

RATES = [0.5, 0.01, 0.001]


def two_gaussians(rows, rate, distance=2.0, seed=0):
    """Labels, and the logits of their true probabilities: ``x | y ~ N(distance * y, 1)``."""
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < rate).astype("int64")
    y[:2] = 0, 1
    x = rng.normal(size=rows) + distance * y
    z = np.log(rate) - np.log1p(-rate) + distance * x - distance**2 / 2
    return y, z.astype("float32")


def classes(rows, num_classes, seed=0):
    """Class ids of a long tail, and logits that know something of them."""
    rng = np.random.default_rng(seed)
    share = 0.5 ** np.arange(num_classes)
    ids = rng.choice(num_classes, rows, p=share / share.sum())
    ids[:num_classes] = np.arange(num_classes)
    z = rng.normal(size=(rows, num_classes)) + 1.5 * np.eye(num_classes)[ids]
    return ids, z.astype("float32")


def sigmoid(z):
    return 1 / (1 + np.exp(-z.astype("float64")))


def softmax(z):
    e = np.exp(z.astype("float64") - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def ragged(metric, *arrays, sizes=(1, 4_000, 3, 9_000), **keywords):
    """Update a metric with batches of several sizes, over and over."""
    start, turn = 0, 0
    while start < len(arrays[0]):
        stop = start + sizes[turn % len(sizes)]
        batch = {key: value[start:stop] for key, value in keywords.items()}
        metric.update_state(*(array[start:stop] for array in arrays), **batch)
        start, turn = stop, turn + 1
    return metric
