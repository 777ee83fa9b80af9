import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

import tfimbalance as tfi

pytestmark = pytest.mark.slow

SURROGATES = ["squared_hinge", "logistic"]
each = pytest.mark.parametrize("surrogate", SURROGATES)


def value_and_gradient(loss, y, s, weight=None):
    s = tf.constant(s)
    with tf.GradientTape() as tape:
        tape.watch(s)
        value = loss(y, s, sample_weight=weight)
    return value.numpy(), tape.gradient(value, s).numpy()


def rows(n, seed=0, rate=0.3):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < rate).astype("float64")
    y[:2] = 0, 1
    # Rounded, so that there are ties, and leads of exactly the margin.
    return y, np.round(rng.normal(size=n) * 2, 1), rng.integers(0, 3, n).astype("float64")


@each
@pytest.mark.parametrize("n", [2, 5, 100, 1000])
@pytest.mark.parametrize("weighed", [False, True])
def test_value_and_gradient_are_those_of_the_matrix(surrogate, n, weighed):
    y, s, weight = rows(n)
    weight[:2] = 1, 2
    weight = weight if weighed else None
    loss = tfi.losses.PairwiseAUCLoss(surrogate, dtype="float64")
    value, gradient = value_and_gradient(loss, y, s, weight)
    right, right_gradient = oracles.pairwise(y, s, surrogate, weight=weight)
    np.testing.assert_allclose(value, right, rtol=1e-12)
    np.testing.assert_allclose(gradient, right_gradient, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("margin", [0.1, 3.0])
def test_margin_is_the_lead_that_costs_nothing(margin):
    y, s, _ = rows(50)
    loss = tfi.losses.PairwiseAUCLoss(margin=margin, dtype="float64")
    value, gradient = value_and_gradient(loss, y, s)
    right, right_gradient = oracles.pairwise(y, s, "squared_hinge", margin)
    np.testing.assert_allclose(value, right, rtol=1e-12)
    np.testing.assert_allclose(gradient, right_gradient, rtol=1e-10, atol=1e-15)
    perfect = loss([1.0, 1.0, 0.0], [margin, margin + 5, 0.0])
    assert float(perfect) == 0.0


@each
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_float32_keeps_its_digits_on_large_batches(surrogate, scale):
    """65,536 scores; the oracle sees 50 positives against all of them."""
    rng = np.random.default_rng(0)
    y = np.zeros(65_536)
    y[rng.choice(len(y), 50, replace=False)] = 1
    s = (rng.normal(size=len(y)) * scale).astype("float32")
    loss = tfi.losses.PairwiseAUCLoss(surrogate)
    value, gradient = value_and_gradient(loss, y.astype("float32"), s)
    right, right_gradient = oracles.pairwise(y, s, surrogate)
    np.testing.assert_allclose(value, right, rtol=1e-5)
    largest = np.abs(right_gradient).max()
    np.testing.assert_allclose(gradient, right_gradient, rtol=1e-4, atol=1e-6 * largest)


@each
@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["graph", "xla"]
)
def test_batches_of_unknown_size(surrogate, jit_compile):
    """As `fit` compiles its steps."""
    loss = tfi.losses.PairwiseAUCLoss(surrogate, dtype="float64")
    spec = tf.TensorSpec([None], "float64")

    @tf.function(input_signature=[spec] * 3, jit_compile=jit_compile, autograph=False)
    def compiled(y, s, weight):
        with tf.GradientTape() as tape:
            tape.watch(s)
            value = loss(y, s, sample_weight=weight)
        return value, tape.gradient(value, s)

    for n in (3, 3000) if jit_compile else (3, 40, 3000):  # XLA compiles each of them.
        y, s, weight = rows(n, seed=n)
        weight[:2] = 1
        value, gradient = compiled(y, s, weight)
        right, right_gradient = oracles.pairwise(y, s, surrogate, weight=weight)
        np.testing.assert_allclose(value, right, rtol=1e-11)
        np.testing.assert_allclose(gradient, right_gradient, rtol=1e-9, atol=1e-14)


@each
def test_labels_are_ranked_apart(surrogate):
    rng = np.random.default_rng(0)
    y, s = rng.integers(0, 2, (30, 3)).astype(float), rng.normal(size=(30, 3))
    loss = tfi.losses.PairwiseAUCLoss(surrogate, dtype="float64")
    value, gradient = value_and_gradient(loss, y, s)
    right = [oracles.pairwise(y[:, k], s[:, k], surrogate) for k in range(3)]
    np.testing.assert_allclose(value, np.mean([one for one, _ in right]), rtol=1e-12)
    wanted = np.stack([one for _, one in right], axis=1) / 3
    np.testing.assert_allclose(gradient, wanted, rtol=1e-10, atol=1e-15)


@each
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_batch_without_a_pair_costs_nothing(surrogate, label):
    loss = tfi.losses.PairwiseAUCLoss(surrogate)
    value, gradient = value_and_gradient(loss, np.full(5, label), np.arange(5, dtype="float32"))
    assert value == 0.0
    np.testing.assert_array_equal(gradient, 0.0)
    only_masked = np.array([0.0, 1.0, 1.0, 1.0, 1.0], "float32")
    value, gradient = value_and_gradient(
        loss, np.array([1.0, 0.0, 0.0, 0.0, 0.0]), np.arange(5, dtype="float32"), only_masked
    )
    assert value == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


@each
def test_any_upstream_gradient(surrogate):
    """Unreduced values may be weighed by anything; the gradient follows."""
    y, s, _ = rows(12)
    outer = np.random.default_rng(1).normal(size=12)
    loss = tfi.losses.PairwiseAUCLoss(surrogate, dtype="float64", reduction=None)
    s = tf.constant(s + 0.03)
    with tf.GradientTape() as tape:
        tape.watch(s)
        value = tf.reduce_sum(loss(y, s) * outer)
    slope = tape.gradient(value, s).numpy()
    for k in range(12):
        step = 1e-6 * np.eye(12)[k]
        ahead, behind = (tf.reduce_sum(loss(y, s + d) * outer) for d in (step, -step))
        assert float(ahead - behind) / 2e-6 == pytest.approx(slope[k], rel=1e-6, abs=1e-8)


@each
def test_a_soft_target_is_on_both_sides(surrogate):
    loss = tfi.losses.PairwiseAUCLoss(surrogate, dtype="float64")
    split = loss([0.25, 1.0, 0.0], [0.3, 0.1, 0.2])
    whole = loss(
        [1.0, 0.0, 1.0, 0.0],
        [0.3, 0.3, 0.1, 0.2],
        sample_weight=np.array([0.25, 0.75, 1.0, 1.0]),
    )
    assert float(split) == pytest.approx(float(whole), rel=1e-12)


@pytest.mark.slow
def test_ranks_rare_positives_through_fit():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 5)).astype("float32")
    y = (x[:, 0] - x[:, 1] + 0.5 * rng.normal(size=4000) > 3.3).astype("int32")
    assert 20 < y.sum() < 80
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.02), "pairwise_auc_loss")
    before = roc_auc_score(y, model.predict(x, verbose=0)[:, 0])
    dataset = tfi.data.balanced_batches(x, y, batch_size=64, steps_per_epoch=60)
    model.fit(dataset, epochs=2, verbose=0)
    after = roc_auc_score(y, model.predict(x, verbose=0)[:, 0])
    assert before < 0.9 < 0.97 < after


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"surrogate": "hinge"}, '"squared_hinge", "logistic"'),
        ({"margin": 0.0}, "margin"),
        ({"surrogate": "logistic", "margin": 2.0}, "which has none"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        tfi.losses.PairwiseAUCLoss(**arguments)


def test_class_weights_around_it_are_refused():
    with pytest.raises(ValueError, match="cancel"):
        tfi.losses.ClassWeighted("pairwise_auc_loss", {0: 1.0, 1: 2.0})


@each
@pytest.mark.parametrize("factor", [1e-25, 1e20])
def test_weights_of_any_size(surrogate, factor):
    y, s, weight = rows(40)
    weight[:2] = 1
    loss = tfi.losses.PairwiseAUCLoss(surrogate)
    value, gradient = value_and_gradient(
        loss, y.astype("float32"), s.astype("float32"), (weight * factor).astype("float32")
    )
    right, right_gradient = oracles.pairwise(y, s, surrogate, weight=weight)
    assert value == pytest.approx(right, rel=1e-5)
    np.testing.assert_allclose(gradient, right_gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("level", "margin"), [(1000.0, 0.01), (1e4, 0.01), (1e5, 0.1)])
def test_a_level_that_all_scores_share_costs_no_digits(level, margin):
    y, s, _ = rows(200)
    s = (level + s * margin).astype("float32")
    loss = tfi.losses.PairwiseAUCLoss(margin=margin)
    value, _ = value_and_gradient(loss, y.astype("float32"), s)
    right, _ = oracles.pairwise(y, s, "squared_hinge", margin)
    assert value == pytest.approx(right, rel=1e-4)


@each
def test_padding_may_hold_anything(surrogate):
    y, s, weight = rows(30)
    weight[:2], weight[5:8] = 1, 0
    loss = tfi.losses.PairwiseAUCLoss(surrogate, dtype="float64")
    s[5:8] = [np.nan, np.inf, -1e300]
    value, gradient = value_and_gradient(loss, y, s, weight)
    kept = np.setdiff1d(np.arange(30), [5, 6, 7])
    right, right_gradient = oracles.pairwise(y[kept], s[kept], surrogate, weight=weight[kept])
    assert value == pytest.approx(right, rel=1e-10)
    np.testing.assert_allclose(gradient[kept], right_gradient, rtol=1e-9, atol=1e-14)
    np.testing.assert_array_equal(gradient[5:8], 0.0)


@each
def test_an_empty_batch_costs_nothing(surrogate):
    """As the last batch leaves to one of two replicas."""
    loss = tfi.losses.PairwiseAUCLoss(surrogate)

    @tf.function(input_signature=[tf.TensorSpec([None, 1])])
    def compiled(s):
        with tf.GradientTape() as tape:
            tape.watch(s)
            value = loss(tf.zeros_like(s), s)
        return value, tape.gradient(value, s)

    value, gradient = compiled(tf.zeros([0, 1]))
    assert float(value) == 0.0
    assert gradient.shape == (0, 1)
    # Of a size that is known to be 0, Keras reduces nothing.
    assert loss(tf.zeros([0, 1]), tf.zeros([0, 1])).shape == (0,)


def test_a_label_without_a_pair_has_no_part_in_the_mean():
    y = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    s = np.array([[0.5, 3.0], [0.0, 2.0], [0.2, 1.0]])
    both = tfi.losses.PairwiseAUCLoss(dtype="float64")(y, s)
    alone = tfi.losses.PairwiseAUCLoss(dtype="float64")(y[:, :1], s[:, :1])
    assert float(both) == pytest.approx(float(alone), rel=1e-12)


@each
def test_minus_one_is_a_negative(surrogate):
    y, s, _ = rows(30)
    loss = tfi.losses.PairwiseAUCLoss(surrogate, dtype="float64")
    assert float(loss(2 * y - 1, s)) == float(loss(y, s))


def test_labels_beyond_their_ends_are_refused():
    """They counted as 1 and as -1; where rows do not count, anything may stand."""
    loss = tfi.losses.PairwiseAUCLoss()
    for label in (1000, 2**31, -2, np.nan):
        y = np.array([label, 1, 0])
        with pytest.raises(ValueError, match="`y_true`: expected labels of -1 and 1"):
            loss(y, [0.0, 1.0, 2.0])
        assert np.isnan(tf.function(loss)(y, np.array([0.0, 1.0, 2.0], "float32")))
        assert np.isfinite(loss(y, [0.0, 1.0, 2.0], [0.0, 1.0, 1.0]))
