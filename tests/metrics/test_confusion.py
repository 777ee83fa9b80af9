"""Metrics of the confusion matrix against scikit-learn and imbalanced-learn."""

import imblearn.metrics
import keras
import numpy as np
import pytest
import sklearn.metrics as sk
from metrics.scores import RATES, classes, ragged, sigmoid, two_gaussians

import tfimbalance as tfi

PEERS = {
    tfi.metrics.BalancedAccuracy: sk.balanced_accuracy_score,
    tfi.metrics.GeometricMean: imblearn.metrics.geometric_mean_score,
    tfi.metrics.MatthewsCorrelation: sk.matthews_corrcoef,
}
each = pytest.mark.parametrize(("cls", "peer"), PEERS.items(), ids=lambda part: part.__name__)
each_rate = pytest.mark.parametrize("rate", RATES)


@each
@each_rate
@pytest.mark.parametrize("threshold", [0.5, 0.02])
def test_binary_equals_its_peer(cls, peer, rate, threshold):
    y, z = two_gaussians(15_000, rate)
    p = sigmoid(z).astype("float32")
    wanted = peer(y, p > np.float32(threshold))
    found = ragged(cls(threshold=threshold), y, p).result()
    assert float(found) == pytest.approx(wanted, abs=1e-6)
    found = ragged(cls(threshold=threshold, from_logits=True), y, z).result()
    assert float(found) == pytest.approx(wanted, abs=1e-6)


@each
def test_classes_and_labels_equal_their_peers(cls, peer):
    ids, z = classes(20_000, 8)
    found = ragged(cls(from_logits=True), ids, z).result()
    assert float(found) == pytest.approx(peer(ids, z.argmax(-1)), abs=1e-6)
    labels = z + np.random.default_rng(1).normal(size=z.shape) > 1
    found = ragged(cls(from_logits=True, multi_label=True), labels, z).result()
    one_by_one = [peer(labels[:, k], z[:, k] > 0) for k in range(8)]
    assert float(found) == pytest.approx(np.mean(one_by_one), abs=1e-6)


@each
def test_weights_equal_their_peer(cls, peer):
    ids, z = classes(5_000, 4)
    weight = np.random.default_rng(1).random(5_000).astype("float32")
    found = ragged(cls(from_logits=True), ids, z, sample_weight=weight).result()
    assert float(found) == pytest.approx(peer(ids, z.argmax(-1), sample_weight=weight), abs=1e-6)


def test_constant_predictions():
    y, p = np.repeat([0, 1], [99, 1]), np.zeros(100)
    assert float(tfi.metrics.BalancedAccuracy()(y, p)) == 0.5
    assert float(tfi.metrics.GeometricMean()(y, p)) == 0.0
    assert float(tfi.metrics.MatthewsCorrelation()(y, p)) == 0.0
    assert float(tfi.metrics.MatthewsCorrelation()(0 * y, p)) == 0.0


def test_constant_predictions_of_fractional_weights():
    # Sums of the same weights in another order differ in the last place.
    rng = np.random.default_rng(0)
    for _ in range(30):
        metric = tfi.metrics.MatthewsCorrelation()
        metric.update_state(rng.integers(0, 2, 39), np.full(39, 0.1), rng.random(39))
        assert float(metric.result()) == 0.0


@pytest.mark.parametrize(("dtype", "width"), [("uint8", 256), ("uint8", 300), ("int8", 200)])
def test_class_ids_of_few_bits(dtype, width):
    ids = np.array([3, 0, 100], dtype)
    p = np.eye(width, dtype="float32")[[3, 1, 100]]
    assert float(tfi.metrics.BalancedAccuracy()(ids, p)) == pytest.approx(2 / 3)


def test_classes_without_rows_are_left_out():
    p = np.eye(4)[[0, 1, 1, 3]]
    for cls in (tfi.metrics.BalancedAccuracy, tfi.metrics.GeometricMean):
        assert float(cls()([0, 0, 1, 1], p)) == 0.5
    recalls = tfi.metrics.PerClassRecall()([0, 0, 1, 1], p)
    np.testing.assert_array_equal(recalls, [0.5, 0.5, np.nan, np.nan])


def test_per_class_recall_equals_scikit_learn():
    ids, z = classes(20_000, 8)
    wanted = sk.recall_score(ids, z.argmax(-1), average=None)
    found = ragged(tfi.metrics.PerClassRecall(from_logits=True), ids, z).result()
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    one = ragged(tfi.metrics.PerClassRecall(class_id=5, from_logits=True), ids, z).result()
    assert float(one) == pytest.approx(wanted[5], rel=1e-6)
    with pytest.raises(ValueError, match=r"`class_id`.*from 0 to 7.*Received: 8"):
        tfi.metrics.PerClassRecall(class_id=8, from_logits=True)(ids, z)


def test_many_medium_few_is_the_mean_of_its_groups():
    ids, z = classes(20_000, 8)
    recalls = sk.recall_score(ids, z.argmax(-1), average=None)
    counts = np.array([900, 300, 101, 100, 50, 20, 19, 3])
    stats = tfi.ClassStatistics(counts)
    for given in (counts, counts.tolist(), dict(enumerate(counts.tolist())), stats):
        metric = tfi.metrics.ManyMediumFewRecall(given, from_logits=True)
        found = ragged(metric, ids, z).result()
        wanted = {"many": recalls[:3], "medium": recalls[3:6], "few": recalls[6:]}
        assert list(found) == list(wanted)
        for group, values in wanted.items():
            assert float(found[group]) == pytest.approx(values.mean(), rel=1e-6)
    with pytest.raises(ValueError, match=r"`class_counts`.*8 counts.*Received: 3"):
        tfi.metrics.ManyMediumFewRecall([5, 5, 5], from_logits=True)(ids, z)
    with pytest.raises(ValueError, match="`few`"):
        tfi.metrics.ManyMediumFewRecall([5, 5, 5], many=10)
    with pytest.raises(ValueError, match=r'`group`.*"many"'):
        tfi.metrics.ManyMediumFewRecall([5, 5, 5], group="tail")


def test_results_of_several_numbers_in_fit():
    """A dictionary is logged entry by entry, a vector as it is, and a scalar can be monitored."""
    ids, z = classes(64, 3)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax")])
    metrics = [
        tfi.metrics.ManyMediumFewRecall([200, 50, 5]),
        tfi.metrics.PerClassRecall(),
        tfi.metrics.PerClassRecall(class_id=2, name="tail"),
    ]
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=metrics, run_eagerly=True)
    stop = keras.callbacks.EarlyStopping("val_tail", patience=1)
    history = model.fit(z, ids, validation_data=(z, ids), callbacks=[stop], epochs=2, verbose=2)
    recalls = np.asarray(history.history["val_per_class_recall"][-1])
    logged = [history.history[f"val_{name}"][-1] for name in ("many", "medium", "few")]
    np.testing.assert_allclose(recalls, logged, rtol=1e-6)
    assert history.history["val_tail"][-1] == pytest.approx(recalls[2])
    assert len(model.evaluate(z, ids, verbose=0)) == 6


def test_a_hundred_thousand_classes_take_three_vectors():
    metric = tfi.metrics.BalancedAccuracy()
    ids = np.arange(4) * 30_000
    p = np.zeros((4, 100_000), "float32")
    p[range(4), ids] = 1.0
    assert float(metric(ids, p)) == 1.0
    assert sum(np.prod(v.shape) for v in metric.variables) == 3 * 100_000


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1, "half", float("nan")])
def test_bad_thresholds_are_refused(threshold):
    with pytest.raises(ValueError, match=r"`threshold`: expected .* Received: "):
        tfi.metrics.BalancedAccuracy(threshold=threshold)
