import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import log_loss

import tfimbalance as tfi

TAIL = tfi.ClassStatistics([700, 200, 70, 30])
LABELS = tfi.ClassStatistics([50, 200, 400], 1000, multi_label=True)


def rows(size, seed, rate=3.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size, 4)).astype("float32")
    return x, (rng.random(size) < 1 / (1 + np.exp(rate - 2 * x[:, 0]))).astype("int32")


@pytest.mark.parametrize(
    ("labels", "steps", "shares"),
    [
        ({0: 990_000, 1: 10_000}, 1_000, {1: 0.1}),
        ({0: 990_000, 1: 10_000}, 2_000, None),  # Each positive would come 5.1 times.
        ({0: 990_000, 1: 10_000}, 20_000, None),
        ({0: 990_000, 1: 10_000}, None, None),
        ({0: 850_000, 1: 150_000}, 2_000, None),  # More than the share already.
        (TAIL, 1, None),
        (LABELS, 1, None),
    ],
    ids=[
        "a quarter of a pass",
        "by heart",
        "five passes",
        "no budget",
        "frequent",
        "tail",
        "labels",
    ],
)
def test_shares_are_for_less_than_two_passes_over_rare_events(labels, steps, shares):
    plan = tfi.Rebalance.recommended(labels, steps=steps)
    assert plan.class_shares == shares
    assert plan.offset == (shares is not None)
    assert plan.layers(from_logits=True) == []  # Nothing is left to undo.
    assert any("prepare" in reason for reason in plan.reasons)
    assert ("adjust_logits" in " ".join(plan.reasons)) == (labels is TAIL)
    assert all(reason.endswith(".") for reason in plan.reasons)
    assert tfi.Rebalance(TAIL).reasons == []


@pytest.mark.slow
def test_from_labels_to_what_is_served():
    (x, y), valid, (x_test, y_test) = rows(20_000, 0), rows(6_000, 1), rows(6_000, 2)
    plan = tfi.Rebalance.recommended(y, steps=60, batch_size=256)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    trained = plan.compile(model, keras.optimizers.Adam(0.05))
    dataset = plan.dataset(x, y, steps_per_epoch=60)
    trained.fit(dataset, callbacks=plan.callbacks(valid), verbose=0)
    model.layers[-1].kernel.assign(3 * model.layers[-1].kernel)  # Much too sure of itself.
    served, calibrated = plan.corrected(trained), plan.calibrated(trained, valid)
    nats = [
        log_loss(y_test, m.predict(x_test, verbose=0, batch_size=6_000)[:, 0])
        for m in (served, calibrated)
    ]
    best = log_loss(y_test, 1 / (1 + np.exp(3.0 - 2 * x_test[:, 0].astype(float))))
    assert nats[1] < best * 1.02 < nats[0]
    again = plan.calibrated(trained, plan.validation(valid))
    np.testing.assert_allclose(
        again.predict(x_test[:9], verbose=0), calibrated.predict(x_test[:9], verbose=0), rtol=1e-4
    )


def test_reasons_are_those_of_the_data():
    few = tfi.Rebalance.recommended(LABELS, steps=1).reasons[1]
    assert "few, but" in few
    assert "1 steps of 256 rows are 0.26 passes over 1,000 rows" in few
    often = tfi.Rebalance.recommended({0: 990_000, 1: 10_000}, steps=2_000).reasons[1]
    assert "show each of them 5.1 times, and they would be learnt by heart" in often
    with pytest.raises(TypeError, match="focal_gamma"):
        tfi.Rebalance.recommended(TAIL, focal_gamma=2.0)


def test_what_is_calibrated_is_not_calibrated_again():
    x, y = rows(4_000, 0, rate=1.0)
    plan = tfi.Rebalance(y)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    served = plan.calibrated(model, (x, y))
    for again in (plan.corrected, lambda model: plan.calibrated(model, (x, y))):
        with pytest.raises(ValueError, match=r"corrected already.*slope_and_bias"):
            again(served)


def test_a_few_positives_are_too_few_for_a_slope():
    x, y = rows(2_000, 0, rate=5.0)
    plan = tfi.Rebalance.recommended(y)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    with pytest.warns(UserWarning, match=rf"calibrated: {y.sum()} of 2,000.*150.*more rows"):
        served = plan.calibrated(model, (x, y))
    assert not any("slope" in layer.name for layer in served.layers)


def test_each_output_and_each_class_is_calibrated():
    rng = np.random.default_rng(0)
    x = keras.Input((3,))
    model = keras.Model(
        x,
        {
            "buy": keras.layers.Dense(1, name="buy")(x),
            "kind": keras.layers.Dense(3, name="kind")(x),
        },
    )
    features, buy, kind = rng.normal(size=(900, 3)), np.arange(900) % 3 == 0, np.arange(900) % 3
    y = {"buy": buy.astype(int), "kind": kind}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "VectorScaling: .* backwards")  # It was not trained.
        served = tfi.Rebalance(y["buy"]).calibrated(model, (features, y), output="buy")
        plan = tfi.Rebalance(kind)
        served = plan.calibrated(served, plan.validation((features, y), output="kind"))
        rows_of_kind = plan.validation((features, y), output="kind")
        with pytest.raises(ValueError, match="'kind', the output of validation_data"):
            plan.calibrated(model, rows_of_kind, output="buy")
    p = served.predict(features, verbose=0)
    assert p["buy"].mean() == pytest.approx(1 / 3, abs=1e-3)
    np.testing.assert_allclose(p["kind"].mean(axis=0), np.full(3, 1 / 3), atol=1e-3)


def test_passes_are_over_all_rows_whether_their_labels_are_known_or_not():
    y = np.full(80_000, -1)
    y[:1_600], y[:100] = 0, 1
    said = tfi.Rebalance.recommended(y, steps=20, batch_size=512, ignore_class=-1)
    assert said.reasons[1].startswith("20 steps of 512 rows are 0.13 passes over 80,000 rows: few")
    enough = tfi.Rebalance.recommended(y, steps=6_250, batch_size=512, ignore_class=-1)
    assert "are 40 passes over 80,000 rows: enough" in enough.reasons[1]
    # A row of steps cannot be sampled by the class of one of them.
    tokens = np.zeros((50_000, 20), int)
    tokens[:200, 3] = 1
    of_tokens = tfi.Rebalance.recommended(tokens, steps=20, batch_size=32, ignore_class=-1)
    assert of_tokens.class_shares is None
    assert "0.013 passes over 50,000 rows: few, but" in of_tokens.reasons[1]
    # Nor where most of them do not count.
    masks = np.full((1_000, 10), 255)
    masks[:, 0] = np.arange(1_000) % 50 == 0
    few = {"steps": 3, "batch_size": 10, "ignore_class": 255}
    for labels in (masks, tf.data.Dataset.from_tensor_slices(masks).batch(100)):
        assert tfi.Rebalance.recommended(labels, **few).class_shares is None
    assert tfi.Rebalance.recommended(masks[:, 0], **few).class_shares == {1: 0.1}


def test_labels_with_too_few_positives_stay_as_corrected():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4_000, 3)).astype("float32")
    y = (rng.random((4_000, 3)) < 1 / (1 + np.exp(4.0 - x - [3.0, -3.0, 3.0]))).astype(int)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.set_weights([2 * np.eye(3), np.zeros(3)])
    plan = tfi.Rebalance(tfi.class_statistics(y, multi_label=True))
    with pytest.warns(UserWarning, match="label 1 has fewer than 150 .* left as corrected"):
        served = plan.calibrated(model, (x, y))
    layer = next(layer for layer in served.layers if "slope" in layer.name)
    assert (layer.scale.numpy()[1], layer.bias.numpy()[1]) == (1.0, 0.0)
    assert layer.scale.numpy()[[0, 2]] == pytest.approx(0.5, abs=0.1)
    p = served.predict(x, batch_size=4_000, verbose=0)
    np.testing.assert_allclose(p[:, [0, 2]].mean(axis=0), y[:, [0, 2]].mean(axis=0), rtol=1e-3)
