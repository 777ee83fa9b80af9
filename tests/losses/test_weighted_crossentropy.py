import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf

import tfimbalance as tfi

LOGITS = [0.0, 1.0, -1.0, 10.0, -10.0, 50.0, -50.0, 88.0, 1e4, -1e4]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_value_and_gradient_to_the_last_places(dtype):
    eps = np.finfo(dtype).eps
    tiny = 14 * np.finfo(dtype).smallest_normal / eps  # Below it, before weighing, is 0.
    loss = tfi.losses.WeightedBinaryCrossentropy(
        pos_weight=7.0, class_weight={0: 0.3, 1: 2.0}, from_logits=True, dtype=dtype, reduction=None
    )
    z = tf.constant(LOGITS, dtype)[:, None]
    for label in (0.0, 1.0):
        with tf.GradientTape() as tape:
            tape.watch(z)
            values = loss(tf.fill(z.shape, label), z)
        slopes = tape.gradient(values, z).numpy()[:, 0]
        negative = np.dtype(dtype).type(0.3)
        for zi, value, slope in zip(LOGITS, values.numpy(), slopes, strict=True):
            right, right_slope = oracles.weighted_bce(label, zi, negative, 14.0)
            assert oracles.ulps(value, right, eps, tiny) <= 6
            assert oracles.ulps(slope, right_slope, eps, tiny) <= 6


def test_equals_tensorflows_own():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(50, 3)) * 4, rng.random((50, 3))
    found = tfi.losses.weighted_binary_crossentropy(y, z, pos_weight=5.0, from_logits=True)
    wanted = tf.nn.weighted_cross_entropy_with_logits(y, z, 5.0).numpy().mean(axis=-1)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_one_weight_a_label():
    rng = np.random.default_rng(0)
    p, y = rng.random((20, 3)), rng.integers(0, 2, (20, 3)).astype(float)
    weights = np.array([1.0, 5.0, 9.0])
    right = -(weights * y * np.log(p) + (1 - y) * np.log1p(-p)).mean(axis=-1)
    for arguments in ({"pos_weight": weights.tolist()}, {"class_weight": weights}):
        loss = tfi.losses.WeightedBinaryCrossentropy(**arguments, dtype="float64", reduction=None)
        np.testing.assert_allclose(loss(y, p), right, rtol=1e-7)
    with pytest.raises(ValueError, match="3 numbers"):
        tfi.losses.WeightedBinaryCrossentropy([1.0, 5.0, 9.0])(y[:, :2], p[:, :2])


def test_without_weights_it_is_keras():
    rng = np.random.default_rng(0)
    p, y = rng.random((20, 1)), rng.integers(0, 2, (20, 1))
    ours = tfi.losses.WeightedBinaryCrossentropy(label_smoothing=0.1)
    theirs = keras.losses.BinaryCrossentropy(label_smoothing=0.1)
    assert float(ours(y, p)) == pytest.approx(float(theirs(y, p)), rel=1e-5)


def test_the_minimum_is_where_the_algebra_says():
    """Weight w multiplies the odds: the loss of a rate eta is least at logit(eta) + log(w)."""
    eta, w = 0.03, 20.0
    z = tf.Variable([[0.0]], dtype="float64")
    best = np.log(eta / (1 - eta)) + np.log(w)
    z.assign([[best]])
    with tf.GradientTape() as tape:
        value = tfi.losses.weighted_binary_crossentropy(
            tf.constant([[eta]], "float64"), z, pos_weight=w, from_logits=True
        )
    assert abs(float(tape.gradient(value, z)[0, 0])) < 1e-12


@pytest.mark.parametrize("pos_weight", [-1.0, float("inf"), [1.0, -2.0], "3"])
def test_bad_weights_are_refused(pos_weight):
    with pytest.raises(ValueError, match=r"`pos_weight`: expected"):
        tfi.losses.WeightedBinaryCrossentropy(pos_weight)
