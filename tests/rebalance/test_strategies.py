"""A strategy of one's own is one class: everything else of a plan follows from it."""

import keras
import numpy as np
import pytest

import tfimbalance as tfi
from tfimbalance.rebalance._warnings import warn_of_double_correction
from tfimbalance.rebalance.strategies import Strategy

STATS = tfi.ClassStatistics([900, 100])


class Repeats(Strategy):
    """Each positive comes several times, and its labels are smoothed."""

    name = "repeats"

    def factor(self):
        return np.array([1.0, 4.0])

    def loss_arguments(self):
        return {"label_smoothing": 0.1}


def plan_with(*more, **arguments):
    plan = tfi.Rebalance(STATS, **arguments)
    plan.strategies += more
    return plan


def test_audit_and_prior_follow_a_fifth_strategy():
    plan = plan_with(Repeats(), class_weight={0: 1.0, 1: 2.0})
    assert plan.effective_priors[1] == pytest.approx(800 / 1700)
    row = plan.audit().rows[1]
    assert (row["repeats"], row["product"]) == (pytest.approx(4.0), pytest.approx(8.0))
    assert "repeats" in str(plan.audit())
    assert "repeats" in repr(plan)


def test_warnings_follow_a_fifth_strategy():
    plan = plan_with(Repeats(), class_weight="balanced")
    with pytest.warns(UserWarning, match="weights . 9 and repeats . 4 turn"):
        warn_of_double_correction(plan)


def test_the_loss_follows_a_fifth_strategy():
    loss = plan_with(Repeats(), focal_gamma=1.0).loss(from_logits=True)
    assert (loss.label_smoothing, float(loss.gamma)) == (0.1, 1.0)


@pytest.mark.parametrize("arguments", [{}, {"class_weight": "balanced"}, {"focal_gamma": 2.0}])
def test_the_corrected_model_follows_a_fifth_strategy(arguments):
    """Factors of odds divide; what bends them comes off where it came on."""
    x = np.linspace(-3, 3, 7, dtype="float32")[:, None]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    without, with_it = (
        plan.corrected(model).predict(x, verbose=0)
        for plan in (tfi.Rebalance(STATS, **arguments), plan_with(Repeats(), **arguments))
    )
    if "focal_gamma" in arguments:  # Repeats act last, and come off first.
        without = (
            tfi.Rebalance(STATS, **arguments)
            .corrected(model)
            .predict(x - np.log(4.0, dtype="float32"), verbose=0)
        )
        odds = with_it / (1 - with_it)
    else:
        odds = with_it / (1 - with_it) * 4.0
    np.testing.assert_allclose(odds, without / (1 - without), rtol=1e-5)


def test_what_undoes_a_strategy_may_be_a_layer():
    class Halved(Strategy):
        name = "halved logits"

        def undo(self):
            return tfi.calibration.TemperatureScaling(temperature=0.5)

    x = np.linspace(-3, 3, 7, dtype="float32")[:, None]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    plan = plan_with(Halved())
    assert "Halved logits is no factor: it is inverted first." in str(plan.audit())
    np.testing.assert_allclose(
        plan.corrected(model).predict(x, verbose=0), 1 / (1 + np.exp(-2 * x)), rtol=1e-5
    )
