"""Recipes of the README for click models: formulas to write in a model, not classes."""

import keras
import mpmath as mp
import numpy as np
import pytest
from backend import DTYPES, array, tensor, value_and_gradient
from keras import ops
from scipy.special import expit, logit

pytestmark = pytest.mark.any_backend


def slope_of_crossentropy(rate, weight, logits_of, at):
    """Gradient of the expected cross-entropy, of rows with these rates and weights."""
    rate, weight = (tensor(part, "float32") for part in (rate, weight))

    def nats(at):
        return ops.sum(weight * ops.binary_crossentropy(rate, logits_of(at), from_logits=True))

    return array(value_and_gradient(nats, tensor(at, "float32"))[1])


# --- The position: an additive input that is 0 when served ----------------------------------------


def position_model():
    """An item's log odds of a click at the top, and beside it what the other positions add."""
    item = keras.Input((), dtype="int32", name="item")
    below = keras.Input((2,), name="below")  # One-hot of the positions but the first.
    own = keras.layers.Embedding(2, 1, name="own")(item)
    added = keras.layers.Dense(1, use_bias=False, name="added")(below)
    return keras.Model({"item": item, "below": below}, own + added)


def test_a_position_served_as_0_ranks_items_as_if_all_stood_at_the_top():
    own, added = np.array([-1.0, -1.5]), np.array([0.0, -1.0, -2.0])
    # The better item was shown lower.
    shown = np.array([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1]])
    click = expit(own[:, None] + added)
    # Without the position an item's own log odds are those of its mean rate: the order is wrong.
    ignored = logit((shown * click).sum(axis=1))
    assert ignored[0] < ignored[1]

    # With it, the truth is where the (convex) expected loss is flat.
    item, position = (part.ravel() for part in np.indices(shown.shape))
    columns = np.concatenate([np.eye(2)[item], np.eye(3)[position][:, 1:]], axis=1)
    columns = tensor(columns, "float32")
    truth = np.concatenate([own, added[1:]])

    def logits_of(at):
        return ops.matmul(columns, at[:, None])[:, 0]

    at_truth = slope_of_crossentropy(click.ravel(), shown.ravel(), logits_of, truth)
    np.testing.assert_allclose(at_truth, 0.0, atol=1e-7)
    unplaced = np.concatenate([ignored, [0.0, 0.0]])
    elsewhere = slope_of_crossentropy(click.ravel(), shown.ravel(), logits_of, unplaced)
    assert np.abs(elsewhere).max() > 0.01

    model = position_model()
    model.get_layer("own").set_weights([own[:, None]])
    model.get_layer("added").set_weights([added[1:, None]])
    logged = model({"item": item.astype("int32"), "below": np.eye(3, dtype="f4")[position][:, 1:]})
    np.testing.assert_allclose(array(logged)[:, 0], logit(click).ravel(), rtol=1e-6)
    served = model({"item": np.array([0, 1], "int32"), "below": np.zeros((2, 2), "float32")})
    np.testing.assert_allclose(array(served)[:, 0], own, rtol=1e-6)


# --- ESMM: a click and then a conversion, of all impressions --------------------------------------


def both(a, b):
    """The log odds of two events in turn, sigmoid(a) sigmoid(b), of their own log odds."""
    # 1 / (sigmoid(a) sigmoid(b)) - 1 = e^-a + e^-b + e^(-a - b)
    return -ops.logsumexp(ops.stack([-a, -b, -a - b], axis=-1), axis=-1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_odds_of_a_click_and_a_conversion(dtype):
    values = tensor([-3e4, -90.0, -5.0, -0.5, 0.0, 1.0, 20.0, 90.0, 3e4], dtype)
    a, b = (part.ravel() for part in np.meshgrid(*[array(values).astype("float64")] * 2))
    found = array(both(tensor(a, dtype), tensor(b, dtype))).astype("float64")
    eps = {"float64": 4e-15, "float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}[dtype]
    small = np.maximum(abs(a), abs(b)) < 100
    with mp.workdps(200):
        p = [1 / ((1 + mp.exp(-x)) * (1 + mp.exp(-y))) for x, y in zip(a[small], b[small])]
        expected = [float(mp.log(one / (1 - one))) for one in p]
    np.testing.assert_allclose(found[small], expected, rtol=eps, atol=eps)
    # Far out, the less likely of the two decides, or both do where neither is likely.
    expected = np.minimum(np.minimum(a, b), a + b)[~small]
    np.testing.assert_allclose(found[~small], expected, rtol=eps, atol=eps + np.log(3))


def test_the_product_of_two_probabilities_in_logs():
    a, b = np.meshgrid(np.linspace(-30.0, 30.0, 13), np.linspace(-30.0, 30.0, 13))
    found = -array(ops.softplus(-both(tensor(a, "float32"), tensor(b, "float32"))))
    log_sigmoids = -np.logaddexp(0, -a) - np.logaddexp(0, -b)
    np.testing.assert_allclose(found, log_sigmoids, rtol=1e-6, atol=1e-13)


def test_esmm_learns_the_rate_of_conversions_among_clicks():
    """Flat at the truth of both logits, though conversions are told of impressions alone."""
    click, conversion = np.array([0.02, 0.3, 0.5]), np.array([0.1, 0.01, 0.9])
    truth = np.stack([logit(click), logit(conversion)])

    def logits_of(at):
        return ops.stack([at[0], both(at[0], at[1])])

    rate, weight = np.stack([click, click * conversion]), np.ones((2, 3))
    at_truth = slope_of_crossentropy(rate, weight, logits_of, truth)
    np.testing.assert_allclose(at_truth, 0.0, atol=1e-7)
    # A confident mistake still has its whole gradient: of a conversion, -1 in the worse of the two.
    wrong = slope_of_crossentropy(
        np.ones(1), np.ones(1), lambda at: both(at[0:1], at[1:2]), np.array([5.0, -200.0])
    )
    np.testing.assert_allclose(wrong, [-(1 - expit(5.0)), -1.0], rtol=1e-5)


# --- Fake negatives: each impression first enters as one ------------------------------------------


def test_fake_negatives_are_undone_by_reading_the_logit_as_a_log_probability():
    p = np.array([1e-9, 1e-3, 0.02, 0.4, 1.0])
    # Of each impression one negative, and of a share p a positive as well.
    weight = 1 + p
    at_log_p = slope_of_crossentropy(p / weight, weight, lambda at: at, np.log(p))
    np.testing.assert_allclose(at_log_p, 0.0, atol=1e-7)
    np.testing.assert_allclose(logit(p / weight), np.log(p), atol=1e-12)
    served = array(ops.exp(ops.minimum(tensor([*np.log(p), 0.3], "float32"), 0.0)))
    np.testing.assert_allclose(served, [*p, 1.0], rtol=2e-6)
