"""p = b / (1 - b), against the definition: every click is a negative and a positive."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, logit

import tfimbalance as tfi

B = np.array([1e-12, 1e-6, 0.01, 0.2, 0.4, 0.499, 0.5])


def layer(**arguments):
    return tfi.calibration.FakeNegativeCalibration(**arguments)


def test_undoes_the_fake_negatives():
    """Of 100 impressions with 25 clicks the model sees 125 rows, 25 of them positive."""
    clicks, impressions = np.array([0, 1, 25, 99, 100]), 100
    b = clicks / (impressions + clicks)
    np.testing.assert_allclose(layer().call(b), clicks / impressions, atol=1e-9)


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-12), ("float32", 1e-5)])
def test_the_logit_is_the_log_probability(dtype, rtol):
    z = logit(B[:-1]).astype(dtype)
    found = layer(from_logits=True).call(z)
    assert found.dtype == dtype
    # log p = logit b; its own logit is log p - log(1 - p).
    log_p = z.astype("float64")
    np.testing.assert_allclose(found, log_p - np.log(-np.expm1(log_p)), rtol=rtol)
    np.testing.assert_allclose(layer().call(B.astype(dtype)), B / (1 - B), rtol=rtol)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.filterwarnings("ignore:FakeNegativeCalibration")
def test_any_logit_is_finite_and_keeps_its_order(dtype):
    z = tf.cast([-3e4, -90, -5, -1, -1e-3, 0, 1e-3, 5, 90, 3e4], dtype)
    for jit_compile in (None, False, True):
        change = layer(from_logits=True).call
        change = change if jit_compile is None else tf.function(change, jit_compile=jit_compile)
        with tf.GradientTape() as tape:
            tape.watch(z)
            found = change(z)
        values, slopes = (
            np.asarray(tf.cast(v, "float64")) for v in (found, tape.gradient(found, z))
        )
        assert found.dtype == dtype
        assert np.isfinite(values).all()
        assert np.isfinite(slopes).all()
        assert (np.diff(values) >= 0).all()
        np.testing.assert_array_equal(expit(values[5:]), 1.0)


def test_more_than_a_half_is_1_with_a_warning():
    with pytest.warns(UserWarning, match=r"2 of 4 predictions are above 1/2"):
        found = layer().call([0.2, 0.5, 0.6, 1.0])
    np.testing.assert_allclose(found, [0.25, 1, 1, 1])
    with pytest.warns(UserWarning, match="1 of 1"):
        layer(from_logits=True)(np.array([[0.5]]))


def test_several_outputs_stand_for_themselves():
    p = np.array([[0.1, 0.3], [0.5, 0.0]])
    np.testing.assert_allclose(layer(activation="sigmoid").call(p / (1 + p)), p, atol=1e-9)


def test_a_model_that_saw_fake_negatives_serves_the_rate():
    """The constant model of least cross-entropy over impressions and clicks."""
    y = np.repeat([0.0, 1.0], [100, 25])
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.set_weights([np.zeros((1, 1)), np.array([logit(y.mean())])])
    served = tfi.calibration.calibrated_model(model, layer(from_logits=True))
    np.testing.assert_allclose(served.predict(np.zeros((2, 1)), verbose=0), 0.25, rtol=1e-5)
