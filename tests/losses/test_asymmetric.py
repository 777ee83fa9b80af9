import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from scipy.special import expit

import tfimbalance as tfi

RNG = np.random.default_rng(0)
P, Y = RNG.random((40, 5)), RNG.integers(0, 2, (40, 5)).astype(float)
Z = np.log(P / (1 - P))
EXACT = {"from_logits": True, "dtype": "float64", "reduction": None}


def test_labels_have_a_weight_each_of_their_positives():
    y, z = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.3, -1.0], [2.0, 0.1]])
    weights = np.array([3.0, 5.0])
    weighted = tfi.losses.AsymmetricLoss(pos_weight=weights.tolist(), **EXACT)
    plain = np.asarray(tfi.losses.AsymmetricLoss(**EXACT)(y.reshape(4, 1), z.reshape(4, 1)))
    wanted = (plain.reshape(2, 2) * np.where(y == 1, weights, 1.0)).mean(axis=1)
    np.testing.assert_allclose(weighted(y, z), wanted, rtol=1e-9)


@pytest.mark.parametrize("gamma_neg", [0.0, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("gamma_pos", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("margin", [0.0, 0.05, 0.2])
def test_is_the_papers_formula(gamma_neg, gamma_pos, margin):
    loss = tfi.losses.AsymmetricLoss(gamma_neg, gamma_pos=gamma_pos, margin=margin, **EXACT)
    right = oracles.asymmetric(Y, P, gamma_neg, gamma_pos, margin)
    np.testing.assert_allclose(loss(Y, Z), right.mean(axis=-1), rtol=1e-10)
    soft = RNG.random(Y.shape)
    right = oracles.asymmetric(soft, P, gamma_neg, gamma_pos, margin)
    np.testing.assert_allclose(loss(soft, Z), right.mean(axis=-1), rtol=1e-10)


def test_defaults_are_the_published_ones():
    config = tfi.losses.AsymmetricLoss().get_config()
    assert (config["gamma_neg"], config["gamma_pos"], config["margin"]) == (4.0, 1.0, 0.05)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_symmetric_without_margin_is_focal(gamma):
    loss = tfi.losses.AsymmetricLoss(gamma, gamma_pos=gamma, margin=0.0, **EXACT)
    z = np.concatenate([Z, [[50.0, -50.0, 1e4, -1e4, 0.0]]])
    y = np.concatenate([Y, [[1.0, 1.0, 0.0, 1.0, 0.0]]])
    focal = tfi.losses.BinaryFocalLoss(gamma, **EXACT)
    np.testing.assert_allclose(loss(y, z), focal(y, z), rtol=1e-12)


def test_without_gamma_or_margin_it_is_crossentropy():
    loss = tfi.losses.AsymmetricLoss(0.0, gamma_pos=0.0, margin=0.0, **EXACT)
    right = keras.losses.BinaryCrossentropy(**EXACT)(Y, Z)
    np.testing.assert_allclose(loss(Y, Z), right, rtol=1e-12)


@pytest.mark.parametrize(
    ("gamma", "jit_compile"), [(0.0, False), (0.5, False), (0.5, True), (4.0, False)]
)
def test_the_extremes(gamma, jit_compile):
    """A sure negative costs nothing; a sure positive that is labelled 0 fades, as [1] wants it."""
    loss = tfi.losses.AsymmetricLoss(
        gamma, gamma_pos=gamma, margin=0.05, from_logits=True, reduction=None
    )

    @tf.function(jit_compile=jit_compile, autograph=False)
    def value_and_slope(y, z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            values = loss(y, z)
        return values, tape.gradient(values, z)

    z = tf.constant([[-1e4], [-88.0], [-4.0], [88.0], [1e4]])
    values, slopes = (part.numpy() for part in value_and_slope(tf.zeros_like(z), z))
    of_sure = 0.95**gamma * -np.log(0.05)
    np.testing.assert_allclose(values, [0, 0, 0, of_sure, of_sure], rtol=1e-6)
    np.testing.assert_allclose(slopes, 0, atol=1e-30)
    values, slopes = (part.numpy() for part in value_and_slope(tf.ones_like(z), z))
    np.testing.assert_allclose(values[:2], [1e4, 88.0], rtol=1e-6)
    np.testing.assert_allclose(slopes[:2, 0], [-1, -1], rtol=1e-6)
    assert np.isfinite(slopes).all()


def test_one_weight_a_label_and_smoothing():
    weights = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    loss = tfi.losses.AsymmetricLoss(class_weight=weights, **EXACT)
    right = oracles.asymmetric(Y, P, 4, 1, 0.05) * np.where(Y == 1, weights, 1)
    np.testing.assert_allclose(loss(Y, Z), right.mean(axis=-1), rtol=1e-9)
    loss = tfi.losses.AsymmetricLoss(label_smoothing=0.2, **EXACT)
    right = oracles.asymmetric(Y * 0.8 + 0.1, P, 4, 1, 0.05)
    np.testing.assert_allclose(loss(Y, Z), right.mean(axis=-1), rtol=1e-9)


@pytest.mark.parametrize(
    "arguments", [{"gamma_neg": -1.0}, {"gamma_pos": -1.0}, {"margin": 1.0}, {"margin": -0.1}]
)
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}`: expected a finite number"):
        tfi.losses.AsymmetricLoss(**arguments)


def test_a_margin_below_the_last_place_of_1_is_no_nan():
    for margin in (1.2e-38, 1e-9, 1e-7):
        loss = tfi.losses.AsymmetricLoss(margin=margin, from_logits=True, reduction=None)
        z = np.array([200.0, 20.0, 1000.0], "float32")
        right = -np.log(expit(-z.astype("float64")) + np.float32(margin).astype("float64"))
        np.testing.assert_allclose(loss(np.zeros(3), z), right, rtol=1e-5)
        assert np.isfinite(loss(np.ones(3), z)).all()
