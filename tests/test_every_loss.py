"""The contract of every loss, found by iterating ``tfi.losses.__all__``. No special cases."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfimbalance as tfi

LOSSES = [
    getattr(tfi.losses, name)
    for name in tfi.losses.__all__
    if inspect.isclass(getattr(tfi.losses, name))
]
DTYPES = ["float64", "float32", "float16", "bfloat16"]


def required(cls):
    """Arguments for the parameters that have no default, by name."""
    values = {"loss": "binary_crossentropy", "class_weight": {0: 1.0, 1: 3.0}}
    parameters = inspect.signature(cls).parameters.values()
    return {
        p.name: values[p.name]
        for p in parameters
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    }


def with_weights(cls):
    return {**required(cls), "class_weight": {0: 1.0, 1: 3.0}}


def kind(cls):
    return (
        "sparse" if "Sparse" in cls.__name__ else "one_hot" if "Categ" in cls.__name__ else "binary"
    )


def example(cls, batch=6, shape=(), seed=0):
    """Targets, logits and probabilities of two classes that fit the loss."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 2, (batch, *shape))
    ids[0] = 1
    if kind(cls) == "binary":
        logits = rng.normal(size=(batch, *shape, 1)).astype("float32")
        return ids[..., None].astype("float32"), logits, 1 / (1 + np.exp(-logits))
    logits = rng.normal(size=(batch, *shape, 2)).astype("float32")
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return (
        (ids if kind(cls) == "sparse" else np.eye(2, dtype="float32")[ids]),
        logits,
        probabilities,
    )


def head(cls):
    return (1, "sigmoid") if kind(cls) == "binary" else (2, "softmax")


def model_for(cls, **compile_arguments):
    units, activation = head(cls)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, activation=activation)])
    model.compile(keras.optimizers.SGD(0.1), **compile_arguments)
    return model


each = pytest.mark.parametrize("cls", LOSSES, ids=lambda cls: cls.__name__)


@each
@pytest.mark.parametrize("dtype", DTYPES)
def test_config_round_trip(cls, dtype):
    loss = cls(**with_weights(cls), dtype=dtype, reduction="sum", name="mine")
    config = loss.get_config()
    names = set(inspect.signature(cls).parameters)
    assert set(config) == names
    again = cls.from_config(config)
    assert again.get_config() == config
    assert (again.dtype, again.reduction, again.name) == (dtype, "sum", "mine")
    stored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert stored.get_config() == config


@each
def test_is_registered_and_documented(cls):
    assert keras.saving.get_registered_name(cls) == f"tfimbalance>{cls.__name__}"
    for part in ("Args:", "Shapes:", "Raises:", "Example:"):
        assert part in cls.__doc__


@each
@pytest.mark.parametrize("shape", [(), (4,), (3, 5)], ids=["rows", "sequence", "mask"])
def test_any_target_rank(cls, shape):
    loss = cls(**with_weights(cls), reduction=None)
    y, _, p = example(cls, shape=shape)
    values = loss(y, p)
    assert values.shape == (6, *shape)
    flat_y = y.reshape(-1, *y.shape[1 + len(shape) :])
    one_by_one = loss(flat_y, p.reshape(-1, p.shape[-1]))
    np.testing.assert_allclose(values.numpy().ravel(), one_by_one, rtol=1e-6)


@each
def test_rows_and_columns_of_targets_agree_and_never_broadcast(cls):
    loss = cls(**with_weights(cls), reduction=None)
    y, _, p = example(cls)
    if kind(cls) == "one_hot":
        with pytest.raises(ValueError, match="y_true"):
            loss(y[:, 0], p)
        return
    flat = y.reshape(len(y))
    np.testing.assert_array_equal(loss(flat, p), loss(flat[:, None], p))
    assert loss(flat, p).shape == (6,)


@each
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_confident_mistake_keeps_its_gradient(cls, dtype):
    """From probabilities too, where the logits are out of reach, down to p = 0 exactly."""
    loss = cls(**required(cls), dtype=dtype)
    wrong = [0.0, 1e-6, 1e-3] if dtype != "float16" else [0.0, 1e-3, 1e-2]
    for p in wrong:
        y = {"binary": [[1.0]], "one_hot": [[0.0, 1.0]], "sparse": [1]}[kind(cls)]
        given = tf.constant([[p]] if kind(cls) == "binary" else [[1.0 - p, p]], dtype)
        if cls is tfi.losses.ClassWeighted:
            # The wrapped Keras loss clips probabilities; its gradient is Keras' own.
            given = tf.constant([[max(p, 1e-2)]], dtype)
        with tf.GradientTape() as tape:
            tape.watch(given)
            value = loss(y, given)
        slope = tape.gradient(value, given).numpy().astype("float64")[0, -1]
        assert np.isfinite(float(value))
        assert np.isfinite(slope)
        assert slope < 0


@each
def test_sample_weight(cls):
    loss = cls(**with_weights(cls), reduction=None)
    y, _, p = example(cls, shape=(4,))
    values = loss(y, p).numpy()
    rows = np.arange(6, dtype="float32")
    np.testing.assert_allclose(loss(y, p, sample_weight=rows), values * rows[:, None], rtol=1e-6)
    steps = np.random.default_rng(1).random((6, 4)).astype("float32")
    np.testing.assert_allclose(loss(y, p, sample_weight=steps), values * steps, rtol=1e-6)
    mean = cls(**with_weights(cls))(y, p, sample_weight=steps)
    np.testing.assert_allclose(mean, (values * steps).mean(), rtol=1e-6)


@each
def test_mask_leaves_padding_out_of_the_mean(cls):
    loss = cls(**with_weights(cls))
    units, activation = head(cls)
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            keras.layers.Embedding(9, 3, mask_zero=True),
            keras.layers.Dense(units, activation=activation),
        ]
    )
    ids = np.array([[1, 2, 0, 0], [3, 4, 5, 0]])
    y, _, _ = example(cls, batch=2, shape=(4,))
    masked = loss(y, model(ids))
    values = cls(**with_weights(cls), reduction=None)(y, tf.identity(model(ids))).numpy()
    np.testing.assert_allclose(masked, values[ids > 0].mean(), rtol=1e-5)


@each
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_graph_and_xla_agree_with_eager(cls, jit_compile):
    loss = cls(**with_weights(cls))
    y, _, p = example(cls)
    y, p = tf.constant(y), tf.constant(p)

    def value_and_gradient(y, p):
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = loss(y, p)
        return value, tape.gradient(value, p)

    compiled = tf.function(value_and_gradient, jit_compile=jit_compile)
    for found, wanted in zip(compiled(y, p), value_and_gradient(y, p), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=1e-7)


@each
def test_gradient_matches_differences(cls):
    loss = cls(**with_weights(cls), dtype="float64")
    y, _, p = example(cls)
    p = tf.constant(p, "float64")
    with tf.GradientTape() as tape:
        tape.watch(p)
        value = loss(y, p)
    slope = tape.gradient(value, p).numpy()
    for index in np.ndindex(*p.shape):
        step = np.zeros(p.shape)
        step[index] = 1e-6
        difference = (float(loss(y, p + step)) - float(loss(y, p - step))) / 2e-6
        assert difference == pytest.approx(slope[index], rel=1e-5, abs=1e-7)


@each
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_fit_save_and_load(cls, policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    try:
        model = model_for(cls, loss=cls(**with_weights(cls)))
        rng = np.random.default_rng(0)
        x = rng.normal(size=(32, 3)).astype("float32")
        y, _, _ = example(cls, batch=32)
        before = model.evaluate(x, y, verbose=0)
        model.fit(x, y, epochs=8, batch_size=8, verbose=0)
        assert model.evaluate(x, y, verbose=0) < before
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
        assert again.loss.get_config() == model.loss.get_config()
        assert again.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0))
    finally:
        keras.config.set_dtype_policy("float32")


@each
def test_weights_may_change_inside_a_compiled_step(cls):
    loss = cls(**with_weights(cls))
    y, _, p = example(cls)
    compiled = tf.function(lambda y, p: loss(y, p), jit_compile=True)
    first = compiled(tf.constant(y), tf.constant(p))
    assert loss.assign_class_weight({0: 2.0, 1: 6.0}) is False
    np.testing.assert_allclose(compiled(tf.constant(y), tf.constant(p)), 2 * first, rtol=1e-6)
    assert loss.get_config()["class_weight"] == [2.0, 6.0]


@each
def test_class_weights_multiply_the_loss_of_their_class(cls):
    y, _, p = example(cls)
    plain = cls(**{**with_weights(cls), "class_weight": {0: 1.0, 1: 1.0}}, reduction=None)(y, p)
    weighed = cls(**with_weights(cls), reduction=None)(y, p)
    of_one = (
        y if kind(cls) == "sparse" else y[:, 1] if kind(cls) == "one_hot" else y[:, 0]
    ).astype(float)
    np.testing.assert_allclose(weighed, plain * (1 + 2 * of_one), rtol=1e-6)


@each
@pytest.mark.parametrize(
    "weights",
    [{0: 1.0, 2: 1.0}, {"0": 1.0, "1": 2.0}, {0: 1.0, 1: -1.0}, {0: 1.0, 1: float("nan")}, [], {}],
    ids=["missing", "string keys", "negative", "nan", "empty", "empty mapping"],
)
def test_bad_class_weights_are_refused(cls, weights):
    with pytest.raises(ValueError, match=r"`class_weight`: expected .* Received: "):
        cls(**{**with_weights(cls), "class_weight": weights})


@each
def test_weights_of_the_wrong_length_are_refused(cls):
    y, _, p = example(cls)
    loss = cls(**{**with_weights(cls), "class_weight": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="3 weights"):
        loss(y, p)


@each
def test_distributed_training_is_training(cls):
    """Two replicas of half the batch take the step that one takes with all of it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 3)).astype("float32")
    y, _, _ = example(cls, batch=16)
    results = []
    for strategy in (
        tf.distribute.OneDeviceStrategy("CPU:0"),
        # Reduction on one device: collectives of several strategies in a process clash.
        tf.distribute.MirroredStrategy(
            ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
        ),
    ):
        with strategy.scope():
            keras.utils.set_random_seed(0)
            model = model_for(cls, loss=cls(**with_weights(cls)))
        model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
        results.append(model.get_weights())
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
