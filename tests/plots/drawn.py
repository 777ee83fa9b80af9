"""What tests of pictures draw, and how they read what was drawn."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfimbalance import plots

CURVES = [
    plots.precision_recall,
    plots.reliability,
    plots.cumulative_gain,
    plots.lift,
    plots.threshold_curves,
]
each = pytest.mark.parametrize("draw", CURVES, ids=lambda draw: draw.__name__)


def gaussians(rate, rows=3000, seed=0):
    """Two Gaussians and their Bayes logit (FORMULAS 5.1)."""
    rng = np.random.default_rng(seed)
    y = rng.random(rows) < rate
    x = rng.normal(size=(rows, 2)) + np.where(y, 1, -1)[:, None]
    return y.astype(int), 2 * x.sum(axis=1) + np.log(rate / (1 - rate)), x.astype("float32")


def sigmoid(z):
    return 1 / (1 + np.exp(-np.asarray(z, np.float64)))


def models(ax):
    """Curves of models, without the lines that they are compared with."""
    return [line for line in ax.get_lines() if line.get_gid() == "tfimbalance:curve"]


def references(ax, name):
    return [line for line in ax.get_lines() if line.get_gid() == f"tfimbalance:{name}"]


def xy(line):
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def widths(ax):
    return np.array([bar.get_width() for bar in ax.patches])


def dense(units, activation=None, inputs=2, **options):
    model = keras.Sequential(
        [keras.Input((inputs,)), keras.layers.Dense(units, activation=activation, **options)]
    )
    model.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in model.get_weights()])
    return model


class Shown(keras.Model):
    def call(self, x):
        return keras.ops.sum(x, axis=-1, keepdims=True)


def endless():
    return tf.data.Dataset.from_tensors((np.zeros((4, 2)), np.array([0, 1, 0, 1]))).repeat()


def titles(figure):
    return [ax.get_title() or ax.get_title(loc="left") for ax in figure.axes]
