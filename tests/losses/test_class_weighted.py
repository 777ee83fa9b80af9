import keras
import numpy as np
import pytest

import tfimbalance as tfi

RNG = np.random.default_rng(0)
WEIGHTS = np.array([1.0, 2.0, 5.0])


def test_sparse_masks_match_weights_by_hand():
    p, y = RNG.dirichlet(np.ones(3), (2, 4, 5)), RNG.integers(0, 3, (2, 4, 5))
    right = -np.log(np.take_along_axis(p, y[..., None], -1)[..., 0]) * WEIGHTS[y]
    for name in ("sparse_categorical_crossentropy", keras.losses.SparseCategoricalCrossentropy()):
        loss = tfi.losses.ClassWeighted(name, WEIGHTS, reduction=None)
        np.testing.assert_allclose(loss(y, p), right, rtol=1e-4)
        np.testing.assert_allclose(loss(y[..., None], p), right, rtol=1e-4)


def test_one_hot_rows():
    p, ids = RNG.dirichlet(np.ones(3), 6), np.array([0, 1, 2, 0, 1, 2])
    right = -np.log(p[np.arange(6), ids]) * WEIGHTS[ids]
    loss = tfi.losses.ClassWeighted("categorical_crossentropy", WEIGHTS, reduction=None)
    np.testing.assert_allclose(loss(np.eye(3)[ids], p), right, rtol=1e-4)


@pytest.mark.parametrize("shape", [(6, 1), (6, 4), (3, 5, 5), (3, 5, 5, 1)])
def test_binary_targets_weigh_by_their_own_value(shape):
    p, y = RNG.random(shape), RNG.integers(0, 2, shape)
    right = -(7.0 * y * np.log(p) + 0.5 * (1 - y) * np.log1p(-p))
    loss = tfi.losses.ClassWeighted("binary_crossentropy", {0: 0.5, 1: 7.0}, reduction=None)
    np.testing.assert_allclose(loss(y, p), right.mean(axis=-1), rtol=1e-4)


def test_one_weight_a_label():
    p, y = RNG.random((6, 3)), RNG.integers(0, 2, (6, 3))
    right = -(WEIGHTS * y * np.log(p) + (1 - y) * np.log1p(-p)).mean(axis=-1)
    loss = tfi.losses.ClassWeighted(keras.losses.BinaryCrossentropy(), WEIGHTS, reduction=None)
    np.testing.assert_allclose(loss(y, p), right, rtol=1e-4)


@pytest.mark.parametrize("name", ["mean_squared_error", "hinge", "poisson"])
def test_around_any_other_loss(name):
    p, y = RNG.random((8, 1)), RNG.integers(0, 2, (8, 1)).astype("float32")
    plain = keras.losses.get(name)(y, p)
    loss = tfi.losses.ClassWeighted(name, {0: 1.0, 1: 4.0}, reduction=None)
    np.testing.assert_allclose(loss(y, p), np.asarray(plain) * (1 + 3 * y[:, 0]), rtol=1e-5)


def test_hinge_takes_minus_one_for_zero():
    p, y = RNG.normal(size=(8, 1)), RNG.integers(0, 2, (8, 1)).astype("float32")
    loss = tfi.losses.ClassWeighted("hinge", {0: 1.0, 1: 4.0}, reduction=None)
    right = np.maximum(0, 1 - (2 * y - 1) * p)[:, 0] * (1 + 3 * y[:, 0])
    np.testing.assert_allclose(loss(2 * y - 1, p), right, rtol=1e-5)
    np.testing.assert_allclose(loss(y, p), right, rtol=1e-5)


def test_around_our_own_and_around_a_function():
    p, y = RNG.random((8, 1)).astype("float32"), RNG.integers(0, 2, (8, 1))
    inner = tfi.losses.BinaryFocalLoss(reduction=None)
    loss = tfi.losses.ClassWeighted(inner, [1.0, 4.0], reduction=None)
    np.testing.assert_allclose(loss(y, p), inner(y, p) * (1 + 3 * y[:, 0]), rtol=1e-5)
    again = tfi.losses.ClassWeighted.from_config(loss.get_config())
    np.testing.assert_array_equal(again(y, p), loss(y, p))


def test_ignored_class_needs_no_weight():
    loss = tfi.losses.ClassWeighted(
        keras.losses.SparseCategoricalCrossentropy(ignore_class=255), WEIGHTS
    )
    p, y = RNG.dirichlet(np.ones(3), 4), np.array([0, 255, 2, 255])
    right = -(np.log(p[0, 0]) * 1.0 + np.log(p[2, 2]) * 5.0) / 2
    assert float(loss(y, p)) == pytest.approx(right, rel=1e-4)


def test_equals_class_weight_of_fit():
    """The weighted loss that ``fit(class_weight=...)`` reports is the one that this gives."""
    x = RNG.normal(size=(64, 4)).astype("float32")
    y = RNG.integers(0, 3, 64)
    weights = {0: 1.0, 1: 2.0, 2: 5.0}
    losses = []
    for loss, arguments in (
        ("sparse_categorical_crossentropy", {"class_weight": weights}),
        (tfi.losses.ClassWeighted("sparse_categorical_crossentropy", weights), {}),
    ):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        model.compile("sgd", loss)
        losses.append(model.fit(x, y, epochs=3, verbose=0, **arguments).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_one_head_of_many_with_sample_weight():
    inputs = keras.Input((4,))
    model = keras.Model(
        inputs,
        {
            "click": keras.layers.Dense(1, activation="sigmoid", name="click")(inputs),
            "time": keras.layers.Dense(1, name="time")(inputs),
        },
    )
    model.compile(
        "sgd",
        loss={"click": tfi.losses.ClassWeighted("binary_crossentropy", [1.0, 9.0]), "time": "mse"},
    )
    x = RNG.normal(size=(32, 4)).astype("float32")
    y = {"click": RNG.integers(0, 2, (32, 1)), "time": RNG.random((32, 1))}
    history = model.fit(
        x, y, sample_weight={"click": RNG.random(32), "time": RNG.random(32)}, verbose=0
    ).history
    assert set(history) == {"loss", "click_loss", "time_loss"}
    assert np.isfinite(history["loss"]).all()


def test_a_loss_of_the_whole_batch_is_refused():
    loss = tfi.losses.ClassWeighted(lambda y, p: keras.ops.mean(y - p), [1.0, 2.0])
    with pytest.raises(ValueError, match="one value for each target"):
        loss(np.ones((4, 1)), np.ones((4, 1)))


@pytest.mark.parametrize("kind", ["sparse_categorical", "categorical"])
def test_a_softmax_of_one_output_is_refused(kind):
    loss = tfi.losses.ClassWeighted(f"{kind}_crossentropy", [1.0, 2.0])
    with pytest.raises(ValueError, match=r"`loss`: expected a binary loss.*\(4, 1\)"):
        loss(np.ones((4, 1)), np.full((4, 1), 0.5))


def test_half_precision_is_finite():
    loss = tfi.losses.ClassWeighted("binary_crossentropy", [0.0, 1.0])
    p = np.array([[0.0], [0.0], [1.0]], "float16")
    assert np.isfinite(loss([1, 0, 1], p, sample_weight=2.0))
    with pytest.raises(ValueError, match="`loss`: expected a Keras loss"):
        tfi.losses.ClassWeighted(None, [1.0, 1.0])


def test_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="binary_focal_loss"):
        tfi.losses.ClassWeighted("no_such_loss", [1.0, 2.0])


BINARY_OF_OURS = [
    tfi.losses.AsymmetricLoss(from_logits=True),
    tfi.losses.BinaryFocalLoss(from_logits=True),
    tfi.losses.BinaryLogitAdjustedLoss([0.1, 0.2, 0.3], from_logits=True),
    tfi.losses.WeightedBinaryCrossentropy([1.0, 2.0, 3.0], from_logits=True),
]


@pytest.mark.parametrize("loss", BINARY_OF_OURS, ids=lambda loss: loss.name)
@pytest.mark.parametrize("weights", [[1.0, 5.0], [2.0, 3.0, 4.0]], ids=["0 and 1", "a label"])
def test_a_loss_of_ours_is_weighed_as_by_itself(loss, weights):
    y, z = RNG.integers(0, 2, (8, 3)), RNG.normal(size=(8, 3)).astype("float32")
    wrapped = tfi.losses.ClassWeighted(loss, weights, reduction=None)
    by_itself = type(loss)(**{**loss.get_config(), "class_weight": weights, "reduction": None})
    np.testing.assert_allclose(wrapped(y, z), by_itself(y, z), rtol=1e-6)
    twice = tfi.losses.ClassWeighted(by_itself, weights, reduction=None)
    squared = np.square(weights)
    right = tfi.losses.ClassWeighted(loss, squared, reduction=None)(y, z)
    np.testing.assert_allclose(twice(y, z), right, rtol=1e-6)
    nested = tfi.losses.ClassWeighted(wrapped, weights, reduction=None)
    np.testing.assert_allclose(nested(y, z), right, rtol=1e-6)


def test_moves_what_the_wrapped_loss_can_move():
    inner = tfi.losses.LogitAdjustedLoss([9, 1], from_logits=True)
    loss = tfi.losses.ClassWeighted(inner, [1.0, 1.0])
    assert set(loss.movable) == {*inner.movable, "class_weight"}
    loss.assign("tau", 0.0)
    assert float(loss([1], [[0.0, 0.0]])) == pytest.approx(np.log(2), rel=1e-5)
    with pytest.raises(ValueError, match=r"one of \['class_weight'\]"):
        tfi.losses.ClassWeighted("mse", [1.0, 1.0]).assign("tau", 0.0)
    with pytest.raises(ValueError, match="it has none"):
        tfi.losses.PairwiseAUCLoss().assign("tau", 0.0)


def test_around_functions_as_keras_takes_them():
    x, y = RNG.normal(size=(8, 2)).astype("float32"), RNG.integers(0, 2, (8, 1))
    for function in (
        lambda y, p: keras.ops.mean((y - p) ** 2, axis=-1),
        lambda y, p: keras.losses.mean_squared_error(y, p),
    ):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", tfi.losses.ClassWeighted(function, {0: 1.0, 1: 3.0}))
        right = np.mean((y - model.predict(x, verbose=0)) ** 2 * (1 + 2 * y))
        assert model.evaluate(x, y, verbose=0) == pytest.approx(right, rel=1e-4)
