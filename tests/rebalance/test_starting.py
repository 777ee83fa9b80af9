import keras
import numpy as np
import pytest

import tfimbalance as tfi

STATS = tfi.ClassStatistics([990, 10])
TAIL = tfi.ClassStatistics([700, 200, 70, 30])
LABELS = tfi.ClassStatistics([50, 200, 400], 1000, multi_label=True)


def of_label(loss, k, bias):
    """Return the losses of a row with label ``k`` and of one without: of that label alone."""
    rows = np.zeros((2, len(bias)))
    rows[0, k] = 1.0
    logits = np.full((2, len(bias)), -800.0)  # All the others are right, and cost nothing.
    logits[:, k] = bias[k]
    return np.asarray(loss(rows, logits))


@pytest.mark.parametrize(
    "strategies",
    [
        {},
        {"class_shares": {1: 0.25}},
        {"class_weight": "balanced"},
        {"tau": 1.0},
        {"focal_gamma": 2.0},
        {"class_shares": {1: 0.2}, "class_weight": "inverse_sqrt", "focal_gamma": 5.0, "tau": 0.3},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Rebalance")
@pytest.mark.parametrize(
    ("stats", "activation"),
    [(STATS, "sigmoid"), (STATS, "softmax"), (TAIL, "softmax"), (LABELS, "sigmoid")],
    ids=["one logit", "two logits", "tail", "labels"],
)
def test_no_other_bias_has_a_smaller_loss(stats, activation, strategies):
    if stats.multi_label:
        strategies = {k: v for k, v in strategies.items() if k != "class_shares"}
    plan = tfi.Rebalance(stats, activation=activation, **strategies)
    units = 1 if activation == "sigmoid" and not stats.multi_label else stats.num_classes
    start = np.asarray(plan.initializer()((units,)), np.float64)
    loss = plan.loss(from_logits=True, reduction=None, dtype="float64")

    def expected(bias):
        """Return the loss of the same logits for every row of the batches of the plan."""
        if stats.multi_label:  # Labels are independent: rows with each, and without.
            each = [of_label(loss, k, bias) for k in range(units)]
            return sum(p * a + (1 - p) * b for p, (a, b) in zip(stats.priors, each, strict=True))
        share = plan.sampled_priors
        ids = np.arange(stats.num_classes)[:, None] if units == 1 else np.arange(units)
        value = np.asarray(loss(ids, np.tile(bias, (stats.num_classes, 1))))
        return float(share @ value.reshape(-1))

    least = expected(start)
    for k in range(units):
        for step in (-0.02, 0.02):
            assert expected(start + step * (np.arange(units) == k)) > least


def dense(units, **kwargs):
    return keras.layers.Dense(units, **kwargs)


def side_by_side(units):
    x = keras.Input((3,))
    return keras.Model(x, keras.layers.Concatenate()([dense(1)(x) for _ in range(units)]))


def nested(units):
    x = keras.Input((3,))
    inner = keras.Sequential([keras.Input((3,)), dense(4), dense(units)])
    return keras.Model(x, keras.layers.Activation("linear")(inner(x)))


MODELS = {
    "sequential": lambda n: keras.Sequential([keras.Input((3,)), dense(4), dense(n)]),
    "sigmoid": lambda n: keras.Sequential([keras.Input((3,)), dense(n, activation="sigmoid")]),
    "softmax layer": lambda n: keras.Sequential(
        [keras.Input((3,)), dense(n), keras.layers.Softmax()]
    ),
    "with offset": lambda n: tfi.layers.OffsetModel(
        keras.Sequential([keras.Input((3,)), dense(n)])
    ),
    "side by side": side_by_side,
    "nested": nested,
}


@pytest.mark.parametrize(
    ("stats", "kind"),
    [
        (stats, kind)
        for stats in (STATS, TAIL, LABELS)
        for kind in MODELS
        if stats is TAIL or kind != "softmax layer"
    ],
)
def test_prepare_sets_the_bias_of_the_last_layer(kind, stats):
    plan = tfi.Rebalance(stats)
    units = 1 if stats is STATS else stats.num_classes
    model = MODELS[kind](units)
    said = plan.prepare(model)
    inner = getattr(model, "model", model)
    wanted = keras.ops.convert_to_tensor(plan.initializer()((units,)))[None]
    if "softmax" in kind or "sigmoid" in kind:
        wanted = getattr(keras.ops, kind.split()[0])(wanted)
    np.testing.assert_allclose(inner(keras.ops.zeros((1, 3))), wanted, rtol=1e-6)
    assert f"{float(np.asarray(plan.initializer()((units,)))[0]):.4g}" in said
    assert plan.prepare(model) == said  # Once more changes nothing.


def test_a_new_model_starts_at_the_entropy_of_the_base_rate():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, 3)), np.repeat([0, 1], [990, 10])
    plan = tfi.Rebalance(y)
    model = MODELS["sequential"](1)
    plan.prepare(model)
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 0.0)
    model.compile(loss=plan.loss(from_logits=True))
    entropy = -(0.01 * np.log(0.01) + 0.99 * np.log(0.99))
    assert model.evaluate(x, y, verbose=0) == pytest.approx(entropy, rel=1e-4)


def test_each_of_several_outputs_has_its_plan():
    x = keras.Input((3,))
    model = keras.Model(x, {"buy": dense(1, name="buy")(x), "kind": dense(4, name="kind")(x)})
    tfi.Rebalance(STATS).prepare(model, output="buy")
    tfi.Rebalance(TAIL).prepare(model, output="kind")
    np.testing.assert_allclose(model.get_layer("buy").bias, [np.log(1 / 99)], rtol=1e-6)
    np.testing.assert_allclose(model.get_layer("kind").bias, np.log(TAIL.priors), rtol=1e-6)


def anchors(units, places, *, shared=False):
    """Return the head of a detector: a layer of units for some places, on two feature maps."""
    maps = [keras.Input((4, 4, 3)), keras.Input((2, 2, 3))]
    layers = [keras.layers.Conv2D(units * places, 1) for _ in maps]
    layers = [layers[0]] * 2 if shared else layers
    flat = [
        keras.layers.Reshape((-1, units))(layer(x)) for layer, x in zip(layers, maps, strict=True)
    ]
    return keras.Model(maps, keras.layers.Concatenate(axis=1)(flat))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("stats", "units", "places"), [(STATS, 1, 1), (STATS, 1, 2), (TAIL, 4, 3)])
def test_every_place_of_a_detector_starts_alike(stats, units, places, shared):
    plan = tfi.Rebalance(stats)
    model = anchors(units, places, shared=shared)
    plan.prepare(model)
    found = model([np.zeros((1, 4, 4, 3)), np.zeros((1, 2, 2, 3))])
    wanted = np.broadcast_to(plan.initializer()((units,)), found.shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


class Own(keras.Model):
    def call(self, x):
        return x


def trained():
    model = MODELS["sequential"](1)
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 1)), epochs=1, verbose=0)
    return model


def trained_with_an_offset():
    model = tfi.layers.OffsetModel(MODELS["sequential"](1))
    model.compile("sgd", "mse")
    model.fit((np.ones((4, 3)), np.ones((4, 1))), np.ones((4, 1)), epochs=1, verbose=0)
    return model


def ending(activation, units=1, *more):
    return keras.Sequential([keras.Input((3,)), dense(units, activation=activation), *more])


def shared():
    x, layer = keras.Input((3,)), dense(1)
    return keras.Model(x, keras.layers.Concatenate()([layer(x), layer(2 * x)]))


def biased():
    model = MODELS["sequential"](1)
    model.layers[-1].bias.assign([3.0])
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras.Sequential([keras.Input((3,)), dense(1, use_bias=False)]), "without one"),
        (lambda: MODELS["sequential"](3), "of one unit"),
        (lambda: ending("relu"), "logits, or of a sigmoid.*relu"),
        (lambda: ending("softmax"), "softmax of several units"),
        (lambda: ending("linear", 1, keras.layers.Activation("tanh")), "linear, tanh"),
        (trained_with_an_offset, "trained for 1 steps"),
        (lambda: keras.Sequential([dense(1)]), "without symbolic outputs"),
        (Own, "bias_initializer=plan.initializer"),
        (lambda: tfi.Rebalance(STATS, class_shares="balanced").corrected(biased()), "has a bias"),
        (trained, "trained for 1 steps"),
        (biased, "a bias of 3 in"),
    ],
)
def test_what_has_no_start_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        tfi.Rebalance(STATS).prepare(make())


def test_one_of_several_outputs_has_to_be_named():
    x = keras.Input((3,))
    model = keras.Model(x, [dense(1)(x), dense(1)(x)])
    with pytest.raises(ValueError, match="one of the outputs"):
        tfi.Rebalance(STATS).prepare(model)
    with pytest.raises(ValueError, match="None for a model of one output"):
        tfi.Rebalance(STATS).prepare(MODELS["sequential"](1), output="buy")


def test_a_layer_that_stands_twice_starts_for_both():
    model, plan = shared(), tfi.Rebalance(STATS, activation="softmax")
    with pytest.raises(ValueError, match=r"\[1, 1\] units in"):
        plan.prepare(model)
