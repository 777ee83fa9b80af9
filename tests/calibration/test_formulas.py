"""Corrections against formulas, solved and derived without this package."""

import functools

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from scipy.optimize import brentq
from scipy.special import expit, log_softmax, logit, softmax

import tfimbalance as tfi
from tfimbalance.calibration import LossCalibration, focal_calibration, prior_correction

GAMMAS = [0.5, 1.0, 2.0, 5.0]


def focal_minimiser(eta, gamma):
    """The logit at which ``eta l_pos + (1 - eta) l_neg`` has slope 0."""

    def slope(z):
        of_one, of_zero = (float(oracles.binary_focal(y, z, gamma)[1]) for y in (1, 0))
        return eta * of_one + (1 - eta) * of_zero

    return brentq(slope, -60, 60, xtol=1e-13)


def h(v, gamma):
    return v / ((1 - v) ** gamma - gamma * (1 - v) ** (gamma - 1) * v * np.log(v))


def focal_softmax_minimiser(eta, gamma):
    """Probabilities q with ``h(q) ~ eta`` and a sum of 1, by two nested bisections."""

    def inverse(target):
        low, high = np.full_like(target, 1e-300), np.full_like(target, 1 - 1e-15)
        for _ in range(120):
            middle = np.where(low < 1e-8, np.sqrt(low * high), (low + high) / 2)
            below = h(middle, gamma) < target
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2

    low, high = np.full((len(eta), 1), -50.0), np.full((len(eta), 1), 50.0)
    for _ in range(100):
        middle = (low + high) / 2
        below = inverse(np.exp(middle) * eta).sum(axis=1, keepdims=True) < 1
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return inverse(np.exp(low) * eta)


@functools.cache
def learned_in_the_stated_order(classes, gamma):
    """Posteriors, and what a model learns of them: sampling, weights, focal."""
    rng = np.random.default_rng(classes)
    priors, deployed, shares = rng.dirichlet(np.full(classes, 3.0), 3)
    weights = rng.uniform(0.2, 5.0, classes)
    natural = rng.dirichlet(np.full(classes, 0.5), 20) + 1e-6
    natural /= natural.sum(axis=1, keepdims=True)
    learned = natural * shares / priors * weights
    learned /= learned.sum(axis=1, keepdims=True)
    output = focal_softmax_minimiser(learned, gamma)
    return priors, deployed, shares, weights, natural, output


def test_published_values_of_focal_calibration():
    """FORMULAS.md, section 1: given to four places, so the outputs are solved for to 1e-6."""
    for eta, output in [(0.01, 0.1536), (0.05, 0.2502), (0.1, 0.3058), (0.5, 0.5), (0.9, 0.6942)]:
        exact = expit(focal_minimiser(eta, 2.0))
        assert exact == pytest.approx(output, abs=5e-5)
        assert focal_calibration([exact], gamma=2.0)[0] == pytest.approx(eta, abs=1e-6)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_focal_calibration_inverts_the_minimiser(gamma):
    etas = np.array([1e-12, 1e-6, 1e-3, 0.02, 0.3, 0.5, 0.8, 1 - 1e-3, 1 - 1e-9])
    z = np.array([focal_minimiser(eta, gamma) for eta in etas])
    found = focal_calibration(z, gamma=gamma, from_logits=True)
    np.testing.assert_allclose(found, logit(etas), rtol=1e-7, atol=1e-9)
    one_logit_or_two = focal_calibration(
        np.stack([-z / 2, z / 2], axis=1), gamma=gamma, from_logits=True
    )
    np.testing.assert_allclose(one_logit_or_two[:, 1] - one_logit_or_two[:, 0], found, rtol=1e-9)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("classes", [2, 3, 30])
def test_focal_calibration_of_a_softmax_is_where_the_risk_has_no_slope(gamma, classes):
    z = np.random.default_rng(classes).normal(scale=2.0, size=(3, classes))
    for row, eta in zip(z, focal_calibration(softmax(z, axis=1), gamma=gamma), strict=True):
        slopes = [oracles.categorical_focal(k, row, gamma)[1] for k in range(classes)]
        total = [
            sum(e * float(s[j]) for e, s in zip(eta, slopes, strict=True)) for j in range(3)[:2]
        ]
        np.testing.assert_allclose(total, 0.0, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 7.0])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_any_logit_is_finite_and_keeps_its_order(gamma, dtype):
    z = tf.cast([-1e4, -300, -90, -20, -1, -1e-3, 0, 1e-3, 1, 20, 90, 300, 1e4], dtype)
    with tf.GradientTape() as tape:
        tape.watch(z)
        found = focal_calibration(z, gamma=gamma, from_logits=True)
    assert found.dtype == dtype
    values, slopes = (np.asarray(tf.cast(v, "float64")) for v in (found, tape.gradient(found, z)))
    held = np.isfinite(values)  # 8e4 is no float16.
    assert held.all() or dtype == "float16"
    assert (np.diff(values[held]) >= 0).all()
    assert (slopes > 0).all()
    assert values[6] == 0
    # At 0 the slope is that of (gamma + 1) z + 2 gamma r'(0) z / (1 + gamma r(0)).
    right = gamma + 1 + 2 * gamma * (0.5 - np.log(2)) / (1 + gamma * np.log(2))
    assert slopes[6] == pytest.approx(right, rel=1e-2)
    p = focal_calibration(tf.sigmoid(z), gamma=gamma)
    assert np.isfinite(np.asarray(tf.cast(p, "float64"))).all()
    pair = tf.stack([z, -z, tf.zeros_like(z)], axis=1)
    with tf.GradientTape() as tape:
        tape.watch(pair)
        of_pair = tf.cast(
            focal_calibration(tf.nn.softmax(tf.cast(pair, "float32")), gamma=gamma), dtype
        )
        of_logits = focal_calibration(pair, gamma=gamma, from_logits=True)
    assert np.isfinite(np.asarray(tf.cast(of_pair, "float64"))).all()
    gradient = tape.gradient(of_logits, pair)
    assert np.isfinite(np.asarray(tf.cast(gradient, "float64"))).all()


@pytest.mark.parametrize("classes", [2, 5, 20, 100])
@pytest.mark.parametrize(("dtype", "within"), [("float64", 1e-6), ("float32", 1e-3)])
@pytest.mark.parametrize("from_logits", [False, True])
def test_round_trip_in_the_stated_order(classes, dtype, within, from_logits):
    """Posteriors -> deployment, sampling, weights, focal; and back, last first."""
    gamma = 2.0
    priors, deployed, shares, weights, natural, output = learned_in_the_stated_order(classes, gamma)
    p = (np.log(output) if from_logits else output).astype(dtype)
    kind = {"from_logits": from_logits}
    p = focal_calibration(p, gamma=gamma, **kind)
    weighted = shares * weights / (shares * weights).sum()
    p = prior_correction(p, weighted, shares, **kind)
    p = prior_correction(p, shares, priors, **kind)
    np.testing.assert_allclose(_p(p, from_logits), natural, atol=within)
    p = prior_correction(p, priors, deployed, **kind)
    wanted = natural * deployed / priors
    np.testing.assert_allclose(
        _p(p, from_logits), wanted / wanted.sum(axis=1, keepdims=True), atol=within
    )
    assert p.dtype == dtype


def _p(p, from_logits):
    return softmax(p, axis=1) if from_logits else p


def test_prior_correction_is_elkans_formula():
    b, target, p = 0.3, 0.02, np.linspace(0, 1, 21)
    wanted = target * (p - p * b) / (b - p * b + target * p - b * target)
    np.testing.assert_allclose(prior_correction(p, b, target), wanted, atol=1e-12)
    np.testing.assert_allclose(prior_correction(p, [0.7, 0.3], [0.98, 0.02]), wanted, atol=1e-12)
    pairs = np.stack([1 - p, p], axis=1)
    found = prior_correction(pairs, [0.7, 0.3], [0.98, 0.02])
    np.testing.assert_allclose(found[:, 1], wanted, atol=1e-12)


def test_labels_are_corrected_each_for_itself():
    p = np.full((2, 3), 0.5)
    stats = tfi.ClassStatistics([10, 20, 30], 100, multi_label=True)
    np.testing.assert_allclose(prior_correction(p, 0.5, stats)[0], stats.priors, atol=1e-12)
    found = prior_correction(p, [0.5, 0.5, 0.5], [0.1, 0.2, 0.3], activation="sigmoid")
    np.testing.assert_allclose(found[0], [0.1, 0.2, 0.3], atol=1e-12)
    z = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_allclose(
        focal_calibration(z, from_logits=True, activation="sigmoid"),
        np.stack([focal_calibration(column, from_logits=True) for column in z.T], axis=1),
    )


@pytest.mark.parametrize(
    "loss",
    [
        tfi.losses.BinaryFocalLoss(gamma=2.0, alpha=0.25, label_smoothing=0.05),
        tfi.losses.BinaryFocalLoss(gamma=0.5),
        tfi.losses.WeightedBinaryCrossentropy(pos_weight=7.0, class_weight={0: 2.0, 1: 3.0}),
        tfi.losses.AsymmetricLoss(margin=0.0, gamma_neg=2.0),
        tfi.losses.BinaryLogitAdjustedLoss(0.1),
        tfi.losses.ClassWeighted("binary_crossentropy", {0: 1.0, 1: 4.0}),
        keras.losses.BinaryFocalCrossentropy(gamma=2.0),
        keras.losses.BinaryCrossentropy(label_smoothing=0.1),
        keras.losses.MeanSquaredError(),
    ],
    ids=lambda loss: loss.name,
)
def test_the_posterior_of_a_loss_is_where_the_expected_loss_is_least(loss):
    """A grid of logits: the expected loss has its minimum at the one whose posterior it is of."""
    z = np.linspace(-4, 4, 33)
    posterior = LossCalibration(loss)
    config = loss.get_config()
    takes_logits = "from_logits" in config
    if takes_logits:
        loss = type(loss).from_config({**config, "from_logits": True})
    fine = np.linspace(-9, 9, 36_001, dtype="float32")
    given = fine if takes_logits else expit(fine)
    of_one, of_zero = (
        np.asarray(loss.call(np.full((len(fine), 1), y, "float32"), given[:, None]), np.float64)
        for y in (1.0, 0.0)
    )
    etas = np.asarray(posterior(z[:, None]))[:, 0]
    reached = (etas > 0) & (etas < 1)  # Smoothed labels learn no logit beyond those of 0 and 1.
    assert reached.sum() > 20
    for logit_, eta in zip(z[reached], etas[reached], strict=True):
        least = fine[np.argmin(eta * of_one + (1 - eta) * of_zero)]
        assert least == pytest.approx(logit_, abs=0.06)


@pytest.mark.parametrize(
    "loss",
    ["mse", tfi.losses.BinaryFocalLoss(), "binary_crossentropy", "poisson"],
    ids=lambda loss: getattr(loss, "name", loss),
)
def test_the_posterior_of_a_loss_tends_to_0_and_1(loss):
    """Where a sigmoid of float32 is 1, and both slopes are 0."""
    posterior = LossCalibration(loss)
    z = np.array([-1e4, -100, -20, 20, 100, 1e4], "float32")
    np.testing.assert_allclose(posterior(z[:, None])[:, 0], [0, 0, 0, 1, 1, 1], atol=1e-6)


def test_the_posterior_of_a_loss_of_ones_own():
    def weighted(y, z):  # Elementwise, of logits.
        return (1 - y) * keras.ops.softplus(z) + 19 * y * keras.ops.softplus(-z)

    z = np.array([-5.0, 0.0, 5.0])
    posterior = LossCalibration(weighted, loss_from_logits=True)
    np.testing.assert_allclose(posterior(z[:, None])[:, 0], expit(z - np.log(19)), rtol=1e-5)


def test_the_posterior_of_a_loss_agrees_with_the_formulas():
    z = np.linspace(-12, 12, 49).astype("float32")
    focal = LossCalibration(tfi.losses.BinaryFocalLoss(gamma=2.0))
    np.testing.assert_allclose(
        focal(z[:, None])[:, 0], expit(focal_calibration(z, gamma=2.0, from_logits=True)), atol=1e-6
    )
    weighted = LossCalibration(tfi.losses.WeightedBinaryCrossentropy(pos_weight=9.0))
    np.testing.assert_allclose(weighted(z[:, None])[:, 0], expit(z - np.log(9)), atol=1e-6)
    np.testing.assert_allclose(
        weighted(z.reshape(7, 7)), weighted(z[:, None]).numpy().reshape(7, 7), atol=1e-7
    )


@pytest.mark.parametrize(
    ("loss", "why"),
    [
        (tfi.losses.AsymmetricLoss(), "slope"),
        (keras.losses.Hinge(), "slope"),
        (tfi.losses.PairwiseAUCLoss(), "compares rows"),
        (tfi.losses.LDAMLoss([90, 10]), "classes"),
        (tfi.losses.ClassWeighted("binary_crossentropy", {0: 1.0, 1: 0.0}), "slope"),
        (keras.losses.MeanAbsoluteError(), "slope"),
    ],
    ids=lambda part: getattr(part, "name", part),
)
def test_losses_that_cannot_be_inverted_are_refused(loss, why):
    with pytest.raises(ValueError, match=why):
        LossCalibration(loss)


def test_temperature_and_vector_scaling_are_least_squares_of_nothing_but_the_likelihood():
    """The fit has no slope: weighted residuals sum to 0, alone and times the logit."""
    rng = np.random.default_rng(3)
    z = rng.normal(scale=2.0, size=(4_000, 3))
    ids = (softmax(z / 3 + [0, 0.5, -1], axis=1).cumsum(axis=1) < rng.random((4_000, 1))).sum(
        axis=1
    )
    weight = rng.uniform(0.5, 2.0, 4_000)
    hot = np.eye(3)[ids]
    layer = tfi.calibration.VectorScaling(from_logits=True, dtype="float64")
    layer.fit(ids, z, sample_weight=weight)
    residual = (softmax(layer(z).numpy(), axis=1) - hot) * weight[:, None]
    np.testing.assert_allclose(residual.sum(axis=0), 0.0, atol=1e-2)
    np.testing.assert_allclose((residual * z).sum(axis=0), 0.0, atol=1e-2)
    scaling = tfi.calibration.TemperatureScaling(from_logits=True, dtype="float64").fit(hot, z)
    t = float(scaling.temperature)
    residual = (softmax(z / t, axis=1) - hot) * z
    assert residual.sum() == pytest.approx(0.0, abs=1e-2)
    np.testing.assert_allclose(scaling(z).numpy(), z / t)
    of_probabilities = tfi.calibration.VectorScaling(
        layer.scale.numpy(), bias=layer.bias.numpy(), dtype="float64"
    )
    np.testing.assert_allclose(
        of_probabilities(softmax(z, axis=1)),
        softmax(layer.scale.numpy() * log_softmax(z, axis=1) + layer.bias.numpy(), axis=1),
        rtol=1e-6,
    )


def test_a_slope_that_turns_the_ranking_around_is_said():
    rng = np.random.default_rng(0)
    z = rng.normal(size=500)
    y = rng.random(500) < 1 / (1 + np.exp(z))  # Higher scores, fewer positives.
    with pytest.warns(UserWarning, match="ranks these held-out rows backwards"):
        tfi.calibration.VectorScaling(from_logits=True).fit(y, z)


def test_isotonic_is_scikit_learns():
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(5)
    p = rng.random(3_000)
    y = rng.random(3_000) < p**3
    layer = tfi.calibration.IsotonicCalibration(dtype="float64").fit(y, p)
    at = np.concatenate([[0.0, 1.0], rng.random(500)])
    wanted = IsotonicRegression(out_of_bounds="clip").fit(p, y).predict(at)
    np.testing.assert_allclose(layer(at[:, None])[:, 0], wanted, atol=1e-12)
    z = rng.normal(size=(3_000, 3))
    ids = (softmax(z, axis=1).cumsum(axis=1) < rng.random((3_000, 1))).sum(axis=1)
    of_classes = tfi.calibration.IsotonicCalibration(from_logits=True, dtype="float64").fit(ids, z)
    each = [
        IsotonicRegression(out_of_bounds="clip").fit(z[:, k], ids == k).predict(z[:, k])
        for k in range(3)
    ]
    each = np.stack(each, axis=1)
    np.testing.assert_allclose(of_classes(z), each / each.sum(axis=1, keepdims=True), atol=1e-9)


def two_gaussians(rows, prior, seed):
    rng = np.random.default_rng(seed)
    y = rng.random(rows) < prior
    return y, 2 * (rng.normal(size=(rows, 2)) + (2 * y - 1)[:, None]).sum(axis=1)


def test_estimated_priors_are_those_of_the_rows():
    y, x = two_gaussians(100_000, 0.3, 0)
    z = x + logit(0.05)  # Calibrated for 5%.
    standard_error = np.sqrt(0.3 * 0.7 / 100_000)
    found = tfi.calibration.estimate_priors(z, 0.05, from_logits=True)
    assert found == pytest.approx(y.mean(), abs=4 * standard_error)
    pair = tfi.calibration.estimate_priors(expit(z), tfi.ClassStatistics([95, 5]))
    np.testing.assert_allclose(pair, [1 - found, found], atol=1e-6)
    softmax_pair = np.stack([np.zeros_like(z), z], axis=1)
    both = tfi.calibration.estimate_priors(softmax_pair, [0.95, 0.05], from_logits=True)
    np.testing.assert_allclose(both, pair, atol=1e-6)
    labels = tfi.calibration.estimate_priors(
        np.stack([z, z], axis=1), [0.05, 0.05], from_logits=True, activation="sigmoid"
    )
    np.testing.assert_allclose(labels, [found, found], atol=1e-9)
    fixed = prior_correction(expit(z), 0.05, found)
    assert fixed.mean() == pytest.approx(y.mean(), abs=4 * standard_error)


def test_small_samples_without_a_class_are_not_called_uncalibrated():
    """Ten classes, 50 rows: some do not come, and get half a row."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        ids = rng.integers(0, 10, 50)
        z = rng.normal(size=(50, 10)) + 2 * np.eye(10)[ids]  # Posterior: softmax(2 z).
        found = tfi.calibration.estimate_priors(2 * z, np.full(10, 0.1), from_logits=True)
        assert found.sum() == pytest.approx(1)
        assert (found >= 0.009).all()


def test_masked_classes_stay_masked():
    found = focal_calibration([[0.0, -np.inf, 1.0]], from_logits=True)
    pair = focal_calibration([[0.0, 1.0]], from_logits=True)
    np.testing.assert_allclose(found[0, [0, 2]], pair[0], rtol=1e-12)
    assert found[0, 1] == -np.inf


def test_one_number_stands_for_two_classes():
    stats = tfi.ClassStatistics([99, 1])
    np.testing.assert_allclose(prior_correction([0.5, 0.9], 0.5, stats), [0.01, 1 / 12], rtol=1e-3)
    np.testing.assert_allclose(prior_correction([[0.5, 0.5]], [0.5, 0.5], 0.01)[0, 1], 0.01)


def test_scores_that_are_not_calibrated_are_refused():
    y, x = two_gaussians(50_000, 0.05, 1)
    exact = x + logit(0.05)
    grid = np.linspace(-40, 40, 8_001)
    raw = np.interp(exact, focal_calibration(grid, from_logits=True), grid)
    with pytest.raises(ValueError, match=r"odds x \d+.*FocalCalibration"):
        tfi.calibration.estimate_priors(raw, 0.05, from_logits=True)
    _, x_more = two_gaussians(50_000, 0.3, 2)
    raw_more = np.interp(x_more + logit(0.05), focal_calibration(grid, from_logits=True), grid)
    with pytest.raises(ValueError, match=r"class 0 runs away to 0.*FocalCalibration"):
        tfi.calibration.estimate_priors(raw_more, 0.05, from_logits=True)
    for wrong in (raw, x, 0.5 * exact):
        with pytest.raises(ValueError, match=r"held_out.*beside"):
            tfi.calibration.estimate_priors(exact, 0.05, held_out=(y, wrong), from_logits=True)
    again = focal_calibration(raw, from_logits=True)
    found = tfi.calibration.estimate_priors(again, 0.05, held_out=(y, again), from_logits=True)
    assert found == pytest.approx(y.mean(), abs=0.004)


def test_a_probability_of_1_is_one_in_a_graph_too():
    """Compilers add constants up: (1 - p) + floor became (1 + floor) - p, which is 0."""
    p = np.array([[0.0], [0.5], [1.0]], "float32")
    for jit_compile in (False, True):
        layer = tf.function(tfi.calibration.FocalCalibration(2.0), jit_compile=jit_compile)
        found = layer(tf.constant(p))
        np.testing.assert_allclose(found, p, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_does_not_make_a_loss_one_of_pairs(dtype):
    z = np.linspace(-4.0, 4.0, 9)[:, None]
    p = LossCalibration("binary_crossentropy", dtype=dtype)(z)
    np.testing.assert_allclose(np.asarray(p, "float64"), expit(z), atol=1e-2)


def test_what_is_no_array_of_real_numbers_is_refused():
    correct = tfi.calibration.focal_calibration
    for given in (len, {"y": [0.5]}, np.array(["a"]), np.array([0.5j]), [[0.5], [0.5, 1.0]]):
        with pytest.raises(ValueError, match="`y_pred`: expected a dense array of real numbers"):
            correct(given)
        with pytest.raises(ValueError, match="`logits`: expected an array of real numbers"):
            tfi.calibration.adjust_logits(given, [3, 1])
    with pytest.raises(ValueError, match="`y_pred`: expected at least one output a row"):
        correct(np.zeros((2, 0)))


def test_arguments_of_other_packages_errors():
    of_three = tfi.ClassStatistics([3, 4, 5], 9, multi_label=True)
    with pytest.raises(ValueError, match="`target_priors`: expected 2 labels"):
        tfi.calibration.PriorCorrection([0.5, 0.3], of_three)
    with pytest.raises(ValueError, match="`loss`: expected a loss"):
        tfi.calibration.LossCalibration(3)
    for values in ({0: 1.0}, ["a"], [10**400], []):
        with pytest.raises(ValueError, match="`bias`: expected one finite number an output"):
            tfi.calibration.VectorScaling(bias=values)
    with pytest.raises(ValueError, match="`activation`: expected one of"):
        tfi.calibration.estimate_priors([0.5, 0.5], 0.3, activation="tanh")
    with pytest.raises(ValueError, match="`sample_weight`: expected one number a row"):
        tfi.calibration.TemperatureScaling().fit([0, 1], [0.5, 0.6], sample_weight=["1", "2"])
