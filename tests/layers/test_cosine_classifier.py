import keras
import numpy as np
import pytest
from backend import DTYPES, NAME, array, tensor, value_and_gradient

import tfimbalance as tfi

pytestmark = pytest.mark.any_backend(jax_every=4)
XLA = [pytest.mark.slow, pytest.mark.only_on("tensorflow", why="JAX has XLA alone, PyTorch none")]
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("shape", [(6, 5), (2, 3, 5)])
def test_outputs_are_cosines(scale, shape):
    x = RNG.normal(size=shape).astype("float32") * 100
    layer = tfi.layers.CosineClassifier(4, scale=scale)
    found = layer(x)
    w = array(layer.kernel)
    right = x @ w / np.linalg.norm(x, axis=-1, keepdims=True) / np.linalg.norm(w, axis=0)
    np.testing.assert_allclose(array(found), scale * right, rtol=1e-4, atol=1e-5)
    assert layer.compute_output_shape(shape) == (*shape[:-1], 4)


@pytest.mark.parametrize("policy", [*DTYPES[:-2], "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("size", [0.0, 1e-6, 1e4])
def test_any_size_of_features_is_finite(policy, size):
    """1e4 squared overflows float16; a row of zeros has no direction."""
    layer = tfi.layers.CosineClassifier(3, dtype=policy)
    x = tensor(np.full((2, 4), size), layer.compute_dtype)
    layer.build(x.shape)
    cosines = layer(x)
    _, gradient = value_and_gradient(
        lambda kernel: layer.stateless_call([kernel], [], x)[0], layer.kernel.value
    )
    assert keras.backend.standardize_dtype(cosines.dtype) == layer.compute_dtype
    assert np.isfinite(array(cosines)).all()
    assert np.isfinite(array(gradient)).all()
    if size == 1e4:
        assert np.abs(array(cosines)).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    "jit_compile", [NAME == "jax", pytest.param(True, marks=XLA)], ids=["graph", "xla"]
)
def test_trains_saves_and_loads(jit_compile, tmp_path):
    x, y = RNG.normal(size=(60, 8)).astype("float32"), np.repeat([0, 1, 2], [40, 15, 5])
    x[:, 0] += 3 * y
    head = tfi.layers.CosineClassifier(3, kernel_regularizer="l2", name="cosines")
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "relu"), head])
    optimizer = keras.optimizers.Adam(0.03)
    model.compile(optimizer, tfi.losses.LDAMLoss(tfi.class_statistics(y)), jit_compile=jit_compile)
    losses = model.fit(x, y, epochs=12, batch_size=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.layers[-1].get_config() == head.get_config()


def test_masks_pass_through():
    inputs = keras.Input((4,), dtype="int32")
    hidden = keras.layers.Embedding(9, 3, mask_zero=True)(inputs)
    model = keras.Model(inputs, tfi.layers.CosineClassifier(2)(hidden))
    assert array(model(np.array([[1, 2, 0, 0]]))._keras_mask).tolist() == [[1, 1, 0, 0]]


@pytest.mark.parametrize("arguments", [{"units": 0}, {"units": 2.5}, {"units": 2, "scale": 0.0}])
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        tfi.layers.CosineClassifier(**arguments)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_row_of_zeros_does_not_blow_its_gradient_up(policy):
    layer = tfi.layers.CosineClassifier(3, dtype=policy)
    x = tensor(np.concatenate([np.zeros((1, 4)), np.ones((1, 4))]), layer.compute_dtype)
    assert np.abs(array(value_and_gradient(lambda x: layer(x)[:, 0], x)[1])).max() <= 1.0
