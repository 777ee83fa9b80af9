import numpy as np
import pytest
import tensorflow as tf

import tfimbalance as tfi
from tfimbalance.offsets import class_priors, positive_priors

RNG = np.random.default_rng(0)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(
    "given",
    [
        [90, 9, 1],
        (0.9, 0.09, 0.01),
        {2: 1, 0: 90, 1: 9},
        np.array([900, 90, 10], "int32"),
        tfi.ClassStatistics([90, 9, 1]),
    ],
)
def test_priors_of_any_form(given):
    np.testing.assert_allclose(class_priors(given), [0.9, 0.09, 0.01], rtol=1e-15)


def test_one_row_a_class_is_counts():
    np.testing.assert_allclose(class_priors([1, 1, 1, 1]), [0.25] * 4)


@pytest.mark.parametrize("base", [0.01, 0.3])
@pytest.mark.parametrize("new", [0.001, 0.5, 0.9])
def test_prior_shift_is_elkans_formula(base, new):
    """p' = b' (p - p b) / (b - p b + b' p - b b'), Elkan 2001, theorem 2."""
    p = RNG.random(50)
    right = new * (p - p * base) / (base - p * base + new * p - base * new)
    offset = tfi.calibration.prior_shift([1 - base, base], [1 - new, new])
    z = np.log(p / (1 - p)) + offset[1] - offset[0]
    np.testing.assert_allclose(1 / (1 + np.exp(-z)), right, rtol=1e-12)
    of_two = softmax(np.stack([np.log(1 - p), np.log(p)], axis=1) + offset)[:, 1]
    np.testing.assert_allclose(of_two, right, rtol=1e-12)


def test_prior_shift_there_and_back_is_nothing():
    one, other = RNG.dirichlet(np.ones(7)), RNG.dirichlet(np.ones(7))
    total = tfi.calibration.prior_shift(one, other) + tfi.calibration.prior_shift(other, one)
    np.testing.assert_allclose(total, 0, atol=1e-14)
    with pytest.raises(ValueError, match=r"`target_priors`: expected 2 classes.*3 classes"):
        tfi.calibration.prior_shift([0.5, 0.5], [1, 2, 3])


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_adjusted_logits_by_hand(tau):
    z, counts = RNG.normal(size=(4, 5, 3)), np.array([90, 9, 1])
    right = z - tau * np.log(counts / 100)
    np.testing.assert_allclose(tfi.calibration.adjust_logits(z, counts, tau=tau), right, rtol=1e-14)
    one = tfi.calibration.adjust_logits(z[..., :1], 0.01, tau=tau)
    np.testing.assert_allclose(one, z[..., :1] - tau * np.log(1 / 99), rtol=1e-14)
    for pair in (tfi.ClassStatistics([99, 1]), [99, 1], [0.99, 0.01]):
        of_pair = tfi.calibration.adjust_logits(z[..., :1], pair, tau=tau)
        np.testing.assert_allclose(of_pair, one, rtol=1e-12)
    labels = tfi.ClassStatistics([10, 20, 90], 100, multi_label=True)
    odds = np.log([1 / 9, 1 / 4, 9])
    np.testing.assert_allclose(
        tfi.calibration.adjust_logits(z, labels, tau=tau), z - tau * odds, rtol=1e-12
    )


def test_adjusting_the_posterior_makes_every_class_count_the_same():
    """z = log p(x | k) + log pi_k: without its prior, the likelihood alone decides."""
    likelihood, priors = RNG.normal(size=(200, 4)), np.array([0.9, 0.09, 0.009, 0.001])
    z = likelihood + np.log(priors) + RNG.normal(size=(200, 1))
    assert (z.argmax(axis=1) == 0).mean() > 0.9
    found = tfi.calibration.adjust_logits(z, priors).argmax(axis=1)
    np.testing.assert_array_equal(found, likelihood.argmax(axis=1))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_adjusted_logits_keep_their_type(dtype):
    z = RNG.normal(size=(5, 2)).astype(dtype)
    found = tfi.calibration.adjust_logits(z, [9, 1])
    assert found.dtype == dtype
    tensor = tfi.calibration.adjust_logits(tf.constant(z), [9, 1])
    assert tensor.dtype == dtype
    np.testing.assert_allclose(tensor.numpy(), found, rtol=2e-3)
    compiled = tf.function(lambda z: tfi.calibration.adjust_logits(z, [9, 1]), jit_compile=True)
    np.testing.assert_allclose(compiled(tf.constant(z)), found, rtol=2e-3)
    assert tfi.calibration.adjust_logits([[0, 1]], [1, 1]).dtype == "float64"


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ([9, 0], "class 1"),
        ([9, 1, 1], r"expected 2 classes, the last axis.*3 classes"),
        (0.0, r"\(0, 1\)"),
        ([0.9, 0.2], "add up to 1.1"),
    ],
)
def test_bad_priors_are_refused(priors, message):
    with pytest.raises(ValueError, match=f"`priors`.*{message}"):
        tfi.calibration.adjust_logits(np.zeros((3, 2)), priors)


def test_priors_of_positives():
    assert positive_priors(tfi.ClassStatistics([95, 5])) == 0.05
    np.testing.assert_array_equal(positive_priors({0: 0.1, 1: 0.2}), [0.1, 0.2])


def test_logits_that_could_be_rows_or_classes_are_refused():
    for logits in (np.zeros(2), tf.zeros(2)):
        with pytest.raises(ValueError, match=r"logits\[None, :\].*logits\[:, None\]"):
            tfi.calibration.adjust_logits(logits, [9, 1])
    np.testing.assert_allclose(tfi.calibration.adjust_logits(np.zeros(2), 0.5), 0.0)
    with pytest.raises(ValueError, match="floating-point"):
        tfi.calibration.adjust_logits(tf.zeros((2, 2), "int32"), [9, 1])


def test_one_number_shifts_one_logit():
    both = tfi.calibration.prior_shift([0.5, 0.5], [0.99, 0.01])
    assert float(tfi.calibration.prior_shift(0.5, 0.01)) == pytest.approx(
        both[1] - both[0], rel=1e-12
    )
    labels = tfi.ClassStatistics([10, 20], 100, multi_label=True)
    np.testing.assert_allclose(tfi.calibration.prior_shift(labels, labels), 0.0)
    with pytest.raises(ValueError, match="`target_priors`"):
        tfi.calibration.prior_shift([0.5, 0.5], 0.01)


def test_weights_are_no_priors():
    for given in (tfi.class_weights([0] * 9 + [1]), [0.55, 5.0], [0.9, 2.0]):
        with pytest.raises(ValueError, match="Weights are no priors"):
            class_priors(given)
    with pytest.raises(ValueError, match=r"class_statistics\(labels\)"):
        class_priors(np.array([0, 0, 1, 1, 2]))


def test_probabilities_taken_for_logits_are_warned_of():
    p = softmax(RNG.normal(size=(5, 3)))
    with pytest.warns(UserWarning, match=r"np.log\(probabilities\)"):
        tfi.calibration.adjust_logits(p, [90, 9, 1])
    tfi.calibration.adjust_logits(np.log(p), [90, 9, 1])
