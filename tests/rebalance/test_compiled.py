"""Plans that are read off compiled models, and models that are not those of a plan."""

import warnings

import keras
import numpy as np
import pytest
from scipy.special import expit

import tfimbalance as tfi

STATS = tfi.ClassStatistics([950, 50])
TAIL = tfi.ClassStatistics([700, 200, 100])


def model_with(loss, units=1, **compiled):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])
    model.compile("sgd", loss, **compiled)
    return model


@pytest.mark.parametrize(
    ("loss", "given", "plan"),
    [
        (keras.losses.BinaryCrossentropy(True), {}, {}),
        ("binary_crossentropy", {"class_weight": {0: 1.0, 1: 9.0}}, {"class_weight": [1, 9]}),
        (
            keras.losses.BinaryFocalCrossentropy(
                apply_class_balancing=True, alpha=0.9, gamma=2.0, from_logits=True
            ),
            {},
            {"class_weight": [0.1, 0.9], "focal_gamma": 2.0},
        ),
        (keras.losses.BinaryFocalCrossentropy(gamma=1.0), {}, {"focal_gamma": 1.0}),
        (
            tfi.losses.BinaryFocalLoss(2.0, alpha=0.75, pos_weight=2.0, class_weight=[1.0, 5.0]),
            {},
            {"class_weight": [0.25, 7.5], "focal_gamma": 2.0},
        ),
        (tfi.losses.WeightedBinaryCrossentropy(19.0), {}, {"class_weight": [1, 19]}),
        (
            tfi.losses.BinaryLogitAdjustedLoss(0.5, tau=0.7),
            {"class_shares": "balanced"},
            {"class_shares": "balanced", "tau": 0.7},
        ),
        (
            tfi.losses.ClassWeighted("binary_crossentropy", [1.0, 3.0]),
            {"class_weight": [1.0, 2.0]},
            {"class_weight": [1, 6]},
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Rebalance")
def test_a_plan_is_read_off_a_binary_loss(loss, given, plan):
    found = tfi.Rebalance.from_compiled(model_with(loss), STATS, **given)
    wanted = tfi.Rebalance(STATS, **plan)
    np.testing.assert_allclose(found.effective_priors, wanted.effective_priors, rtol=1e-6)
    assert found.focal_gamma == wanted.focal_gamma
    assert found.tau == pytest.approx(wanted.tau)
    assert [str(s) for s in found.strategies] == [str(s) for s in wanted.strategies]


@pytest.mark.parametrize(
    ("loss", "plan"),
    [
        (keras.losses.SparseCategoricalCrossentropy(True, ignore_class=9), {}),
        (keras.losses.CategoricalFocalCrossentropy(gamma=3.0), {"focal_gamma": 3.0}),
        (tfi.losses.SparseCategoricalFocalLoss(1.0), {"focal_gamma": 1.0}),
        (tfi.losses.LogitAdjustedLoss(TAIL, tau=0.5, gamma=1.0), {"tau": 0.5, "focal_gamma": 1.0}),
        (tfi.losses.BalancedSoftmaxLoss([700, 200, 100]), {"tau": 1.0}),
        (tfi.losses.CategoricalFocalLoss(0.0, class_weight=[1, 2, 3]), {"class_weight": [1, 2, 3]}),
    ],
)
def test_a_plan_is_read_off_a_softmax_loss(loss, plan):
    found = tfi.Rebalance.from_compiled(model_with(loss, 3), TAIL)
    wanted = tfi.Rebalance(TAIL, **plan)
    np.testing.assert_allclose(found.effective_priors, wanted.effective_priors, rtol=1e-5)
    assert found.focal_gamma == wanted.focal_gamma
    assert found.ignore_class == getattr(loss, "ignore_class", None)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("mse", "cross-entropy, a focal or .* Received: .*LossCalibration"),
        (keras.losses.BinaryCrossentropy(label_smoothing=0.1), "without label smoothing"),
        (tfi.losses.AsymmetricLoss(), "Received: asymmetric_loss"),
        (tfi.losses.BinaryLogitAdjustedLoss(0.2), r"`labels`: .* priors of the loss"),
    ],
)
def test_what_no_plan_does_is_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        tfi.Rebalance.from_compiled(model_with(loss), STATS)


def test_a_model_that_is_not_compiled_is_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="a compiled model"):
        tfi.Rebalance.from_compiled(model, STATS)


@pytest.mark.parametrize(
    ("loss", "plan", "fits"),
    [
        (keras.losses.BinaryFocalCrossentropy(gamma=2.0), {"focal_gamma": 2.0}, True),
        (
            keras.losses.BinaryFocalCrossentropy(True, alpha=0.9, gamma=2.0),
            {"focal_gamma": 2.0},
            False,
        ),
        (tfi.losses.AsymmetricLoss(), {}, False),
        # `fit` may have been given the weights.
        ("binary_crossentropy", {"class_weight": "balanced"}, True),
        (tfi.losses.WeightedBinaryCrossentropy(2.0), {"class_weight": "balanced"}, False),
    ],
)
def test_corrected_warns_of_another_compiled_loss(loss, plan, fits):
    plan, model = tfi.Rebalance(STATS, **plan), model_with(loss)
    if fits:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            plan.corrected(model, from_logits=True)
        return
    with pytest.warns(UserWarning, match="from_compiled"):
        plan.corrected(model, from_logits=True)


@pytest.mark.slow
def test_a_model_of_keras_focal_loss_serves_the_rate_of_the_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 2)).astype("float32")
    y = (rng.random(len(x)) < expit(x[:, 0] - 3)).astype("int32")
    loss = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=True, alpha=0.9, gamma=2.0, from_logits=True
    )
    model = model_with(loss)
    model.compile(keras.optimizers.Adam(0.03), loss)
    model.fit(x, y, epochs=6, batch_size=256, verbose=0)
    served = tfi.Rebalance.from_compiled(model, y).corrected(model)
    assert served.predict(x, verbose=0).mean() == pytest.approx(y.mean(), rel=0.1)


def test_weights_of_labels_are_read_label_by_label():
    labels = tfi.ClassStatistics([50, 200], 1000, multi_label=True)
    three = tfi.ClassStatistics([50, 200, 400], 1000, multi_label=True)
    for stats, loss, wanted in (
        (labels, tfi.losses.WeightedBinaryCrossentropy(5.0), [5, 5]),
        (labels, tfi.losses.BinaryFocalLoss(1.0, pos_weight=[2.0, 3.0]), [2, 3]),
        (three, tfi.losses.BinaryFocalLoss(alpha=0.25, pos_weight=[1, 2, 3]), [1 / 3, 2 / 3, 1]),
        (three, tfi.losses.AsymmetricLoss(), None),
        (STATS, tfi.losses.WeightedBinaryCrossentropy([5.0]), [1, 5]),
    ):
        model = model_with(loss, stats.num_classes if stats.multi_label else 1)
        if wanted is None:
            with pytest.raises(ValueError, match="LossCalibration"):
                tfi.Rebalance.from_compiled(model, stats)
            continue
        plan = tfi.Rebalance.from_compiled(model, stats)
        np.testing.assert_allclose(list(plan.class_weight.values()), wanted)


def test_losses_are_known_by_what_they_are_not_by_their_names():
    named = keras.losses.BinaryCrossentropy(from_logits=True, name="click")
    assert not tfi.Rebalance.from_compiled(model_with(named), STATS).strategies
    plan = tfi.Rebalance.from_compiled(model_with("binary_focal_crossentropy"), STATS)
    assert plan.focal_gamma == 2.0

    def binary_crossentropy(y, p):
        return keras.ops.mean((y - p) ** 2, axis=-1)

    with pytest.raises(ValueError, match="binary_crossentropy"):
        tfi.Rebalance.from_compiled(model_with(binary_crossentropy), STATS)


def test_weights_of_fit_beside_those_of_a_loss_are_the_plan_s():
    loss = keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True, alpha=0.25)
    weights = {0: 1.0, 1: 19.0}
    plan = tfi.Rebalance.from_compiled(model_with(loss), STATS, class_weight=weights)
    assert plan.class_weight[1] / plan.class_weight[0] == pytest.approx(19 / 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan.corrected(model_with(loss), from_logits=True)
    model = model_with(plan.loss(from_logits=True))  # A new one, weighed by its loss alone.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan.corrected(model, from_logits=True)
    with pytest.warns(UserWarning, match="class_weight=those of fit"):
        tfi.Rebalance(STATS, focal_gamma=2.0).corrected(model_with(loss), from_logits=True)
