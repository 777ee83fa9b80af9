"""What training ends in, against limits that are known in closed form."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize
from scipy.stats import norm

import tfimbalance as tfi

pytestmark = pytest.mark.slow

PRIOR, ROWS, TRIALS = 0.05, 10_000, 25
ARGUMENTS = {"from_logits": True, "dtype": "float64"}
BAYES, NAIVE = 0.0786, 0.1808  # Of the balanced error: norm.cdf(-sqrt(2)), and log odds ignored.


def balanced_error(parameters):
    """Of the rule ``w . x + b > 0`` for x | y ~ N(y * (1, 1), I)."""
    w, b = parameters[:2], parameters[2]
    center, size = w.sum(), np.linalg.norm(w)
    return (norm.cdf(-(center + b) / size) + norm.cdf((b - center) / size)) / 2


def two_gaussians(trial):
    rng = np.random.default_rng(trial)
    y = (rng.random(ROWS) < PRIOR).astype(int)
    x = rng.normal(size=(ROWS, 2)) + (2 * y - 1)[:, None]
    return np.column_stack([x, np.ones(ROWS)]), y


@pytest.mark.parametrize(
    ("tau", "weighed", "right", "within"),
    [
        (0.0, False, NAIVE, 0.02),
        (1.0, False, BAYES, 0.003),
        (0.0, True, BAYES, 0.003),
        (1.0, True, NAIVE, 0.02),
    ],
    ids=["crossentropy", "logit adjustment", "weights", "both at once"],
)
def test_two_gaussians_end_at_their_balanced_error(tau, weighed, right, within):
    """Affine models at the minimum of the loss over 25 draws; errors in closed form."""
    loss = tfi.losses.LogitAdjustedLoss(
        [1 - PRIOR, PRIOR], tau=tau, class_weight=[1.0, 1.0], **ARGUMENTS
    )

    @tf.function
    def value_and_gradient(parameters, x, y):
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            z = tf.linalg.matvec(x, parameters)
            value = loss(y, tf.stack([-z / 2, z / 2], axis=1))
        return value, tape.gradient(value, parameters)

    errors = []
    for trial in range(TRIALS):
        x, y = two_gaussians(trial)
        stats = tfi.class_statistics(y)
        loss.assign("priors", stats)
        if weighed:
            loss.assign("class_weight", tfi.class_weights(stats))
        x, y = tf.constant(x), tf.constant(y)
        fitted = minimize(
            lambda w, x=x, y=y: [part.numpy() for part in value_and_gradient(w, x, y)],
            np.zeros(3),
            jac=True,
            method="BFGS",
        )
        errors.append(balanced_error(fitted.x))
    assert np.mean(errors) == pytest.approx(right, abs=within)


def test_the_constants_of_two_gaussians():
    """Both rules are ``x_1 + x_2 > c``: c = 0, and c = -logit(prior) / 2."""
    assert balanced_error(np.array([2.0, 2.0, 0.0])) == pytest.approx(BAYES, abs=5e-5)
    odds = np.log(PRIOR / (1 - PRIOR))
    assert balanced_error(np.array([2.0, 2.0, odds])) == pytest.approx(NAIVE, abs=5e-5)
    assert balanced_error(np.array([2.0, 2.0, -odds])) == pytest.approx(NAIVE, abs=5e-5)


def separating_boundary(loss, x, units=1, steps=900):
    """Where class 1 begins after steps of equal length on rows at -1 (class 0) and +1 (class 1)."""
    parameters = tf.Variable(np.zeros((2, units)))
    rows, y = np.column_stack([x, np.ones(len(x))]), (x > 0).astype(int)

    @tf.function
    def step(size):
        with tf.GradientTape() as tape:
            value = loss(y, rows @ parameters)
        gradient = tape.gradient(value, parameters)
        parameters.assign_sub(size * gradient / tf.norm(gradient))

    for _ in range(steps):
        step(tf.constant(0.3, "float64"))
    slope, bias = parameters.numpy()[:, -1] - (parameters.numpy()[:, 0] if units == 2 else 0.0)
    assert slope > 0.2 * steps  # Separated far beyond any offset.
    return -bias / slope


TEN_TO_ONE = np.array([-1.0] * 10 + [1.0])


def test_weights_and_adjustment_fade_on_separable_data():
    """FORMULAS 5.3: the boundary ends in the middle, however strong they are."""
    heavy = {0: 1.0, 1: 10.0}
    for loss in (
        tfi.losses.WeightedBinaryCrossentropy(class_weight=heavy, **ARGUMENTS),
        tfi.losses.BinaryLogitAdjustedLoss(1 / 11, **ARGUMENTS),
    ):
        assert separating_boundary(loss, TEN_TO_ONE) == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("gamma", [0.15, 0.3, 1.0])
def test_vector_scaling_moves_the_boundary_to_where_theory_says(gamma):
    """Smallest norm with margins 1 / delta: each class's distance is as 1 / delta (Kini, th. 1)."""
    delta = 0.1**gamma
    loss = tfi.losses.VectorScalingLoss([10, 1], gamma=gamma, **ARGUMENTS)
    right = -(1 - delta) / (1 + delta)
    assert separating_boundary(loss, TEN_TO_ONE) == pytest.approx(right, abs=0.02)


def test_vector_scaling_of_two_linear_logits_stays_in_the_middle():
    """What the docstring says: the classes share one margin, ``delta_1 z_1 - delta_0 z_0``."""
    loss = tfi.losses.VectorScalingLoss([10, 1], gamma=0.3, tau=0.0, **ARGUMENTS)
    pair = np.array([-1.0, 1.0])
    assert separating_boundary(loss, pair) == pytest.approx(-0.332, abs=0.02)
    assert separating_boundary(loss, pair, units=2, steps=80) == pytest.approx(0.0, abs=1e-6)
