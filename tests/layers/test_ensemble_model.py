"""A few networks, trained by one fit as each would be alone, and served as their mean."""

import contextlib

import keras
import numpy as np
import pytest
from backend import DTYPES, array, tensor
from scipy.special import expit, logit, softmax

import tfimbalance as tfi


def dense(seed=0, units=1, activation=None, **kwargs):
    keras.utils.set_random_seed(seed)
    hidden = keras.layers.Dense(4, "relu", kernel_regularizer=keras.regularizers.L2(0.1))
    last = keras.layers.Dense(units, activation)
    return keras.Sequential([keras.Input((3,)), hidden, last], **kwargs)


def rows(n=64):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)).astype("float32"), (rng.random(n) < 0.3).astype("float32")


@pytest.mark.any_backend
def test_each_member_is_trained_as_it_would_be_alone():
    """Under plain gradient descent, to which a factor of the loss would matter."""
    x, y = rows()
    alone, together = [dense(1), dense(2)], tfi.layers.EnsembleModel([dense(1), dense(2)])
    for model in [*alone, together]:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.5), loss)
    single = [model.fit(x, y, epochs=2, shuffle=False, verbose=0) for model in alone]
    both = together.fit(x, y, epochs=2, shuffle=False, verbose=0)
    weights = [*alone[0].weights, *alone[1].weights]
    for found, expected in zip(together.weights, weights, strict=True):
        np.testing.assert_allclose(array(found), array(expected), atol=1e-6)
    # What is logged is the mean of their losses, each with what regularises both.
    losses = np.array([history.history["loss"] for history in single])
    penalties = np.array([float(array(sum(model.losses))) for model in alone])
    plain = together.evaluate(x, y, verbose=0) - penalties.sum()
    p = expit([array(model(x)) for model in alone]).mean(axis=0)[:, 0]
    assert plain == pytest.approx(-np.log(np.where(y, p, 1 - p)).mean(), rel=1e-5)
    assert both.history["loss"][0] > losses[:, 0].mean()


@pytest.mark.only_on("tensorflow", why="tf.distribute is TensorFlow's")
def test_replicas_regularise_members_as_one_device_does():
    import tensorflow as tf

    x, y = rows()
    on_one = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=on_one)
    found = []
    for scope in (contextlib.nullcontext(), strategy.scope()):
        with scope:
            model = tfi.layers.EnsembleModel([dense(1), dense(2)])
            loss = keras.losses.BinaryCrossentropy(from_logits=True)
            model.compile(keras.optimizers.SGD(0.5), loss)
        logs = model.fit(x, y, batch_size=64, shuffle=False, verbose=0).history
        found.append([*logs["loss"], *np.concatenate([w.ravel() for w in model.get_weights()])])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-6)


def test_masked_steps_are_masked_in_the_mean():
    def member(seed):
        start = keras.initializers.RandomNormal(seed=seed)
        embedding = keras.layers.Embedding(5, 3, start, mask_zero=True)
        return keras.Sequential([keras.Input((4,)), embedding, keras.layers.Dense(1)])

    x, y = np.array([[1, 2, 0, 0], [3, 4, 1, 0]]), np.ones((2, 4, 1))
    model = tfi.layers.EnsembleModel([member(0), member(1)], from_logits=True)
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    p = expit(model.model.predict(x, verbose=0))[x > 0]
    assert model.evaluate(x, y, verbose=0) == pytest.approx(-np.log(p).mean(), rel=1e-5)


@pytest.mark.any_backend
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_mean_is_of_probabilities(dtype):
    members = np.array([[[2.0], [-1.0]], [[0.5], [3.0]], [[-4.0], [0.0]]])
    layer = tfi.layers.MeanProbability(from_logits=True, dtype=dtype)
    found = layer([tensor(z, dtype) for z in members])
    within = {"float64": 1e-12, "float32": 1e-5}.get(dtype, 5e-2)
    np.testing.assert_allclose(array(found), logit(expit(members).mean(axis=0)), atol=within)
    many = np.array([[[2.0, 0.0, 1.0]], [[0.0, 0.0, 5.0]]])
    found = softmax(array(layer([tensor(z, dtype) for z in many])).astype("float64"), axis=-1)
    np.testing.assert_allclose(found, softmax(many, axis=-1).mean(axis=0), atol=within)
    sure = [tensor([[1e4], [-1e4], [-1e4]], dtype), tensor([[-1e4], [-1e4], [2.0]], dtype)]
    # Half of what a sure and an unsure member say; of two that are sure, what both say.
    expected = [0.0, -1e4, logit(expit(2.0) / 2)]
    np.testing.assert_allclose(array(layer(sure))[:, 0], expected, atol=within, rtol=1e-2)


def test_labels_are_averaged_each_for_itself():
    one, other = np.array([[0.0, 2.0]]), np.array([[1.0, -3.0]])
    layer = tfi.layers.MeanProbability(from_logits=True, activation="sigmoid")
    expected = logit((expit(one) + expit(other)) / 2)
    np.testing.assert_allclose(array(layer([tensor(one), tensor(other)])), expected, rtol=1e-5)
    found = tfi.layers.MeanProbability()([tensor([[0.2, 0.9]]), tensor([[0.4, 0.1]])])
    np.testing.assert_allclose(array(found), [[0.3, 0.5]], rtol=1e-6)


@pytest.mark.parametrize("offset", [False, True])
def test_a_plan_trains_corrects_and_cuts_an_ensemble(offset, tmp_path):
    rng = np.random.default_rng(0)
    y = (rng.random(4_000) < 0.05).astype("int32")
    x = (rng.normal(size=(4_000, 3)) + y[:, None]).astype("float32")
    plan = tfi.Rebalance(y, class_shares={1: 0.25}, offset=offset)
    trained = plan.model([dense(1), dense(2)])
    assert plan.prepare(trained).count("starts at") == 2
    metric = tfi.metrics.AveragePrecision(from_logits=True)
    trained.compile("adam", plan.loss(from_logits=True), metrics=[metric])
    validation = plan.validation((x, y))
    tuner = tfi.callbacks.ThresholdTuner(validation)
    callbacks = [*plan.callbacks(validation), tuner]
    history = trained.fit(plan.dataset(x, y), callbacks=callbacks, verbose=0).history
    assert {"average_precision", "val_threshold"} < set(history)
    members = [plan.corrected(member).predict(x, verbose=0) for member in trained.members]
    served = plan.corrected(trained)
    p = served.predict(x, verbose=0)
    if offset:  # Where nothing is undone behind the mean, it is that of what members serve.
        np.testing.assert_allclose(p, np.mean(members, axis=0), rtol=1e-5)
    served.save(tmp_path / "served.keras")
    loaded = keras.saving.load_model(tmp_path / "served.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), p, rtol=1e-6)
    trained.save(tmp_path / "trained.keras")
    again = keras.saving.load_model(tmp_path / "trained.keras")
    np.testing.assert_allclose(array(again.model(x)), array(trained.model(x)), rtol=1e-6)
    assert again.optimizer.iterations == trained.optimizer.iterations
    again.fit(plan.dataset(x, y), steps_per_epoch=1, verbose=0)  # It goes on.
    decisions = tuner.wrap(trained).predict(x, verbose=0)
    assert set(np.unique(decisions)) <= {0, 1}
    with pytest.raises(ValueError, match="trained for"):
        plan.prepare(trained)


def test_members_that_do_not_fit_are_refused():
    same, ensemble = dense(), tfi.layers.EnsembleModel
    for members, why in (
        ([dense()], "two models or more"),
        (dense(), "two models or more"),
        ([same, same], "weights of their own"),
        ([dense(), dense(activation="sigmoid")], "of one architecture"),
        ([dense(), dense(units=2)], "of one shape"),
        ([dense(name="net"), dense(name="net")], "names of their own"),
        ([tfi.layers.OffsetModel(dense()), dense()], "with an offset, or none"),
        ([keras.Sequential([keras.layers.Dense(1)]), dense()], "built models"),
        (["a", "b"], "built models"),
    ):
        with pytest.raises(ValueError, match=why):
            ensemble(members)
    with pytest.raises(ValueError, match="without an offset yet"):
        tfi.layers.OffsetModel(ensemble([dense(), dense()]))
    offsets = ensemble([tfi.layers.OffsetModel(dense()), tfi.layers.OffsetModel(dense())])
    with pytest.raises(ValueError, match="takes probabilities"):
        offsets.compile("sgd", "binary_crossentropy")
    with pytest.raises(ValueError, match="outputs of one shape"):
        tfi.layers.MeanProbability()(np.zeros((2, 1)))
    with pytest.raises(ValueError, match="for one output"):
        tfi.layers.MeanProbability(activation="softmax")([np.zeros((2, 1))] * 2)
