"""Validation rows: whether they are at the natural rate, and what is measured on them."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfimbalance as tfi
from tfimbalance.callbacks.natural_rate import rate_z

pytestmark = pytest.mark.slow


def two_gaussians(rows, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < 0.05).astype("int32")
    return (rng.normal(size=(rows, 2)) + (2 * y - 1)[:, None]).astype("float32"), y


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
    model.compile("sgd", three.loss(from_logits=True), run_eagerly=True)
    given = {"validation_data": (x[:1000], rows), "callbacks": three.callbacks()}
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model.fit(x, y, batch_size=1000, verbose=0, **given)
    assert any("validation_data of fit: class 1" in str(w.message) for w in found)


def fitted(plan, x, y, validation_data, callbacks):
    """A few steps, eagerly: validation rows are predicted in a graph all the same."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.05), plan.loss(from_logits=True), run_eagerly=True)
    dataset = plan.dataset(x, y, 1000)
    return model, model.fit(
        dataset,
        epochs=2,
        validation_data=validation_data,
        validation_batch_size=1000,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )


def test_fit_warns_of_validation_data_that_is_resampled():
    x, y = two_gaussians(4_000)
    plan = tfi.Rebalance(y, class_shares="balanced")
    half = np.concatenate([np.flatnonzero(y == 1), np.flatnonzero(y == 0)[: int(y.sum())]])
    for data in ((x[half], y[half]), plan.dataset(x, y, 1000)):
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
        fitted(plan, x, y, None, plan.callbacks(plan.dataset(x, y, 1000)))


def test_pixels_of_a_mask_are_one_draw():
    """Of 300 masks with one disk each, 80 chosen at random are no other population."""
    rng = np.random.default_rng(0)
    columns, radius = np.arange(32), rng.uniform(2, 14, (300, 1, 1))
    disk = (columns[:, None] - 16) ** 2 + (columns - 16) ** 2
    masks = (disk < radius**2).astype("int32")
    plan = tfi.Rebalance(masks[:220].ravel())
    natural = tfi.callbacks.NaturalRate(plan.statistics)
    far = rng.permutation(masks.mean(axis=(1, 2)).argsort()[-120:])[:80]
    with pytest.warns(UserWarning, match="standard errors"):
        assert natural.check(masks[far].ravel()) > 5
    assert natural.check(masks[far].ravel(), steps=32 * 32) < 5
    model = keras.Sequential([keras.Input((32, 32, 1)), keras.layers.Conv2D(1, 1)])
    model.compile("sgd", plan.loss(from_logits=True), run_eagerly=True)
    x = masks[..., None].astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = plan.validation((x[far], masks[far][..., None]))
        model.fit(
            x[far],
            masks[far][..., None],
            validation_data=(x[far], masks[far][..., None]),
            callbacks=[tfi.callbacks.NaturalRate(plan.statistics)],
            verbose=0,
        )
        rows.read(plan.corrected(model))
    with pytest.warns(UserWarning, match="class 1"):  # Other images altogether.
        plan.validation((x, np.ones_like(masks)[..., None])).read(plan.corrected(model))


def test_padding_is_no_row_of_another_class():
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 50, (400, 20)) * (np.arange(20) < rng.integers(3, 20, (400, 1)))
    y = ((rng.random(ids.shape) < 0.3) & (ids > 0)).astype("int32")
    plan = tfi.Rebalance(y[ids > 0])
    layers = [keras.layers.Embedding(50, 4, mask_zero=True), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((20,)), *layers])
    model.compile("sgd", plan.loss(from_logits=True), run_eagerly=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = {"validation_data": (ids, y[..., None]), "callbacks": plan.callbacks()}
        model.fit(ids, y[..., None], batch_size=400, verbose=0, **given)
    known = np.where(ids > 0, y, -1)
    natural = tfi.callbacks.NaturalRate(plan.statistics, ignore_class=-1)
    assert natural.check(known) < 1e-6
    for steps in (0, -1, 1.5):
        with pytest.raises(ValueError, match="`steps`"):
            natural.check(known, steps=steps)


@pytest.mark.parametrize(("rate", "epochs"), [(0.05, 6), (1e-4, 1)], ids=["overfitted", "started"])
def test_a_correction_that_fits_is_not_questioned(rate, epochs):
    x, y = two_gaussians(300)
    x = np.concatenate([x, np.random.default_rng(1).normal(size=(300, 60))], axis=1)
    plan = tfi.Rebalance(y, class_weight="balanced")
    hidden = [keras.layers.Dense(64, "relu"), keras.layers.BatchNormalization()]
    model = keras.Sequential([keras.Input((62,)), *hidden, keras.layers.Dense(1)])
    plan.prepare(model)
    model.compile(keras.optimizers.Adam(rate), plan.loss(from_logits=True))
    valid = (np.random.default_rng(2).normal(size=(4_000, 62)), two_gaussians(4_000, seed=2)[1])
    valid[0][:, :2] = two_gaussians(4_000, seed=2)[0]
    # Weights of rows change what metrics say, not what a probability promises.
    weights = np.where(valid[1] == 1, 10.0, 1.0)
    callbacks = plan.callbacks(plan.validation((*valid, weights)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, y, epochs=epochs, callbacks=callbacks, verbose=0)


@pytest.mark.parametrize("also_in_fit", [True, False])
def test_a_correction_that_does_not_fit_what_was_trained_is_said(also_in_fit):
    x, y = two_gaussians(4_000)
    x = x[::-1]  # Nothing to learn but the rate.
    plan = tfi.Rebalance(y, class_weight="balanced")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    plan.prepare(model)
    model.compile(keras.optimizers.Adam(0.1), plan.loss(from_logits=True))
    given = {"class_weight": plan.class_weight} if also_in_fit else {}
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model.fit(x, y, callbacks=plan.callbacks((x, y)), epochs=3, verbose=0, **given)
    said = [str(w.message) for w in found if "on average" in str(w.message)]
    assert bool(said) == also_in_fit
    if said:
        assert "times the rate of the validation rows" in said[0]
        assert "class_weight" in said[0]
