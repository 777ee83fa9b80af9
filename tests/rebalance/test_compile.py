"""`Rebalance.compile` is `prepare`, `model` and ``compile`` with the plan's loss, and no more."""

import keras
import numpy as np
import pytest

import tfimbalance as tfi

PLANS = {
    "recommended": {},
    "sampled": {"class_shares": {1: 0.3}},
    "offset": {"class_shares": {1: 0.3}, "offset": True},
    "weighted": {"class_weight": "balanced"},
    "focal": {"focal_gamma": 2.0},
    "adjusted": {"tau": 0.5},
}
Y = np.repeat([0, 1, 2], [700, 200, 100])
X = np.random.default_rng(0).normal(size=(1_000, 2)).astype("float32")


def network(units=1, activation=None):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(units, activation)])


def trained(plan, model, y):
    model.fit(plan.dataset(X, y, batch_size=50, seed=1), shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("units", [1, 3])
def test_is_the_three_lines(name, units):
    y = Y > 1 if units == 1 else Y
    plan = tfi.Rebalance(y, **PLANS[name])
    by_hand = network(units)
    plan.prepare(by_hand)
    model = plan.model(by_hand)
    model.compile(keras.optimizers.SGD(0.1), plan.loss(from_logits=True))
    other = network(units)
    in_one = plan.compile(other, keras.optimizers.SGD(0.1))
    assert type(in_one) is type(model)
    assert (in_one is other) == (name != "offset")
    for one, two in zip(trained(plan, model, y), trained(plan, in_one, y), strict=True):
        np.testing.assert_array_equal(one, two)
    plan.corrected(in_one)  # Nothing to warn of: the loss is that of the plan.


def test_probabilities_are_seen_and_other_arguments_go_to_keras():
    plan = tfi.Rebalance(Y > 1, class_weight="balanced")
    model = plan.compile(
        network(1, "sigmoid"), "sgd", metrics=[tfi.metrics.AUC(name="auc")], run_eagerly=True
    )
    assert model.loss.from_logits is False
    assert model.run_eagerly
    assert model.predict(np.zeros((1, 2)), verbose=0)[0, 0] == pytest.approx(0.5)
    assert "auc" in model.evaluate(X, Y > 1, verbose=0, return_dict=True)


def test_labels_that_are_not_known_are_none_of_the_loss():
    y = np.stack([Y > 1, np.where(X[:, 0] > 0, Y > 0, -1)], axis=1)
    stats = tfi.class_statistics(y, multi_label=True, ignore_class=-1)
    plan = tfi.Rebalance(stats, ignore_class=-1)
    assert plan.compile(network(2)).loss.ignore_class == -1


def test_a_model_that_was_trained_is_compiled_again_without_its_bias_being_set():
    plan = tfi.Rebalance(Y > 1, class_shares={1: 0.3})
    model = plan.compile(network(), "sgd")
    trained(plan, model, Y > 1)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"was trained for .*prepare=False"):
        plan.compile(model, "sgd")
    again = plan.compile(model, "sgd", prepare=False)
    for one, two in zip(before, again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def several_outputs():
    inputs = keras.Input((2,))
    heads = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("click", "buy")}
    return keras.Model(inputs, heads)


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (network, {"loss": "binary_crossentropy"}, "`loss`: expected none, as the plan has one"),
        (network, {"from_logits": False}, "`from_logits`: expected True"),
        (network, {"prepare": "no"}, "`prepare`: expected"),
        (lambda: network(1, "relu"), {}, "`from_logits`: expected True or False"),
        (several_outputs, {}, "`model`: expected a model of one output"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_the_model_alone(make, arguments, message):
    model = make()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        tfi.Rebalance(Y > 1).compile(model, **arguments)
    assert not model.compiled
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


class Subclassed(keras.Model):
    """A model that does not show what it ends in."""

    def __init__(self, bias="zeros"):
        super().__init__()
        self.head = keras.layers.Dense(1, bias_initializer=bias)

    def call(self, inputs):
        return self.head(inputs)


def test_a_subclassed_model_says_once_that_it_gives_logits():
    plan = tfi.Rebalance(Y > 1, class_weight="balanced")
    with pytest.raises(ValueError, match=r"bias_initializer=plan.initializer\(\).*prepare=False"):
        plan.compile(Subclassed(), from_logits=True)
    model = plan.compile(Subclassed(plan.initializer()), "sgd", from_logits=True, prepare=False)
    callbacks = plan.callbacks((X, Y > 1))
    model.fit(X, Y > 1, callbacks=callbacks, verbose=0)
    assert plan.corrected(model).predict(X, verbose=0).mean() == pytest.approx(0.1, abs=0.05)


def test_a_sequential_that_is_not_built_is_told_how():
    model = keras.Sequential([keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=r"keras\.Input, or call model\.build"):
        tfi.Rebalance(Y > 1).compile(model, from_logits=True)
    model.build((None, 2))
    tfi.Rebalance(Y > 1).compile(model)


def test_another_number_of_outputs_is_refused_before_anything_is_set():
    with pytest.raises(ValueError, match='activation="softmax"'):
        tfi.Rebalance(Y > 1).compile(network(2))


def test_labels_that_were_pooled_are_named_where_it_shows():
    labels = np.stack([Y > 1, np.where(X[:, 0] > 0, Y > 0, -1), Y > 0], axis=1)
    plan = tfi.Rebalance(labels, ignore_class=-1)  # As of masks.
    with pytest.raises(ValueError, match=r"an output of shape .* multi_label=True"):
        plan.compile(network(3))


def test_an_epoch_longer_than_the_training_is_noticed():
    y = (np.arange(60_000) % 100 == 0).astype(int)
    x = np.zeros((60_000, 1), "float32")
    plan = tfi.Rebalance.recommended(y, steps=100)
    assert plan.offset
    with pytest.warns(UserWarning, match="25,600 rows that the plan was recommended for"):
        plan.dataset(x, y)
    with pytest.warns(UserWarning, match="steps of 2048 rows"):
        plan.dataset(x, y, batch_size=2048, steps_per_epoch=50)
    plan.dataset(x, y, steps_per_epoch=100)  # A warning would be an error.
    plan.dataset(x, y, batch_size=2560, steps_per_epoch=10)
    assert tfi.Rebalance(y).budget is None


def test_a_stream_has_no_steps_of_an_epoch():
    import tensorflow as tf

    plan = tfi.Rebalance(Y > 1, class_shares={1: 0.3})
    rows = tf.data.Dataset.from_tensor_slices((X, Y > 1))
    with pytest.raises(ValueError, match=r"plan\.dataset\(rows\.repeat\(\)\)"):
        plan.dataset(rows, steps_per_epoch=3)
