import keras
import numpy as np
import oracles
import pytest

import tfimbalance as tfi

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype("float32")
Y = np.repeat([0, 1, 2], [40, 8, 2])
COUNTS = np.array([40, 8, 2])


def model_with(loss):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    # A learning rate of 0: what fit reports is the loss of known weights, epoch after epoch.
    model.compile(keras.optimizers.SGD(0.0), loss)
    return model


@pytest.mark.slow
def test_moves_the_loss_that_fit_reports():
    model = model_with(tfi.losses.LogitAdjustedLoss(COUNTS, tau=0.0, from_logits=True))
    callback = tfi.callbacks.LossSchedule("tau", lambda epoch: min(1.0, epoch / 2))
    history = model.fit(
        X, Y, epochs=4, batch_size=50, verbose=0, callbacks=[callback], validation_data=(X, Y)
    ).history
    z = model.predict(X, verbose=0).astype("float64")
    log_pi = np.log(COUNTS / 50)
    right = [oracles.crossentropy(Y, z + tau * log_pi).mean() for tau in (0, 0.5, 1, 1)]
    np.testing.assert_allclose(history["loss"], right, rtol=1e-5)
    np.testing.assert_allclose(history["val_loss"], right, rtol=1e-5)
    assert history["tau"] == [0.0, 0.5, 1.0, 1.0]


def test_takes_a_schedule_of_keras():
    model = model_with(tfi.losses.LogitAdjustedLoss(COUNTS, tau=0.0, from_logits=True))
    ramp = keras.optimizers.schedules.PiecewiseConstantDecay([0.5, 1.5], [0.0, 0.5, 1.0])
    callback = tfi.callbacks.LossSchedule("tau", ramp)
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[callback]).history
    assert history["tau"] == [0.0, 0.5, 1.0]


def test_a_moved_number_is_saved(tmp_path):
    model = model_with(tfi.losses.LDAMLoss(COUNTS))
    model.fit(X, Y, verbose=0, callbacks=[tfi.callbacks.LossSchedule("max_margin", lambda _: 0.2)])
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.loss.get_config()["max_margin"] == 0.2
    assert again.evaluate(X, Y, verbose=0) == pytest.approx(model.evaluate(X, Y, verbose=0))


@pytest.mark.slow
@pytest.mark.parametrize("output", ["b", None])
def test_one_output_or_all(output):
    inputs = keras.Input((4,))
    heads = {name: keras.layers.Dense(3, name=name)(inputs) for name in "abc"}
    model = keras.Model(inputs, heads)
    losses = {n: tfi.losses.LogitAdjustedLoss(COUNTS, tau=0.0, from_logits=True) for n in "ab"}
    losses["c"] = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.0), losses)
    callback = tfi.callbacks.LossSchedule("tau", lambda epoch: 1.0, output=output)
    history = model.fit(
        X, dict.fromkeys("abc", Y), batch_size=50, verbose=0, callbacks=[callback]
    ).history
    assert history["b_tau" if output else "tau"] == [1.0]
    predicted = model.predict(X, verbose=0)
    for name in "abc":
        tau = float(name != "c" and output in (None, name))
        z = predicted[name].astype("float64") + tau * np.log(COUNTS / 50)
        assert history[f"{name}_loss"][0] == pytest.approx(
            oracles.crossentropy(Y, z).mean(), rel=1e-5
        )


def test_says_what_it_did(capsys):
    model = model_with(tfi.losses.LogitAdjustedLoss(COUNTS, tau=0.0, from_logits=True))
    callback = tfi.callbacks.LossSchedule("tau", lambda epoch: 0.5, verbose=1)
    model.fit(X, Y, verbose=0, callbacks=[callback])
    assert "logit_adjusted_loss: tau 0.5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("loss", "argument", "schedule", "message"),
    [
        (
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "tau",
            lambda epoch: 1.0,
            r"LogitAdjustedLoss\(stats",
        ),
        (
            tfi.losses.LogitAdjustedLoss(COUNTS, from_logits=True),
            "margin",
            lambda epoch: 1.0,
            "'tau'.*'margin'",
        ),
        (
            tfi.losses.LDAMLoss(COUNTS),
            "scale",
            lambda epoch: -1.0,
            "`scale`.*-1",
        ),
        (
            tfi.losses.LDAMLoss(COUNTS),
            "scale",
            lambda epoch: "1",
            r"`schedule\(0\)`",
        ),
        (
            tfi.losses.LDAMLoss(COUNTS),
            "scale",
            lambda epoch, logs: 1.0,
            r"`schedule`: expected a function of the epoch alone.*schedule\(0\)",
        ),
    ],
)
def test_refuses_before_the_first_step(loss, argument, schedule, message):
    model = model_with(loss)
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, verbose=0, callbacks=[tfi.callbacks.LossSchedule(argument, schedule)])


def test_a_schedule_is_a_function():
    with pytest.raises(ValueError, match="lambda epoch"):
        tfi.callbacks.LossSchedule("tau", 1.0)
    with pytest.raises(ValueError, match="`argument`: expected the name"):
        tfi.callbacks.LossSchedule(["tau"], float)
    with pytest.raises(ValueError, match="'nope'"):
        model_with(tfi.losses.LDAMLoss(COUNTS)).fit(
            X,
            Y,
            verbose=0,
            callbacks=[tfi.callbacks.LossSchedule("scale", lambda epoch: 1.0, output="nope")],
        )
