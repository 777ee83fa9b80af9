import keras
import numpy as np
import pytest

import tfimbalance as tfi

COSTS = np.array([[0.0, 1.0, 50.0], [1.0, 0.0, 50.0], [2.0, 2.0, 0.0], [0.9, 0.9, 0.9]])


@pytest.mark.parametrize("shape", [(200,), (20, 10)])
def test_the_decision_has_the_least_expected_cost(shape):
    p = np.random.default_rng(0).dirichlet([0.3] * 3, size=shape)
    expected = np.einsum("ij,...j->...i", COSTS, p)
    found = np.asarray(tfi.layers.MinimumCost(COSTS, dtype="float64")(p))
    np.testing.assert_array_equal(found, expected.argmin(axis=-1))
    assert set(found.ravel()) == {0, 1, 2, 3}


def test_ties_take_the_first_and_equal_costs_the_largest_probability():
    layer = tfi.layers.MinimumCost([[1.0, 1.0], [1.0, 1.0]])
    assert np.asarray(layer(np.array([[0.2, 0.8]]))).tolist() == [0]
    p = np.random.default_rng(0).dirichlet(np.ones(5), size=100)
    found = tfi.layers.MinimumCost(1.0 - np.eye(5), dtype="float64")(p)
    np.testing.assert_array_equal(found, p.argmax(axis=1))


def test_saves_and_serves_behind_a_corrected_model(tmp_path):
    plan = tfi.Rebalance(tfi.ClassStatistics([90, 8, 2]), class_shares="balanced")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    served = tfi.calibration.calibrated_model(
        plan.corrected(model), tfi.layers.MinimumCost(COSTS), from_logits=False
    )
    assert served.output_shape == (None,)
    x = np.random.default_rng(0).normal(size=(50, 4)) * 3
    served.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras").predict(x, verbose=0)
    p = plan.corrected(model).predict(x, verbose=0)
    np.testing.assert_array_equal(again, (p @ COSTS.T).argmin(axis=1))


@pytest.mark.parametrize("costs", [[1.0, 2.0], [[0.0, 1.0]], [[0.0, np.inf], [1.0, 0.0]], "cost"])
def test_costs_that_are_no_table_are_refused(costs):
    with pytest.raises(ValueError, match=r"`costs`: expected a finite table"):
        tfi.layers.MinimumCost(costs)


def test_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match=r"`costs`: expected a column for each class.*\(7, 1\)"):
        tfi.layers.MinimumCost([[0, 1], [1, 0]])(np.zeros((7, 1)))
