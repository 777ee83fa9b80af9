"""Focal losses at the ends of the numbers, on JAX and PyTorch: finite, no mistake forgotten."""

import itertools

import numpy as np
import pytest
from backend import DTYPES, array, compiled, tensor, value_and_gradient
from keras import ops

import tfimbalance as tfi

pytestmark = [
    pytest.mark.any_backend(jax_every=4),
    pytest.mark.only_on("jax", "torch", why="losses/test_focal.py does on TensorFlow, to the ulp"),
]
GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)
SIZES = [1.0, 10.0, 17.0, 20.0, 50.0, 88.0, 1e4]
LOGITS = np.array([0.0, *SIZES, *(-size for size in SIZES)])
KINDS = ("binary", "softmax")
CASES = [*itertools.product(KINDS, DTYPES, (True, False))]


def rows(kind):
    """Each logit with a target of 0 and of 1: targets, and predictions as logits."""
    z, y = np.tile(LOGITS, 2), np.repeat([0, 1], len(LOGITS))
    if kind == "binary":
        return y[:, None].astype("float32"), z[:, None]
    return y, np.stack([-z / 2, z / 2], axis=1)


def test_the_grid_is_large():
    assert len(GAMMAS) * 2 * len(LOGITS) * 2 * len(CASES) >= 3_600  # Eagerly and compiled.


@pytest.mark.parametrize(("kind", "dtype", "from_logits"), CASES)
def test_values_and_gradients_are_finite_and_mistakes_keep_theirs(kind, dtype, from_logits):
    make = tfi.losses.BinaryFocalLoss if kind == "binary" else tfi.losses.SparseCategoricalFocalLoss
    losses = [make(gamma, from_logits=from_logits, dtype=dtype, reduction=None) for gamma in GAMMAS]
    y, z = rows(kind)
    given = tensor(z, dtype)
    if not from_logits:  # In this dtype, so that some are 0 and 1 exactly.
        given = ops.cast(given, "float32" if "16" in dtype else dtype)
        given = ops.cast(ops.sigmoid(given) if kind == "binary" else ops.softmax(given), dtype)
        given = tensor(array(given), dtype)  # Without the logits that Keras leaves on it.
        ends = array(given)
        assert (ends == 0.0).any()
        assert (ends == 1.0).any()
    of_target = array(given)[:, 0] if kind == "binary" else array(given)[np.arange(len(y)), y]
    lead = np.where(y.ravel() == 1, 1.0, -1.0) * np.tile(LOGITS, 2)
    mistaken = lead < -5.0

    def compute(y, given):
        return [value_and_gradient(loss, y, given) for loss in losses]

    for way in (compute, compiled(compute)):
        for gamma, (value, slope) in zip(GAMMAS, way(tensor(y), given), strict=True):
            value, slope = array(value), array(slope)
            assert value.shape == of_target.shape
            assert np.isfinite(value).all(), gamma
            assert np.isfinite(slope).all(), gamma
            of_rows = slope[:, 0] if kind == "binary" else slope[np.arange(len(y)), y]
            toward = of_rows if kind == "softmax" else of_rows * np.where(y[:, 0] == 1, 1, -1)
            assert (toward[mistaken] < 0.0).all(), gamma
            assert (value[mistaken] > 1.0).all(), gamma
