import keras
import numpy as np
import pytest

import tfimbalance as tfi

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")


def model_with(units, activation, priors):
    head = keras.layers.Dense(
        units,
        activation=activation,
        kernel_initializer="zeros",
        bias_initializer=tfi.initializers.PriorBias(priors),
    )
    return keras.Sequential([keras.Input((3,)), head])


@pytest.mark.parametrize(
    ("units", "activation", "priors", "right"),
    [
        (1, "sigmoid", tfi.ClassStatistics([99, 1]), [0.01]),
        (1, "sigmoid", [99, 1], [0.01]),
        (1, "sigmoid", 0.01, [0.01]),
        (3, "sigmoid", 0.01, [0.01] * 3),
        (2, "softmax", tfi.ClassStatistics([99, 1]), [0.99, 0.01]),
        (3, "softmax", [90, 9, 1], [0.9, 0.09, 0.01]),
        (2, "sigmoid", tfi.ClassStatistics([30, 1], 100, multi_label=True), [0.3, 0.01]),
    ],
)
def test_an_untrained_model_predicts_the_base_rate(units, activation, priors, right, tmp_path):
    model = model_with(units, activation, priors)
    predicted = model(X)
    np.testing.assert_allclose(predicted, np.tile(right, (40, 1)), rtol=1e-5)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(X), predicted)
    fresh = keras.models.clone_model(again)
    np.testing.assert_array_equal(fresh(X), predicted)


def test_the_first_loss_is_the_entropy_of_the_base_rate():
    y = np.repeat([0, 1], [38, 2])
    model = model_with(1, "sigmoid", tfi.class_statistics(y))
    model.compile("sgd", "binary_crossentropy")
    entropy = -(0.95 * np.log(0.95) + 0.05 * np.log(0.05))
    assert model.evaluate(X, y, verbose=0) == pytest.approx(entropy, rel=1e-4)


@pytest.mark.parametrize(
    ("units", "priors", "message"),
    [
        (3, [99, 1], r"2 units \(or of one unit\).*shape \(3,\)"),
        (1, [90, 9, 1], r"3 units.*shape \(1,\)"),
        (2, tfi.ClassStatistics([1, 2, 3], 10, multi_label=True), "3 units"),
    ],
)
def test_another_number_of_units_is_refused(units, priors, message):
    with pytest.raises(ValueError, match=message):
        model_with(units, None, priors)


@pytest.mark.parametrize(("priors", "message"), [([5, 0], "class 1"), (0.0, r"\(0, 1\)")])
def test_bad_priors_are_refused_at_once(priors, message):
    with pytest.raises(ValueError, match=f"`priors`.*{message}"):
        tfi.initializers.PriorBias(priors)
