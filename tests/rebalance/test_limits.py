"""Two Gaussians, 400,000 rows: what every plan learns, and what is served after correction."""

import keras
import numpy as np
import pytest
from scipy.special import expit, logit

import tfimbalance as tfi

pytestmark = pytest.mark.slow

PRIOR, ROWS = 0.05, 400_000
BAYES = 0.3437  # Normalized entropy.
TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.fixture(scope="module")
def rows():
    """``x | y ~ N(y (1, 1), I)``, y of -1 and +1, exactly 5% of them positive."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(ROWS) < PRIOR * ROWS).astype("int32")
    x = rng.normal(size=(ROWS, 2)) + (2 * y - 1)[:, None]
    return x.astype("float32"), y


def normalized_entropy(y, p):
    rate = y.mean()
    nats = -np.log(np.where(y == 1, p, 1 - p)).mean()
    return nats / -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))


def bayes(x):
    return expit(2 * x.sum(axis=1).astype("float64") + logit(PRIOR))


def trained(plan, x, y, epochs=3, batch_size=4_096):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    steps = ROWS // batch_size * epochs
    rate = keras.optimizers.schedules.CosineDecay(0.3, steps)
    model.compile(keras.optimizers.Adam(rate), plan.loss(from_logits=True))
    model.fit(plan.dataset(x, y, batch_size=batch_size), epochs=epochs, verbose=0)
    return model


def test_the_bayes_rule_has_the_published_value(rows):
    x, y = rows
    assert normalized_entropy(y, bayes(x)) == pytest.approx(BAYES, abs=0.003)


PLANS = {
    "plain": ({}, BAYES),
    "focal": ({"focal_gamma": 2.0}, 0.71),
    "weights": ({"class_weight": "balanced"}, None),
    "balanced batches": ({"class_shares": "balanced"}, None),
    "logit adjustment": ({"tau": 1.0}, None),
    "all three": (
        {"class_shares": {1: 0.2}, "class_weight": "balanced", "focal_gamma": 2.0},
        None,
    ),
    "all four": (
        {
            "class_shares": {1: 0.2},
            "class_weight": {0: 1.0, 1: 1.5},
            "focal_gamma": 1.0,
            "tau": 0.5,
        },
        None,
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_what_is_served_is_the_posterior(rows, name):
    x, y = rows
    arguments, raw_entropy = PLANS[name]
    plan = tfi.Rebalance(tfi.class_statistics(y), **arguments)
    model = trained(plan, x, y)
    raw = expit(model.predict(x, batch_size=ROWS, verbose=0)[:, 0].astype("float64"))
    served = plan.corrected(model).predict(x, batch_size=ROWS, verbose=0)[:, 0].astype("float64")
    found = normalized_entropy(y, served)
    print(f"{name}: raw {normalized_entropy(y, raw):.4f}, corrected {found:.4f}")
    assert found == pytest.approx(BAYES, abs=0.003)
    assert served.mean() / y.mean() == pytest.approx(1.0, abs=0.05)
    np.testing.assert_array_equal(np.argsort(served[:1000]), np.argsort(raw[:1000]))
    before = normalized_entropy(y, raw)
    if raw_entropy is None:  # Trained for a world of even odds.
        assert before > 0.7
    else:
        assert before == pytest.approx(raw_entropy, abs=0.02)
