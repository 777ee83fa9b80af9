import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize
from scipy.special import expit, logit, softmax

import tfimbalance as tfi
from tfimbalance.callbacks.natural_rate import rate_z

TIMES = "\N{MULTIPLICATION SIGN}"
STATS = tfi.ClassStatistics([950, 50])
TAIL = tfi.ClassStatistics([700, 200, 70, 30])
LABELS = tfi.ClassStatistics([50, 200, 400], 1000, multi_label=True)


def odds(priors):
    return priors / priors[0]


@pytest.mark.parametrize("shares", [None, "natural", "balanced", {1: 0.25}, [0.4, 0.6]])
@pytest.mark.parametrize("weights", [None, {0: 1.0, 1: 3.0}, [2.0, 0.5]])
@pytest.mark.parametrize("tau", [0.0, 0.3])
@pytest.mark.filterwarnings("ignore:Rebalance")
def test_factors_multiply(shares, weights, tau):
    plan = tfi.Rebalance(STATS, class_shares=shares, class_weight=weights, tau=tau)
    sampled = {
        None: STATS.priors,
        "natural": STATS.priors,
        "balanced": np.array([0.5, 0.5]),
    }.get(shares if isinstance(shares, str) or shares is None else "")
    if sampled is None:
        sampled = np.array([0.75, 0.25] if isinstance(shares, dict) else [0.4, 0.6])
    np.testing.assert_allclose(plan.sampled_priors, sampled, atol=1e-9)
    weight = np.array([1.0, 1.0] if weights is None else [weights[0], weights[1]])
    wanted = odds(sampled) * odds(weight) / odds(sampled) ** tau
    np.testing.assert_allclose(odds(plan.effective_priors), wanted, rtol=1e-6)
    for row, factor in zip(plan.audit().rows, wanted / odds(STATS.priors), strict=True):
        assert row["product"] == pytest.approx(factor, rel=1e-6)
        assert row["effective prior"] == pytest.approx(plan.effective_priors[row["class"]])


@pytest.mark.parametrize("scheme", ["balanced", "inverse_sqrt", "effective_number"])
@pytest.mark.parametrize("shares", [None, {3: 0.2}])
def test_weights_are_of_what_is_sampled(scheme, shares):
    plan = tfi.Rebalance(TAIL, class_shares=shares, class_weight=scheme)
    sampled = (
        TAIL
        if shares is None
        else tfi.ClassStatistics(np.rint(plan.sampled_priors * 1000).astype(int))
    )
    right = tfi.class_weights(sampled, scheme=scheme)
    found, wanted = (np.array(list(w.values())) for w in (plan.class_weight, right))
    np.testing.assert_allclose(found, wanted, rtol=0.01)  # Of whole rows, there.
    if scheme == "balanced":
        np.testing.assert_allclose(plan.effective_priors, 0.25, atol=1e-9)
        np.testing.assert_allclose(found * plan.sampled_priors, 0.25, atol=1e-9)


def test_both_at_full_strength_warns_with_the_numbers():
    numbers = rf"sampling {TIMES} 19 and weights {TIMES} 19 turn a prior of \.05 into \.95"
    with pytest.warns(UserWarning, match=numbers):
        plan = tfi.Rebalance(STATS, class_shares="balanced", class_weight=tfi.class_weights(STATS))
    np.testing.assert_allclose(plan.effective_priors, [0.05, 0.95])
    twice = rf"sampling {TIMES} 19 and weights {TIMES} 19, would turn a prior of \.05 into \.95"
    numbers = rf"leaves nothing to weights.*{twice}"
    with pytest.warns(UserWarning, match=numbers):
        plan = tfi.Rebalance(STATS, class_shares="balanced", class_weight="balanced")
    np.testing.assert_allclose(plan.effective_priors, [0.5, 0.5])
    with pytest.warns(UserWarning, match=rf"sampling {TIMES} 19 and adjustment {TIMES} 19, would"):
        tfi.Rebalance(STATS, class_shares="balanced", tau=1.0)
    # Both for natural shares: adjustment and weights.
    with pytest.warns(UserWarning, match=rf"weights {TIMES} 19 and adjustment {TIMES} 19 turn"):
        tfi.Rebalance(STATS, class_weight="balanced", tau=1.0)


@pytest.mark.parametrize(
    "arguments",
    [
        {"class_shares": "balanced"},
        {"class_shares": {1: 0.9}},
        {"class_weight": {0: 1.0, 1: 100.0}},
        {"class_shares": {1: 0.2}, "class_weight": "balanced", "focal_gamma": 2.0},
        {"class_shares": {1: 0.2}, "class_weight": {0: 1.0, 1: 1.5}},
        {"class_shares": {1: 0.2}, "tau": 1.0},
        {"class_shares": "natural", "class_weight": "balanced"},
        {"tau": 1.0},
        {},
    ],
)
def test_what_balances_once_warns_of_nothing(arguments):
    tfi.Rebalance(STATS, **arguments)


def test_the_table_of_a_long_tail_shows_both_ends():
    stats = tfi.ClassStatistics(np.arange(100, 0, -1))
    plan = tfi.Rebalance(stats, class_weight="balanced", focal_gamma=1.5)
    lines = str(plan.audit()).splitlines()
    assert lines[0].split()[0] == "class"
    assert [line.split()[0] for line in lines[1:21]] == [
        str(k) for k in [*range(10), *range(90, 100)]
    ]
    assert "(100 of them" in lines[21]
    assert "gamma 1.5" in lines[22]
    assert len(plan.audit().rows) == 100


def end_of(layers, raw, plan):
    """What the corrections make of raw logits."""
    for layer in layers:
        raw = layer(raw)
    return expit(raw) if plan.activation == "sigmoid" else softmax(raw, axis=-1)


@pytest.mark.parametrize("tau", [0.0, 0.4])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.filterwarnings("ignore:Rebalance")
def test_layers_undo_the_odds(tau, activation):
    plan = tfi.Rebalance(
        STATS, class_shares={1: 0.3}, class_weight=[1.0, 2.0], tau=tau, activation=activation
    )
    natural = np.random.default_rng(0).dirichlet([1, 1], 50)
    learned = natural * plan.effective_priors / plan.priors
    raw = np.log(learned)
    if activation == "sigmoid":
        raw = raw[:, 1:] - raw[:, :1]
    found = end_of(plan.layers(from_logits=True), raw, plan)
    np.testing.assert_allclose(found[:, -1], natural[:, 1], atol=1e-6)
    deployed = np.array([0.8, 0.2])
    moved = natural * deployed / plan.priors
    found = end_of(plan.layers(from_logits=True, target_priors=[0.8, 0.2]), raw, plan)
    np.testing.assert_allclose(found[:, -1], moved[:, 1] / moved.sum(axis=1), atol=1e-6)
    np.testing.assert_allclose(
        end_of(plan.layers(from_logits=True, target_priors=0.2), raw, plan), found, atol=1e-7
    )


@pytest.mark.filterwarnings("ignore:Rebalance")
def test_labels_are_undone_each_for_itself():
    plan = tfi.Rebalance(LABELS, class_weight=[2.0, 3.0, 4.0], tau=0.5)
    natural = np.random.default_rng(0).random((20, 3))
    factor = np.array([2.0, 3.0, 4.0]) * (LABELS.priors / (1 - LABELS.priors)) ** -0.5
    found = end_of(plan.layers(from_logits=True), logit(natural) + np.log(factor), plan)
    np.testing.assert_allclose(found, natural, atol=1e-6)
    np.testing.assert_allclose(
        logit(plan.effective_priors), logit(LABELS.priors) + np.log(factor), rtol=1e-9
    )
    assert "label" in str(plan.audit()).splitlines()[0]


@pytest.mark.parametrize(
    ("stats", "arguments", "width"),
    [
        (STATS, {"class_weight": "balanced", "focal_gamma": 2.0}, 1),
        (STATS, {"tau": 1.0, "focal_gamma": 1.0}, 1),
        (STATS, {"class_weight": [1.0, 2.0], "activation": "softmax"}, 2),
        (TAIL, {"class_weight": "balanced", "focal_gamma": 2.0}, 4),
        (TAIL, {"tau": 1.0, "class_weight": [1.0, 1.0, 1.0, 1.1]}, 4),
        (LABELS, {"class_weight": [2.0, 3.0, 4.0], "focal_gamma": 2.0}, 3),
        (LABELS, {"tau": 1.0, "class_weight": [1.0, 1.0, 1.1]}, 3),
        (tfi.ClassStatistics([50, 200], 1000, multi_label=True), {"class_weight": [2.0, 3.0]}, 2),
    ],
)
@pytest.mark.filterwarnings("ignore:Rebalance")
def test_the_loss_is_least_where_the_plan_says(stats, arguments, width):
    """One cell of features, its labels at a known rate: the loss alone decides the optimum."""
    plan = tfi.Rebalance(stats, **arguments)
    loss = plan.loss(from_logits=True, dtype="float64")
    rng = np.random.default_rng(1)
    if stats.multi_label:
        y = (rng.random((400, width)) < 0.3).astype("float64")
        rate = y.mean(axis=0)
    else:
        ids = rng.choice(
            stats.num_classes, 400, p=np.full(stats.num_classes, 1 / stats.num_classes)
        )
        y, rate = ids, np.bincount(ids, minlength=stats.num_classes) / 400

    def value_and_slope(z):
        z = tf.constant(z[None])
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = loss(y, tf.repeat(z, 400, axis=0))
        return value.numpy(), tape.gradient(value, z).numpy()[0]

    z = minimize(value_and_slope, np.zeros(width), jac=True, tol=1e-9).x
    served = end_of(plan.layers(from_logits=True), z[None], plan)[0]
    wanted = rate[1:] if width == 1 else rate
    np.testing.assert_allclose(served, wanted, atol=2e-3)


def two_gaussians(rows, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < 0.05).astype("int32")
    return (rng.normal(size=(rows, 2)) + (2 * y - 1)[:, None]).astype("float32"), y


PLAIN_TENSORFLOW = """
import sys
import numpy as np
import tensorflow as tf
served = tf.saved_model.load(sys.argv[1])
np.save(sys.argv[3], served.serve(np.load(sys.argv[2])).numpy())
assert not any(name.startswith("tfimbalance") for name in sys.modules)
"""


@pytest.mark.slow
def test_saves_loads_and_exports_to_plain_tensorflow(tmp_path):
    x, y = two_gaussians(2_000)
    plan = tfi.Rebalance(y, class_shares={1: 0.2}, class_weight="balanced", focal_gamma=2.0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", plan.loss(from_logits=True))
    model.fit(plan.dataset(x, y, batch_size=100), epochs=1, verbose=0)
    corrected = plan.corrected(model)
    wanted = corrected.predict(x, verbose=0)
    corrected.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), wanted, rtol=1e-6)
    corrected.export(tmp_path / "served", verbose=False)
    np.save(tmp_path / "x.npy", x)
    # From elsewhere, with nothing of this package on the path.
    command = [sys.executable, "-I", "-c", PLAIN_TENSORFLOW]
    command += [str(tmp_path / name) for name in ("served", "x.npy", "p.npy")]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), wanted, rtol=1e-6)


def test_any_kind_of_model_is_corrected():
    plan = tfi.Rebalance(STATS, class_weight={0: 1.0, 1: 19.0})
    x = np.random.default_rng(0).normal(size=(20, 2)).astype("float32")
    sequential = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    kernel, bias = sequential.get_weights()
    wanted = expit(x @ kernel + bias - np.log(19))

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

    subclassed = Subclassed()
    subclassed(x)
    inputs = {"a": keras.Input((1,), name="a"), "b": keras.Input((1,), name="b")}
    both = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
    of_dict = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(both))
    several = keras.Input((2,))
    outputs = {"click": keras.layers.Dense(1)(several), "other": keras.layers.Dense(3)(several)}
    of_two = keras.Model(several, outputs)
    for model in (subclassed, of_dict):
        model.set_weights([kernel, bias])
    of_two.layers[1].set_weights([kernel, bias])
    parts = {"a": x[:, :1], "b": x[:, 1:]}
    given = {"atol": 1e-6}
    np.testing.assert_allclose(plan.corrected(sequential)(x), wanted, **given)
    np.testing.assert_allclose(plan.corrected(subclassed, from_logits=True)(x), wanted, **given)
    np.testing.assert_allclose(plan.corrected(of_dict)(parts), wanted, **given)
    served = plan.corrected(of_two, output="click", from_logits=True)
    found = served(x)
    np.testing.assert_allclose(found["click"], wanted, **given)
    np.testing.assert_array_equal(found["other"], of_two(x)["other"])
    # Weights are shared: training on goes on being served.
    sequential.set_weights([kernel * 0, bias])
    np.testing.assert_allclose(plan.corrected(sequential)(x)[:, 0], 20 * [0.05], **given)


def test_datasets_hold_the_shares_of_the_plan():
    x, y = two_gaussians(4_000)
    plan = tfi.Rebalance(y, class_shares={1: 0.25})
    shares = [labels.numpy().mean() for _, labels in plan.dataset(x, y, 100).take(3)]
    assert shares == [0.25, 0.25, 0.25]
    rows = tf.data.Dataset.from_tensor_slices((x, y))
    shares = [labels.numpy().mean() for _, labels in plan.dataset(rows, batch_size=100).take(3)]
    assert shares == [0.25, 0.25, 0.25]
    natural = tfi.Rebalance(y).dataset(x, y, batch_size=1_000)
    assert next(iter(natural))[1].numpy().mean() == pytest.approx(y.mean(), abs=1e-3)
    with pytest.warns(UserWarning, match="standard errors"):
        plan.dataset(x[np.argsort(-y)][:400], np.sort(y)[::-1][:400], 100)


def test_resampled_validation_data_is_recognised():
    x, y = two_gaussians(4_000)
    plan = tfi.Rebalance(y, class_shares="balanced")
    natural = tfi.callbacks.NaturalRate(plan.statistics)
    assert natural.check(two_gaussians(4_000, seed=1)[1]) < 5
    assert natural.check((x, y)) == 0
    batches = plan.dataset(x, y, 100)
    for resampled in (np.repeat([0, 1], 200), batches, (x, np.resize([0, 1], len(x)))):
        with pytest.warns(UserWarning, match="class 1 is .5 of the rows|class 1 is 0.5"):
            assert natural.check(resampled) > 5


@pytest.mark.parametrize(("exponent", "classes"), [(0, 2), (1, 100), (2, 1000)])
def test_natural_long_tails_are_not_called_resampled(exponent, classes):
    """Both counts are draws from one Zipf prior; the rarest classes come once, or never."""
    rng = np.random.default_rng(0)
    prior = np.arange(1.0, classes + 1) ** -exponent
    for _ in range(30):
        train, rows = (rng.multinomial(n, prior / prior.sum()) for n in (100_000, 2_000))
        stats = tfi.ClassStatistics(np.maximum(train, 1))
        z = rate_z(tfi.ClassStatistics(rows), stats.priors, stats.num_samples)
        assert z.max() < 5


def test_the_class_that_is_off_is_named():
    plan = tfi.Rebalance(tfi.ClassStatistics([9_000, 990, 5, 5]))
    rows = np.repeat([0, 1], 500)
    with pytest.warns(UserWarning, match="class 1 is 0.5"):
        tfi.callbacks.NaturalRate(plan.statistics).check(rows)
    x, y = two_gaussians(4_000)
    three = tfi.Rebalance(tfi.ClassStatistics([3_600, 350, 50]))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.compile("sgd", three.loss(from_logits=True))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model.fit(x, y, validation_data=(x[:1000], rows), callbacks=three.callbacks(), verbose=0)
    assert any("validation_data of fit: class 1" in str(w.message) for w in found)


def test_a_class_in_the_middle_may_be_balanced_twice():
    with pytest.warns(UserWarning, match=r"turn a prior of \.09 into \.94 \(class 1\)"):
        tfi.Rebalance(
            tfi.ClassStatistics([900, 90, 10]),
            class_shares=[0.3, 0.6, 0.1],
            class_weight=[1, 10, 1],
        )


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("click_buy", "click")])
def test_two_outputs_are_corrected_one_after_the_other(first, second):
    inputs = keras.Input((2,))
    outputs = {name: keras.layers.Dense(1)(inputs) for name in (first, second)}
    model = keras.Model(inputs, outputs)
    plan = tfi.Rebalance(STATS, class_shares="balanced")
    once = plan.corrected(model, output=first, from_logits=True)
    twice = plan.corrected(once, output=second, from_logits=True)
    x = np.ones((3, 2))
    for name in (first, second):
        np.testing.assert_allclose(
            twice(x)[name], expit(model(x)[name].numpy() - np.log(19)), rtol=1e-5
        )
    with pytest.raises(ValueError, match="already"):
        plan.corrected(twice, output=first, from_logits=False)


def fitted(plan, x, y, validation_data, callbacks):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.05), plan.loss(from_logits=True))
    dataset = plan.dataset(x, y, 200)
    return model, model.fit(
        dataset,
        epochs=2,
        validation_data=validation_data,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )


def test_fit_warns_of_validation_data_that_is_resampled():
    x, y = two_gaussians(4_000)
    plan = tfi.Rebalance(y, class_shares="balanced")
    half = np.concatenate([np.flatnonzero(y == 1), np.flatnonzero(y == 0)[: int(y.sum())]])
    for data in ((x[half], y[half]), plan.dataset(x, y, 200)):
        with pytest.warns(UserWarning, match="validation_data of fit: class 1 is 0.5 of the rows"):
            fitted(plan, x, y, data, plan.callbacks())
    fitted(plan, x, y, (x, y), plan.callbacks())  # Warnings are errors here.


@pytest.mark.parametrize("batched", [False, True], ids=["arrays", "dataset"])
def test_corrected_validation_measures_what_is_served(batched):
    x, y = two_gaussians(4_000)
    x_val, y_val = two_gaussians(3_000, seed=2)
    plan = tfi.Rebalance(y, class_shares="balanced", focal_gamma=1.0)
    data = (x_val, y_val)
    if batched:
        data = tf.data.Dataset.from_tensor_slices(data).batch(700)
    stop = keras.callbacks.EarlyStopping("val_corrected_normalized_entropy", mode="min")
    model, history = fitted(plan, x, y, None, [*plan.callbacks(data), stop])
    p = plan.corrected(model).predict(x_val, verbose=0)[:, 0].astype("float64")
    rate = y_val.mean()
    nats = -np.log(np.where(y_val == 1, p, 1 - p)).mean()
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
    logs = history.history
    assert logs["val_corrected_normalized_entropy"][-1] == pytest.approx(nats / entropy, rel=1e-5)
    assert logs["val_corrected_calibration_ratio"][-1] == pytest.approx(p.mean() / rate, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "loss", "fits"),
    [
        ({"focal_gamma": 2.0}, tfi.losses.BinaryFocalLoss(gamma=2.0, from_logits=True), True),
        ({"focal_gamma": 2.0}, tfi.losses.BinaryFocalLoss(gamma=1.0, from_logits=True), False),
        ({"focal_gamma": 2.0}, keras.losses.BinaryCrossentropy(from_logits=True), False),
        ({"class_shares": "balanced"}, keras.losses.BinaryCrossentropy(from_logits=True), True),
        ({}, "binary_crossentropy", True),
        ({"focal_gamma": 2.0}, "binary_focal_loss", True),
        ({"focal_gamma": 1.0}, "binary_focal_loss", False),
        ({"class_shares": "balanced"}, tfi.losses.BinaryLogitAdjustedLoss(0.05), False),
        ({"class_weight": {0: 1, 1: 2}}, keras.losses.BinaryCrossentropy(from_logits=True), False),
        ({"tau": 1.0}, keras.losses.BinaryCrossentropy(from_logits=True), False),
    ],
)
def test_another_loss_than_that_of_the_plan_warns(arguments, loss, fits):
    x, y = two_gaussians(400)
    plan = tfi.Rebalance(y, **arguments)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "sigmoid")])
    if not isinstance(loss, str):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        loss = type(loss).from_config({**loss.get_config(), "from_logits": True})
    model.compile("sgd", loss, run_eagerly=True)
    if fits:
        model.fit(
            x, y, batch_size=400, callbacks=plan.callbacks(), verbose=0
        )  # Warnings are errors here.
    else:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            model.fit(x, y, batch_size=400, callbacks=plan.callbacks(), verbose=0)
        assert any("not with the loss of the plan" in str(w.message) for w in found)


def test_corrected_validation_of_resampled_rows_warns():
    x, y = two_gaussians(4_000)
    plan = tfi.Rebalance(y, class_shares="balanced")
    with pytest.warns(UserWarning, match="validation_data: class 1"):
        fitted(plan, x, y, None, plan.callbacks(plan.dataset(x, y, 200)))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: tfi.Rebalance([0, 0, 2]), "class 1"),
        (lambda: tfi.Rebalance(STATS, class_shares={1: 1.0}), "class_shares"),
        (lambda: tfi.Rebalance(STATS, class_shares={1: 0.0}), "class 1"),
        (lambda: tfi.Rebalance(STATS, class_weight={0: 1.0}), "2 weights"),
        (lambda: tfi.Rebalance(STATS, class_weight={0: 1.0, 1: 0.0}), "class 1"),
        (lambda: tfi.Rebalance(STATS, class_weight="equal"), "balanced"),
        (lambda: tfi.Rebalance(STATS, focal_gamma=-1), "focal_gamma"),
        (lambda: tfi.Rebalance(STATS, activation="relu"), "activation"),
        (lambda: tfi.Rebalance(TAIL, activation="sigmoid"), "activation"),
        (lambda: tfi.Rebalance(LABELS, activation="softmax"), "activation"),
        (lambda: tfi.Rebalance(LABELS, class_shares="balanced"), "multi-label"),
        (lambda: tfi.Rebalance(LABELS).dataset([0], [0]), "multi-label"),
        (lambda: tfi.Rebalance(TAIL).layers(target_priors=0.1), "4 priors"),
        (lambda: tfi.Rebalance(TAIL).layers(target_priors=[1, 0, 1, 1]), "class 1"),
        (lambda: tfi.Rebalance(STATS).layers(target_priors=[0.2, 0.7]), "add up to 0.9"),
        (lambda: tfi.Rebalance([[1, 1], [0, 1]]), "class_statistics"),
        (lambda: tfi.Rebalance(STATS).dataset(np.zeros(4), [1, 1, 2, 2], 4), "3 classes"),
        (lambda: tfi.Rebalance(STATS).corrected(_model(2)), "softmax"),
        (lambda: tfi.Rebalance(TAIL).corrected(_model(3)), "4 outputs"),
        (lambda: tfi.Rebalance(STATS).callbacks((np.zeros(2),)), "validation_data"),
        (lambda: _twice(tfi.Rebalance(STATS, class_shares="balanced")), "already"),
        (lambda: _nested_twice(tfi.Rebalance(STATS, class_shares="balanced")), "already"),
        (lambda: tfi.Rebalance(STATS, focal_gamma=2.0).loss(gamma=3.0), "belongs to the plan"),
        (lambda: tfi.Rebalance(STATS).loss(label_smoothing=0.1), "belongs to the plan"),
        (lambda: tfi.layers.Threshold([0.1, 0.2])(np.zeros((3, 1))), "2 numbers"),
    ],
)
def test_bad_plans_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def _model(units):
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])


def _nested_twice(plan):
    inputs = keras.Input((2,))
    return plan.corrected(keras.Model(inputs, plan.corrected(_model(1))(inputs)))


def _twice(plan):
    return plan.corrected(plan.corrected(_model(1)))
