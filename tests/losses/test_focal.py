import keras
import ml_dtypes
import numpy as np
import oracles
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import tfimbalance as tfi

GAMMAS = [0.0, 0.5, 1.0, 2.0, 5.0]
LOGITS = [0.0, 1.0, -1.0, 10.0, -10.0, 50.0, -50.0, 88.0, -88.0, 1e4, -1e4]
DTYPES = ["float64", "float32", "float16", "bfloat16"]


def value_and_slope(loss, y, z):
    with tf.GradientTape() as tape:
        tape.watch(z)
        values = loss(y, z)
    return values, tape.gradient(values, z)


def ways_to_compile():
    """Every gamma of every dtype in a graph, and a third of them under XLA, of each some."""
    for i, gamma in enumerate(GAMMAS):
        for j, dtype in enumerate(DTYPES):
            yield gamma, dtype, False
            if (i + j) % 3 == 0:
                yield gamma, dtype, True


@pytest.mark.parametrize(("gamma", "dtype", "jit_compile"), [*ways_to_compile()])
def test_binary_focal_is_right_to_the_last_places(gamma, dtype, jit_compile):
    """Relative to the value itself, however small, until it is below the smallest normal."""
    info = ml_dtypes.finfo(dtype)
    loss = tfi.losses.BinaryFocalLoss(gamma, from_logits=True, dtype=dtype, reduction=None)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def compiled(y, z):
        return value_and_slope(loss, y, z)

    z = tf.constant(LOGITS, dtype)[:, None]
    for label in (0.0, 1.0):
        parts = compiled(tf.fill(z.shape, label), z)
        values, slopes = (part.numpy().ravel() for part in parts)
        for zi, value, slope in zip(z.numpy().ravel(), values, slopes, strict=True):
            right, right_slope = oracles.binary_focal(label, zi, gamma)
            tiny = float(info.smallest_normal) / float(info.eps)
            assert oracles.ulps(value, right, info.eps, tiny) <= 6
            assert oracles.ulps(slope, right_slope, info.eps, tiny) <= 6
            if (zi < 0) == bool(label) and zi != 0:
                assert abs(float(slope)) > 0.5 * min(1.0, abs(float(right_slope)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("one_hot", [False, True], ids=["sparse", "one-hot"])
def test_categorical_focal_is_right_to_the_last_places(gamma, dtype, one_hot):
    """In units of the last place of 1, or of the value where that is larger.

    The cross-entropy below is fused, and knows p_t to that: 1 - p_t is not told from 0 below it.
    """
    info = ml_dtypes.finfo(dtype)
    cls = tfi.losses.CategoricalFocalLoss if one_hot else tfi.losses.SparseCategoricalFocalLoss
    loss = cls(gamma, from_logits=True, dtype=dtype, reduction=None)
    z = tf.constant([[v, 0.0, 0.5] for v in LOGITS], dtype)
    for target in (0, 1):
        y = np.full(len(LOGITS), target)
        parts = value_and_slope(loss, np.eye(3)[y] if one_hot else y, z)
        values, slopes = (part.numpy() for part in parts)
        assert np.isfinite(values.astype(float)).all()
        assert np.isfinite(slopes.astype(float)).all()
        for zi, value, slope in zip(z.numpy(), values, slopes, strict=True):
            right, right_slopes = oracles.categorical_focal(target, zi, gamma)
            # An error in the last place of p_t is raised to the power gamma.
            assert oracles.ulps(value, right, info.eps, 1.0) <= 4 + 2 * gamma
            for found, wanted in zip(slope, right_slopes, strict=True):
                assert oracles.ulps(found, wanted, info.eps, 1.0) <= 4 + 2 * gamma
        wrong = z.numpy().astype(float).argmax(axis=1) != target
        assert (slopes[wrong, target].astype(float) < -1e-2).all()


def test_keras_fails_where_we_do_not():
    """The defects that this package exists for. Fails when Keras has mended one: then say so."""
    z, y = tf.constant([[20.0, 0.0, 0.0]]), tf.constant([[0.0, 1.0, 0.0]])
    _, theirs = value_and_slope(keras.losses.CategoricalFocalCrossentropy(from_logits=True), y, z)
    _, ours = value_and_slope(tfi.losses.CategoricalFocalLoss(0.0, from_logits=True), y, z)
    np.testing.assert_array_equal(theirs, 0)
    np.testing.assert_allclose(ours[0], [1.0, -1.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 5.0])
def test_binary_equals_two_classes(gamma):
    z = np.random.default_rng(0).normal(size=(50, 1)) * 4
    y = (z > 0.5).astype(int)
    one = tfi.losses.binary_focal_loss(y, z, gamma=gamma, from_logits=True)
    pairs = np.concatenate([0 * z, z], axis=1)
    two = tfi.losses.sparse_categorical_focal_loss(y[:, 0], pairs, gamma=gamma, from_logits=True)
    np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-14)


def test_gamma_zero_is_crossentropy():
    rng = np.random.default_rng(0)
    z, ids = rng.normal(size=(40, 5)) * 3, rng.integers(0, 5, 40)
    for ours, theirs, y in (
        (tfi.losses.SparseCategoricalFocalLoss, keras.losses.SparseCategoricalCrossentropy, ids),
        (tfi.losses.CategoricalFocalLoss, keras.losses.CategoricalCrossentropy, np.eye(5)[ids]),
        (tfi.losses.BinaryFocalLoss, keras.losses.BinaryCrossentropy, np.eye(5)[ids]),
    ):
        arguments = {"from_logits": True, "dtype": "float64"}
        smooth = {} if y is ids else {"label_smoothing": 0.1}
        np.testing.assert_allclose(
            ours(0.0, **arguments, **smooth)(y, z), theirs(**arguments, **smooth)(y, z), rtol=1e-12
        )


def test_alpha_weighs_the_positives():
    z = np.array([[0.7], [0.7]])
    y = np.array([[1.0], [0.0]])
    plain = tfi.losses.binary_focal_loss(y, z, from_logits=True).numpy()
    weighed = tfi.losses.binary_focal_loss(y, z, from_logits=True, alpha=0.25).numpy()
    np.testing.assert_allclose(weighed, plain * [0.25, 0.75])


@given(
    y=st.floats(0, 1),
    z=st.floats(-30, 30),
    gamma=st.sampled_from([1.0, 1.5, 2.0, 5.0]),
)
@settings(max_examples=60)
def test_soft_targets_give_quality_focal_loss(y, z, gamma):
    p = 1 / (1 + np.exp(-z))
    # log(p) and log(1 - p) without losing the small one.
    wanted = abs(y - p) ** gamma * (y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z))
    found = tfi.losses.binary_focal_loss(
        np.array([[y]]), np.array([[z]]), gamma=gamma, from_logits=True, dtype="float64"
    )
    np.testing.assert_allclose(found[0], wanted, rtol=1e-6, atol=1e-12)


def test_smoothing_is_a_soft_target():
    z = np.random.default_rng(0).normal(size=(9, 4))
    y = np.eye(4)[[0, 1, 2, 3, 0, 1, 2, 3, 0]]
    for name, rest in (("binary_focal_loss", 0.5), ("categorical_focal_loss", 0.25)):
        loss = getattr(tfi.losses, name)
        np.testing.assert_allclose(
            loss(y, z, from_logits=True, label_smoothing=0.2),
            loss(y * 0.8 + 0.2 * rest, z, from_logits=True),
            rtol=1e-12,
        )
    np.testing.assert_allclose(
        tfi.losses.sparse_categorical_focal_loss(
            y.argmax(-1), z, from_logits=True, label_smoothing=0.2
        ),
        tfi.losses.categorical_focal_loss(y, z, from_logits=True, label_smoothing=0.2),
        rtol=1e-12,
    )


def test_ignored_targets_leave_the_mean():
    loss = tfi.losses.SparseCategoricalFocalLoss(
        gamma=0.0, ignore_class=-1, class_weight=[1.0, 2.0, 3.0]
    )
    p = np.random.default_rng(0).dirichlet(np.ones(3), (2, 4)).astype("float32")
    y = np.array([[0, 1, -1, -1], [2, -1, 0, 1]])
    kept = y >= 0
    right = -np.log(np.take_along_axis(p, np.maximum(y, 0)[..., None], -1)[..., 0])
    right = (right * np.array([1.0, 2.0, 3.0])[np.maximum(y, 0)])[kept]
    assert float(loss(y, p)) == pytest.approx(right.mean(), rel=1e-5)
    rows = np.array([1.0, 3.0])
    weighed = (right * np.broadcast_to(rows[:, None], y.shape)[kept]).mean()
    assert float(loss(y, p, sample_weight=rows)) == pytest.approx(weighed, rel=1e-5)
    total = tfi.losses.SparseCategoricalFocalLoss(0.0, ignore_class=-1, reduction="sum")
    assert float(total(np.full((2, 4), -1), p)) == 0.0


def test_class_ids_survive_half_precision():
    """Keras casts targets to the loss's dtype first: in bfloat16 class 1,001 becomes 1,000."""
    loss = tfi.losses.SparseCategoricalFocalLoss(0.0, from_logits=True, dtype="bfloat16")
    z = np.zeros((1, 2000), "float32")
    z[0, 1001] = 20.0
    assert float(loss(np.array([1001]), z)) < 0.1
    assert float(loss(np.array([1000]), z)) > 10


@pytest.mark.parametrize("units", [1, 3])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_logits_are_recovered_from_an_activation(units, policy):
    """At z = +-20 the probability is 0 or 1 in half precision; only its logit has a gradient."""
    keras.config.set_dtype_policy(policy)
    try:
        activation = "sigmoid" if units == 1 else "softmax"
        layer = keras.layers.Dense(units, activation=activation, kernel_initializer="zeros")
        layer.build((None, 1))
        layer.bias.assign([20.0, 0.0, 0.0][:units])
        loss = (
            tfi.losses.BinaryFocalLoss() if units == 1 else tfi.losses.SparseCategoricalFocalLoss()
        )

        @tf.function
        def slope(y):
            with tf.GradientTape() as tape:
                value = loss(y, layer(tf.ones((1, 1))))
            return tape.gradient(value, layer.bias.value)

        wrong = tf.constant([[0.0]]) if units == 1 else tf.constant([1])
        assert abs(float(slope(wrong)[0])) == pytest.approx(1.0, rel=0.01)
    finally:
        keras.config.set_dtype_policy("float32")


def test_logits_taken_for_probabilities_are_warned_of():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", tfi.losses.BinaryFocalLoss())
    with pytest.warns(UserWarning, match="from_logits=True"):
        model.fit(np.ones((4, 2)), np.ones(4), verbose=0)


@pytest.mark.parametrize(
    "arguments",
    [{"gamma": -1.0}, {"gamma": float("nan")}, {"gamma": "2"}, {"alpha": 1.5}, {"alpha": -0.1}],
)
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match="expected a finite number"):
        tfi.losses.BinaryFocalLoss(**arguments)


def test_shapes_that_do_not_fit_are_refused():
    loss = tfi.losses.BinaryFocalLoss()
    with pytest.raises(ValueError, match=r"shape \(4, 3\).*Received: shape \(4, 1\)"):
        loss(np.zeros((4, 1)), np.full((4, 3), 0.5))
    with pytest.raises(ValueError, match="y_true"):
        tfi.losses.SparseCategoricalFocalLoss()(np.eye(3), np.full((3, 3), 1 / 3))


def test_pos_weight_is_the_weight_of_the_ones_of_a_label():
    z = np.random.default_rng(0).normal(size=(20, 2))
    y = np.random.default_rng(1).integers(0, 2, (20, 2))
    arguments = {"from_logits": True, "dtype": "float64", "reduction": None}
    of_labels = tfi.losses.BinaryFocalLoss(pos_weight=[3.0, 7.0], **arguments)(y, z)
    of_each = [
        tfi.losses.BinaryFocalLoss(class_weight=[1.0, w], **arguments)(y[:, k], z[:, k])
        for k, w in enumerate([3.0, 7.0])
    ]
    np.testing.assert_allclose(of_labels, np.mean(of_each, axis=0), rtol=1e-12)
    with pytest.raises(ValueError, match="2 labels"):
        tfi.losses.BinaryFocalLoss(pos_weight=[1.0, 2.0, 3.0])(y, z)


@pytest.mark.parametrize("weights", [0.5, [[1.0, 2.0]]])
def test_a_tensor_of_weights_is_one_number_a_class(weights):
    with pytest.raises(ValueError, match=r"`class_weight`: expected one number a class"):
        tfi.losses.binary_focal_loss([[1]], [[0.5]], class_weight=keras.ops.array(weights))


@pytest.mark.parametrize("ignore_class", [0.5, "a", [0]])
def test_functions_want_one_integer_to_ignore(ignore_class):
    for function in (
        tfi.losses.binary_focal_loss,
        tfi.losses.sparse_categorical_focal_loss,
        tfi.losses.weighted_binary_crossentropy,
    ):
        with pytest.raises(ValueError, match=r"`ignore_class`: expected an integer"):
            function([[1]], [[0.5, 0.5]], ignore_class=ignore_class)
