"""The contract of every metric, found by iterating ``tfi.metrics.__all__``. No special cases.

What a metric takes is read off the names of its arguments.
"""

import inspect
import warnings

import keras
import numpy as np
import pytest
from backend import DTYPES, NAME, TRACES, tensor, update_in_graph
from metrics.scores import ragged, sigmoid, softmax

import tfimbalance as tfi

pytestmark = pytest.mark.any_backend(jax_every=16)
METRICS = [getattr(tfi.metrics, name) for name in tfi.metrics.__all__]
WIDTH = {"binary": 1, "classes": 3, "labels": 3}
ROWS = 24


def takes(cls, argument):
    return argument in inspect.signature(cls).parameters


def variants(cls):
    """What a metric is tested with: all kinds of data, and its other ways of working on one."""
    kinds = ["binary"] if takes(cls, "num_groups") else ["binary", "classes", "labels"]
    for kind in kinds:
        # Two classes cannot be of three groups.
        yield cls, kind, {"group": "few"} if takes(cls, "group") and kind == "binary" else {}
    if takes(cls, "exact"):
        yield cls, kinds[len(cls.__name__) % len(kinds)], {"exact": True, "max_rows": 64}
    if takes(cls, "skill"):
        yield cls, kinds[-1], {"skill": True}


CASES = [case for cls in METRICS for case in variants(cls)]
# Every third case is every metric, and every kind of data for some: enough for what all of them
# leave to the base, and for tests that compile.
SAMPLE = {f"m{i}": case for i, case in enumerate(CASES[1::3])}
IDS = ["-".join([cls.__name__, kind, *kwargs][:3]) for cls, kind, kwargs in CASES]
each = pytest.mark.parametrize("cls", METRICS, ids=lambda cls: cls.__name__)
each_sampled = pytest.mark.parametrize(("cls", "kind", "kwargs"), SAMPLE.values(), ids=IDS[1::3])
each_case = pytest.mark.parametrize(("cls", "kind", "kwargs"), CASES, ids=IDS)


def make(cls, kind, **kwargs):
    required = {
        "precision": 0.5,
        "share": 0.3,
        "num_groups": 3,
        "class_counts": {"binary": [200, 10]}.get(kind, [200, 50, 10]),
    }
    needed = {
        p.name: required[p.name]
        for p in inspect.signature(cls).parameters.values()
        if p.default is p.empty
    }
    if kind == "labels":
        needed["multi_label"] = True
    return cls(**{**needed, **kwargs})


def example(cls, kind, rows=ROWS, seed=0):
    """Targets and logits in which every class and label occurs, in every group if there are any."""
    rng = np.random.default_rng(seed)
    z = (2 * rng.normal(size=(rows, WIDTH[kind]))).astype("float32")
    if kind == "classes":
        return np.where(rng.random(rows) < 0.3, np.arange(rows) % 3, z.argmax(-1)), z
    y = (z + rng.normal(size=z.shape) > 0.5).astype("int64")
    y[:3], y[3:6] = 0, 1
    if takes(cls, "num_groups"):
        y = np.concatenate([y, np.arange(rows)[:, None] % 3], axis=1)
    return y, z


def of(kind, z):
    return (softmax(z) if kind == "classes" else sigmoid(z)).astype("float32")


def value(metric):
    """Result as an array; every entry must be a number."""
    result = metric.result()
    parts = result.values() if isinstance(result, dict) else [result]
    found = np.concatenate([np.ravel(keras.ops.convert_to_numpy(part)) for part in parts])
    assert np.isfinite(found).all()
    return found


def measured(metric, *args, **kwargs):
    metric.update_state(*args, **kwargs)
    return value(metric)


def same(found, wanted, rtol=2e-6):
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=1e-7)


@each
@pytest.mark.parametrize("dtype", DTYPES)
def test_config_round_trip(cls, dtype):
    metric = make(cls, "classes" if not takes(cls, "num_groups") else "binary", dtype=dtype)
    config = metric.get_config()
    assert set(config) == set(inspect.signature(cls).parameters)
    again = cls.from_config(config)
    assert again.get_config() == config
    assert (again.dtype, again.name) == (dtype, metric.name)
    assert make(cls, "binary", name="mine").get_config()["name"] == "mine"
    stored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert stored.get_config() == config


@each
def test_is_registered_and_documented(cls):
    assert keras.saving.get_registered_name(cls) == f"tfimbalance>{cls.__name__}"
    for part in ("Args:", "Shapes:", "Raises:", "Example:", "Use it", ">>>"):
        assert part in cls.__doc__
    for argument in inspect.signature(cls).parameters:
        assert argument in cls.__doc__
    kinds = [p.kind for p in inspect.signature(cls).parameters.values() if p.default is not p.empty]
    assert set(kinds) == {inspect.Parameter.KEYWORD_ONLY}


@each_sampled
def test_result_without_rows_is_nan_and_reset_forgets(cls, kind, kwargs):
    metric = make(cls, kind, **kwargs)
    y, z = example(cls, kind)
    assert np.isnan([np.asarray(v) for v in keras.tree.flatten(metric.result())]).all()
    first = measured(metric, y, of(kind, z))
    measured(metric, y[::-1], of(kind, z))
    metric.reset_state()
    assert np.isnan(
        np.concatenate([np.ravel(v) for v in keras.tree.flatten(metric.result())])
    ).all()
    same(measured(metric, y, of(kind, z)), first, rtol=0)


@each_sampled
def test_any_shape_is_the_flat_one(cls, kind, kwargs):
    y, z = example(cls, kind)
    p = of(kind, z)
    wanted = measured(make(cls, kind, **kwargs), y, p)
    folded = p.reshape(4, 6, -1)
    forms = [(y.reshape(4, 6, *y.shape[1:]), folded), (y.tolist(), p.tolist())]
    if kind == "binary" and not takes(cls, "num_groups"):
        forms += [(y[:, 0], p), (y == 1, p[:, 0]), (y[:, 0].reshape(4, 6), folded)]
    if kind == "classes":
        forms += [(y[:, None], p), (np.eye(3)[y].reshape(4, 6, 3), folded)]
    for target, given in forms:
        same(measured(make(cls, kind, **kwargs), target, given), wanted)


@each_sampled
def test_targets_never_broadcast(cls, kind, kwargs):
    y, z = example(cls, kind)
    for wrong in (y[:5], np.zeros((ROWS, 4))):
        with pytest.raises(ValueError, match="y_true"):
            make(cls, kind, **kwargs).update_state(wrong, of(kind, z))
    metric = make(cls, kind, **kwargs)
    metric.update_state(y, of(kind, z))
    wider = np.concatenate([y, y], axis=-1) if kind == "labels" else np.zeros(ROWS, "int32")
    with pytest.raises(ValueError, match=r"y_pred|y_true"):
        metric.update_state(wider, np.concatenate([z, z], axis=1))


@each_sampled
@pytest.mark.only_on("tensorflow", "torch", why="JAX compiles for each size; a fit has two")
def test_batches_add_up(cls, kind, kwargs):
    y, z = example(cls, kind)
    whole = measured(make(cls, kind, **kwargs), y, of(kind, z))
    same(value(ragged(make(cls, kind, **kwargs), y, of(kind, z), sizes=(1, 7, 3))), whole)


@each_case
def test_logits_and_probabilities_agree(cls, kind, kwargs):
    y, z = example(cls, kind)
    wanted = measured(make(cls, kind, **kwargs), y, of(kind, z))
    same(measured(make(cls, kind, from_logits=True, **kwargs), y, z), wanted, rtol=1e-5)


@each_case
def test_sample_weight_counts_rows(cls, kind, kwargs):
    """A weight of 2 is a row that is there twice, of 0 one that is not there, whatever it holds."""
    y, z = example(cls, kind)
    p = of(kind, z)
    times = 1 + np.arange(ROWS) % 2
    times[6:9] = 0
    repeated = measured(
        make(cls, kind, **kwargs), np.repeat(y, times, axis=0), np.repeat(p, times, axis=0)
    )
    p[7] = np.nan
    for weight in (times.astype("float32")[:, None], times.tolist()):
        same(measured(make(cls, kind, **kwargs), y, p, sample_weight=weight), repeated)
    alone = measured(make(cls, kind, **kwargs), y, of(kind, z))
    same(measured(make(cls, kind, **kwargs), y, of(kind, z), sample_weight=0.5), alone)
    with pytest.raises(ValueError, match="sample_weight"):
        make(cls, kind, **kwargs).update_state(y, p, sample_weight=np.ones((ROWS, 1, 1)))


@each_sampled
def test_mask_leaves_padding_out(cls, kind, kwargs):
    y, z = example(cls, kind)
    p = of(kind, z).reshape(4, 6, -1)
    kept = np.random.default_rng(1).random((4, 6)) < 0.8
    kept[0] = True
    given = tensor(p)
    given._keras_mask = tensor(kept)
    folded = y.reshape(4, 6, *y.shape[1:])
    alone = measured(make(cls, kind, **kwargs), folded[kept], p[kept])
    same(measured(make(cls, kind, **kwargs), folded, given), alone)
    rows = np.array([1.0, 3.0, 2.0, 1.0])
    weights = np.repeat(rows[:, None], 6, axis=1)[kept]
    both = measured(make(cls, kind, **kwargs), folded[kept], p[kept], sample_weight=weights)
    same(measured(make(cls, kind, **kwargs), folded, given, sample_weight=rows), both)


@each_sampled
def test_other_dtypes_are_computed_in_float32_at_least(cls, kind, kwargs):
    y, z = example(cls, kind)
    given = tensor(of(kind, z), "bfloat16")
    wanted = measured(make(cls, kind, **kwargs), y, tensor(given, "float32"))
    for dtype in ("bfloat16", DTYPES[0]):
        found = measured(make(cls, kind, dtype=dtype, **kwargs), y, tensor(given, dtype))
        same(found, wanted, rtol=1e-5)


@each_case
def test_any_logit_gives_finite_values(cls, kind, kwargs):
    y, z = example(cls, kind)
    for scale, dtype in ((1e4, "float16"), (-1e4, "float32")):
        measured(make(cls, kind, from_logits=True, **kwargs), y, tensor(np.sign(z) * scale, dtype))
        measured(make(cls, kind, **kwargs), y, (z * scale > 0).astype(dtype))


@each_sampled
def test_what_is_no_prediction_gives_nan(cls, kind, kwargs):
    y, z = example(cls, kind)
    p = of(kind, z)
    p[4] = np.nan
    metric = make(cls, kind, **kwargs)
    metric.update_state(y, p)
    found = [np.ravel(part) for part in keras.tree.flatten(metric.result())]
    assert np.isnan(np.concatenate(found)).any()


OF_CLASSES = [case for case in CASES if case[1] == "classes"]


@pytest.mark.slow
def test_class_ids_that_do_not_exist_are_refused():
    """In a graph, where nothing can be raised, they show as NaN."""
    y, z = example(tfi.metrics.AUC, "classes")
    y[5] = 7
    p = of("classes", z)
    metrics = [make(cls, kind, **kwargs) for cls, kind, kwargs in OF_CLASSES]
    for metric in metrics:
        with pytest.raises(ValueError, match=r"from 0 to 2.*Received: 7"):
            metric.update_state(y, p)
        metric.reset_state()

    weight = np.where(y == 7, 0.0, 1.0)
    for metric in metrics if TRACES else []:
        update_in_graph(metric, y, p)
        found = [np.ravel(part) for part in keras.tree.flatten(metric.result())]
        assert np.isnan(np.concatenate(found)).any(), metric
        metric.reset_state()
        measured(metric, y, p, sample_weight=weight)


def suite(names=SAMPLE):
    cases = {name: SAMPLE[name] for name in names}
    return {name: make(cls, kind, name=name, **kw) for name, (cls, kind, kw) in cases.items()}


def data(names=SAMPLE):
    """Targets of each metric, and logits of each kind."""
    targets = {name: example(*SAMPLE[name][:2])[0] for name in names}
    return targets, {kind: example(tfi.metrics.AUC, kind)[1] for kind in WIDTH}


def alone(targets, given, **kwargs):
    """Values of each metric that has targets, updated eagerly with all rows at once."""
    metrics = suite(targets)
    return {n: measured(metrics[n], targets[n], given[SAMPLE[n][1]], **kwargs) for n in metrics}


@keras.saving.register_keras_serializable("tests")
def some_loss(y_true, y_pred):
    """Any loss will do here, whatever the targets look like."""
    return keras.ops.mean(keras.ops.square(y_pred), axis=-1)


def model_of(metrics, **kwargs):
    """A model with an output for each metric, whose weights do not move."""
    inputs = {kind: keras.Input((width,), name=kind) for kind, width in WIDTH.items()}
    heads = {
        kind: keras.layers.Dense(
            width, name=f"{kind}_head", activation="softmax" if kind == "classes" else "sigmoid"
        )(inputs[kind])
        for kind, width in WIDTH.items()
    }
    outputs = {name: keras.layers.Identity(name=name)(heads[SAMPLE[name][1]]) for name in metrics}
    model = keras.Model(inputs, outputs)
    trained = {SAMPLE[name][1]: name for name in metrics}.values()  # One output of each kind.
    losses = {name: some_loss if name in trained else None for name in metrics}
    lists = {name: [metric] for name, metric in metrics.items()}
    model.compile(keras.optimizers.SGD(0.0), losses, weighted_metrics=lists, **kwargs)
    return model


def predictions(model, z):
    """Predictions of each kind of data, as they leave the model."""
    found = model({kind: tensor(values) for kind, values in z.items()})
    return {SAMPLE[name][1]: given for name, given in found.items()}


def agree(logs, metrics, wanted, rtol):
    """Compare the metrics, and what Keras logs of them, where that is one entry a metric."""
    for name, metric in metrics.items():
        same(value(metric), wanted[name], rtol=rtol)
        if not isinstance(metric.result(), dict):
            same(np.ravel(logs[f"{name}_{name}"]), wanted[name], rtol=rtol)


# A third of the sample, and two that compute as no other does: to compile all is dear.
LIKE_NO_OTHER = (tfi.metrics.ExpectedCalibrationError, tfi.metrics.GroupAUC)
FEW = [name for i, name in enumerate(SAMPLE) if i % 3 == 1 or SAMPLE[name][0] in LIKE_NO_OTHER]
OPTIONS = {"sample_weight": 1.0 + np.arange(ROWS) % 3, "batch_size": 10, "verbose": 0}


def test_sample_has_every_metric():
    assert {cls for cls, _, _ in SAMPLE.values()} == set(METRICS)
    assert {SAMPLE[name][1] for name in FEW} == set(WIDTH)
    assert any(SAMPLE[name][2].get("exact") for name in FEW)


@pytest.mark.slow
def test_fit_save_load_and_evaluate(tmp_path):
    """Eagerly on TensorFlow, whose graphs are those of two replicas, and XLA's."""
    targets, z = data()
    metrics = suite()
    model = model_of(metrics, run_eagerly=NAME == "tensorflow")
    history = model.fit(z, targets, **OPTIONS).history
    wanted = alone(targets, predictions(model, z), sample_weight=OPTIONS["sample_weight"])
    logs = {name: entries[-1] for name, entries in history.items()}
    agree(logs, metrics, wanted, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    found = again.evaluate(z, targets, return_dict=True, **OPTIONS)
    assert set(found) == set(logs)
    for name in found:
        if "loss" not in name:  # Which depends on the order of the batches.
            same(found[name], logs[name], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.only_on("tensorflow", why="JAX compiles the step that fits; PyTorch runs eagerly")
def test_xla_agrees_with_eager():
    metrics = suite(FEW)
    import tensorflow as tf

    targets, z = data(FEW)
    given = {kind: of(kind, logits) for kind, logits in z.items()}

    @tf.function(jit_compile=True, autograph=False)
    def step(targets, given, weight):
        for name, metric in metrics.items():
            metric.update_state(targets[name], given[SAMPLE[name][1]], sample_weight=weight)
        return {name: metric.result() for name, metric in metrics.items()}

    weight = OPTIONS["sample_weight"]
    rows = targets, given, weight
    for half in (slice(0, ROWS // 2), slice(ROWS // 2, ROWS)):
        found = step(*keras.tree.map_structure(lambda part, half=half: part[half], rows))
    wanted = alone(targets, given, sample_weight=weight)
    for name in FEW:
        parts = found[name].values() if isinstance(found[name], dict) else [found[name]]
        same(np.concatenate([np.ravel(part) for part in parts]), wanted[name], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.only_on("tensorflow", why="tf.distribute is TensorFlow's")
def test_two_replicas_in_mixed_precision_add_up():
    targets, z = data(FEW)
    import tensorflow as tf

    keras.config.set_dtype_policy("mixed_float16")
    mirrored = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    try:
        with mirrored.scope():
            metrics = suite(FEW)
            model = model_of(metrics)
        # Keras cannot build metrics from a first batch that replicas cannot share evenly.
        for _ in range(2):  # Again after a reset.
            logs = model.evaluate(z, targets, return_dict=True, **OPTIONS)
            given = predictions(model, z)
            assert given["binary"].dtype == "float16"
            wanted = alone(targets, given, sample_weight=OPTIONS["sample_weight"])
            agree(logs, metrics, wanted, rtol=2e-3)
    finally:
        keras.config.set_dtype_policy("float32")


@each
@pytest.mark.only_on("tensorflow", "torch", why="JAX has float64 with jax_enable_x64 alone")
def test_sums_do_not_stop_growing(cls):
    """In float32 a count of 2**24 rows does not change when one more comes."""
    metric = make(cls, "binary")
    y, z = example(cls, "binary")
    metric.update_state(y, of("binary", z))
    assert {variable.dtype for variable in metric.variables} == {"float64"}


@each
def test_callbacks_know_its_direction(cls):
    metric = make(cls, "binary")
    if hasattr(metric, "_direction"):
        assert metric._direction in ("up", "down")
        lower = ("NormalizedEntropy", "BrierScore", "ExpectedCalibrationError")
        assert (metric._direction == "down") == (cls.__name__ in lower)


OF_THREE_BASES = [tfi.metrics.AUC, tfi.metrics.BrierScore, tfi.metrics.GeometricMean]
OTHER_ROWS = [
    ([0, 1, 1], [-1.0, 0.5, 2.0], "from_logits=True"),
    ([0, np.nan, 1], [0.1, 0.2, 0.3], "0 and 1"),
    ([0, 2, 1], [0.1, 0.2, 0.3], "0 and 1"),
    ([-1, 1, 1], [0.1, 0.2, 0.3], "0 and 1"),
    ([0, 3, 1], np.full((3, 3), 1 / 3), "0 to 2"),
    ([0, 1.5, 1], np.full((3, 3), 1 / 3), "0 to 2"),
    (np.array([0, 2**32 + 1, 1]), np.full((3, 3), 1 / 3), "0 to 2"),
    ([[1, 1, 0]] * 3, np.full((3, 3), 1 / 3), "multi_label"),
    ([[0, 0, 0]] * 3, np.full((3, 3), 1 / 3), "multi_label"),
]


@pytest.mark.parametrize(
    ("in_graph", "y", "p", "match"),
    [(OF_THREE_BASES[i % 3], *rows) for i, rows in enumerate(OTHER_ROWS)],
)
def test_what_would_pass_for_other_rows_is_refused(in_graph, y, p, match):
    """In a graph, where nothing can be raised, it shows as NaN: of the three in turn."""
    for cls in OF_THREE_BASES:
        with pytest.raises(ValueError, match=match):
            cls().update_state(y, p)
        cls().update_state(y, p, sample_weight=[0.0, 0.0, 0.0])  # May be anything: does not count.
    if TRACES:
        metric = in_graph()
        update_in_graph(metric, np.array(y), np.array(p))
        assert np.isnan(metric.result())


def test_soft_labels_mean_something_to_probabilities_alone():
    y, p = [0.1, 0.7], [0.2, 0.6]
    assert float(tfi.metrics.BrierScore()(y, p)) == pytest.approx(0.01, rel=1e-5)
    for cls in (tfi.metrics.AUC, tfi.metrics.BalancedAccuracy):
        with pytest.raises(ValueError, match="0 and 1"):
            cls()(y, p)


@pytest.mark.parametrize("weight", [[1.0, -1.0, 1.0], [1.0, 1.0], [1.0, 1.0, 1.0, 5.0]])
def test_weights_that_are_none_are_refused(weight):
    with pytest.raises(ValueError, match="sample_weight"):
        tfi.metrics.AUC(exact=True)([0, 1, 1], [0.1, 0.2, 0.3], sample_weight=weight)
    with pytest.raises(ValueError, match="sample_weight"):
        tfi.metrics.BrierScore()([1], [0.5], sample_weight=[1.0, 1.0, 5.0])


@pytest.mark.only_on("tensorflow", why="only its graphs show what a tensor is the output of")
def test_a_forgotten_from_logits_warns_before_the_first_step():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=[tfi.metrics.AUC()])
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model.evaluate(np.ones((4, 2)), np.array([0, 1, 0, 1]), verbose=0)
    assert any("from_logits=True to the metric" in str(w.message) for w in found)


@pytest.mark.slow
@pytest.mark.only_on("tensorflow", why="nothing of it depends on the backend")
def test_callbacks_infer_what_is_better():
    for cls, name, better in (
        (tfi.metrics.AUC, "auc", "more"),
        (tfi.metrics.NormalizedEntropy, "normalized_entropy", "less"),
        (tfi.metrics.BrierScore, "brier_score", "less"),
        (tfi.metrics.BalancedAccuracy, "balanced_accuracy", "more"),
    ):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "sigmoid")])
        model.compile("sgd", "binary_crossentropy", metrics=[cls()], run_eagerly=True)
        stop = keras.callbacks.EarlyStopping(f"val_{name}")
        x, y = np.ones((4, 2)), np.array([0, 1, 0, 1])
        model.fit(x, y, validation_data=(x, y), callbacks=[stop], verbose=0)
        assert bool(stop.monitor_op(1.0, 0.0)) == (better == "more")
    ratio = tfi.metrics.CalibrationRatio()  # Is best at 1.
    model.compile("sgd", "binary_crossentropy", metrics=[ratio], run_eagerly=True)
    stop = keras.callbacks.EarlyStopping("val_calibration_ratio")
    with pytest.raises(ValueError, match="mode"):
        model.fit(x, y, validation_data=(x, y), callbacks=[stop], verbose=0)


@pytest.mark.parametrize(
    "name",
    [
        "average_precision",
        "balanced_accuracy",
        "brier_score",
        "calibration_ratio",
        "expected_calibration_error",
        "geometric_mean",
        "matthews_correlation",
    ],
)
def test_names_are_known_to_compile(name):
    found = keras.metrics.get(name)
    assert type(found).__module__ == f"tfimbalance.metrics.{name}"
    assert found.name == name
