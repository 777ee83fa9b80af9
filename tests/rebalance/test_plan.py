import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize
from scipy.special import expit, logit, softmax

import tfimbalance as tfi

TIMES = "\N{MULTIPLICATION SIGN}"
STATS = tfi.ClassStatistics([950, 50])
TAIL = tfi.ClassStatistics([700, 200, 70, 30])
LABELS = tfi.ClassStatistics([50, 200, 400], 1000, multi_label=True)


def odds(priors):
    return priors / priors[0]


@pytest.mark.parametrize("shares", [None, "natural", "balanced", {1: 0.25}, [0.4, 0.6]])
@pytest.mark.parametrize("weights", [None, {0: 1.0, 1: 3.0}, [2.0, 0.5]])
@pytest.mark.parametrize("tau", [0.0, 0.3])
@pytest.mark.filterwarnings("ignore:Rebalance")
def test_factors_multiply(shares, weights, tau):
    plan = tfi.Rebalance(STATS, class_shares=shares, class_weight=weights, tau=tau)
    sampled = {
        None: STATS.priors,
        "natural": STATS.priors,
        "balanced": np.array([0.5, 0.5]),
    }.get(shares if isinstance(shares, str) or shares is None else "")
    if sampled is None:
        sampled = np.array([0.75, 0.25] if isinstance(shares, dict) else [0.4, 0.6])
    np.testing.assert_allclose(plan.sampled_priors, sampled, atol=1e-9)
    weight = np.array([1.0, 1.0] if weights is None else [weights[0], weights[1]])
    wanted = odds(sampled) * odds(weight) / odds(sampled) ** tau
    np.testing.assert_allclose(odds(plan.effective_priors), wanted, rtol=1e-6)
    for row, factor in zip(plan.audit().rows, wanted / odds(STATS.priors), strict=True):
        assert row["product"] == pytest.approx(factor, rel=1e-6)
        assert row["effective prior"] == pytest.approx(plan.effective_priors[row["class"]])


@pytest.mark.parametrize("scheme", ["balanced", "inverse_sqrt", "effective_number"])
@pytest.mark.parametrize("shares", [None, {3: 0.2}])
def test_weights_are_of_what_is_sampled(scheme, shares):
    plan = tfi.Rebalance(TAIL, class_shares=shares, class_weight=scheme)
    sampled = (
        TAIL
        if shares is None
        else tfi.ClassStatistics(np.rint(plan.sampled_priors * 1000).astype(int))
    )
    right = tfi.class_weights(sampled, scheme=scheme)
    found, wanted = (np.array(list(w.values())) for w in (plan.class_weight, right))
    np.testing.assert_allclose(found, wanted, rtol=0.01)  # Of whole rows, there.
    if scheme == "balanced":
        np.testing.assert_allclose(plan.effective_priors, 0.25, atol=1e-9)
        np.testing.assert_allclose(found * plan.sampled_priors, 0.25, atol=1e-9)


def test_both_at_full_strength_warns_with_the_numbers():
    numbers = rf"sampling {TIMES} 19 and weights {TIMES} 19 turn a prior of \.05 into \.95"
    with pytest.warns(UserWarning, match=numbers):
        plan = tfi.Rebalance(STATS, class_shares="balanced", class_weight=tfi.class_weights(STATS))
    np.testing.assert_allclose(plan.effective_priors, [0.05, 0.95])
    twice = rf"sampling {TIMES} 19 and weights {TIMES} 19, would turn a prior of \.05 into \.95"
    numbers = rf"leaves nothing to weights.*{twice}"
    with pytest.warns(UserWarning, match=numbers):
        plan = tfi.Rebalance(STATS, class_shares="balanced", class_weight="balanced")
    np.testing.assert_allclose(plan.effective_priors, [0.5, 0.5])
    with pytest.warns(UserWarning, match=rf"sampling {TIMES} 19 and adjustment {TIMES} 19, would"):
        tfi.Rebalance(STATS, class_shares="balanced", tau=1.0)
    # Both for natural shares: adjustment and weights.
    with pytest.warns(UserWarning, match=rf"weights {TIMES} 19 and adjustment {TIMES} 19 turn"):
        tfi.Rebalance(STATS, class_weight="balanced", tau=1.0)


@pytest.mark.parametrize(
    "arguments",
    [
        {"class_shares": "balanced"},
        {"class_shares": {1: 0.9}},
        {"class_weight": {0: 1.0, 1: 100.0}},
        {"class_shares": {1: 0.2}, "class_weight": "balanced", "focal_gamma": 2.0},
        {"class_shares": {1: 0.2}, "class_weight": {0: 1.0, 1: 1.5}},
        {"class_shares": {1: 0.2}, "tau": 1.0},
        {"class_shares": "natural", "class_weight": "balanced"},
        {"tau": 1.0},
        {},
    ],
)
def test_what_balances_once_warns_of_nothing(arguments):
    tfi.Rebalance(STATS, **arguments)


def test_the_table_of_a_long_tail_shows_both_ends():
    stats = tfi.ClassStatistics(np.arange(100, 0, -1))
    plan = tfi.Rebalance(stats, class_weight="balanced", focal_gamma=1.5)
    lines = str(plan.audit()).splitlines()
    assert lines[0].split()[0] == "class"
    assert [line.split()[0] for line in lines[1:21]] == [
        str(k) for k in [*range(10), *range(90, 100)]
    ]
    assert "(100 of them" in lines[21]
    assert "gamma 1.5" in lines[22]
    assert len(plan.audit().rows) == 100


def end_of(layers, raw, plan):
    """What the corrections make of raw logits."""
    for layer in layers:
        raw = layer(raw)
    return expit(raw) if plan.activation == "sigmoid" else softmax(raw, axis=-1)


@pytest.mark.parametrize("tau", [0.0, 0.4])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.filterwarnings("ignore:Rebalance")
def test_layers_undo_the_odds(tau, activation):
    plan = tfi.Rebalance(
        STATS, class_shares={1: 0.3}, class_weight=[1.0, 2.0], tau=tau, activation=activation
    )
    natural = np.random.default_rng(0).dirichlet([1, 1], 50)
    learned = natural * plan.effective_priors / plan.priors
    raw = np.log(learned)
    if activation == "sigmoid":
        raw = raw[:, 1:] - raw[:, :1]
    found = end_of(plan.layers(from_logits=True), raw, plan)
    np.testing.assert_allclose(found[:, -1], natural[:, 1], atol=1e-6)
    deployed = np.array([0.8, 0.2])
    moved = natural * deployed / plan.priors
    found = end_of(plan.layers(from_logits=True, target_priors=[0.8, 0.2]), raw, plan)
    np.testing.assert_allclose(found[:, -1], moved[:, 1] / moved.sum(axis=1), atol=1e-6)
    np.testing.assert_allclose(
        end_of(plan.layers(from_logits=True, target_priors=0.2), raw, plan), found, atol=1e-7
    )


@pytest.mark.filterwarnings("ignore:Rebalance")
def test_labels_are_undone_each_for_itself():
    plan = tfi.Rebalance(LABELS, class_weight=[2.0, 3.0, 4.0], tau=0.5)
    natural = np.random.default_rng(0).random((20, 3))
    factor = np.array([2.0, 3.0, 4.0]) * (LABELS.priors / (1 - LABELS.priors)) ** -0.5
    found = end_of(plan.layers(from_logits=True), logit(natural) + np.log(factor), plan)
    np.testing.assert_allclose(found, natural, atol=1e-6)
    np.testing.assert_allclose(
        logit(plan.effective_priors), logit(LABELS.priors) + np.log(factor), rtol=1e-9
    )
    assert "label" in str(plan.audit()).splitlines()[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stats", "arguments", "width"),
    [
        (STATS, {"class_weight": "balanced", "focal_gamma": 2.0}, 1),
        (STATS, {"tau": 1.0, "focal_gamma": 1.0}, 1),
        (STATS, {"class_weight": [1.0, 2.0], "activation": "softmax"}, 2),
        (TAIL, {"class_weight": "balanced", "focal_gamma": 2.0}, 4),
        (TAIL, {"tau": 1.0, "class_weight": [1.0, 1.0, 1.0, 1.1]}, 4),
        (LABELS, {"class_weight": [2.0, 3.0, 4.0], "focal_gamma": 2.0}, 3),
        (LABELS, {"tau": 1.0, "class_weight": [1.0, 1.0, 1.1]}, 3),
        (tfi.ClassStatistics([50, 200], 1000, multi_label=True), {"class_weight": [2.0, 3.0]}, 2),
    ],
)
@pytest.mark.filterwarnings("ignore:Rebalance")
def test_the_loss_is_least_where_the_plan_says(stats, arguments, width):
    """One cell of features, its labels at a known rate: the loss alone decides the optimum."""
    plan = tfi.Rebalance(stats, **arguments)
    loss = plan.loss(from_logits=True, dtype="float64")
    rng = np.random.default_rng(1)
    if stats.multi_label:
        y = (rng.random((400, width)) < 0.3).astype("float64")
        rate = y.mean(axis=0)
    else:
        ids = rng.choice(
            stats.num_classes, 400, p=np.full(stats.num_classes, 1 / stats.num_classes)
        )
        y, rate = ids, np.bincount(ids, minlength=stats.num_classes) / 400

    def value_and_slope(z):
        z = tf.constant(z[None])
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = loss(y, tf.repeat(z, 400, axis=0))
        return value.numpy(), tape.gradient(value, z).numpy()[0]

    z = minimize(value_and_slope, np.zeros(width), jac=True, tol=1e-9).x
    served = end_of(plan.layers(from_logits=True), z[None], plan)[0]
    wanted = rate[1:] if width == 1 else rate
    np.testing.assert_allclose(served, wanted, atol=2e-3)


def two_gaussians(rows, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < 0.05).astype("int32")
    return (rng.normal(size=(rows, 2)) + (2 * y - 1)[:, None]).astype("float32"), y


@pytest.mark.slow
def test_datasets_hold_the_shares_of_the_plan():
    x, y = two_gaussians(4_000)
    plan = tfi.Rebalance(y, class_shares={1: 0.25})
    shares = [labels.numpy().mean() for _, labels in plan.dataset(x, y, 100).take(3)]
    assert shares == [0.25, 0.25, 0.25]
    rows = tf.data.Dataset.from_tensor_slices((x, y))
    shares = [labels.numpy().mean() for _, labels in plan.dataset(rows, batch_size=100).take(3)]
    assert shares == [0.25, 0.25, 0.25]
    natural = tfi.Rebalance(y).dataset(x, y, batch_size=1_000)
    assert next(iter(natural))[1].numpy().mean() == pytest.approx(y.mean(), abs=1e-3)
    with pytest.warns(UserWarning, match="standard errors"):
        plan.dataset(x[np.argsort(-y)][:400], np.sort(y)[::-1][:400], 100)


def test_a_class_in_the_middle_may_be_balanced_twice():
    with pytest.warns(UserWarning, match=r"turn a prior of \.09 into \.94 \(class 1\)"):
        tfi.Rebalance(
            tfi.ClassStatistics([900, 90, 10]),
            class_shares=[0.3, 0.6, 0.1],
            class_weight=[1, 10, 1],
        )


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: tfi.Rebalance([0, 0, 2]), "class 1"),
        (lambda: tfi.Rebalance(STATS, class_shares={1: 1.0}), "class_shares"),
        (lambda: tfi.Rebalance(STATS, class_shares={1: 0.0}), "class 1"),
        (lambda: tfi.Rebalance(STATS, class_weight={0: 1.0}), "2 weights"),
        (lambda: tfi.Rebalance(STATS, class_weight={0: 1.0, 1: 0.0}), "class 1"),
        (lambda: tfi.Rebalance(STATS, class_weight="equal"), "balanced"),
        (lambda: tfi.Rebalance(STATS, focal_gamma=-1), "focal_gamma"),
        (lambda: tfi.Rebalance(STATS, tau=2**63), "nats of adjustment"),
        (lambda: tfi.Rebalance(STATS, activation="relu"), "activation"),
        (lambda: tfi.Rebalance(TAIL, activation="sigmoid"), "activation"),
        (lambda: tfi.Rebalance(LABELS, activation="softmax"), "activation"),
        (lambda: tfi.Rebalance(LABELS, class_shares="balanced"), "multi-label"),
        (lambda: tfi.Rebalance(LABELS).dataset([0], [0]), "multi-label"),
        (lambda: tfi.Rebalance(TAIL).layers(target_priors=0.1), "4 priors"),
        (lambda: tfi.Rebalance(TAIL).layers(target_priors=[1, 0, 1, 1]), "class 1"),
        (lambda: tfi.Rebalance(STATS).layers(target_priors=[0.2, 0.7]), "add up to 0.9"),
        (lambda: tfi.Rebalance([[1, 1], [0, 1]]), "class_statistics"),
        (lambda: tfi.Rebalance(STATS).dataset(np.zeros(4), [1, 1, 2, 2], 4), "3 classes"),
        (lambda: tfi.Rebalance(STATS).corrected(_model(2)), "softmax"),
        (lambda: tfi.Rebalance(TAIL).corrected(_model(3)), "4 outputs"),
        (lambda: tfi.Rebalance(STATS).callbacks((np.zeros(2),)), "validation_data"),
        (lambda: _twice(tfi.Rebalance(STATS, class_shares="balanced")), "already"),
        (lambda: _nested_twice(tfi.Rebalance(STATS, class_shares="balanced")), "already"),
        (lambda: tfi.Rebalance(STATS, focal_gamma=2.0).loss(gamma=3.0), "belongs to the plan"),
        (lambda: tfi.Rebalance(STATS).loss(label_smoothing=0.1), "belongs to the plan"),
        (lambda: tfi.layers.Threshold([0.1, 0.2])(np.zeros((3, 1))), "2 numbers"),
    ],
)
def test_bad_plans_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def _model(units):
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])


def _nested_twice(plan):
    inputs = keras.Input((2,))
    return plan.corrected(keras.Model(inputs, plan.corrected(_model(1))(inputs)))


def _twice(plan):
    return plan.corrected(plan.corrected(_model(1)))
