"""What every layer takes."""

import keras
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


def test_models_around_a_model_do_not_round_its_inputs():
    """Half precision would merge 2049 with 2048; the model itself reads it in full."""

    class Odd(keras.Model):
        def __init__(self):
            super().__init__(autocast=False)

        def call(self, x, training=None):
            return keras.ops.cast(keras.ops.cast(x, "int32") % 2, "float32")

    x, y = np.array([[2048.0], [2049.0]], "float32"), np.array([0, 1])
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = Odd()
        rows = tfi.callbacks.Validation((x, y), from_logits=True).read(model)
        offset = tfi.layers.OffsetModel(model)((x, np.zeros((2, 1), "float32")))
        shift = tfi.calibration.PriorCorrection(0.5, 0.5, from_logits=True, activation="sigmoid")
        behind = tfi.calibration.calibrated_model(model, shift, from_logits=True)
        served = keras.ops.convert_to_numpy(behind(x))
    finally:
        keras.config.set_dtype_policy(before)
    for found in (rows.given, keras.ops.convert_to_numpy(offset)):
        np.testing.assert_array_equal(found, [[0.0], [1.0]])
    assert served[1, 0] > served[0, 0]
