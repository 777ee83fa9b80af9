"""Models that fit, evaluate, predict, are saved and loaded, on every backend, compiled."""

import warnings
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from backend import array, at_once

import tfimbalance as tfi
from tfimbalance import calibration as cal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.any_backend(jax_every=16),
    pytest.mark.only_on("jax", "torch", why="on TensorFlow each room fits and saves its own"),
]
ROWS = 48


class Case(NamedTuple):
    """A head of a model: its loss and metrics, and what corrects it behind."""

    kind: str
    loss: Any
    metrics: list[Any]
    correction: Any
    from_logits: bool = False


COUNTS = [30, 12, 6]
CASES = {
    "focal": lambda: Case(
        "binary",
        tfi.losses.BinaryFocalLoss(2.0),
        [tfi.metrics.BrierScore()],
        cal.FocalCalibration(2.0),
    ),
    "weighted": lambda: Case(
        "binary",
        tfi.losses.WeightedBinaryCrossentropy(4.0, from_logits=True),
        [tfi.metrics.AveragePrecision(from_logits=True)],
        cal.PriorCorrection(0.5, 0.2, from_logits=True),
        from_logits=True,
    ),
    "pairs": lambda: Case(
        "binary",
        tfi.losses.PairwiseAUCLoss(),
        [tfi.metrics.AUC(from_logits=True, exact=True, max_rows=512)],
        cal.TemperatureScaling(2.0, from_logits=True),
        from_logits=True,
    ),
    "labels": lambda: Case(
        "labels",
        tfi.losses.AsymmetricLoss(ignore_class=-1),
        [tfi.metrics.BalancedAccuracy(multi_label=True, ignore_class=-1)],
        cal.PriorCorrection(0.5, 0.2, activation="sigmoid"),
    ),
    "adjusted": lambda: Case(
        "classes",
        tfi.losses.LogitAdjustedLoss(COUNTS, from_logits=True, class_weight=[1.0, 2.0, 3.0]),
        [tfi.metrics.ExpectedCalibrationError(from_logits=True)],
        cal.VectorScaling([1.0, 2.0, 3.0], from_logits=True),
        from_logits=True,
    ),
    "margins": lambda: Case(
        "cosines",
        tfi.losses.LDAMLoss(COUNTS),
        [tfi.metrics.ManyMediumFewRecall([200, 50, 10], from_logits=True)],
        cal.TemperatureScaling(0.5, from_logits=True),
        from_logits=True,
    ),
    "focal classes": lambda: Case(
        "classes",
        tfi.losses.SparseCategoricalFocalLoss(1.0, ignore_class=-1),
        [tfi.metrics.BalancedAccuracy(ignore_class=-1)],
        cal.FocalCalibration(1.0),
    ),
    "keras": lambda: Case(
        "classes",
        tfi.losses.ClassWeighted("sparse_categorical_crossentropy", [1.0, 2.0, 4.0]),
        [tfi.metrics.AUC(), keras.metrics.SparseCategoricalAccuracy()],
        cal.PriorCorrection(COUNTS, [1, 1, 1]),
    ),
}
each = pytest.mark.parametrize("name", CASES)


def data(case, steps=()):
    """Rows that can be told apart, with some unknown labels where a loss takes them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, *steps, 4)).astype("float32")
    if case.kind in ("binary", "labels"):
        width = 1 if case.kind == "binary" else 3
        y = (x[..., :width] > 0.4).astype("float32")
    else:
        y = np.digitize(x[..., 0], [0.2, 1.0])
    if case.loss.ignore_class is not None:
        y = np.where(rng.random(y.shape) < 0.1, -1, y)
    return x, y


def head(case):
    if case.kind == "cosines":
        return tfi.layers.CosineClassifier(3)
    units = 1 if case.kind == "binary" else 3
    ends = {"binary": "sigmoid", "labels": "sigmoid", "classes": "softmax"}
    activation = "linear" if case.from_logits else ends[case.kind]
    return keras.layers.Dense(units, activation=activation)


def model_of(case, rate=0.1, **options):
    model = keras.Sequential([keras.Input((4,)), head(case)])
    optimizer = keras.optimizers.SGD(rate)
    model.compile(optimizer, case.loss, weighted_metrics=case.metrics, **options)
    return model


def known(case, model, x, y, weight=None):
    """What `evaluate` should find, computed eagerly of what `predict` says of all rows."""
    p = model.predict(x, verbose=0)

    def compute(y, p, weight):
        found = {"loss": case.loss(y, p, sample_weight=weight)}
        for metric in case.metrics:
            again = type(metric).from_config(metric.get_config())
            again.update_state(y, p, sample_weight=weight)
            result = again.result()
            found.update(result if isinstance(result, dict) else {metric.name: result})
        return found

    return at_once(compute, y, p, weight)


def agree(found, wanted):
    for name, value in wanted.items():
        for part, right in zip(parts(found[name]), parts(value), strict=True):
            np.testing.assert_allclose(part, right, rtol=2e-5, atol=2e-6, err_msg=name)


def parts(value):
    return [array(part) for part in keras.tree.flatten(value)]


@each
def test_fits_evaluates_predicts_saves_and_loads(name, tmp_path):
    case = CASES[name]()
    x, y = data(case)
    weight = np.linspace(0.5, 1.5, ROWS).astype("float32")
    model = model_of(case)
    logs = model.fit(
        x, y, sample_weight=weight, validation_data=(x, y), epochs=6, batch_size=ROWS, verbose=0
    ).history
    assert np.isfinite([np.ravel(values) for values in logs.values() if values]).all()
    assert logs["val_loss"][-1] < logs["val_loss"][0]
    found = model.evaluate(x, y, sample_weight=weight, batch_size=ROWS, verbose=0, return_dict=True)
    agree(found, known(case, model, x, y, weight))
    corrected = cal.calibrated_model(model, case.correction, from_logits=case.from_logits)
    served = corrected.predict(x, verbose=0)
    assert ((served >= 0) & (served <= 1)).all()
    assert np.abs(served - model.predict(x, verbose=0)).max() > 1e-3
    for saved in (model, corrected):
        saved.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(again.predict(x, verbose=0), saved.predict(x, verbose=0))
        if saved is model:
            assert again.loss.get_config() == case.loss.get_config()
            loaded = again.evaluate(
                x, y, sample_weight=weight, batch_size=ROWS, verbose=0, return_dict=True
            )
            agree(loaded, found)


@pytest.mark.any_backend(jax_every=3)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", ["focal", "labels", "adjusted", "margins"])
def test_mixed_precision_trains(name, policy):
    keras.config.set_dtype_policy(policy)
    try:
        case = CASES[name]()
        x, y = data(case)
        model = model_of(case)
        logs = model.fit(x, y, epochs=6, batch_size=ROWS, verbose=0).history
        assert np.isfinite([np.ravel(values) for values in logs.values()]).all()
        assert logs["loss"][-1] < logs["loss"][0]
        assert str(keras.backend.standardize_dtype(model(x).dtype)) == policy[6:]
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("name", ["focal", "labels", "adjusted", "pairs"])
def test_masks_and_weights_say_which_steps_count(name):
    """As if what is masked were not there; padding may hold any label."""
    case = CASES[name]()
    x, y = data(case, steps=(5,))
    kept = np.random.default_rng(1).random((ROWS, 5)) < 0.7
    x[~kept] = 0.0
    y = np.where(kept if y.ndim == 2 else kept[..., None], y, -1)
    model = keras.Sequential([keras.Input((5, 4)), keras.layers.Masking(), head(case)])
    model.compile(keras.optimizers.SGD(0.1), case.loss, weighted_metrics=case.metrics)
    for weight in (None, np.linspace(0.5, 1.5, ROWS).astype("float32")):
        options = {"sample_weight": weight, "batch_size": ROWS, "verbose": 0}
        found = model.evaluate(x, y, return_dict=True, **options)
        steps = None if weight is None else np.repeat(weight[:, None], 5, axis=1)[kept]
        alone = keras.Sequential([keras.Input((4,)), model.layers[-1]])
        agree(found, known(case, alone, x[kept], y[kept], steps))
        logs = model.fit(x, y, epochs=2, **options).history
        agree({"loss": logs["loss"][0]}, {"loss": found["loss"]})  # Before the first step.
        assert logs["loss"][1] < logs["loss"][0]


@pytest.mark.only_on("tensorflow", "torch", why="Keras drops masks in a step that JAX derives")
def test_masks_reach_the_metrics_of_training():
    case = CASES["focal"]()
    x, y = data(case, steps=(5,))
    x[:, 3:] = 0.0
    model = keras.Sequential([keras.Input((5, 4)), keras.layers.Masking(), head(case)])
    model.compile(keras.optimizers.SGD(0.0), case.loss, weighted_metrics=case.metrics)
    logs = model.fit(x, y, batch_size=ROWS, verbose=0).history
    agree(
        {name: values[0] for name, values in logs.items()},
        model.evaluate(x, y, batch_size=ROWS, verbose=0, return_dict=True),
    )


@pytest.mark.parametrize("name", ["focal", "weighted", "focal classes"])
def test_class_weights_of_fit_are_those_of_the_loss(name):
    case = CASES[name]()
    case.loss.ignore_class = None
    x, y = data(case)
    weights = dict(enumerate([1.0, 3.0, 5.0][: 2 if case.kind == "binary" else 3]))
    model = model_of(case, rate=0.0)
    of_fit = model.fit(x, y, class_weight=weights, batch_size=ROWS, verbose=0).history["loss"]
    again = type(case.loss).from_config({**case.loss.get_config(), "class_weight": weights})
    model.compile(keras.optimizers.SGD(0.0), again)
    of_loss = model.fit(x, y, batch_size=ROWS, verbose=0).history["loss"]
    np.testing.assert_allclose(of_fit, of_loss, rtol=1e-5)


MOVES = {
    "assign": lambda loss, value: loss.assign("tau", value),
    "attribute": lambda loss, value: setattr(loss, "tau", value),
    "variable": lambda loss, value: loss.tau.assign(value),
}


@pytest.mark.parametrize("way", [*MOVES, "LossSchedule"])
def test_a_number_moves_in_steps_that_are_compiled(way):
    """JAX takes a variable of a loss for a constant: in a callback of one's own, it stood still."""
    case = CASES["adjusted"]()._replace(metrics=[])
    x, y = data(case)
    model = model_of(case, rate=0.0)
    if way == "LossSchedule":
        callback = tfi.callbacks.LossSchedule("tau", lambda epoch: epoch / 2)
    else:
        callback = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: MOVES[way](case.loss, epoch / 2)
        )
    logs = model.fit(
        x, y, validation_data=(x, y), epochs=3, batch_size=ROWS, callbacks=[callback], verbose=0
    ).history
    z = model.predict(x, verbose=0)
    for epoch in range(3):
        case.loss.assign("tau", epoch / 2)
        wanted = float(at_once(lambda y, z: case.loss(y, z), y, z))
        assert logs["loss"][epoch] == pytest.approx(wanted, rel=1e-5)
        assert logs["val_loss"][epoch] == pytest.approx(wanted, rel=1e-5)
        assert model.evaluate(x, y, verbose=0) == pytest.approx(wanted, rel=1e-5)


def test_weights_that_a_loss_had_not_reach_steps_that_are_compiled():
    case = CASES["focal classes"]()._replace(metrics=[])
    x, y = data(case)
    model = model_of(case, rate=0.0)
    before = model.fit(x, y, batch_size=ROWS, verbose=0).history["loss"][0]
    callback = tfi.callbacks.ClassWeight(y, ignore_class=-1)
    after = model.fit(x, y, batch_size=ROWS, callbacks=[callback], verbose=0).history["loss"][0]
    assert after == pytest.approx(float(known(case, model, x, y)["loss"]), rel=1e-5)
    assert abs(after - before) > 1e-3
    case.loss.assign("class_weight", [5.0, 5.0, 5.0])
    assert model.evaluate(x, y, batch_size=ROWS, verbose=0) == pytest.approx(5 * before, rel=1e-5)


def test_a_plan_fits_and_undoes_itself():
    x, y = data(CASES["focal"]())
    plan = tfi.Rebalance(y[:, 0].astype(int), class_shares=[0.5, 0.5], focal_gamma=1.0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.SGD(0.1), plan.loss(), metrics=[tfi.metrics.AUC()])
    rows = plan.dataset(x, y[:, 0], batch_size=16)
    logs = model.fit(rows, steps_per_epoch=3, epochs=3, verbose=0).history
    assert np.isfinite(logs["loss"]).all()
    served = plan.corrected(model).predict(x, verbose=0)
    assert served.mean() < model.predict(x, verbose=0).mean()  # Rare again.


@pytest.mark.only_on("torch", why="torch.compile is PyTorch's")
def test_dynamo_compiles_a_loss_once():
    """Keras counts up the names that it makes, and each was a new program."""
    import torch

    torch._dynamo.reset()
    loss = tfi.losses.BinaryFocalLoss(from_logits=True)
    # Keras makes an instance of a function of gradients, which PyTorch warns of as it traces.
    warnings.filterwarnings("ignore", "<class 'torch.autograd", DeprecationWarning)
    step = torch.compile(lambda y, z: loss(y, z), backend="eager")
    y, z = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.1], [0.2]])
    first = float(step(y, z))
    with torch.compiler.set_stance("fail_on_recompile"):
        assert float(step(y, z)) == first
