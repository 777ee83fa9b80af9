"""The contract of every loss, found by iterating ``tfi.losses.__all__``. No special cases.

What a loss takes is read off it: its ``targets``, and the names of its arguments.
"""

import inspect

import keras
import numpy as np
import pytest
from backend import DTYPES, array, at_once, compiled, tensor, value_and_gradient

import tfimbalance as tfi

pytestmark = pytest.mark.any_backend(jax_every=16)
LOSSES = [
    getattr(tfi.losses, name)
    for name in tfi.losses.__all__
    if inspect.isclass(getattr(tfi.losses, name))
]
CASES = [(cls, kind) for cls in LOSSES for kind in cls.targets]
REQUIRED = {
    "class_weight": {0: 1.0, 1: 3.0},
    "priors": [0.75, 0.25],  # Of an output that stands alone, the prior of its positives.
}


def takes(argument):
    return [cls for cls in LOSSES if argument in inspect.signature(cls).parameters]


def of_classes(argument):
    """Losses of classes that exclude one another, which may come as ids."""
    return [cls for cls in takes(argument) if "sparse" in cls.targets]


def make(cls, *, from_logits=False, **arguments):
    """Make a loss with class weights, if it has any; a loss around another passes on the rest."""
    inner = tfi.losses.BinaryFocalLoss(from_logits=from_logits, dtype=arguments.get("dtype"))
    of_labels = {"priors": 0.25} if cls.targets == ("binary",) else {}
    wanted = {
        p.name: {**REQUIRED, "loss": inner, **of_labels}[p.name]
        for p in inspect.signature(cls).parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    }
    if cls in takes("class_weight"):
        wanted["class_weight"] = {0: 1.0, 1: 3.0}
    if cls in takes("from_logits"):
        wanted["from_logits"] = from_logits
    return cls(**{**wanted, **arguments})


def example(kind, batch=6, shape=(), seed=0):
    """Targets, logits and probabilities of two classes, both of which occur."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 2, (batch, *shape))
    ids[0], ids[-1] = 1, 0
    if kind == "binary":
        logits = rng.normal(size=(batch, *shape, 1)).astype("float32")
        return ids[..., None].astype("float32"), logits, 1 / (1 + np.exp(-logits))
    logits = rng.normal(size=(batch, *shape, 1)).astype("float32") * [-1.0, 1.0]
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    y = ids if kind == "sparse" else np.eye(2, dtype="float32")[ids]
    return y, logits, probabilities


def head(kind):
    return (1, "sigmoid") if kind == "binary" else (2, "softmax")


NAMES = {f"{cls.__name__}_{kind}": (cls, kind) for cls, kind in CASES}
ONE_KIND = {cls: name for name, (cls, _) in NAMES.items()}.values()  # Of each loss.


def model_of(names):
    """A model with an output for each case, and its loss: what they share is the input alone."""
    inputs = keras.Input((3,))
    outputs = {}
    for name in names:
        units, activation = head(NAMES[name][1])
        outputs[name] = keras.layers.Dense(units, activation=activation, name=name)(inputs)
    model = keras.Model(inputs, outputs)
    losses = {name: make(NAMES[name][0]) for name in names}
    model.compile(keras.optimizers.SGD(0.01), losses)
    return model


def losses_of(model, x, y):
    """Values of every output's loss; eagerly, as a graph of all takes seconds to trace."""
    as_before, model.run_eagerly = model.run_eagerly, True
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    model.run_eagerly = as_before
    return {name: found[f"{name}_loss"] for name in NAMES}


def rows_for_all(batch):
    """Rows for `model_of` all, and the targets of each output."""
    x = np.random.default_rng(0).normal(size=(batch, 3)).astype("float32")
    return x, {name: example(kind, batch=batch)[0] for name, (_, kind) in NAMES.items()}


each = pytest.mark.parametrize("cls", LOSSES, ids=lambda cls: cls.__name__)
each_case = pytest.mark.parametrize(
    ("cls", "kind"), CASES, ids=[f"{cls.__name__}-{kind}" for cls, kind in CASES]
)
each_weighable = pytest.mark.parametrize(
    ("cls", "kind"),
    [case for case in CASES if case[0] in takes("class_weight")],
    ids=lambda part: getattr(part, "__name__", part),
)


@each
def test_config_round_trip(cls):
    for dtype in DTYPES:
        loss = make(cls, dtype=dtype, reduction="sum", name="mine")
        config = loss.get_config()
        assert set(config) == set(inspect.signature(cls).parameters)
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
    for argument in inspect.signature(cls).parameters:
        assert argument in cls.__doc__


@each_case
def test_any_target_rank(cls, kind):
    """Rows, sequences and masks of images."""
    loss = make(cls, reduction=None)
    for shape in ((), (4,), (3, 5)):
        y, _, p = example(kind, shape=shape)
        values = at_once(loss, y, p)
        assert values.shape == (6, *shape)
        flat_y = y.reshape(-1, *y.shape[1 + len(shape) :])
        one_by_one = at_once(loss, flat_y, p.reshape(-1, p.shape[-1]))
        np.testing.assert_allclose(array(values).ravel(), one_by_one, rtol=1e-6)


@each_case
def test_reduction_is_of_the_values(cls, kind):
    y, _, p = example(kind)
    values = array(make(cls, reduction=None)(y, p))
    np.testing.assert_allclose(make(cls)(y, p), values.mean(), rtol=1e-6)
    np.testing.assert_allclose(make(cls, reduction="sum")(y, p), values.sum(), rtol=1e-6)


@each_case
def test_targets_never_broadcast(cls, kind):
    loss = make(cls, reduction=None)
    y, _, p = example(kind)
    with pytest.raises(ValueError, match="y_true"):
        loss(np.zeros((6, 3)), p)
    if kind != "one_hot":
        flat = y.reshape(len(y))
        np.testing.assert_array_equal(loss(flat, p), loss(flat[:, None], p))
        assert loss(flat, p).shape == (6,)


@pytest.mark.parametrize(
    "cls",
    [cls for cls in LOSSES if {"sparse", "one_hot"} <= {*cls.targets}],
    ids=lambda cls: cls.__name__,
)
def test_ids_and_one_hot_rows_agree(cls):
    y, _, p = example("sparse", shape=(4,))
    loss = make(cls, reduction=None)
    np.testing.assert_allclose(loss(y, p), loss(np.eye(2)[y], p), rtol=2e-6)
    with pytest.raises(ValueError, match="ignore_class"):
        make(cls, ignore_class=-1)(np.eye(2)[y], p)


@pytest.mark.parametrize(
    ("cls", "kind"), [case for case in CASES if case[0] in takes("from_logits")]
)
def test_logits_and_probabilities_agree(cls, kind):
    y, z, p = example(kind)
    of_logits = make(cls, from_logits=True, reduction=None)(y, z)
    np.testing.assert_allclose(of_logits, make(cls, reduction=None)(y, p), rtol=2e-5)


@pytest.mark.parametrize("cls", takes("ignore_class"), ids=lambda cls: cls.__name__)
def test_ignored_targets_leave_the_mean(cls):
    kind = "sparse" if "sparse" in cls.targets else "binary"
    y, _, p = example(kind, shape=(4,))
    ignored = np.random.default_rng(1).random(y.shape) < 0.4
    loss = make(cls, ignore_class=-1)
    found = loss(np.where(ignored, -1, y), p)
    np.testing.assert_allclose(found, make(cls)(y[~ignored], p[~ignored]), rtol=1e-6)


def ways_to_compute(loss, compilers=()):
    """Eagerly, and by functions compiled as asked for: by XLA where a compiler is true."""

    def compute(y, given):
        return value_and_gradient(loss, y, given)

    return [compute, *(compiled(compute, xla) for xla in compilers)]


def in_turn(cls, kind, turn):
    """Whether it is the turn of this case, as it is for a third of them: compilers are dear."""
    return (CASES.index((cls, kind)) + turn) % 3 == 0


def dtypes_and_compilers(cls, kind, turn):
    """All dtypes; one of them in a graph too, another under XLA in a third of the cases."""
    place = CASES.index((cls, kind)) + turn
    for number, dtype in enumerate(DTYPES):
        graph = [False] * (number == place % len(DTYPES))
        xla = [True] * (number == (place + 1) % len(DTYPES) and in_turn(cls, kind, turn))
        yield dtype, [*graph, *xla]


@each_case
def test_probabilities_of_0_and_1_are_finite_and_a_mistake_keeps_its_gradient(cls, kind):
    """Where the logits are out of reach, down to p = 0 exactly."""
    for dtype, compilers in dtypes_and_compilers(cls, kind, turn=0):
        ways = ways_to_compute(make(cls, dtype=dtype), compilers)
        small = np.array([0.0, 1e-6, 1e-3] if dtype != "float16" else [0.0, 1e-3, 1e-2])
        # Of each: a mistake, a toss, and rows that are right, surely so at p = 0.
        ids = np.repeat([1, 0, 0, 1], 3)
        of_one = np.concatenate([small, [0.5] * 3, small, 1.0 - small])
        y = {"binary": ids[:, None], "one_hot": np.eye(2)[ids], "sparse": ids}[kind]
        rows = of_one[:, None] if kind == "binary" else np.stack([1.0 - of_one, of_one], axis=1)
        for way in ways:
            value, slope = way(tensor(y, "float32"), tensor(rows, dtype))
            slope = array(slope)
            assert np.isfinite(float(value)), dtype
            assert np.isfinite(slope).all(), dtype
            assert (slope[:3, -1] < 0).all(), dtype


@each_case
def test_any_logit_gives_finite_values_and_gradients(cls, kind):
    ids = np.array([1, 0, 1, 0])
    y = {"binary": ids[:, None], "one_hot": np.eye(2)[ids], "sparse": ids}[kind]
    for dtype, compilers in dtypes_and_compilers(cls, kind, turn=1):
        eager, *ways = ways_to_compute(make(cls, dtype=dtype, from_logits=True), compilers)
        leads = np.array([0.0, 1.0, -1.0, 30.0, -30.0, 1e4, -1e4])[:, None]
        # Eagerly of all leads at once, as that costs most by the call.
        for way, batches in ((eager, [leads]), *((way, leads) for way in ways)):
            for of_batch in batches:
                z = (np.atleast_2d(of_batch) * [1.0, -1.0, 0.0, 0.0]).ravel()
                logits = z[:, None] if kind == "binary" else np.stack([-z, z], axis=1)
                repeated = np.tile(y, (len(z) // 4, *[1] * (y.ndim - 1)))
                value, slope = way(tensor(repeated, "float32"), tensor(logits, dtype))
                slope = array(slope)
                assert np.isfinite(float(value)), dtype
                assert np.isfinite(slope).all(), dtype
                # Rows 0 of four are positives that are taken for negatives.
                assert (slope[::4, -1][z[::4] < 0] < 0).all(), dtype


@each_case
def test_sample_weight_counts_rows(cls, kind):
    """A weight of 2 is a row that is there twice, of 0 one that is not there."""
    y, _, p = example(kind, batch=8)
    times = np.array([2, 0, 1, 1, 2, 0, 1, 1])
    weighed = make(cls)(y, p, sample_weight=times.astype("float32"))
    repeated = make(cls)(np.repeat(y, times, axis=0), np.repeat(p, times, axis=0))
    np.testing.assert_allclose(weighed, repeated, rtol=1e-6)
    assert abs(float(weighed) - float(make(cls)(y, p))) > 1e-3
    np.testing.assert_allclose(make(cls)(y, p, sample_weight=np.ones(8)), make(cls)(y, p))
    assert float(make(cls)(y, p, sample_weight=np.zeros(8))) == 0.0


@each_case
def test_sample_weight_of_rows_is_that_of_their_steps(cls, kind):
    loss = make(cls)
    y, _, p = example(kind, shape=(4,))
    rows = np.arange(6, dtype="float32")
    steps = np.repeat(rows[:, None], 4, axis=1)
    found = loss(y, p, sample_weight=rows)
    np.testing.assert_allclose(found, loss(y, p, sample_weight=steps), rtol=1e-6)
    flat = loss(y.reshape(-1, *y.shape[2:]), p.reshape(24, -1), sample_weight=steps.ravel())
    np.testing.assert_allclose(found, flat, rtol=1e-6)


@each_case
def test_mask_leaves_padding_out(cls, kind):
    units, activation = head(kind)
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            keras.layers.Embedding(9, 3, mask_zero=True),
            keras.layers.Dense(units, activation=activation),
        ]
    )
    ids = np.array([[1, 2, 0, 0], [3, 4, 5, 0], [6, 7, 8, 1]])
    y, _, _ = example(kind, batch=3, shape=(4,))
    kept = ids > 0
    p = model(ids)
    alone = make(cls)(y[kept], array(p)[kept])
    np.testing.assert_allclose(array(make(cls)(y, p)), alone, rtol=1e-5)
    rows = np.array([1.0, 3.0, 2.0])
    weights = np.repeat(rows[:, None], 4, axis=1)[kept]
    both = make(cls)(y[kept], array(p)[kept], sample_weight=weights)
    np.testing.assert_allclose(array(make(cls)(y, p, sample_weight=rows)), both, rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.slow
def test_graph_and_xla_agree_with_eager(jit_compile):
    """Of all losses at once: one compilation. Under XLA each on one kind of targets."""
    names = ONE_KIND if jit_compile else NAMES
    losses = {name: make(NAMES[name][0]) for name in names}
    rows = {name: tuple(map(tensor, example(NAMES[name][1])[::2])) for name in names}

    def compute(rows):
        return {name: value_and_gradient(losses[name], *pair) for name, pair in rows.items()}

    # Where it is a graph alone, autograph rewrites the losses, as in a step written by hand.
    step = compiled(compute, jit_compile, autograph=not jit_compile)
    in_graph, eager = step(rows), compute(rows)
    for name in names:
        for found, wanted in zip(in_graph[name], eager[name], strict=True):
            np.testing.assert_allclose(found, wanted, rtol=5e-6, atol=1e-6, err_msg=name)


@each_case
@pytest.mark.only_on("tensorflow", why="Keras computes float64 in float32 here")
def test_gradient_matches_differences(cls, kind):
    loss = make(cls, dtype="float64")
    y, _, p = example(kind)
    p = tensor(p, "float64")
    slope = array(value_and_gradient(loss, y, p)[1])
    for index in np.ndindex(*p.shape):
        step = np.zeros(p.shape)
        step[index] = 1e-6
        difference = (float(loss(y, p + step)) - float(loss(y, p - step))) / 2e-6
        assert difference == pytest.approx(slope[index], rel=1e-5, abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_fit_save_and_load(policy, tmp_path):
    """Of all losses at once, each with an output of its own.

    In a graph where its loss is scaled; in float32 that is left to the distributed training.
    """
    keras.config.set_dtype_policy(policy)
    try:
        model = model_of(NAMES)
        model.run_eagerly = policy != "mixed_float16"
        x, y = rows_for_all(32)
        before = losses_of(model, x, y)
        model.fit(x, y, epochs=2, batch_size=32 if model.run_eagerly else 8, verbose=0)
        after = losses_of(model, x, y)
        assert [name for name in NAMES if not after[name] < before[name]] == []
        model.run_eagerly = False
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        for pair in zip(again.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(*pair)
        loaded = losses_of(again, x, y)
        for name in NAMES:
            assert again.loss[name].get_config() == model.loss[name].get_config(), name
            assert loaded[name] == pytest.approx(after[name]), name
    finally:
        keras.config.set_dtype_policy("float32")


MOVABLE = [
    (cls, name)
    for cls in LOSSES
    for name in make(cls).movable
    if name not in ("class_weight", "priors")
]


@pytest.mark.parametrize(("cls", "argument"), MOVABLE)
def test_arguments_may_move_inside_a_compiled_step(cls, argument):
    loss = make(cls)
    y, _, p = example(cls.targets[0])
    xla = MOVABLE.index((cls, argument)) % 3 == 0
    step = compiled(lambda y, p: loss(y, p), xla)
    first = float(step(tensor(y), tensor(p)))
    loss.assign(argument, 0.7)
    moved = float(step(tensor(y), tensor(p)))
    assert moved == pytest.approx(float(at_once(make(cls, **{argument: 0.7}), y, p)), rel=1e-6)
    assert abs(moved - first) > 1e-4
    assert loss.get_config()[argument] == 0.7
    with pytest.raises(ValueError, match=r"`nothing`|'nothing'"):
        loss.assign("nothing", 1.0)
    with pytest.raises(ValueError, match=f"`{argument}`"):
        loss.assign(argument, float("nan"))


def test_frequencies_may_change_inside_a_compiled_step():
    assert of_classes("priors")
    for cls in of_classes("priors"):
        loss = make(cls)
        y, _, p = example(cls.targets[0])
        xla = in_turn(cls, cls.targets[0], turn=2)
        step = compiled(lambda y, p, loss=loss: loss(y, p), xla)
        first = float(step(tensor(y), tensor(p)))
        loss.assign("priors", [10, 90])
        moved = float(step(tensor(y), tensor(p)))
        assert moved == pytest.approx(float(at_once(make(cls, priors=[10, 90]), y, p)), rel=1e-6)
        assert abs(moved - first) > 1e-4
        assert loss.get_config()["priors"] == [10, 90]
        with pytest.raises(ValueError, match="2 classes, as many as before"):
            loss.assign("priors", [1, 2, 3])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([90, 0, 10], "class 1"),
        ({0: 90, 2: 10}, "class 1"),
        ([0.5, 0.1], r"add up to 0\.6"),
        ([1.0], "two classes"),
        ("balanced", "one number a class"),
        (tfi.class_statistics([[1, 0], [1, 1]], multi_label=True), "exclude one another"),
    ],
)
def test_bad_frequencies_are_refused(given, message):
    for cls in of_classes("priors"):
        with pytest.raises(ValueError, match=rf"`priors`: .*{message}"):
            make(cls, priors=given)


def test_frequencies_of_any_form_are_the_same():
    y, _, p = example("sparse")
    for cls in of_classes("priors"):
        stats = tfi.class_statistics(np.repeat([0, 1], [30, 10]))
        found = [
            float(make(cls, priors=form)(y, p))
            for form in (stats, [30, 10], {1: 10, 0: 30}, [0.75, 0.25], np.array([3, 1]))
        ]
        np.testing.assert_allclose(found, found[0], rtol=1e-7)


def test_frequencies_of_another_number_of_classes_are_refused():
    y, _, p = example("sparse")
    for cls in of_classes("priors"):
        with pytest.raises(ValueError, match=r"2 classes.*Received: 3 classes"):
            make(cls, priors=[1, 2, 3])(y, p)


@pytest.mark.slow
@each_weighable
def test_weights_may_change_inside_a_compiled_step(cls, kind):
    loss = make(cls)
    y, _, p = example(kind)
    step = compiled(lambda y, p: loss(y, p), in_turn(cls, kind, turn=2))
    first = step(tensor(y), tensor(p))
    assert loss.assign("class_weight", {0: 2.0, 1: 6.0}) is False
    np.testing.assert_allclose(step(tensor(y), tensor(p)), 2 * first, rtol=1e-6)
    assert loss.get_config()["class_weight"] == [2.0, 6.0]


@each_weighable
def test_class_weights_multiply_the_loss_of_their_class(cls, kind):
    y, _, p = example(kind)
    plain = make(cls, class_weight={0: 1.0, 1: 1.0}, reduction=None)(y, p)
    weighed = make(cls, reduction=None)(y, p)
    of_one = {"sparse": y, "one_hot": y[..., -1], "binary": y[..., -1]}[kind].astype(float)
    np.testing.assert_allclose(weighed, plain * (1 + 2 * of_one), rtol=1e-6)


BAD_WEIGHTS = {
    "missing": {0: 1.0, 2: 1.0},
    "string keys": {"0": 1.0, "1": 2.0},
    "negative": {0: 1.0, 1: -1.0},
    "nan": {0: 1.0, 1: float("nan")},
    "empty": [],
    "empty mapping": {},
}


@pytest.mark.parametrize("why", BAD_WEIGHTS)
def test_bad_class_weights_are_refused(why):
    with pytest.raises(ValueError, match=r"`class_weight`: expected .* Received: "):
        make(takes("class_weight")[0], class_weight=BAD_WEIGHTS[why])


@pytest.mark.parametrize("cls", takes("class_weight"), ids=lambda cls: cls.__name__)
def test_every_loss_checks_its_class_weights(cls):
    """The same check, with another of the bad weights in turns."""
    weights = list(BAD_WEIGHTS.values())[LOSSES.index(cls) % len(BAD_WEIGHTS)]
    with pytest.raises(ValueError, match=r"`class_weight`: expected .* Received: "):
        make(cls, class_weight=weights)


@each_weighable
def test_weights_of_the_wrong_length_are_refused(cls, kind):
    y, _, p = example(kind)
    with pytest.raises(ValueError, match="3 weights"):
        make(cls, class_weight=[1.0, 2.0, 3.0])(y, p)


@pytest.mark.slow
@pytest.mark.only_on("tensorflow", why="tf.distribute is TensorFlow's")
def test_distributed_training_is_training():
    """Two replicas take the mean of the steps that their halves of the batch take alone."""
    x, y = rows_for_all(16)
    import tensorflow as tf

    # Reduction on one device: collectives of several strategies in a process clash.
    ops = tf.distribute.ReductionToOneDevice()
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=ops)
    start = None

    def step(model, rows):
        """Weights of each output after a step from the same start."""
        model.set_weights(start)
        part = {name: y[name][rows] for name in ONE_KIND}
        model.fit(x[rows], part, batch_size=len(x[rows]), shuffle=False, verbose=0)
        return {name: model.get_layer(name).get_weights() for name in ONE_KIND}

    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        model = model_of(ONE_KIND)
    model.run_eagerly = True
    start = model.get_weights()
    first, second = (step(model, rows) for rows in (slice(0, 8), slice(8, 16)))
    with mirrored.scope():
        model = model_of(ONE_KIND)
    together = step(model, slice(None))
    for name in ONE_KIND:
        for one, two, both in zip(first[name], second[name], together[name], strict=True):
            assert np.abs(one - two).max() > 1e-5, name
            np.testing.assert_allclose(both, (one + two) / 2, rtol=1e-5, atol=1e-6, err_msg=name)
