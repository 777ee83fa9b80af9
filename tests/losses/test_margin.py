import keras
import numpy as np
import oracles
import pytest

import tfimbalance as tfi

RNG = np.random.default_rng(0)
COUNTS = np.array([810, 90, 16, 1])
COSINES, IDS = RNG.uniform(-1, 1, (60, 4)), RNG.integers(0, 4, 60)
EXACT = {"from_logits": True, "dtype": "float64", "reduction": None}


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("max_margin", [0.0, 0.3, 0.5])
def test_ldam_is_the_papers_formula(scale, max_margin):
    margins = COUNTS**-0.25
    margins = margins * (max_margin / margins.max())
    right = oracles.crossentropy(IDS, scale * (COSINES - margins * np.eye(4)[IDS]))
    loss = tfi.losses.LDAMLoss(COUNTS, max_margin=max_margin, scale=scale, **EXACT)
    np.testing.assert_allclose(loss(IDS, COSINES), right, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(loss(np.eye(4)[IDS], COSINES), right, rtol=1e-10, atol=1e-13)


def test_no_margin_is_crossentropy_to_the_last_place():
    loss = tfi.losses.LDAMLoss(COUNTS, max_margin=0.0, scale=1.0, **EXACT)
    plain = keras.losses.SparseCategoricalCrossentropy(**EXACT)
    np.testing.assert_array_equal(loss(IDS, COSINES), plain(IDS, COSINES))


def test_cosines_are_what_ldam_takes_by_default():
    loss = tfi.losses.LDAMLoss(COUNTS)
    assert loss.from_logits
    softmax = tfi.losses.LDAMLoss(COUNTS, from_logits=False)
    found = softmax(IDS, oracles.softmax(COSINES))
    assert float(found) == pytest.approx(float(loss(IDS, COSINES)), rel=1e-5)


def test_ldam_drw_in_one_line():
    """The weights reach the loss from the epoch that they are deferred to, and not before."""
    y = np.repeat([0, 1, 2], [40, 8, 2])
    x = RNG.normal(size=(50, 5)).astype("float32")
    model = keras.Sequential([keras.Input((5,)), tfi.layers.CosineClassifier(3)])
    model.compile(keras.optimizers.SGD(0.0), tfi.losses.LDAMLoss(tfi.class_statistics(y)))
    drw = tfi.callbacks.ClassWeight(y, scheme="effective_number", beta=0.9999, start_epoch=2)
    losses = model.fit(x, y, batch_size=50, epochs=4, verbose=0, callbacks=[drw]).history["loss"]
    cosines = model.predict(x, verbose=0).astype("float64")
    counts = np.array([40, 8, 2])
    margins = 0.5 * (counts / 2) ** -0.25
    values = oracles.crossentropy(y, 30 * (cosines - margins * np.eye(3)[y]))
    weights = (1 - 0.9999) / (1 - 0.9999**counts)
    weights = weights * 50 / (counts * weights).sum()
    np.testing.assert_allclose(losses[:2], [values.mean()] * 2, rtol=1e-4)
    np.testing.assert_allclose(losses[2:], [(weights[y] * values).mean()] * 2, rtol=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("tau", [0.0, 1.0])
def test_vector_scaling_is_the_papers_formula(gamma, tau):
    z = COSINES * 5
    loss = tfi.losses.VectorScalingLoss(COUNTS, gamma=gamma, tau=tau, **EXACT)
    factors = (COUNTS / COUNTS.max()) ** gamma
    right = oracles.crossentropy(IDS, factors * z + tau * np.log(COUNTS / COUNTS.sum()))
    np.testing.assert_allclose(loss(IDS, z), right, rtol=1e-11)
    np.testing.assert_allclose(loss(np.eye(4)[IDS], z), right, rtol=1e-11)


def test_vector_scaling_without_factors_is_logit_adjustment():
    z = COSINES * 5
    factorless = tfi.losses.VectorScalingLoss(COUNTS, gamma=0.0, tau=0.7, **EXACT)
    adjusted = tfi.losses.LogitAdjustedLoss(COUNTS, tau=0.7, **EXACT)
    np.testing.assert_allclose(factorless(IDS, z), adjusted(IDS, z), rtol=1e-14)
    neither = tfi.losses.VectorScalingLoss(COUNTS, gamma=0.0, tau=0.0, **EXACT)
    np.testing.assert_allclose(neither(IDS, z), oracles.crossentropy(IDS, z), rtol=1e-12)


def test_vector_scaling_of_one_logit():
    """Kini et al., eq. 3: log(1 + exp(iota_y) exp(-delta_y y f)), y of -1 and 1."""
    z, y = RNG.normal(size=(50, 1)) * 4, RNG.integers(0, 2, (50, 1))
    loss = tfi.losses.VectorScalingLoss([90, 10], gamma=0.5, tau=1.5, **EXACT)
    sign = 2 * y - 1
    iota = np.where(y, 1, -1) * 1.5 * np.log(90 / 10)
    delta = np.where(y, (10 / 90) ** 0.5, 1.0)
    right = np.log1p(np.exp(iota) * np.exp(-delta * sign * z))[:, 0]
    np.testing.assert_allclose(loss(y, z), right, rtol=1e-12)
    same_as = tfi.losses.BinaryLogitAdjustedLoss(0.1, tau=1.5, **EXACT)
    factorless = tfi.losses.VectorScalingLoss([90, 10], gamma=0.0, tau=1.5, **EXACT)
    np.testing.assert_allclose(factorless(y, z), same_as(y, z), rtol=1e-12)
    with pytest.raises(ValueError, match="3 classes"):
        tfi.losses.VectorScalingLoss([90, 10, 1], **EXACT)(y, z)


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (tfi.losses.LDAMLoss, {"max_margin": -0.1}),
        (tfi.losses.LDAMLoss, {"scale": 0.0}),
        (tfi.losses.VectorScalingLoss, {"gamma": -1.0}),
        (tfi.losses.VectorScalingLoss, {"tau": "1"}),
    ],
)
def test_bad_strengths_are_refused(cls, arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}`: expected a finite number"):
        cls(COUNTS, **arguments)
