"""AUC within groups against a loop over scikit-learn's."""

import keras
import numpy as np
import pytest
import sklearn.metrics as sk
import tensorflow as tf
from metrics.scores import RATES, ragged, sigmoid, two_gaussians

import tfimbalance as tfi

pytestmark = pytest.mark.slow


def by_user(y, score, user, weight=None):
    """Group AUC, share of the users and share of the weight covered."""
    weight = np.ones(len(y)) if weight is None else weight
    values, weights = [], []
    for u in np.unique(user):
        of = (user == u) & (weight > 0)
        if 0 < y[of].sum() < of.sum():
            values.append(sk.roc_auc_score(y[of], score[of], sample_weight=weight[of]))
            weights.append(weight[of].sum())
    seen = len(np.unique(user[weight > 0]))
    return np.average(values, weights=weights), len(values) / seen


def impressions(rows, rate, users=200, seed=0):
    """Users of very different activity and taste, some of whom never appear."""
    y, z = two_gaussians(rows, rate, seed=seed)
    rng = np.random.default_rng(seed)
    user = np.minimum(rng.geometric(8 / users, rows), users - 1)
    return y, z + rng.normal(size=users).astype("float32")[user], user


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "tied"])
def test_exact_equals_a_loop_over_users(rate, ties):
    y, z, user = impressions(20_000, rate)
    z = np.round(z, 1) if ties else z
    wanted = by_user(y, z, user)
    metric = tfi.metrics.GroupAUC(200, exact=True, max_rows=20_000, from_logits=True)
    ragged(metric, y, z, groups=user)
    found = metric.result(), metric.coverage()
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert float(metric.error_bound()) == 0.0


@pytest.mark.parametrize("rate", RATES)
def test_binned_is_within_its_bound(rate):
    y, z, user = impressions(20_000, rate)
    wanted = by_user(y, z, user)
    metric = tfi.metrics.GroupAUC(200, from_logits=True)
    ragged(metric, y, z, groups=user)
    assert abs(float(metric.result()) - wanted[0]) <= float(metric.error_bound()) + 1e-6
    assert float(metric.error_bound()) < 0.05
    assert abs(float(metric.result()) - wanted[0]) < 0.005
    np.testing.assert_allclose(metric.coverage(), wanted[1], rtol=1e-6)


@pytest.mark.parametrize("exact", [False, True])
def test_weights_are_impressions(exact):
    y, z, user = impressions(4_000, 0.2)
    weight = np.random.default_rng(1).integers(0, 3, 4_000).astype("float32")
    wanted = by_user(y, z, user, weight)
    metric = tfi.metrics.GroupAUC(200, exact=exact, max_rows=4_000, from_logits=True)
    ragged(metric, y, z, sample_weight=weight, groups=user)
    np.testing.assert_allclose(metric.coverage(), wanted[1], rtol=1e-6)
    assert abs(float(metric.result()) - wanted[0]) <= float(metric.error_bound()) + 1e-6


def test_one_group_is_the_auc():
    y, z = two_gaussians(2_000, 0.1)
    metric = tfi.metrics.GroupAUC(1, num_bins=8192, from_logits=True)
    metric.update_state(y, z, groups=0 * y)
    assert float(metric.result()) == pytest.approx(
        float(tfi.metrics.AUC(from_logits=True)(y, z)), rel=1e-6
    )


@pytest.mark.parametrize("exact", [False, True])
def test_ids_of_few_bits_beside_many_groups(exact):
    metric = tfi.metrics.GroupAUC(1_000, exact=exact)
    groups = np.array([0, 0, 1, 1], "int8")
    metric.update_state([0, 1, 1, 0], [0.1, 0.2, 0.3, 0.4], groups=groups)
    assert float(metric.result()) == pytest.approx(0.5, abs=1e-3)


def test_second_output_of_the_same_scores_in_fit():
    y, z, user = impressions(600, 0.3, users=20)
    x = keras.Input((1,))
    click = keras.layers.Dense(1, activation="sigmoid", name="click")(x)
    ranking = keras.layers.Identity(name="ranking")(click)
    model = keras.Model(x, {"click": click, "ranking": ranking})
    metric = tfi.metrics.GroupAUC(20)
    model.compile(
        keras.optimizers.SGD(0.0),
        loss={"click": "binary_crossentropy", "ranking": None},
        metrics={"click": [tfi.metrics.AUC()], "ranking": [metric]},
    )
    targets = {"click": y, "ranking": np.stack([y, user], axis=1)}
    logs = model.fit(z[:, None], targets, batch_size=64, verbose=0).history
    p = model.predict(z[:, None], verbose=0)["click"][:, 0]
    found = logs["ranking_group_auc"][-1]
    assert abs(found - by_user(y, p, user)[0]) <= float(metric.error_bound()) + 1e-6
    assert logs["click_auc"][-1] != pytest.approx(found, abs=1e-3)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("wrong", [-1, 3, np.nan])
def test_groups_that_do_not_exist_are_refused(exact, wrong):
    y, p, user = np.array([0, 1, 0]), np.array([0.1, 0.6, 0.7]), np.array([0, 0, wrong])
    metric = tfi.metrics.GroupAUC(3, exact=exact, max_rows=9)
    with pytest.raises(ValueError, match=r"`groups`.*from 0 to 2.*Received: "):
        metric.update_state(y, p, groups=user)
    metric = tfi.metrics.GroupAUC(3, exact=exact, max_rows=9)
    tf.function(metric.update_state, autograph=False)(y, p, groups=tf.constant(user))
    assert np.isnan(float(metric.result()))
    metric.reset_state()
    metric.update_state(y, p, sample_weight=[1, 1, 0], groups=user)
    assert float(metric.result()) == 1.0


def test_what_cannot_be_read_is_refused():
    metric = tfi.metrics.GroupAUC(3)
    with pytest.raises(ValueError, match=r"`y_true`.*\(batch, 2\)"):
        metric.update_state([0, 1], sigmoid(np.zeros(2)))
    with pytest.raises(ValueError, match="`y_pred`"):
        metric.update_state([0, 1], np.zeros((2, 3)).tolist(), groups=[0, 1])
    with pytest.raises(ValueError, match=r"`groups`.*Received: float32"):
        tfi.metrics.GroupAUC(2**25, exact=True).update_state(
            np.zeros((2, 2), "float32"), np.zeros(2)
        )
    with pytest.raises(ValueError, match=r"`num_groups`.*exact=True"):
        tfi.metrics.GroupAUC(2**30)
