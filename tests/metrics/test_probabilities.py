"""Metrics of probabilities against scikit-learn and their formulas."""

import numpy as np
import pytest
import sklearn.metrics as sk
from metrics.scores import RATES, classes, ragged, sigmoid, softmax, two_gaussians

import tfimbalance as tfi

each_rate = pytest.mark.parametrize("rate", RATES)


def entropy(q):
    return -(q * np.log(q) + (1 - q) * np.log1p(-q))


def calibration_error(y, p, bins):
    """Over bins of equally many rows; rows with tied scores stay together."""
    levels, tie = np.unique(p, return_inverse=True)
    rows = np.bincount(tie)
    place = np.minimum(bins * (np.cumsum(rows) - rows / 2) / len(y), bins - 1).astype(int)[tie]
    gaps = np.bincount(place, p) - np.bincount(place, y)
    assert len(levels) > 1
    return np.abs(gaps).sum() / len(y)


@each_rate
def test_normalized_entropy_is_log_loss_over_entropy(rate):
    y, z = two_gaussians(30_000, rate)
    wanted = sk.log_loss(y, sigmoid(z))
    found = ragged(tfi.metrics.NormalizedEntropy(from_logits=True), y, z).result()
    assert float(found) == pytest.approx(wanted / entropy(y.mean()), rel=1e-6)
    p = sigmoid(z).astype("float32")
    found = ragged(tfi.metrics.NormalizedEntropy(), y, p).result()
    assert float(found) == pytest.approx(wanted / entropy(y.mean()), rel=1e-5)
    always = y.mean() * -np.log(0.2) + (1 - y.mean()) * -np.log(0.8)
    for prior in (0.2, [0.8, 0.2], [80, 20], tfi.ClassStatistics([80, 20])):
        metric = tfi.metrics.NormalizedEntropy(priors=prior, from_logits=True)
        assert float(ragged(metric, y, z).result()) == pytest.approx(wanted / always, rel=1e-6)


def test_normalized_entropy_of_classes_and_labels():
    ids, z = classes(5_000, 4)
    q = np.bincount(ids) / len(ids)
    wanted = sk.log_loss(ids, softmax(z)) / -(q * np.log(q)).sum()
    for prior in (None, q.tolist(), np.bincount(ids)):
        metric = tfi.metrics.NormalizedEntropy(priors=prior, from_logits=True)
        assert float(ragged(metric, ids, z).result()) == pytest.approx(wanted, rel=1e-6)
    labels = np.eye(4, dtype=int)[ids]
    losses = [sk.log_loss(labels[:, k], sigmoid(z[:, k])) for k in range(4)]
    metric = tfi.metrics.NormalizedEntropy(from_logits=True, multi_label=True)
    wanted = sum(losses) / entropy(q).sum()
    assert float(ragged(metric, labels, z).result()) == pytest.approx(wanted, rel=1e-6)


def test_normalized_entropy_of_a_confident_mistake_is_finite():
    for p in (0.0, 1e-30):
        found = float(tfi.metrics.NormalizedEntropy()([1, 0], [p, 0.5]))
        assert np.isfinite(found)
        assert found > 10
    found = float(tfi.metrics.NormalizedEntropy(from_logits=True)([1, 0], [-1e4, 0.0]))
    assert found == pytest.approx((1e4 + np.log(2)) / 2 / np.log(2), rel=1e-6)


def test_normalized_entropy_of_one_class_is_undefined():
    assert np.isnan(float(tfi.metrics.NormalizedEntropy()([0, 0], [0.1, 0.2])))
    found = float(tfi.metrics.NormalizedEntropy(priors=0.1)([0, 0], [0.1, 0.1]))
    assert found == pytest.approx(1.0)


@pytest.mark.parametrize("priors", [0.0, 1.0, [0.5, 0.6], [3, 0], "none"])
def test_bad_priors_are_refused(priors):
    with pytest.raises(ValueError, match="`priors`"):
        tfi.metrics.NormalizedEntropy(priors=priors)
    with pytest.raises(ValueError, match=r"`priors`.*3 numbers"):
        tfi.metrics.NormalizedEntropy(priors=[0.5, 0.5])([0, 1], np.eye(3)[:2])


@each_rate
def test_calibration_ratio_is_predicted_over_seen(rate):
    y, z = two_gaussians(30_000, rate)
    found = ragged(tfi.metrics.CalibrationRatio(from_logits=True), y, z).result()
    assert found.shape == ()
    assert float(found) == pytest.approx(sigmoid(z).sum() / y.sum(), rel=1e-6)


def test_calibration_ratio_of_classes_and_labels():
    ids, z = classes(5_000, 4)
    found = ragged(tfi.metrics.CalibrationRatio(from_logits=True), ids, z).result()
    wanted = softmax(z).sum(0) / np.bincount(ids)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    metric = tfi.metrics.CalibrationRatio(class_id=2, from_logits=True)
    assert float(ragged(metric, ids, z).result()) == pytest.approx(wanted[2], rel=1e-5)
    labels = np.eye(4)[ids] * [1, 1, 1, 0]
    found = ragged(tfi.metrics.CalibrationRatio(multi_label=True), labels, softmax(z)).result()
    np.testing.assert_allclose(found, [*wanted[:3], np.nan], rtol=1e-5)


@each_rate
def test_brier_score_equals_scikit_learn(rate):
    y, z = two_gaussians(30_000, rate)
    wanted = sk.brier_score_loss(y, sigmoid(z))
    found = ragged(tfi.metrics.BrierScore(from_logits=True), y, z).result()
    assert float(found) == pytest.approx(wanted, rel=1e-6)
    found = ragged(tfi.metrics.BrierScore(skill=True, from_logits=True), y, z).result()
    assert float(found) == pytest.approx(1 - wanted / (y.mean() * (1 - y.mean())), abs=1e-6)


def test_brier_score_of_classes_and_labels():
    ids, z = classes(5_000, 4)
    q, hot = np.bincount(ids) / len(ids), np.eye(4)[ids]
    wanted = ((softmax(z) - hot) ** 2).sum(-1).mean()
    assert float(ragged(tfi.metrics.BrierScore(from_logits=True), ids, z).result()) == (
        pytest.approx(wanted, rel=1e-6)
    )
    skill = ragged(tfi.metrics.BrierScore(skill=True, from_logits=True), ids, z).result()
    assert float(skill) == pytest.approx(1 - wanted / (1 - (q**2).sum()), abs=1e-6)
    options = {"from_logits": True, "multi_label": True}
    wanted = ((sigmoid(z) - hot) ** 2).mean()
    found = ragged(tfi.metrics.BrierScore(**options), hot, z).result()
    assert float(found) == pytest.approx(wanted, rel=1e-6)
    skill = ragged(tfi.metrics.BrierScore(skill=True, **options), hot, z).result()
    assert float(skill) == pytest.approx(1 - wanted / (q * (1 - q)).mean(), abs=1e-6)


def test_skill_of_the_base_rate_is_none():
    y = np.repeat([0, 1], [990, 10])
    assert float(tfi.metrics.BrierScore(skill=True)(y, 0.01 + 0.0 * y)) == pytest.approx(
        0, abs=1e-6
    )


@each_rate
def test_calibration_error_of_few_levels_is_that_of_its_bins(rate):
    """Levels further apart than a cell of the grid: nothing is rounded."""
    y, z = two_gaussians(30_000, rate)
    p = sigmoid(np.round(z)).astype("float32")
    found = ragged(tfi.metrics.ExpectedCalibrationError(), y, p).result()
    assert float(found) == pytest.approx(calibration_error(y, p, 15), rel=1e-5)


@each_rate
def test_calibration_error_of_many_levels_is_close(rate):
    y, z = two_gaussians(30_000, rate)
    p = sigmoid(z + 0.5)
    found = ragged(tfi.metrics.ExpectedCalibrationError(), y, p).result()
    assert float(found) == pytest.approx(calibration_error(y, p, 15), rel=0.01)


def test_calibration_error_of_classes_and_labels_is_their_mean():
    ids, z = classes(5_000, 4)
    p = softmax(np.round(z)).astype("float32")
    found = ragged(tfi.metrics.ExpectedCalibrationError(), ids, p).result()
    one_by_one = [calibration_error(ids == k, p[:, k], 15) for k in range(4)]
    assert float(found) == pytest.approx(np.mean(one_by_one), rel=0.02)
    metric = tfi.metrics.ExpectedCalibrationError(multi_label=True)
    assert float(ragged(metric, np.eye(4)[ids], p).result()) == pytest.approx(float(found))


@pytest.mark.parametrize(
    ("rate", "rows"), [*((rate, 2_000) for rate in RATES), (RATES[0], 20_000), (RATES[-1], 20_000)]
)
def test_floor_is_the_error_of_a_calibrated_model(rate, rows):
    """Labels drawn from the predictions, over and over."""
    _, z = two_gaussians(rows, rate)
    p = sigmoid(z)
    metric = tfi.metrics.ExpectedCalibrationError()
    rng = np.random.default_rng(1)
    errors = []
    for _ in range(25):
        metric.reset_state()
        errors.append(float(metric(rng.random(rows) < p, p)))
    assert float(metric.floor()) == pytest.approx(np.mean(errors), rel=0.25)


def test_floor_of_equal_probabilities_is_its_formula():
    p, rows, bins = 0.3, 900, 1
    metric = tfi.metrics.ExpectedCalibrationError(num_bins=bins)
    metric.update_state(np.zeros(rows), np.full(rows, p))
    wanted = np.sqrt(2 * p * (1 - p) / (np.pi * rows))
    assert float(metric.floor()) == pytest.approx(wanted, rel=1e-6)
