"""What the forms learn: optima over all draws of a tiny catalogue, and losses that are the same."""

import itertools

import numpy as np
import pytest
from backend import array, compiled, tensor, value_and_gradient
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

import tfimbalance as tfi

pytestmark = [
    pytest.mark.any_backend,
    pytest.mark.only_on("tensorflow", why="Keras computes float64 in float32 here"),
]
P = np.array([0.50, 0.25, 0.15, 0.07, 0.03])  # Of an item, given the query.
Q = np.array([0.10, 0.60, 0.05, 0.20, 0.05])  # Of a drawn negative.
ITEMS = len(P)


def draws(*sources):
    """All positives beside all draws, one negative a source: ids (rows, 1 + n), probabilities."""
    ids = np.array(list(itertools.product(range(ITEMS), repeat=1 + len(sources))))
    shares = [share[ids[:, k]] for k, share in enumerate([P, *sources])]
    return ids, np.prod(shares, axis=0)


def expected_loss(drawn, probability, log_q, **arguments):
    """The mean over all draws as a function of the scores of all items."""
    import tensorflow as tf

    positive = np.zeros(len(drawn), int)

    def loss(s):
        scores = tf.gather(s, drawn)
        rows = tfi.retrieval.sampled_softmax_loss(scores, log_q, positive=positive, **arguments)
        return tf.reduce_sum(probability * rows)

    return loss


def slope(loss, s):
    return array(value_and_gradient(loss, tensor(s, "float64"))[1])


def divergence(s):
    return float(P @ (np.log(P) - s + logsumexp(s)))


def optimum(loss):
    """KL of the truth from the softmax of the scores at which the loss is least."""
    step = compiled(lambda s: value_and_gradient(loss, s))

    def value_and_slope(rest):
        value, gradient = step(tensor(np.r_[0.0, rest], "float64"))
        return float(value), array(gradient)[1:]

    start = np.zeros(ITEMS - 1)
    found = minimize(value_and_slope, start, jac=True, method="BFGS", options={"gtol": 1e-9})
    return divergence(np.r_[0.0, found.x])


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_nce_learns_p_and_importance_approaches_it(n):
    """The table of the issue and of the README: 0 for any n, and .473 .260 .151 .093."""
    ids, probability = draws(*[Q] * n)
    log_q = np.log(Q)[ids]
    assert optimum(expected_loss(ids, probability, log_q)) < 1e-9
    removed = expected_loss(ids, probability, log_q, form="importance", ids=ids)
    assert optimum(removed) == pytest.approx([0.473, 0.260, 0.151, 0.093][n - 1], abs=2e-3)


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n", [1, 3])
def test_tau_is_a_dial_from_association_to_preference(n, tau):
    """At s = log p - (1 - tau) log Q the gradient vanishes, and the loss is convex."""
    ids, probability = draws(*[Q] * n)
    loss = expected_loss(ids, probability, np.log(Q)[ids], tau=tau)
    learned = np.log(P) - (1 - tau) * np.log(Q)
    np.testing.assert_allclose(slope(loss, learned), 0.0, atol=1e-14)
    assert np.abs(slope(loss, np.log(P * Q))).max() > 0.01


def test_wrong_combinations_have_to_be_forced():
    """With their numbers: what other libraries compute, and what is refused here."""
    ids, probability = draws(*[Q] * 4)
    hit = ids == ids[:, :1]
    hit[:, 0] = False
    log_q = np.log(Q)[ids]

    def forced(log_q, **arguments):
        return optimum(expected_loss(ids, probability, log_q, **arguments))

    # Corrected, and hits removed: only by calling them padding.
    assert forced(log_q, mask=~hit) == pytest.approx(0.0059, abs=2e-4)
    # Importance with hits kept: only by ids that are none, and a positive that is never drawn.
    never = np.where(np.arange(5) == 0, -1e3, log_q)
    kept = forced(never, form="importance", ids=np.arange(5))
    assert kept == pytest.approx(0.061, abs=2e-3)
    # The positive uncorrected: refused, unless it comes as a probability of nearly 1.
    with pytest.raises(ValueError, match=r"`log_q`.*positive that is left as it is"):
        slope(expected_loss(ids, probability, np.where(np.arange(5) == 0, 0.0, log_q)), P)
    blog = np.where(np.arange(5) == 0, -1e-12, log_q)
    assert forced(blog, mask=~hit) == pytest.approx(0.418, abs=2e-3)


def test_importance_has_the_gradient_of_the_corrected_correction():
    """arXiv 2507.09331: sg(1 - P) * -log(e^{s_y} / sum of e^{s_j - log Q'_j}), hits removed."""
    rng = np.random.default_rng(0)
    cases, n = 1000, 6
    ids = np.c_[rng.integers(ITEMS, size=cases), rng.choice(ITEMS, (cases, n), p=Q)]
    s = rng.normal(size=(cases, 1 + n)) * 2
    found = slope(
        lambda s: tfi.retrieval.sampled_softmax_loss(
            s, np.log(Q)[ids], positive=np.zeros(cases, int), form="importance", ids=ids
        ),
        s,
    )
    wanted = np.zeros_like(s)
    for row, own, z in zip(wanted, ids, s, strict=True):
        kept = np.flatnonzero(own != own[0])
        if len(kept):
            corrected = z[kept] - np.log(len(kept) * Q[own[kept]] / (1 - Q[own[0]]))
            rest = 1 - np.exp(z[0] - logsumexp(np.r_[z[0], corrected]))
            row[kept] = rest * np.exp(corrected - logsumexp(corrected))
            row[0] = -rest
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


def test_negatives_of_two_sources_have_the_frequency_of_the_mixture():
    """One in-batch, one uniform: n1 is the number of negatives, not the batch size."""
    in_batch, uniform = np.array([0.35, 0.30, 0.20, 0.10, 0.05]), np.full(ITEMS, 1 / ITEMS)
    ids, probability = draws(in_batch, uniform)

    def mixed(n1):
        log_q = tfi.retrieval.mixed_log_q(
            np.log(in_batch), num_in_batch=n1, num_uniform=1, num_items=ITEMS
        )
        np.testing.assert_allclose(log_q, np.log((n1 * in_batch + uniform) / (n1 + 1)), rtol=1e-14)
        return optimum(expected_loss(ids, probability, array(log_q)[ids]))

    assert mixed(1) == pytest.approx(7e-5, abs=1e-5)
    # Without uniform negatives it is Q to the last digit, or an item of Q near 1 would have log 0.
    alone = tfi.retrieval.mixed_log_q(
        np.float32([-1e-9]), num_in_batch=255, num_uniform=0, num_items=ITEMS
    )
    np.testing.assert_array_equal(alone, np.float32([-1e-9]))
    assert mixed(2) == pytest.approx(1.8e-3, abs=1e-4)
    unigram = expected_loss(ids, probability, np.log(in_batch)[ids])
    assert optimum(unigram) == pytest.approx(0.023, abs=1e-3)
    # Exact is the sum of two losses, one a source.
    first = expected_loss(ids[:, :2], probability, np.log(in_batch)[ids[:, :2]])
    second = expected_loss(ids[:, ::2], probability, np.log(uniform)[ids[:, ::2]])
    np.testing.assert_allclose(
        slope(lambda s: first(s) + second(s), np.log(P)), 0.0, rtol=0, atol=1e-14
    )


def test_one_negative_without_correction_is_bpr():
    """So BPR learns log p / Q: association."""
    rng = np.random.default_rng(0)
    s = rng.normal(size=(50, 2)) * 3
    found = tfi.retrieval.sampled_softmax_loss(s, None, positive=np.zeros(50, int), tau=0.0)
    np.testing.assert_allclose(found, -np.log(expit(s[:, 0] - s[:, 1])), rtol=1e-12)
    ids, probability = draws(Q)
    bpr = expected_loss(ids, probability, None, tau=0.0)
    np.testing.assert_allclose(slope(bpr, np.log(P / Q)), 0.0, atol=1e-14)


def binary_slope(z, positive, negative, **arguments):
    """Gradient of binary cross-entropy with these shares of positives and negatives an item."""
    y = np.repeat([[1.0], [0.0]], ITEMS, axis=1).reshape(-1, 1)
    weight = np.r_[positive, negative]
    loss = tfi.losses.WeightedBinaryCrossentropy(
        from_logits=True, reduction="sum", dtype="float64", **arguments
    )
    import tensorflow as tf

    return slope(lambda z: loss(y, tf.tile(z, [2])[:, None], weight), z)


def test_sigmoid_rows_learn_p_over_the_drawn():
    """n negatives a positive, hits kept: z = log p - log(n Q)."""
    z = np.log(P) - np.log(3 * Q)
    np.testing.assert_allclose(binary_slope(z, P, 3 * Q), 0.0, atol=1e-15)


def test_gbce_is_weighted_crossentropy():
    n, alpha = 2, 2 / (ITEMS - 1)
    for t, wanted in {
        0.0: [0.6667, 0.4, 0.2609, 0.1308, 0.0583],
        0.75: [0.5556, 0.2941, 0.1807, 0.086, 0.0372],
        1.0: P,
    }.items():
        beta = tfi.retrieval.gbce_weight(n, ITEMS, t=t)
        assert beta == pytest.approx(alpha * (t * (1 - 1 / alpha) + 1 / alpha), rel=1e-12)
        sigma = beta * P / (beta * P + alpha * (1 - P))
        np.testing.assert_allclose(sigma, wanted, atol=6e-5)
        found = binary_slope(np.log(sigma / (1 - sigma)), P, alpha * (1 - P), pos_weight=beta)
        np.testing.assert_allclose(found, 0.0, atol=1e-15)


def test_fake_negatives_make_logits_of_log_p():
    """Each click enters as a negative first: b = p / (1 + p), so that logit b = log p."""
    np.testing.assert_allclose(binary_slope(np.log(P), P, np.ones(ITEMS)), 0.0, atol=1e-15)
    b = P / (1 + P)
    np.testing.assert_allclose(np.log(b / (1 - b)), np.log(P), rtol=1e-12)
