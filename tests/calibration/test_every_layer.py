"""The contract of every correction, found by iterating ``cal.__all__``."""

import inspect

import keras
import numpy as np
import pytest
from backend import DTYPES, NAME, array

import tfimbalance as tfi
from tfimbalance import calibration as cal

pytestmark = [
    pytest.mark.any_backend(jax_every=8),
    # Above 1/2, which these predictions are, it says that it returns 1.
    pytest.mark.filterwarnings("ignore:FakeNegativeCalibration"),
]
LAYERS = [
    getattr(tfi.calibration, name)
    for name in cal.__all__
    if inspect.isclass(getattr(tfi.calibration, name))
]
ARGUMENTS = {
    "PriorCorrection": {"train_priors": [0.5, 0.5], "target_priors": [0.9, 0.1]},
    "LossCalibration": {"loss": tfi.losses.BinaryFocalLoss()},
    "VectorScaling": {"scale": [2.0], "bias": [-1.0]},
    "TemperatureScaling": {"temperature": 3.0},
    "IsotonicCalibration": {"scores": [[-3.0, 0.2, 3.0]], "probabilities": [[0.0, 0.1, 1.0]]},
}
each = pytest.mark.parametrize("cls", LAYERS, ids=lambda cls: cls.__name__)


def make(cls, **arguments):
    return cls(**{**ARGUMENTS.get(cls.__name__, {}), **arguments})


@each
@pytest.mark.parametrize("dtype", DTYPES)
def test_config_round_trip(cls, dtype):
    layer = make(cls, dtype=dtype, name="mine", from_logits=True)
    config = layer.get_config()
    arguments = set(inspect.signature(cls).parameters) - {"kwargs"}
    assert arguments <= set(config)
    again = cls.from_config(config)
    assert again.get_config() == config
    stored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert stored.get_config() == config
    assert again.compute_dtype == dtype


@each
def test_is_registered_and_documented(cls):
    assert keras.saving.get_registered_name(cls) == f"tfimbalance>{cls.__name__}"
    for part in ("Args:", "Shapes:", "Raises:", "Example:", "References:"):
        assert part in cls.__doc__
    for argument in inspect.signature(cls).parameters:
        assert argument in cls.__doc__


@each
@pytest.mark.parametrize("from_logits", [False, True])
def test_any_rank_is_the_same_row_by_row(cls, from_logits):
    layer = make(cls, from_logits=from_logits)
    p = np.linspace(0.01, 0.99, 24).astype("float32")
    given = np.log(p / (1 - p)) if from_logits else p
    flat = array(layer(given))
    assert flat.shape == (24,)
    for shape in ((24, 1), (4, 6, 1)):
        np.testing.assert_allclose(layer(given.reshape(shape)), flat.reshape(shape), rtol=1e-6)
        assert layer.compute_output_shape(shape) == shape
    # The order of one output is kept.
    assert (np.diff(flat) > -1e-7).all()


@each
def test_half_precision_does_not_round_what_is_served(cls):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        inputs = keras.Input((1,), dtype="float32")
        model = keras.Model(inputs, make(cls, from_logits=True)(inputs))
    finally:
        keras.config.set_dtype_policy(policy)
    assert model.output.dtype == "float32"
    assert np.isfinite(model.predict(np.array([[-1e4], [0.0], [1e4]]), verbose=0)).all()


@pytest.mark.slow
@each
def test_saves_and_loads(cls, tmp_path):
    """What is loaded, or compiled by XLA, is what is computed eagerly."""
    layer = make(cls, from_logits=True)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1), layer])
    x = np.random.default_rng(0).normal(size=(9, 2)).astype("float32")
    wanted = array(model(x))
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    again.compile("sgd", "mse", jit_compile=NAME != "torch")
    np.testing.assert_allclose(again.predict(x, verbose=0), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@each
@pytest.mark.only_on("tensorflow", why="a SavedModel is TensorFlow's; JAX writes one by jax2tf")
def test_what_is_exported_is_what_is_computed(cls, tmp_path):
    import tensorflow as tf

    layer = make(cls, from_logits=True)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1), layer])
    x = np.random.default_rng(0).normal(size=(9, 2)).astype("float32")
    wanted = model(x)
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    np.testing.assert_allclose(served.serve(x), wanted, rtol=1e-6)


@each
def test_masks_pass_through(cls):
    inputs = keras.Input((4,), dtype="int32")
    hidden = keras.layers.Embedding(9, 3, mask_zero=True)(inputs)
    model = keras.Model(inputs, make(cls, from_logits=True)(keras.layers.Dense(1)(hidden)))
    assert array(model(np.array([[1, 2, 0, 0]]))._keras_mask).tolist() == [[1, 1, 0, 0]]


@pytest.mark.parametrize("layer", [cal.TemperatureScaling, cal.VectorScaling])
def test_a_compiled_step_sees_what_fit_finds(layer):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2_000, 1)).astype("float32")
    y = rng.random(2_000) < 1 / (1 + np.exp(-z[:, 0]))
    scaling = layer(from_logits=True)
    model = keras.Sequential([keras.Input((1,)), scaling])
    np.testing.assert_allclose(model.predict(4 * z, verbose=0), 4 * z, rtol=1e-6)
    scaling.fit(y, 4 * z)
    assert np.abs(model.predict(4 * z, verbose=0) - z).max() < 0.5


@pytest.mark.parametrize(
    ("make_it", "match"),
    [
        (lambda: cal.FocalCalibration(-1.0), "gamma"),
        (lambda: cal.FakeNegativeCalibration(activation="softmax"), "activation"),
        (lambda: cal.FakeNegativeCalibration()(np.zeros((2, 2))), 'activation="sigmoid"'),
        (
            lambda: cal.PriorCorrection(0.5, 0.1)(np.zeros((2, 3), "float32")),
            "activation",
        ),
        (lambda: cal.PriorCorrection([0.5, 0.5], [1, 2, 3]), "target_priors"),
        (lambda: cal.PriorCorrection([1, 2, 3], [3, 2, 1])(np.zeros((2, 2))), "3"),
        (lambda: cal.PriorCorrection([0.5, 0.0], [1, 2]), "class 1"),
        (lambda: cal.TemperatureScaling(0.0), "temperature"),
        (lambda: cal.TemperatureScaling().fit([0, 1], [2.0, 3.0]), "from_logits=True"),
        (lambda: cal.TemperatureScaling().fit([1, 1], [0.2, 0.3]), "with and without"),
        (lambda: cal.TemperatureScaling().fit([0, 1], [0.2, 0.7]), "separated"),
        (lambda: cal.VectorScaling().fit([0, 0, 1], [0.2, 0.3, 0.7]), "separates"),
        (lambda: cal.VectorScaling([1.0, 2.0])(np.zeros((2, 3))), "3 numbers"),
        (lambda: cal.VectorScaling([1.0, 2.0], bias=[1.0]), "bias"),
        (lambda: cal.VectorScaling().fit([0, 1], [[0.2], [0.3], [0.1]]), "3 rows"),
        (lambda: cal.VectorScaling().fit([0.5, 1], [0.2, 0.3]), "whole class ids"),
        (lambda: cal.IsotonicCalibration()(np.zeros((2, 1))), "fit"),
        (
            lambda: cal.IsotonicCalibration([[1.0, 0.0]], probabilities=[[0, 1]]),
            "increasing",
        ),
        (lambda: cal.estimate_priors([0.1, 0.2], [0.5, 0.3, 0.2]), "1 outputs"),
        (lambda: cal.estimate_priors([[0.1, 0.9]], 0.1), "train_priors"),
        (lambda: cal.estimate_priors([[0.1, 0.2]], [0.5, 0.5]), "add up to 1"),
        (lambda: cal.LossCalibration(lambda y, z: (y - z) ** 2), "loss_from_logits"),
        pytest.param(
            lambda: cal.LossCalibration("sparse_categorical_crossentropy"),
            "target of 0 or 1",
            marks=pytest.mark.only_on("tensorflow", "torch", why="JAX clips ids: no slopes at all"),
        ),
        (lambda: cal.VectorScaling().fit([0, 1], [0.2, 0.3], sample_weight=[1, -1]), "weight"),
        (
            lambda: cal.TemperatureScaling().fit([0, 1], [0.2, 0.3], sample_weight=[1]),
            "one number a row",
        ),
        (lambda: cal.calibrated_model(_end("sigmoid"), [], from_logits=True), "sigmoid layer"),
        (lambda: cal.calibrated_model(_end("linear"), [], from_logits=False), "linear layer"),
    ],
)
def test_bad_input_is_refused(make_it, match):
    with pytest.raises(ValueError, match=match):
        make_it()


@each
@pytest.mark.parametrize("from_logits", [False, True])
def test_the_end_of_a_corrected_model_shows_what_it_is(cls, from_logits):
    """Corrections may follow one another, one at a time."""
    end = "linear" if from_logits else "sigmoid"
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, end)])
    once = cal.calibrated_model(model, make(cls, from_logits=from_logits))
    twice = cal.calibrated_model(once, cal.TemperatureScaling(2.0))
    assert (twice.predict(np.ones((3, 2)), verbose=0) <= 1).all()
    with pytest.raises(ValueError, match="probabilities"):
        cal.calibrated_model(once, cal.TemperatureScaling(from_logits=True))


def _end(activation):
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation)])


def test_names_of_a_loaded_model_are_left_to_it():
    def loaded():
        """Return a model as another process would load it: Keras counts names anew."""
        names = ["activation", "activation_1", "temperature_scaling"]
        layers = [keras.layers.Dense(1), *(keras.layers.Activation("relu", name=n) for n in names)]
        model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(1, name="last")])
        keras.backend.clear_session()
        return model

    layer = cal.PriorCorrection(0.5, 0.01, from_logits=True)
    served = cal.calibrated_model(loaded(), layer)
    names = [found.name for found in served.layers]
    assert len(set(names)) == len(names)
    assert names[-2] == layer.name
    model = loaded()
    layer = cal.TemperatureScaling(from_logits=True)
    with pytest.raises(ValueError, match=r"temperature_scaling.*TemperatureScaling\(\.\.\., name="):
        cal.calibrated_model(model, layer)
