import keras
import numpy as np
import pytest

import tfimbalance as tfi

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 4)).astype("float32")
Y = np.repeat([0, 1], [90, 10])


def model_with(loss, jit_compile=False, activation="sigmoid", **arguments):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation=activation)])
    # A learning rate of 0: what fit reports is the loss of known weights, epoch after epoch.
    model.compile(keras.optimizers.SGD(0.0), loss, jit_compile=jit_compile, **arguments)
    return model


def weighted(model, weights):
    p = model.predict(X, verbose=0)[:, 0].astype("float64")
    nats = -np.where(Y == 1, np.log(p), np.log1p(-p))
    return (nats * np.array([weights[0], weights[1]])[Y]).mean()


@pytest.mark.parametrize(
    ("loss", "jit_compile"),
    [
        (tfi.losses.WeightedBinaryCrossentropy(), True),
        (tfi.losses.BinaryFocalLoss(gamma=0.0, class_weight={0: 3.0, 1: 3.0}), False),
        (tfi.losses.ClassWeighted("binary_crossentropy", {0: 1.0, 1: 1.0}), False),
    ],
    ids=["no weights, xla", "other weights", "wrapped"],
)
def test_drives_the_loss_that_fit_reports(loss, jit_compile):
    model = model_with(loss, jit_compile)
    callback = tfi.callbacks.ClassWeight(Y, start_epoch=2)
    history = model.fit(
        X, Y, epochs=4, batch_size=100, verbose=0, callbacks=[callback], validation_data=(X, Y)
    ).history
    before, after = weighted(model, {0: 1.0, 1: 1.0}), weighted(model, callback.class_weight)
    assert abs(before - after) > 0.01
    np.testing.assert_allclose(history["loss"], [before, before, after, after], rtol=1e-5)
    np.testing.assert_allclose(history["val_loss"], history["loss"], rtol=1e-5)
    assert history["class_weight_1"] == [1.0, 1.0, 5.0, 5.0]


def test_reaches_a_step_that_was_compiled_without_weights():
    model = model_with(tfi.losses.WeightedBinaryCrossentropy())
    model.fit(X, Y, batch_size=100, verbose=0, validation_data=(X, Y))
    callback = tfi.callbacks.ClassWeight(Y)
    history = model.fit(
        X, Y, batch_size=100, verbose=0, callbacks=[callback], validation_data=(X, Y)
    ).history
    right = weighted(model, callback.class_weight)
    assert history["loss"] == pytest.approx([right], rel=1e-5)
    assert history["val_loss"] == pytest.approx([right], rel=1e-5)


def test_serves_another_model_after_the_first():
    callback = tfi.callbacks.ClassWeight(Y)
    for _ in range(2):
        model = model_with(tfi.losses.WeightedBinaryCrossentropy())
        history = model.fit(X, Y, batch_size=100, verbose=0, callbacks=[callback]).history
        assert history["loss"] == pytest.approx([weighted(model, callback.class_weight)], rel=1e-5)


def test_class_weight_for_fit_gives_the_same():
    callback = tfi.callbacks.ClassWeight(Y)
    model = model_with("binary_crossentropy")
    history = model.fit(X, Y, batch_size=100, verbose=0, class_weight=callback.class_weight).history
    assert history["loss"] == pytest.approx([weighted(model, callback.class_weight)], rel=1e-4)


def two_heads(losses):
    inputs = keras.Input((4,))
    heads = {n: keras.layers.Dense(1, activation="sigmoid", name=n)(inputs) for n in ("a", "b")}
    if isinstance(losses, list):
        heads = list(heads.values())
    model = keras.Model(inputs, heads)
    model.compile(keras.optimizers.SGD(0.0), losses)
    return model


@pytest.mark.parametrize(("form", "output"), [(dict, "b"), (list, "b"), (list, None)])
def test_one_output_or_all(form, output):
    pair = [tfi.losses.WeightedBinaryCrossentropy() for _ in "ab"]
    model = two_heads(pair if form is list else dict(zip("ab", pair, strict=True)))
    y = [Y, Y] if form is list else {"a": Y, "b": Y}
    callback = tfi.callbacks.ClassWeight(Y, output=output)
    history = model.fit(X, y, batch_size=100, verbose=0, callbacks=[callback]).history
    predictions = model.predict(X, verbose=0)
    for head in "ab":
        p = (predictions["ab".index(head)] if form is list else predictions[head])[:, 0]
        nats = -np.where(Y == 1, np.log(p), np.log1p(-p.astype("float64")))
        driven = output in (None, head)
        weights = np.array([*callback.class_weight.values()]) if driven else np.ones(2)
        assert history[f"{head}_loss"][0] == pytest.approx((nats * weights[Y]).mean(), rel=1e-5)


def test_multi_label_drives_one_weight_a_label():
    labels = RNG.integers(0, 2, (100, 3))
    labels[:, 0] = Y
    callback = tfi.callbacks.ClassWeight(tfi.class_statistics(labels, multi_label=True))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="sigmoid")])
    loss = tfi.losses.WeightedBinaryCrossentropy()
    model.compile("sgd", loss)
    model.fit(X, labels, verbose=0, callbacks=[callback])
    assert loss.get_config()["class_weight"][0] == pytest.approx(9.0)


def test_says_what_it_did(capsys):
    model = model_with(tfi.losses.WeightedBinaryCrossentropy(), run_eagerly=True)
    callback = tfi.callbacks.ClassWeight(Y, verbose=1)
    model.fit(X, Y, batch_size=100, verbose=0, callbacks=[callback])
    shown = "weighted_binary_crossentropy: class_weight_0 0.5556, class_weight_1 5"
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize(
    ("loss", "arguments", "message"),
    [
        ("binary_crossentropy", {}, r'ClassWeighted\("binary_crossentropy"'),
        ("weighted_binary_crossentropy", {}, r"loss=tfi\.losses\.WeightedBinaryCrossentropy\(\)"),
        (tfi.losses.AsymmetricLoss, {}, r"loss=tfi\.losses\.AsymmetricLoss\(\)"),
        (tfi.losses.WeightedBinaryCrossentropy(), {"output": "nope"}, "'nope'"),
        (tfi.losses.WeightedBinaryCrossentropy(), {"labels": [0, 1, 2]}, "3 weights"),
        (tfi.losses.BinaryFocalLoss(class_weight=[1.0, 2.0]), {"labels": [0, 1, 2]}, "3 weights"),
    ],
)
def test_refuses_before_the_first_step(loss, arguments, message):
    model = model_with(loss)
    weights = model.get_weights()
    labels, output = arguments.get("labels", Y), arguments.get("output")
    callback = tfi.callbacks.ClassWeight(labels, output=output)
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, verbose=0, callbacks=[callback])
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_model_is_needed():
    with pytest.raises(ValueError, match="model"):
        tfi.callbacks.ClassWeight(Y).on_train_begin()


def test_an_empty_class_is_refused_at_once():
    with pytest.raises(ValueError, match="class 1"):
        tfi.callbacks.ClassWeight(np.array([0, 2, 2]))


@pytest.mark.parametrize("fit_before", [False, True])
def test_weights_are_saved(fit_before, tmp_path):
    model = model_with(tfi.losses.AsymmetricLoss())
    if fit_before:
        model.fit(X, Y, verbose=0)
    model.fit(X, Y, verbose=0, callbacks=[tfi.callbacks.ClassWeight(Y)])
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.evaluate(X, Y, verbose=0) == pytest.approx(model.evaluate(X, Y, verbose=0))
    assert again.loss.get_config()["class_weight"] == pytest.approx([100 / 180, 5.0])


def test_a_loss_that_outputs_share_is_not_driven_for_one():
    shared = tfi.losses.WeightedBinaryCrossentropy()
    model = two_heads({"a": shared, "b": shared})
    with pytest.raises(ValueError, match=r"'a', whose loss is also that of \['b'\]"):
        model.fit(
            X,
            {"a": Y, "b": Y},
            verbose=0,
            callbacks=[tfi.callbacks.ClassWeight(Y, output="a")],
        )


def test_a_loss_of_pairs_has_no_weights():
    with pytest.raises(ValueError, match="cancel: leave the callback out"):
        model_with(tfi.losses.PairwiseAUCLoss()).fit(
            X, Y, verbose=0, callbacks=[tfi.callbacks.ClassWeight(Y)]
        )


def test_weights_that_never_start_are_warned_of():
    model = model_with(tfi.losses.WeightedBinaryCrossentropy(), run_eagerly=True)
    callback = tfi.callbacks.ClassWeight(Y, start_epoch=80)
    with pytest.warns(UserWarning, match="start_epoch=80 is not reached in 2 epochs"):
        model.fit(X, Y, batch_size=100, epochs=2, verbose=0, callbacks=[callback])
