"""What every layer takes."""

import numpy as np
import pytest

import tfimbalance as tfi

LAYERS = {
    "threshold": lambda: tfi.layers.Threshold(0.5),
    "minimum cost": lambda: tfi.layers.MinimumCost([[0, 1], [5, 0]]),
    "cosine": lambda: tfi.layers.CosineClassifier(2),
    "loss inversion": lambda: tfi.calibration.LossCalibration("mse"),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.array([["0.5", "0.5"]]), "dense array of real numbers"),
        (np.array([[0.5j, 0.5]]), "dense array of real numbers"),
        (np.zeros((2, 0)), "at least one output a row|a column for each class"),
    ],
    ids=["words", "complex", "no columns"],
)
def test_only_numbers_are_taken(make, inputs, message):
    with pytest.raises(ValueError, match=f"expected (a )?({message})"):
        make()(inputs)


@pytest.mark.parametrize("units", [2**31, 10**400])
def test_units_are_countable(units):
    with pytest.raises(ValueError, match="`units`: expected fewer than"):
        tfi.layers.CosineClassifier(units)
