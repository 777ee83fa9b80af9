"""What every layer takes."""

import numpy as np
import pytest
import tensorflow as tf

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


def test_sparse_predictions_are_made_dense_by_their_owner():
    sparse = tf.sparse.from_dense([[0.5], [0.2]])
    with pytest.raises(ValueError, match="`y_pred`: expected an array of predictions"):
        tfi.calibration.estimate_priors(sparse, 0.5)
    with pytest.raises(ValueError, match=r"`logits`.*SparseTensor"):
        tfi.calibration.adjust_logits(sparse, 0.5)


def test_flags_and_integers_are_scores_as_well():
    layer = tfi.calibration.IsotonicCalibration().fit([0, 1, 1, 0], [0.0, 1.0, 1.0, 1.0])
    wanted = layer(np.array([[0.0], [1.0]], "float32"))
    for kind in ("bool", "int32"):
        np.testing.assert_allclose(layer(np.array([[0], [1]], kind)), wanted)
