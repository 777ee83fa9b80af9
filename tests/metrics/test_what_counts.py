"""Rows and labels that do not count, and weights of any scale."""

import keras
import numpy as np
import pytest
from metrics.scores import classes, sigmoid, softmax, two_gaussians

import tfimbalance as tfi

METRICS = {
    "AUC": {},
    "AveragePrecision": {"exact": True, "max_rows": 500},
    "RecallAtPrecision": {"precision": 0.5},
    "BalancedAccuracy": {},
    "MatthewsCorrelation": {},
    "GeometricMean": {},
    "BrierScore": {},
    "NormalizedEntropy": {},
    "ExpectedCalibrationError": {},
    "CalibrationRatio": {},
}


def metric(name, **arguments):
    return getattr(tfi.metrics, name)(**METRICS[name], **arguments)


def value(made, *rows):
    made.update_state(*rows)
    return np.array(made.result())


@pytest.mark.parametrize("name", METRICS)
def test_ids_of_the_ignored_class_are_no_rows(name):
    ids, z = classes(400, 3)
    p = softmax(z).astype("float32")
    void = np.random.default_rng(1).random(400) < 0.3
    given = np.where(void, 255, ids).astype("uint8")
    p[void] = np.nan  # Whatever the model says there.
    extra = {"class_id": 1} if name == "CalibrationRatio" else {}
    found = value(metric(name, ignore_class=255, **extra), given, p)
    expected = value(metric(name, **extra), ids[~void], p[~void])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("name", [n for n in METRICS if n != "RecallAtPrecision"])
def test_unknown_labels_are_left_out_label_by_label(name):
    rng = np.random.default_rng(0)
    p = rng.random((400, 3)).astype("float32")
    y = (rng.random((400, 3)) < p).astype("int32")
    known = rng.random((400, 3)) < 0.7
    found = value(metric(name, multi_label=True, ignore_class=-1), np.where(known, y, -1), p)
    each = [value(metric(name), y[known[:, k], k], p[known[:, k], k]) for k in range(3)]
    expected = each if name == "CalibrationRatio" else np.mean(each)
    if name == "NormalizedEntropy":  # One over the other, not a mean of ratios.
        p, rate = p.astype("float64"), [y[known[:, k], k].mean() for k in range(3)]
        nats = -np.log(np.where(y == 1, p, 1 - p))
        cost = np.mean([nats[known[:, k], k].mean() for k in range(3)])
        expected = cost / -np.mean([r * np.log(r) + (1 - r) * np.log1p(-r) for r in rate])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_mask_with_a_void_class_in_fit():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, (32, 8, 8))
    x = np.eye(3, dtype="float32")[y]
    y[:, 0] = 255
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 1)])
    model.compile(
        "adam",
        tfi.losses.SparseCategoricalFocalLoss(from_logits=True, ignore_class=255),
        metrics=[tfi.metrics.BalancedAccuracy(from_logits=True, ignore_class=255)],
    )
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    said = model.predict(x, verbose=0).argmax(-1)
    recalls = [(said[y == k] == k).mean() for k in range(3)]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls), rel=1e-5)


def test_one_hot_rows_have_no_ignored_class():
    with pytest.raises(ValueError, match=r"`ignore_class`.*one-hot"):
        tfi.metrics.AUC(ignore_class=-1).update_state(np.eye(3), np.full((3, 3), 1 / 3))


@pytest.mark.parametrize("scale", [1e-170, 1e-3, 1e6])
@pytest.mark.parametrize("name", METRICS)
def test_the_scale_of_weights_does_not_matter(name, scale):
    y, z = two_gaussians(400, 0.3)
    p, weight = sigmoid(z), np.random.default_rng(0).random(400)
    expected = value(metric(name), y, p, weight)
    extra = {"dtype": "float64"} if scale < 1e-30 and METRICS[name].get("exact") else {}
    given = p.astype("float64") if extra else p
    found = value(metric(name, **extra), y, given, weight * scale)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    if name == "ExpectedCalibrationError" and scale > 1e-150:  # It squares weights.
        one, other = (metric(name), metric(name))
        one.update_state(y, p, weight)
        other.update_state(y, p, weight * scale)
        np.testing.assert_allclose(one.floor(), other.floor(), rtol=1e-6)


def test_equal_rows_of_logits_are_tied():
    rng = np.random.default_rng(0)
    for rows in range(3, 120, 9):
        z = np.tile((rng.normal(size=7) * 3).astype("float32"), (rows, 1))
        y = np.arange(rows) % 7
        auc = tfi.metrics.AUC(exact=True, max_rows=rows, from_logits=True, class_id=1)
        assert float(auc(y, z)) == 0.5


@pytest.mark.parametrize("arguments", [{}, {"exact": True, "max_rows": 500}])
def test_unknown_labels_of_groups_are_no_rows(arguments):
    rng = np.random.default_rng(0)
    y, p, groups = rng.integers(0, 2, 400), rng.random(400).astype("float32"), np.arange(400) % 20
    known = rng.random(400) < 0.7
    found = tfi.metrics.GroupAUC(20, ignore_class=-1, **arguments)
    found.update_state(np.where(known, y, -1), p, groups=groups)
    expected = tfi.metrics.GroupAUC(20, **arguments)
    expected.update_state(y[known], p[known], groups=groups[known])
    assert float(found.result()) == pytest.approx(float(expected.result()), rel=1e-6)


@pytest.mark.parametrize(
    "given",
    [None, "a", {0: 1.0}, len, np.array(["0", "1"]), np.array([0, 1j]), [[0.0], [1.0, 0.0]]],
    ids=lambda given: type(given).__name__,
)
def test_what_is_no_array_of_real_numbers_is_refused(given):
    def refused(argument):
        return pytest.raises(ValueError, match=rf"`{argument}`: expected a dense array.*Received")

    metric = tfi.metrics.BrierScore()
    with refused("y_true"):
        metric.update_state(given, [0.5, 0.75])
    with refused("y_pred"):
        metric.update_state([0, 1], given)
    if given is not None:
        with refused("sample_weight"):
            metric.update_state([0, 1], [0.5, 0.75], given)
        with refused("groups"):
            tfi.metrics.GroupAUC(3).update_state([0, 1], [0.5, 0.75], groups=given)
