"""Models that are corrected: what they serve, saved and exported."""

import keras
import numpy as np
import processes
import pytest
import tensorflow as tf
from scipy.special import expit, logit

import tfimbalance as tfi

pytestmark = pytest.mark.slow

STATS = tfi.ClassStatistics([950, 50])


def two_gaussians(rows, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < 0.05).astype("int32")
    return (rng.normal(size=(rows, 2)) + (2 * y - 1)[:, None]).astype("float32"), y


@pytest.mark.slow
def test_saves_loads_and_exports_to_plain_tensorflow(tmp_path):
    x, y = two_gaussians(2_000)
    plan = tfi.Rebalance(y, class_shares={1: 0.2}, class_weight="balanced", focal_gamma=2.0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", plan.loss(from_logits=True))
    model.fit(plan.dataset(x, y, batch_size=100), epochs=1, verbose=0)
    corrected = plan.corrected(model)
    wanted = corrected.predict(x, verbose=0)
    corrected.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), wanted, rtol=1e-6)
    corrected.export(tmp_path / "served", verbose=False)
    np.save(tmp_path / "x.npy", x)
    # From elsewhere, where nothing of this package can be imported.
    paths = [tmp_path / name for name in ("served", "x.npy", "p.npy")]
    processes.finish(processes.start(tmp_path / "log", processes.serve_exported, *paths))
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), wanted, rtol=1e-6)


def test_any_kind_of_model_is_corrected():
    plan = tfi.Rebalance(STATS, class_weight={0: 1.0, 1: 19.0})
    x = np.random.default_rng(0).normal(size=(20, 2)).astype("float32")
    sequential = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    kernel, bias = sequential.get_weights()
    wanted = expit(x @ kernel + bias - np.log(19))

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

    subclassed = Subclassed()
    subclassed(x)
    inputs = {"a": keras.Input((1,), name="a"), "b": keras.Input((1,), name="b")}
    both = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
    of_dict = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(both))
    several = keras.Input((2,))
    outputs = {"click": keras.layers.Dense(1)(several), "other": keras.layers.Dense(3)(several)}
    of_two = keras.Model(several, outputs)
    for model in (subclassed, of_dict):
        model.set_weights([kernel, bias])
    of_two.layers[1].set_weights([kernel, bias])
    parts = {"a": x[:, :1], "b": x[:, 1:]}
    given = {"atol": 1e-6}
    np.testing.assert_allclose(plan.corrected(sequential)(x), wanted, **given)
    np.testing.assert_allclose(plan.corrected(subclassed, from_logits=True)(x), wanted, **given)
    np.testing.assert_allclose(plan.corrected(of_dict)(parts), wanted, **given)
    served = plan.corrected(of_two, output="click", from_logits=True)
    found = served(x)
    np.testing.assert_allclose(found["click"], wanted, **given)
    np.testing.assert_array_equal(found["other"], of_two(x)["other"])
    # Weights are shared: training on goes on being served.
    sequential.set_weights([kernel * 0, bias])
    np.testing.assert_allclose(plan.corrected(sequential)(x)[:, 0], 20 * [0.05], **given)


@keras.saving.register_keras_serializable("tests")
class OfDictionary(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(1)

    def call(self, inputs):
        return self.dense(inputs["a"])


def test_a_subclassed_model_of_a_dictionary_saves_and_exports(tmp_path):
    plan = tfi.Rebalance(STATS, class_shares="balanced")
    x = {"a": np.random.default_rng(0).normal(size=(20, 3)).astype("float32")}
    model = OfDictionary()
    served = plan.corrected(model, from_logits=True)
    wanted = served.predict(x, verbose=0)
    np.testing.assert_allclose(wanted, expit(model.predict(x, verbose=0) - np.log(19)), atol=1e-6)
    served.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), wanted, atol=1e-6)
    served.export(tmp_path / "saved", verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(exported.serve(x), wanted, atol=1e-6)


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("click_buy", "click")])
def test_two_outputs_are_corrected_one_after_the_other(first, second):
    inputs = keras.Input((2,))
    outputs = {name: keras.layers.Dense(1)(inputs) for name in (first, second)}
    model = keras.Model(inputs, outputs)
    plan = tfi.Rebalance(STATS, class_shares="balanced")
    once = plan.corrected(model, output=first, from_logits=True)
    twice = plan.corrected(once, output=second, from_logits=True)
    x = np.ones((3, 2))
    for name in (first, second):
        np.testing.assert_allclose(
            twice(x)[name], expit(model(x)[name].numpy() - np.log(19)), rtol=1e-5
        )
    with pytest.raises(ValueError, match="already"):
        plan.corrected(twice, output=first, from_logits=False)


def test_names_of_outputs_may_end_as_ours_do():
    i = keras.Input((2,))
    shared = keras.layers.Dense(4)(i)
    names = ["click_probability", "buy_probability"]
    model = keras.Model(
        i, [keras.layers.Dense(1, activation="sigmoid", name=name)(shared) for name in names]
    )
    plan = tfi.Rebalance(STATS, class_shares="balanced")
    once = plan.corrected(model, output=names[0])
    twice = plan.corrected(once, output=names[1])
    x = np.ones((3, 2))
    for before, after in zip(model(x), twice(x), strict=True):
        wanted = logit(before.numpy().astype("float64")) - np.log(19)
        np.testing.assert_allclose(after, expit(wanted), rtol=1e-4)


def test_an_output_that_is_corrected_under_another_name_is_refused():
    i = keras.Input((2,))
    plan = tfi.Rebalance(STATS, class_shares="balanced")
    served = plan.corrected(keras.Model(i, keras.layers.Dense(1)(i)))
    nested = keras.Model(i, {"x": served(i), "y": keras.layers.Dense(1)(i)})
    plan.corrected(nested, output="y")
    two = keras.Model(i, {name: keras.layers.Dense(1)(i) for name in "xy"})
    layer = tfi.calibration.PriorCorrection(0.5, 0.2, from_logits=True)
    by_hand = tfi.calibration.calibrated_model(two, layer, output="x")
    plan.corrected(by_hand, output="y")
    for model in (nested, by_hand):
        with pytest.raises(ValueError, match="corrected already"):
            plan.corrected(model, output="x")
