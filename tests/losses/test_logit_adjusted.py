import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf

import tfimbalance as tfi

RNG = np.random.default_rng(0)
COUNTS = np.array([900, 90, 9, 1])
Z, IDS = RNG.normal(size=(60, 4)) * 3, RNG.integers(0, 4, 60)
LOG_PI = np.log(COUNTS / COUNTS.sum())


@pytest.mark.parametrize("tau", [-0.5, 0.0, 0.7, 1.0, 2.0])
def test_is_crossentropy_of_adjusted_logits(tau):
    arguments = {"from_logits": True, "dtype": "float64", "reduction": None}
    loss = tfi.losses.LogitAdjustedLoss(COUNTS, tau=tau, **arguments)
    right = oracles.crossentropy(IDS, Z + loss.tau.numpy() * LOG_PI)
    np.testing.assert_allclose(loss(IDS, Z), right, rtol=1e-12)
    np.testing.assert_allclose(loss(np.eye(4)[IDS], Z), right, rtol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "jit_compile"),
    [
        ("float64", False),
        ("float32", False),
        ("float32", True),
        ("float16", False),
        ("bfloat16", False),
        ("bfloat16", True),
    ],
)
def test_balanced_softmax_is_tau_one_to_the_last_place(dtype, jit_compile):
    arguments = {"from_logits": True, "dtype": dtype, "reduction": None}
    found = []
    for loss in (
        tfi.losses.LogitAdjustedLoss(COUNTS, tau=1.0, **arguments),
        tfi.losses.BalancedSoftmaxLoss(COUNTS, **arguments),
    ):

        @tf.function(jit_compile=jit_compile, autograph=False)
        def value_and_gradient(z, loss=loss):
            with tf.GradientTape() as tape:
                tape.watch(z)
                values = loss(IDS, z)
            return values, tape.gradient(values, z)

        found.append([part.numpy() for part in value_and_gradient(tf.constant(Z, dtype))])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_strength_zero_is_crossentropy_to_the_last_place(dtype):
    arguments = {"from_logits": True, "dtype": dtype, "reduction": None}
    plain = keras.losses.SparseCategoricalCrossentropy(**arguments)(IDS, Z)
    loss = tfi.losses.LogitAdjustedLoss(COUNTS, tau=0.0, **arguments)
    np.testing.assert_array_equal(loss(IDS, Z), plain)


def test_uniform_priors_change_nothing():
    arguments = {"from_logits": True, "dtype": "float64", "reduction": None}
    plain = oracles.crossentropy(IDS, Z)
    for loss in (
        tfi.losses.LogitAdjustedLoss([0.25] * 4, tau=3.0, **arguments),
        tfi.losses.BalancedSoftmaxLoss([7] * 4, **arguments),
        tfi.losses.VectorScalingLoss([7] * 4, **arguments),
    ):
        np.testing.assert_allclose(loss(IDS, Z), plain, rtol=1e-12)
    y, z = RNG.integers(0, 2, (9, 1)), RNG.normal(size=(9, 1))
    loss = tfi.losses.BinaryLogitAdjustedLoss(0.5, **arguments)
    np.testing.assert_allclose(loss(y, z), np.logaddexp(0, np.where(y, -z, z))[:, 0], rtol=1e-12)


@pytest.mark.parametrize("tau", [0.0, 1.0, 1.5])
def test_one_logit_is_two_classes(tau):
    z, y = RNG.normal(size=(50, 1)) * 4, RNG.integers(0, 2, 50)
    arguments = {"tau": tau, "from_logits": True, "dtype": "float64", "reduction": None}
    one = tfi.losses.BinaryLogitAdjustedLoss(0.02, **arguments)(y, z)
    two = tfi.losses.LogitAdjustedLoss([0.98, 0.02], **arguments)(
        y, np.concatenate([0 * z, z], axis=1)
    )
    np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-14)


def test_one_prior_a_label():
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 1, 1], [0, 0, 0]])
    stats = tfi.class_statistics(labels, multi_label=True)
    z = RNG.normal(size=labels.shape)
    adjusted = z + np.log(stats.priors / (1 - stats.priors))
    right = np.logaddexp(0, np.where(labels, -adjusted, adjusted)).mean(axis=-1)
    for prior in (stats, stats.priors, [0.6, 0.6, 0.2]):
        loss = tfi.losses.BinaryLogitAdjustedLoss(
            prior, from_logits=True, dtype="float64", reduction=None
        )
        np.testing.assert_allclose(loss(labels, z), right, rtol=1e-12)
    with pytest.raises(ValueError, match=r"2 labels.*Received: 3 numbers"):
        loss(labels[:, :2], z[:, :2])
    two_classes = tfi.losses.BinaryLogitAdjustedLoss(tfi.ClassStatistics([95, 5]))
    assert two_classes.get_config()["priors"] == 0.05


def test_the_prior_may_change_inside_a_compiled_step():
    loss = tfi.losses.BinaryLogitAdjustedLoss(0.1, from_logits=True)
    compiled = tf.function(lambda: loss([[1.0]], [[0.0]]), jit_compile=True)
    assert float(compiled()) == pytest.approx(-np.log(0.1), rel=1e-6)
    loss.assign("priors", 0.01)
    assert float(compiled()) == pytest.approx(-np.log(0.01), rel=1e-6)
    assert loss.get_config()["priors"] == 0.01
    with pytest.raises(ValueError, match="as before"):
        loss.assign("priors", [0.1, 0.2])


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (0.0, r"\(0, 1\)"),
        (1.0, r"\(0, 1\)"),
        ("balanced", "balanced"),
        ([0.5, 0.0], "0 for label 1"),
        ([95, 5], "95 for label 0.*ClassStatistics"),
        (tfi.ClassStatistics([1, 2, 3]), "3 classes.*LogitAdjustedLoss"),
        (tfi.class_statistics([[1, 0], [1, 1]], multi_label=True), "1 for label 0"),
    ],
)
def test_bad_priors_are_refused(prior, message):
    with pytest.raises(ValueError, match=f"`priors`.*{message}"):
        tfi.losses.BinaryLogitAdjustedLoss(prior)


def test_one_logit_under_a_softmax_loss_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match="BinaryLogitAdjustedLoss"):
        tfi.losses.LogitAdjustedLoss([9, 1], from_logits=True)([0, 1], [[0.0], [1.0]])


def test_ids_that_are_no_class_are_not_silent():
    loss = tfi.losses.LogitAdjustedLoss([9, 1], from_logits=True)
    compiled = tf.function(lambda y: loss(y, [[0.0, 1.0]]), jit_compile=True)
    assert np.isnan(float(compiled(tf.constant([2]))))
    with pytest.raises(tf.errors.InvalidArgumentError, match="label value of 2"):
        tf.function(lambda y: loss(y, [[0.0, 1.0]]))(tf.constant([2]))


def test_statistics_of_two_classes_go_with_one_logit():
    loss = tfi.losses.BinaryLogitAdjustedLoss(tfi.ClassStatistics([9, 1]), from_logits=True)
    with pytest.raises(ValueError, match="A logit a class takes LogitAdjustedLoss"):
        loss([[1.0, 0.0]], [[0.0, 0.0]])
    with pytest.raises(ValueError, match="pass that of class 1"):
        tfi.losses.BinaryLogitAdjustedLoss([0.9, 0.1], from_logits=True)([[1.0]], [[0.0]])


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_with_gamma_it_is_the_focal_loss_of_adjusted_logits(gamma):
    arguments = {"from_logits": True, "dtype": "float64", "reduction": None}
    loss = tfi.losses.LogitAdjustedLoss(COUNTS, tau=0.5, gamma=gamma, **arguments)
    focal = tfi.losses.SparseCategoricalFocalLoss(gamma, **arguments)
    np.testing.assert_allclose(loss(IDS, Z), focal(IDS, Z + 0.5 * LOG_PI), rtol=1e-12)
    binary = tfi.losses.BinaryLogitAdjustedLoss(0.1, tau=0.5, gamma=gamma, **arguments)
    focal = tfi.losses.BinaryFocalLoss(gamma, **arguments)
    y, z = (IDS == 0)[:, None], Z[:, :1]
    np.testing.assert_allclose(binary(y, z), focal(y, z + 0.5 * np.log(0.1 / 0.9)), rtol=1e-12)
