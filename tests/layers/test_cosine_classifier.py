import keras
import numpy as np
import pytest
import tensorflow as tf

import tfimbalance as tfi

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("shape", [(6, 5), (2, 3, 5)])
def test_outputs_are_cosines(scale, shape):
    x = RNG.normal(size=shape).astype("float32") * 100
    layer = tfi.layers.CosineClassifier(4, scale=scale)
    found = layer(x)
    w = layer.kernel.numpy()
    right = x @ w / np.linalg.norm(x, axis=-1, keepdims=True) / np.linalg.norm(w, axis=0)
    np.testing.assert_allclose(found, scale * right, rtol=1e-4, atol=1e-5)
    assert layer.compute_output_shape(shape) == (*shape[:-1], 4)


@pytest.mark.parametrize("policy", ["float64", "float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("size", [0.0, 1e-6, 1e4])
def test_any_size_of_features_is_finite(policy, size):
    """1e4 squared overflows float16; a row of zeros has no direction."""
    layer = tfi.layers.CosineClassifier(3, dtype=policy)
    x = tf.constant(np.full((2, 4), size), layer.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        cosines = layer(x)
        total = tf.reduce_sum(cosines)
    assert cosines.dtype == layer.compute_dtype
    assert np.isfinite(cosines.numpy().astype("float64")).all()
    for gradient in tape.gradient(total, [layer.kernel.value]):
        assert np.isfinite(gradient.numpy().astype("float64")).all()
    if size == 1e4:
        assert np.abs(cosines.numpy().astype("float64")).max() > 0.01


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["graph", "xla"]
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
    assert model(np.array([[1, 2, 0, 0]]))._keras_mask.numpy().tolist() == [[1, 1, 0, 0]]


@pytest.mark.parametrize("arguments", [{"units": 0}, {"units": 2.5}, {"units": 2, "scale": 0.0}])
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        tfi.layers.CosineClassifier(**arguments)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_row_of_zeros_does_not_blow_its_gradient_up(policy):
    layer = tfi.layers.CosineClassifier(3, dtype=policy)
    x = tf.constant(np.concatenate([np.zeros((1, 4)), np.ones((1, 4))]), layer.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x)[:, 0])
    assert np.abs(tape.gradient(total, x).numpy()).max() <= 1.0
