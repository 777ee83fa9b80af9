"""Ranking metrics against scikit-learn: exact to 1e-6, and binned within their own bound."""

import numpy as np
import pytest
import sklearn.metrics as sk
import tensorflow as tf
from metrics.scores import RATES, classes, ragged, sigmoid, softmax, two_gaussians
from sklearn.metrics import roc_auc_score

import tfimbalance as tfi


def recall_at_precision(y, score, sample_weight=None):
    precision, recall, _ = sk.precision_recall_curve(y, score, sample_weight=sample_weight)
    return recall[precision >= 0.4].max()


def recall_at_flagged(y, score, sample_weight=None):
    """By one row after the other; rows with tied scores each get the mean of their labels."""
    weight = np.ones(len(y)) if sample_weight is None else sample_weight.astype("float64")
    _, tie = np.unique(score, return_inverse=True)
    rate = np.bincount(tie, weight * y) / np.bincount(tie, weight)
    order = np.argsort(-score, kind="stable")
    end = np.cumsum(weight[order])
    taken = np.clip(0.05 * weight.sum() - (end - weight[order]), 0, weight[order])
    return (taken * rate[tie][order]).sum() / (weight * y).sum()


PEERS = {
    "AUC": (tfi.metrics.AUC, (), sk.roc_auc_score),
    "AP": (tfi.metrics.AveragePrecision, (), sk.average_precision_score),
    "recall at precision": (tfi.metrics.RecallAtPrecision, (0.4,), recall_at_precision),
    "recall at flagged": (tfi.metrics.RecallAtFlagged, (0.05,), recall_at_flagged),
    "lift": (tfi.metrics.Lift, (0.05,), lambda *a, **k: recall_at_flagged(*a, **k) / 0.05),
}
each = pytest.mark.parametrize(("cls", "args", "peer"), PEERS.values(), ids=list(PEERS))
each_rate = pytest.mark.parametrize("rate", RATES)
# How far off the default grid may be on scores of two Gaussians, by its own account.
SMALL = {0.5: 0.002, 0.01: 0.02, 0.001: 0.05}


@each
@each_rate
@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "tied"])
def test_exact_equals_scikit_learn(cls, args, peer, rate, ties):
    y, z = two_gaussians(10_000, rate)
    p = sigmoid(np.round(z, 1) if ties else z).astype("float32")
    metric = ragged(cls(*args, exact=True, max_rows=10_000), y, p)
    assert float(metric.result()) == pytest.approx(peer(y, p), rel=1e-6, abs=1e-6)
    assert float(metric.error_bound()) == 0.0


@each
@each_rate
def test_binned_is_within_its_bound(cls, args, peer, rate):
    y, z = two_gaussians(50_000, rate)
    metric = ragged(cls(*args, from_logits=True), y, z)
    bound = float(metric.error_bound())
    scale = 1 / args[0] if cls is tfi.metrics.Lift else 1.0
    assert abs(float(metric.result()) - peer(y, z)) <= bound + 1e-6 * scale
    assert bound < SMALL[rate] * scale


@pytest.mark.slow
@each
def test_bound_holds_on_coarse_grids_whatever_the_scores(cls, args, peer):
    rng = np.random.default_rng(0)
    for seed in range(20):
        y, z = two_gaussians(400, 0.1, seed=seed)
        z = z * np.float32(rng.choice([0.01, 1.0, 30.0]))
        metric = cls(*args, num_bins=int(rng.integers(2, 200)), from_logits=True)
        metric.update_state(y, z)
        bound = float(metric.error_bound())
        assert abs(float(metric.result()) - peer(y, z)) <= bound * (1 + 1e-6) + 1e-5


def test_bound_is_reached():
    """Four rows of one bin, in the best and in the worst order: nothing less would hold."""
    for cls in (tfi.metrics.AUC, tfi.metrics.AveragePrecision):
        for y in ([1, 1, 0, 0], [0, 0, 1, 1]):
            binned = cls(num_bins=2, from_logits=True)
            binned.update_state(y, [4.0, 3.0, 2.0, 1.0])
            exact = cls(exact=True, max_rows=4, from_logits=True)
            exact.update_state(y, [4.0, 3.0, 2.0, 1.0])
            gap = abs(float(binned.result()) - float(exact.result()))
            assert gap <= float(binned.error_bound())
            if cls is tfi.metrics.AUC or y[0] == 1:
                assert gap == pytest.approx(float(binned.error_bound()), abs=1e-6)


@each
def test_weights_equal_scikit_learn(cls, args, peer):
    y, z = two_gaussians(5_000, 0.1)
    weight = np.random.default_rng(1).random(5_000).astype("float32")
    wanted = peer(y, z, sample_weight=weight)
    for options in ({"exact": True, "max_rows": 5_000}, {}):
        metric = cls(*args, from_logits=True, **options)
        ragged(metric, y, z, sample_weight=weight)
        bound = float(metric.error_bound()) + 1e-5 * wanted
        assert abs(float(metric.result()) - wanted) <= bound


@each
def test_classes_and_labels_are_means(cls, args, peer):
    ids, z = classes(3_000, 4)
    p = softmax(z).astype("float32")
    one_by_one = [peer(ids == k, p[:, k]) for k in range(4)]
    options = {"exact": True, "max_rows": 3_000}
    found = ragged(cls(*args, **options), ids, p).result()
    assert float(found) == pytest.approx(np.mean(one_by_one), rel=1e-6)
    found = ragged(cls(*args, from_logits=True, **options), ids, z).result()
    assert float(found) == pytest.approx(np.mean(one_by_one), rel=1e-4)
    found = ragged(cls(*args, class_id=3, **options), ids, p).result()
    assert float(found) == pytest.approx(one_by_one[3], rel=1e-6)
    labels = np.eye(4)[ids]
    labels[:, 2] = 0  # Has no positives: is left out.
    found = ragged(cls(*args, multi_label=True, **options), labels, p).result()
    assert float(found) == pytest.approx(np.mean([one_by_one[k] for k in (0, 1, 3)]), rel=1e-6)


def test_float64_scores_keep_their_order():
    y, z = two_gaussians(2_000, 0.1)
    p = 0.5 + z.astype("float64") * 1e-10
    found = ragged(tfi.metrics.AUC(exact=True, max_rows=2_000), y, p).result()
    assert float(found) == pytest.approx(sk.roc_auc_score(y, p), abs=1e-6)


def test_likeliest_classes_are_told_apart_from_logits():
    """Where 1 - p is below the rounding of p, probabilities tie; one against the rest does not."""
    z = np.zeros((4, 3), "float32")
    z[:, 0] = [30.0, 31.0, 32.0, 33.0]
    metric = tfi.metrics.AUC(class_id=0, from_logits=True)
    metric.update_state([1, 1, 0, 0], z)
    assert float(metric.result()) == 1.0
    assert float(metric.error_bound()) == 0.0


def test_one_class_alone_is_undefined():
    for cls, args, _ in PEERS.values():
        for y in ([0, 0], [1, 1]):
            assert np.isnan(float(cls(*args)(y, [0.2, 0.7])))


def test_no_precision_is_high_enough():
    assert float(tfi.metrics.RecallAtPrecision(0.9)([1, 0, 0], [0.1, 0.2, 0.3])) == 0.0


def test_more_rows_than_there_is_room_for():
    """An error where one can be raised, NaN in a graph, and all is well again after a reset."""
    metric = tfi.metrics.AUC(exact=True, max_rows=4)
    metric.update_state([0, 1, 0], [0.1, 0.9, 0.2])
    metric.update_state([0, 1, 0], [0.1, 0.9, 0.2], sample_weight=[1, 0, 0])
    assert float(metric.result()) == 1.0
    metric.update_state([1], [0.3])
    with pytest.raises(ValueError, match=r"`max_rows`.*at most 4.*Received: 5, of which 1"):
        metric.result()
    assert np.isnan(float(tf.function(metric.result, autograph=False)()))
    metric.reset_state()
    assert float(metric([0, 1], [0.1, 0.9])) == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_bins": 1}, "num_bins"),
        ({"num_bins": 2**31}, "num_bins"),
        ({"num_bins": 10**400}, "num_bins"),
        ({"max_rows": 0}, "max_rows"),
        ({"class_id": -1}, "class_id"),
        ({"class_id": 1.5}, "class_id"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=rf"`{message}`: expected .* Received: "):
        tfi.metrics.AUC(**arguments)
    for share in (0.0, 1.1, "all"):
        with pytest.raises(ValueError, match="`share`"):
            tfi.metrics.Lift(share)


def test_class_id_must_exist():
    with pytest.raises(ValueError, match=r"`class_id`.*binary"):
        tfi.metrics.AUC(class_id=1)([0, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match=r"`class_id`.*from 0 to 2"):
        tfi.metrics.AUC(class_id=3)([0, 1], np.eye(3)[:2])


@pytest.mark.parametrize("exact", [False, True])
def test_one_label_of_several_leaves_out_rows_where_it_is_unknown(exact):
    y = np.array([[1, -1], [0, 1], [1, 0], [0, 1], [-1, 0]])
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.8, 0.4], [0.1, 0.6]])
    for k in (0, 1):
        metric = tfi.metrics.AUC(multi_label=True, class_id=k, ignore_class=-1, exact=exact)
        known = y[:, k] >= 0
        wanted = roc_auc_score(y[known, k], p[known, k])
        assert float(metric(y, p)) == pytest.approx(wanted, abs=1e-6)
