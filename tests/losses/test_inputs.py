"""What reaches a loss: shapes that are not known, probabilities that round, marks that mislead."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfimbalance as tfi

RNG = np.random.default_rng(0)


def unknown_width(y):
    """A dataset whose labels say (None, None): class ids, one-hot rows or labels?"""
    x = RNG.normal(size=(len(y), 3)).astype("float32")
    spec = (tf.TensorSpec((None, 3), tf.float32), tf.TensorSpec((None, None), tf.float32))
    made = tf.data.Dataset.from_generator(lambda: iter([(x, y)]), output_signature=spec)
    return made.repeat()


def model_with(loss, units=3):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])
    model.compile("sgd", loss)
    return model


def test_ids_or_rows_of_unknown_width_are_refused():
    loss = tfi.losses.LogitAdjustedLoss([9, 2, 1], from_logits=True)
    with pytest.raises(ValueError, match=r"class ids \(1\) from one-hot rows \(3\).*ensure_shape"):
        model_with(loss).fit(
            unknown_width(RNG.integers(0, 3, (8, 1))), steps_per_epoch=1, verbose=0
        )


@pytest.mark.parametrize(
    "loss",
    [
        tfi.losses.AsymmetricLoss(from_logits=True),
        tfi.losses.BinaryFocalLoss(from_logits=True),
        tfi.losses.CategoricalFocalLoss(from_logits=True),
        tfi.losses.PairwiseAUCLoss(),
        tfi.losses.ClassWeighted(
            keras.losses.BinaryCrossentropy(from_logits=True), {0: 1.0, 1: 2.0}
        ),
    ],
    ids=lambda loss: loss.name,
)
def test_rows_of_unknown_width_never_broadcast(loss):
    """As the step of `fit` compiles it, for data that do not say how wide their labels are."""
    compiled = tf.function(
        lambda y, z: loss(y, z), input_signature=[tf.TensorSpec((None, n)) for n in (None, 3)]
    )
    right, z = np.eye(3, dtype="float32")[RNG.integers(0, 3, 8)], RNG.normal(size=(8, 3))
    assert float(compiled(right, z.astype("float32"))) == pytest.approx(
        float(loss(right, z)), rel=1e-5
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?i)reshape"):
        compiled(right[:, :1], z.astype("float32"))


def test_probabilities_that_round_past_their_ends():
    for p in (1.0000001, 1.00001, -1e-8):
        values = [
            loss([[y]], [[p]])
            for y in (0.0, 1.0)
            for loss in (tfi.losses.AsymmetricLoss(), tfi.losses.BinaryFocalLoss())
        ]
        assert np.isfinite(values).all()
    # A number that is no probability must not pass for one.
    for logit in (-2.0, 3.0):
        assert np.isnan(float(tfi.losses.AsymmetricLoss()([[1.0]], [[logit]])))


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_cosines_taken_for_probabilities_are_warned_of(scale):
    head = tfi.layers.CosineClassifier(3, scale=scale)
    model = keras.Sequential([keras.Input((3,)), head])
    model.compile("sgd", tfi.losses.LogitAdjustedLoss([9, 2, 1]))
    with pytest.warns(UserWarning, match="from_logits=True"):
        model.fit(np.ones((4, 3)), np.zeros(4), steps_per_epoch=1, verbose=0)


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("sigmoid", tfi.losses.BinaryFocalLoss(from_logits=True)),
        ("softmax", tfi.losses.CategoricalFocalLoss(from_logits=True)),
        ("softmax", tfi.losses.LDAMLoss([9, 2, 1])),
    ],
)
def test_probabilities_taken_for_logits_are_warned_of(activation, loss):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation=activation)])
    model.compile("sgd", loss)
    with pytest.warns(UserWarning, match="from_logits"):
        model.fit(np.ones((4, 2)), np.eye(3)[[0, 1, 2, 0]], steps_per_epoch=1, verbose=0)


def test_logits_of_another_activation_are_not_taken_for_ours():
    """A softmax head under a loss of sigmoids is read as the probabilities that it serves."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    x, y = RNG.normal(size=(20, 4)) * 3, np.eye(3)[RNG.integers(0, 3, 20)]
    loss = tfi.losses.AsymmetricLoss()
    model.compile("sgd", loss)
    served = float(loss(y, model.predict(x, verbose=0)))
    with pytest.warns(UserWarning, match="output of a softmax, but .* that of a sigmoid"):
        found = model.evaluate(x, y, verbose=0)
    assert found == pytest.approx(served, rel=1e-4)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(served, rel=1e-4)


@pytest.mark.parametrize(
    "loss",
    [
        tfi.losses.LogitAdjustedLoss([9, 1], class_weight=[1.0, 2.0], from_logits=True),
        tfi.losses.LDAMLoss([9, 1]),
        tfi.losses.VectorScalingLoss([9, 1], from_logits=True),
    ],
    ids=lambda loss: loss.name,
)
def test_variables_keep_their_digits_inside_a_half_precision_layer(loss):
    class WithLoss(keras.layers.Layer):
        def call(self, inputs):
            z, y = inputs
            self.add_loss(loss(y, z))
            return z

    z, y = np.array([[1.0, 2.0], [0.5, -1.0]], "float16"), np.array([0, 1])
    layer = WithLoss(dtype="mixed_float16")
    layer([tf.constant(z), tf.constant(y)])
    assert float(layer.losses[0]) == pytest.approx(float(loss(y, z.astype("float32"))), rel=1e-6)


@pytest.mark.parametrize("shape", [(4, 2), (4, 3, 2)])
def test_weights_that_fit_neither_rows_nor_outputs_are_refused(shape):
    loss = tfi.losses.BinaryFocalLoss(from_logits=True)
    with pytest.raises(ValueError, match="`sample_weight`.*shape " + re.escape(str(shape))):
        loss(np.zeros((4, 3)), np.zeros((4, 3)), sample_weight=np.ones(shape))


def test_a_number_may_be_assigned_like_an_attribute():
    loss = tfi.losses.LogitAdjustedLoss([9, 1], from_logits=True)
    compiled = tf.function(lambda: loss([1], [[0.0, 0.0]]))
    assert float(compiled()) == pytest.approx(np.log(10), rel=1e-5)
    loss.tau = 0.0
    assert float(compiled()) == pytest.approx(np.log(2), rel=1e-5)
    loss.reduction = "sum"
    assert float(loss([1, 1], [[0.0, 0.0]] * 2)) == pytest.approx(2 * np.log(2), rel=1e-5)


def test_half_precision_holds_its_largest_number():
    loss = tfi.losses.PairwiseAUCLoss(dtype="float16")
    for far in (1e4, 1e20):
        assert float(loss([1.0, 0.0], np.array([-far, far], "float32"))) == 65504.0


NO_NUMBERS = [
    None,
    "balanced",
    {0: 1.0, 1: 2.0},
    len,
    np.array(["0", "1"]),
    np.array([0, 1j]),
    np.zeros(2, "datetime64[D]"),
    [[0.0], [1.0, 0.0]],
    tf.sparse.from_dense([[0.0, 1.0]]),
]
OF_EACH_KIND = [
    (tfi.losses.BinaryFocalLoss(), [0, 1], [0.5, 0.75]),
    (tfi.losses.SparseCategoricalFocalLoss(), [0, 1], [[0.5, 0.5], [0.25, 0.75]]),
    (tfi.losses.LogitAdjustedLoss([3, 1]), [[1, 0], [0, 1]], [[0.5, 0.5], [0.25, 0.75]]),
    (tfi.losses.PairwiseAUCLoss(), [0, 1], [0.5, 0.75]),
]
of_each_kind = pytest.mark.parametrize(
    ("loss", "y", "p"), OF_EACH_KIND, ids=[loss.name for loss, _, _ in OF_EACH_KIND]
)


@of_each_kind
@pytest.mark.parametrize("given", NO_NUMBERS, ids=lambda given: type(given).__name__)
def test_what_is_no_array_of_real_numbers_is_refused(loss, y, p, given):
    def refused(argument):
        return pytest.raises(ValueError, match=rf"`{argument}`: expected a dense array.*Received")

    with refused("y_true"):
        loss(given, p)
    with refused("y_pred"):
        loss(y, given)
    if given is not None:
        with refused("sample_weight"):
            loss(y, p, given)


@of_each_kind
def test_weights_of_other_rows_are_refused(loss, y, p):
    for wrong in (np.ones(3), np.ones((3, 1))):
        with pytest.raises(ValueError, match=r"`sample_weight`: expected a weight a row.*\(3,"):
            loss(y, p, wrong)


@pytest.mark.parametrize("row", [[1.5, 0, 0], [-1, 1, 0], [np.nan, 0, 1], [1, 1, 0], [0.9, 0.9, 0]])
def test_rows_that_are_no_probabilities_of_classes_are_refused(row):
    """In a graph, where nothing can be raised, they cost NaN."""
    y = np.array([[0, 0, 1], row], "float32")
    p = np.full((2, 3), 1 / 3, "float32")
    losses = tfi.losses.CategoricalFocalLoss, tfi.losses.LDAMLoss, tfi.losses.BalancedSoftmaxLoss
    for cls in losses:
        loss = cls() if cls is losses[0] else cls([1, 1, 1])
        with pytest.raises(
            ValueError, match=r"`y_true`: expected (labels of 0 and 1|one-hot rows)"
        ):
            loss(y, p)
        assert np.isnan(tf.function(loss)(y, p))
        assert np.isfinite(loss(y, p, [1.0, 0.0]))


def test_soft_rows_in_half_precision_add_up_to_1():
    soft = tf.cast(tf.fill((2, 1000), 1e-3), "bfloat16")
    assert np.isfinite(tfi.losses.CategoricalFocalLoss()(soft, np.full((2, 1000), 1e-3, "float32")))


def test_one_output_a_row_is_no_row_of_classes():
    with pytest.raises(ValueError, match=r"`y_pred`: expected rows of several classes"):
        tfi.losses.CategoricalFocalLoss()([0, 1], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"`y_pred`: expected at least one output"):
        tfi.losses.SparseCategoricalFocalLoss(label_smoothing=0.1)([0, 1], np.zeros((2, 0)))


@pytest.mark.parametrize("flag", ["no", None, 2, np.ones(2), np.nan], ids=str)
def test_a_flag_is_true_or_false(flag):
    for make in (tfi.losses.BinaryFocalLoss, tfi.metrics.AUC, tfi.calibration.FocalCalibration):
        with pytest.raises(ValueError, match="`from_logits`: expected True or False"):
            make(from_logits=flag)
    with pytest.raises(ValueError, match="`from_logits`: expected True or False"):
        tfi.losses.binary_focal_loss([1.0], [0.5], from_logits=flag)
    assert tfi.losses.BinaryFocalLoss(from_logits=np.bool_(True)).from_logits is True


@pytest.mark.parametrize("number", [10**400, np.timedelta64(1, "D"), [10**400, 1]], ids=str)
def test_numbers_of_no_float_are_refused(number):
    with pytest.raises(ValueError, match="`pos_weight`: expected"):
        tfi.losses.WeightedBinaryCrossentropy(number)([0.0], [0.5])
    with pytest.raises(ValueError, match="`ignore_class`: expected an integer"):
        tfi.losses.BinaryFocalLoss(ignore_class=np.timedelta64(1, "D"))
