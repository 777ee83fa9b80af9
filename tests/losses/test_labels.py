"""Labels and ids that count, that do not, and that are none; weights a row and a label."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfimbalance as tfi

BINARY = {
    "focal": tfi.losses.BinaryFocalLoss,
    "weighted": tfi.losses.WeightedBinaryCrossentropy,
    "asymmetric": tfi.losses.AsymmetricLoss,
    "adjusted": lambda **kw: tfi.losses.BinaryLogitAdjustedLoss(0.2, **kw),
}
SPARSE = {
    "focal": tfi.losses.SparseCategoricalFocalLoss,
    "adjusted": lambda **kw: tfi.losses.LogitAdjustedLoss([5, 3, 2], **kw),
    "LDAM": lambda **kw: tfi.losses.LDAMLoss([5, 3, 2]),
    "scaled": lambda **kw: tfi.losses.VectorScalingLoss([5, 3, 2], **kw),
    "class weights": lambda **kw: tfi.losses.ClassWeighted(
        keras.losses.SparseCategoricalCrossentropy(**kw), [1.0, 2.0, 3.0]
    ),
}
each_binary = pytest.mark.parametrize("make", BINARY.values(), ids=BINARY)
each_sparse = pytest.mark.parametrize("make", SPARSE.values(), ids=SPARSE)


def labels_and_logits(rows=40, labels=5):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (rows, labels)).astype("float32")
    return y, rng.normal(size=(rows, labels)).astype("float32"), rng.random((rows, labels)) < 0.6


@each_binary
def test_unknown_labels_cost_nothing_and_leave_the_mean(make):
    y, z, known = labels_and_logits()
    known[3] = False  # A row of which nothing is known.
    of_elements = np.array(make(from_logits=True, reduction=None)(y[..., None], z[..., None]))
    given = np.where(known, y, -1)
    loss = make(from_logits=True, ignore_class=-1)
    found = loss(given, z)
    np.testing.assert_allclose(found, of_elements[known].mean(), rtol=1e-6)
    weight = np.linspace(0, 2, len(y))
    expected = (of_elements * weight[:, None])[known].sum() / known.sum()
    np.testing.assert_allclose(loss(given, z, weight), expected, rtol=1e-6)
    variable = tf.Variable(z)
    with tf.GradientTape() as tape:
        value = loss(given, variable)
    slope = tape.gradient(value, variable).numpy()
    assert (slope[~known] == 0).all()
    assert (slope[known] != 0).any()
    of_rows = make(from_logits=True, ignore_class=-1, reduction="sum")(given, z)
    np.testing.assert_allclose(of_rows, np.where(known, of_elements, 0).mean(-1).sum(), rtol=1e-6)


@each_binary
def test_a_weight_a_label(make):
    y, z, known = labels_and_logits()
    weight = np.random.default_rng(1).random(y.shape) * known
    of_elements = np.array(make(from_logits=True, reduction=None)(y[..., None], z[..., None]))
    for reduction, expected in {
        "sum_over_batch_size": (weight * of_elements).mean(),
        "sum": (weight * of_elements).mean(-1).sum(),
        "mean_with_sample_weight": (weight * of_elements).sum() / weight.sum(),
    }.items():
        loss = make(from_logits=True, reduction=reduction)
        np.testing.assert_allclose(loss(y, z, weight), expected, rtol=1e-5, err_msg=reduction)
    each = make(from_logits=True, reduction=None)(y, z, weight)
    np.testing.assert_allclose(each, (weight * of_elements).mean(-1), rtol=1e-5)
    # Beside unknown labels: the mean of the others.
    loss = make(from_logits=True, ignore_class=-1)
    found = loss(np.where(known, y, -1), z, weight)
    expected = (weight * of_elements).sum() / known.sum()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_class_weights_around_keras_take_a_weight_a_label_too():
    y, z, _ = labels_and_logits()
    weight = np.random.default_rng(1).random(y.shape)
    keras_loss = keras.losses.BinaryCrossentropy(from_logits=True)
    found = tfi.losses.ClassWeighted(keras_loss, [1.0, 2.0])(y, z, weight)
    same_as = tfi.losses.WeightedBinaryCrossentropy(2.0, from_logits=True)(y, z, weight)
    np.testing.assert_allclose(found, same_as, rtol=1e-5)


def test_what_is_no_label_is_refused_and_nan_in_a_compiled_step():
    several = np.array([[[-1.0], [1.0]], [[1.0], [2.0]], [[np.nan], [0.0]]], "float32")
    p = np.full((2, 1), 0.5, "float32")
    losses = {name: make() for name, make in BINARY.items()}
    losses["class weights"] = tfi.losses.ClassWeighted("binary_crossentropy", [1.0, 2.0])
    for name, loss in losses.items():
        step = tf.function(loss)
        for wrong in several:
            with pytest.raises(ValueError, match="`y_true`: expected labels of 0 and 1"):
                loss(wrong, p)
            assert np.isnan(step(tf.constant(wrong), tf.constant(p))), name
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", tfi.losses.BinaryFocalLoss(from_logits=True))
    for wrong in several:
        history = model.fit(np.ones((2, 1)), wrong, verbose=0).history
        assert np.isnan(history["loss"][0])
        # The loss says so, and the model is not lost.
        assert np.isfinite(model.get_weights()[0]).all()


@pytest.mark.parametrize(
    ("name", "smoothing"),
    # Some have no smoothing.
    [(name, 0.0) for name in SPARSE]
    + [(name, 0.1) for name in SPARSE if name not in ("LDAM", "class weights")],
)
def test_ids_that_are_no_class_are_refused_and_never_finite(name, smoothing):
    arguments = {"label_smoothing": smoothing} if smoothing else {}
    loss, z = SPARSE[name](from_logits=True, **arguments), tf.constant([[1.0, 2.0, 3.0]])
    steps = [tf.function(loss, jit_compile=xla) for xla in (False, True)]
    wrong = [[3], [-1], [np.nan], [1.7], [2**32 + 1], np.array([255], "uint8")]
    for ids in map(np.asarray, wrong):
        with pytest.raises(ValueError, match="`y_true`: expected class ids from 0 to 2"):
            loss(ids, z)
        for xla, compiled in enumerate(steps):
            try:
                found = float(compiled(tf.constant(ids), z))
            except tf.errors.InvalidArgumentError:
                continue
            assert np.isnan(found), (ids, xla)


def test_one_output_of_a_softmax_is_warned_of():
    with pytest.warns(SyntaxWarning, match="softmax of one output"):
        tfi.losses.CategoricalFocalLoss(from_logits=True)([[1.0]], [[0.3]])


def test_two_weights_beside_two_outputs_say_nothing():
    """Of 0 and 1, or of two classes? Keras' class_weight means classes; our weights the others."""
    y, p = np.eye(2), np.full((2, 2), 0.5)
    for loss in (
        tfi.losses.ClassWeighted("binary_crossentropy", [1.0, 2.0]),
        tfi.losses.BinaryFocalLoss(class_weight=[1.0, 2.0]),
    ):
        with pytest.raises(ValueError, match=r"`class_weight`.*One-hot rows .* categorical loss"):
            loss(y, p)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_weights_move_the_odds_of_soft_and_smoothed_targets(gamma):
    """Least where the odds of the target are multiplied by the ratio of the weights."""
    grid = np.linspace(-6, 3, 9001)[:, None]
    for target, smoothing in ((0.05, 0.0), (0.0, 0.1)):
        for weights in ({"pos_weight": 19.0}, {"class_weight": [0.5, 9.5]}, {"alpha": 0.95}):
            loss = tfi.losses.BinaryFocalLoss(
                gamma, label_smoothing=smoothing, from_logits=True, reduction=None, **weights
            )
            best = grid[np.argmin(loss(np.full_like(grid, target), grid))]
            assert best[0] == pytest.approx(0.0, abs=2e-3), (target, weights)


@pytest.mark.parametrize("weight", [1e1, 1e3, 1e5, 1e8])
def test_large_weights_of_soft_targets_do_not_cancel(weight):
    loss = tfi.losses.WeightedBinaryCrossentropy(weight, from_logits=True)
    for target, z in ((1 - 1e-3, 20.0), (0.5, 12.0), (0.9, 15.0)):
        y = float(np.float32(target))
        variable = tf.Variable([[z]])
        with tf.GradientTape() as tape:
            value = loss([[y]], variable)
        right = weight * y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)
        slope = (1 - y) / (1 + np.exp(-z)) - weight * y / (1 + np.exp(z))
        assert float(value) == pytest.approx(right, rel=1e-4)
        assert float(tape.gradient(value, variable)[0, 0]) == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_probabilities_cost_what_float32_knows_of_them(dtype):
    p = np.array([[0.002], [0.01], [0.25], [0.97]], "float32")
    p = tf.cast(p, dtype)
    exact = tf.cast(p, "float64").numpy()[:, 0]
    for y, right in ((0.0, -np.log1p(-exact)), (1.0, -np.log(exact))):
        loss = tfi.losses.WeightedBinaryCrossentropy(reduction=None)
        np.testing.assert_allclose(loss(np.full((4, 1), y), p), right, rtol=1e-5)
    softmax = np.full((1, 1000), 9e-4, "float32")
    softmax[0, 0] = 0.1
    softmax = tf.cast(softmax, dtype)
    known = tf.cast(softmax, "float64").numpy()
    found = float(tfi.losses.SparseCategoricalFocalLoss(0.0)([0], softmax))
    assert found == pytest.approx(-np.log(known[0, 0] / known.sum()), rel=1e-5)


@pytest.mark.parametrize("wrong", [{"gamma": -1.0}, {"label_smoothing": 3.0}, {"alpha": 2.0}])
def test_functions_check_what_the_classes_do(wrong):
    (name,) = wrong
    calls = [(tfi.losses.binary_focal_loss, [[1.0]], [[0.5]])]
    if name != "alpha":
        calls.append((tfi.losses.categorical_focal_loss, [[1.0, 0.0]], [[0.5, 0.5]]))
        calls.append((tfi.losses.sparse_categorical_focal_loss, [0], [[0.5, 0.5]]))
    for function, y, p in calls:
        with pytest.raises(ValueError, match=f"`{name}`"):
            function(y, p, **wrong)


@pytest.mark.parametrize("way", ["weight", "mask"])
def test_rows_that_do_not_count_may_hold_any_label(way):
    """Padding is often -1, and stands for no class."""
    rng = np.random.default_rng(0)
    z, counts = rng.normal(size=(4, 6, 3)).astype("float32"), rng.random((4, 6)) < 0.6
    for name, make in {**BINARY, **SPARSE}.items():
        several = name in SPARSE and make is SPARSE[name]
        y = rng.integers(0, 2, (4, 6) if several else (4, 6, 3)).astype("float32")
        padded = np.where(counts if several else counts[..., None], y, -1)
        loss = make(from_logits=True, reduction="sum") if not several else make(from_logits=True)
        loss.reduction = "sum"
        expected = float(loss(y, z, sample_weight=counts.astype("float32")))
        for compute in (loss, tf.function(loss)):
            given = tf.constant(z)
            if way == "mask":
                given._keras_mask = tf.constant(counts)
                found = loss(padded, given)
            else:
                found = compute(padded, given, tf.constant(counts, "float32"))
            assert float(found) == pytest.approx(expected, rel=1e-5), name


def test_padding_that_is_marked_twice_leaves_the_mean_once():
    """Of the ignored class and of weight 0: the mean is that of what counts."""
    for loss, y in (
        (tfi.losses.SparseCategoricalFocalLoss(0.0, ignore_class=-1, from_logits=True), [1, -1]),
        (tfi.losses.BinaryFocalLoss(0.0, ignore_class=-1, from_logits=True), [[1, 1], [-1, -1]]),
    ):
        found = loss(np.array(y), np.zeros((2, 2), "float32"), sample_weight=[1.0, 0.0])
        assert float(found) == pytest.approx(np.log(2), rel=1e-6)


def test_a_subclass_may_write_nats_over_a_loss_of_elements():
    class TenTimes(tfi.losses.BinaryFocalLoss):
        def nats(self, y_true, y_pred):
            return 10.0 * super().nats(y_true, y_pred)

    y, z = [[1.0]], [[0.3]]
    base = tfi.losses.BinaryFocalLoss(from_logits=True)
    assert float(TenTimes(from_logits=True)(y, z)) == pytest.approx(10 * float(base(y, z)))


def test_classes_of_unknown_number():
    """Their number is known only when it runs."""
    loss = tfi.losses.SparseCategoricalFocalLoss(from_logits=True)
    spec = [tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, None], tf.float32)]
    compiled = tf.function(lambda y, z: loss(y, z), input_signature=spec)
    z = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    np.testing.assert_allclose(compiled([0, 1, 2, 1], z), loss([0, 1, 2, 1], z), rtol=1e-6)


def test_losses_that_are_not_of_labels_take_any_target():
    found = tfi.losses.ClassWeighted("mean_squared_error", [1.0, 3.0])([[2.0]], [[0.5]])
    assert np.isfinite(float(found))
