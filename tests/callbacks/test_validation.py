"""Validation rows are read once an epoch for all callbacks, without those that do not count."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import recall_score

import tfimbalance as tfi

pytestmark = pytest.mark.slow


class Counted(keras.layers.Layer):
    """Passes rows on, and counts them."""

    def __init__(self):
        super().__init__()
        self.rows = tf.Variable(0, dtype="int64", trainable=False)

    def call(self, x):
        self.rows.assign_add(tf.cast(tf.shape(x)[0], "int64"))
        return x


def rows_of_two_classes(n=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)).astype("float32")
    return x, (x[:, 0] + rng.normal(size=n) > 1.2).astype("int32")


def binary(*layers):
    """A model that takes few steps, eagerly: rows are predicted in a graph all the same."""
    model = keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(1)])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=True)
    return model


def of_two_outputs():
    x, a = rows_of_two_classes()
    b = (x[:, 1] > 0.5).astype("int32")
    i = keras.Input((2,))
    model = keras.Model(i, {k: keras.layers.Dense(1, "sigmoid", name=k)(i) for k in "ab"})
    model.compile("sgd", dict.fromkeys("ab", "binary_crossentropy"), run_eagerly=True)
    return model, x, {"a": a, "b": b}


READERS = {
    "ClassReport": lambda data: tfi.callbacks.ClassReport(data, every=0),
    "ThresholdTuner": tfi.callbacks.ThresholdTuner,
    "CorrectedValidation": tfi.callbacks.CorrectedValidation,
}
each_reader = pytest.mark.parametrize("make", READERS.values(), ids=READERS)


@pytest.mark.parametrize("as_dataset", [False, True], ids=["arrays", "dataset"])
def test_rows_are_predicted_once_an_epoch_for_all_who_read_them(as_dataset, tmp_path):
    x, y = rows_of_two_classes()
    counted = Counted()
    model = binary(counted)
    plan = tfi.Rebalance(y, class_weight={0: 1.0, 1: 5.0})
    model.compile("sgd", plan.loss(from_logits=True))
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(100) if as_dataset else (x, y)
    validation = plan.validation(data)
    readers = [
        *plan.callbacks(validation),
        tfi.callbacks.ThresholdTuner(validation),
        tfi.callbacks.ClassReport(validation, every=0),
        tfi.plots.TensorBoardReport(validation, tmp_path, every=2),
    ]
    at_epochs = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: at_epochs.append(int(counted.rows)),
        on_train_end=lambda logs: at_epochs.append(int(counted.rows)),
    )
    history = model.fit(x, y, epochs=3, batch_size=100, verbose=0, callbacks=[watch, *readers])
    assert np.diff(at_epochs).tolist() == [800] * 3  # 400 rows of training, 400 of validation.
    assert {"val_threshold", "val_balanced_accuracy", "val_corrected_normalized_entropy"} <= set(
        history.history
    )


def test_a_shared_pass_reports_what_a_pass_of_ones_own_does():
    x, y = rows_of_two_classes()
    histories = []
    for names in (READERS, *([name] for name in READERS)):
        keras.utils.set_random_seed(1)
        validation = tfi.callbacks.Validation((x, y), batch_size=64)
        given = {"callbacks": [READERS[name](validation) for name in names], "batch_size": 200}
        histories.append(binary().fit(x, y, epochs=2, verbose=0, **given).history)
    together, *histories = histories
    for name, history in zip(READERS, histories, strict=True):
        assert set(history) <= set(together), name
        assert any(key.startswith("val_") for key in history), name
        for key, values in history.items():
            np.testing.assert_allclose(together[key], values, rtol=1e-6, err_msg=f"{name}, {key}")


@each_reader
def test_another_fit_starts_as_new(make):
    """Warnings, the model and its rows are those of this fit, also after one that was cut off."""
    x, y = rows_of_two_classes(4_000)
    balanced = np.concatenate([np.flatnonzero(y == 1), np.flatnonzero(y == 0)[: y.sum()]])
    natural = tfi.callbacks.Validation((x, y), priors=tfi.class_statistics(y))
    reader, model = make(natural), binary()
    model.fit(x, y, batch_size=500, verbose=0, callbacks=[reader])
    reader.validation = tfi.callbacks.Validation(
        (x[balanced], y[balanced]), priors=tfi.class_statistics(y)
    )
    with pytest.warns(UserWarning, match="standard errors"):
        model.fit(x, y, batch_size=500, verbose=0, callbacks=[reader])
    with pytest.warns(UserWarning, match="standard errors"):
        model.fit(x, y, batch_size=500, verbose=0, callbacks=[reader])


def test_a_fit_that_was_cut_off_leaves_nothing_to_another_model():
    x, y = rows_of_two_classes()
    validation = tfi.callbacks.Validation((x, y))

    def cut_off(epoch, logs):
        raise KeyboardInterrupt

    stop = keras.callbacks.LambdaCallback(on_epoch_end=cut_off)
    tuner = tfi.callbacks.ThresholdTuner(validation)
    with pytest.raises(KeyboardInterrupt):
        binary().fit(x, y, batch_size=200, verbose=0, callbacks=[tuner, stop])
    model = binary()
    model.optimizer.learning_rate = 0.0
    model.set_weights([np.array([[9.0], [0.0]]), np.array([-3.0])])
    report = tfi.callbacks.ClassReport(validation, every=0)
    model.fit(x, y, batch_size=200, verbose=0, callbacks=[report])
    recall = {row["class"]: row["recall"] for row in report.rows}["1"]
    said = model.predict(x, verbose=0)[:, 0] > 0
    assert recall == pytest.approx(recall_score(y, said))


def test_callbacks_are_copied_and_rows_are_shared():
    x, y = rows_of_two_classes()
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(100)
    plan = tfi.Rebalance(y, class_weight={0: 1.0, 1: 5.0})
    for data in ((x, y), dataset):
        validation = plan.validation(data)
        callbacks = [make(validation) for make in READERS.values()] + plan.callbacks(validation)
        copied = copy.deepcopy(callbacks)
        readers = [c for c in copied if hasattr(c, "validation")]
        assert all(reader.validation is readers[0].validation for reader in readers)
        assert readers[0].validation is not validation
        assert readers[0].validation.data is data
        model = binary()
        model.compile("sgd", plan.loss(from_logits=True), run_eagerly=True)
        model.fit(x, y, batch_size=200, verbose=0, callbacks=copied)


def test_callbacks_of_losses_are_copied():
    x, y = rows_of_two_classes()
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(100)
    model = binary()
    loss = tfi.losses.BinaryLogitAdjustedLoss(0.1, tau=0.0, from_logits=True)
    model.compile("sgd", loss)
    callbacks = [
        tfi.callbacks.ClassWeight(dataset),
        tfi.callbacks.LossSchedule("tau", lambda epoch: 1.0 + epoch),
        tfi.callbacks.NaturalRate(tfi.class_statistics(y)),
    ]
    history = model.fit(x, y, epochs=2, verbose=0, callbacks=copy.deepcopy(callbacks)).history
    assert history["tau"] == [1.0, 2.0]


@pytest.mark.parametrize("how", ["mask", "weights", "ignore_class"])
def test_what_does_not_count_is_left_out(how):
    """Padded steps of sequences, steps of weight 0 and labels to ignore, beside their real rows."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, 6, (40, 7))
    y = (x + rng.integers(0, 2, x.shape) > 4).astype("int32")
    real = np.arange(7) < rng.integers(1, 7, (40, 1))
    embedding = keras.layers.Embedding(6, 1, mask_zero=how == "mask")
    model = keras.Sequential([keras.Input((None,)), embedding, keras.layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy", run_eagerly=True)
    embedding.set_weights([np.arange(6.0)[:, None] - 3.5])
    model.layers[1].set_weights([np.ones((1, 1)), np.zeros(1)])
    data = {
        "mask": (x * real, y),
        "weights": (x, y, real.astype("float32")),
        "ignore_class": (x, np.where(real, y, -1)),
    }[how]
    ignored = -1 if how == "ignore_class" else None
    validations = (
        tfi.callbacks.Validation(data, ignore_class=ignored),
        tfi.callbacks.Validation((x[real][:, None], y[real][:, None])),
    )
    found, wanted = (
        model.fit(
            x, y[..., None], verbose=0, callbacks=[make(rows) for make in READERS.values()]
        ).history
        for rows in validations
    )
    keys = [key for key in wanted if key.startswith("val_")]
    of_each = ("val_balanced_accuracy", "val_threshold", "val_corrected_normalized_entropy")
    assert {*of_each} <= {*keys}
    for key in keys:
        np.testing.assert_allclose(found[key], wanted[key], rtol=1e-6, err_msg=key)


def test_each_output_has_log_keys_of_its_own():
    model, x, y = of_two_outputs()
    validations = [tfi.callbacks.Validation((x, y), output=name) for name in "ab"]
    readers = [make(validation) for make in READERS.values() for validation in validations]
    history = model.fit(x, y, batch_size=200, verbose=0, callbacks=readers).history
    keys = [key for key in history if key.startswith("val_")]
    of_a = [key for key in keys if key.startswith("val_a_")]
    of_each = ("val_a_balanced_accuracy", "val_a_threshold", "val_a_corrected_normalized_entropy")
    assert {*of_each} <= {*of_a}
    assert len(of_a) * 2 == len(keys)
    assert {key.replace("val_a_", "val_b_") for key in of_a} <= set(keys)


def test_no_key_of_another_is_overwritten():
    x, y = rows_of_two_classes()
    few = slice(0, 100)
    model = binary()
    metric = tfi.metrics.BalancedAccuracy(from_logits=True)
    model.compile("sgd", model.loss, metrics=[metric], run_eagerly=True)
    reports = [tfi.callbacks.ClassReport((x[few], y[few]), every=0) for _ in range(2)]
    rows = {"batch_size": 200, "verbose": 0}
    history = model.fit(x, y, **rows, validation_data=(x, y), callbacks=reports).history
    right = model.evaluate(x, y, **rows, return_dict=True)["balanced_accuracy"]
    assert history["val_balanced_accuracy"][0] == pytest.approx(right)
    assert "val_class_report_balanced_accuracy" in history
    assert "val_class_report_balanced_accuracy_2" in history


@each_reader
@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (lambda x, y: (x, y + 0.5), "y"),
        (lambda x, y: (x, y[:-1]), "399"),
        (lambda x, y: (x, np.where(np.arange(len(y)) == 399, 7, y)), "7"),
        (lambda x, y: (x, y, np.where(np.arange(len(y)) == 399, -1.0, 1.0)), "weight"),
    ],
    ids=["fractions", "lengths", "last label", "last weight"],
)
def test_bad_rows_are_refused_before_the_first_step(make, wrong, match):
    x, y = rows_of_two_classes()
    steps = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(1))
    with pytest.raises(ValueError, match=match):
        binary().fit(x, y, verbose=0, callbacks=[watch, make(wrong(x, y))])
    assert not steps


def test_logits_of_one_of_several_outputs_are_seen():
    x, y = rows_of_two_classes(100)
    plan = tfi.Rebalance(y, class_weight={0: 1.0, 1: 5.0})
    i = keras.Input((2,))
    logits = keras.layers.Dense(1, name="a")
    ends = {"a": logits(i), "b": keras.layers.Dense(1, "sigmoid", name="b")(i)}
    for model in (keras.Model(i, ends), keras.Model(i, [ends["a"], ends["b"]])):
        wanted = plan.corrected(keras.Model(i, ends["a"])).predict(x, verbose=0)
        found = plan.corrected(model, output="a").predict(x, verbose=0)
        found = found["a"] if isinstance(found, dict) else found[0]
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
        losses = {"a": plan.loss(from_logits=True), "b": "binary_crossentropy"}
        model.compile("sgd", losses, run_eagerly=True)
        both = {"a": y, "b": y}
        validation = plan.validation((x, both), output="a")
        tuner = tfi.callbacks.ThresholdTuner(validation)
        model.fit(x, both, verbose=0, callbacks=[*plan.callbacks(validation), tuner])
        decided = tuner.wrap(model).predict(x, verbose=0)
        decided = decided["a"] if isinstance(decided, dict) else decided[0]
        assert set(np.unique(decided)) == {0, 1}
    with pytest.raises(ValueError, match="one of the outputs"):
        plan.corrected(keras.Model(i, ends))


def test_masked_steps_of_arrays_are_not_judged_before_they_are_known():
    """Neither by their rate nor by their labels: what is padding shows when it is predicted."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, 9, (2000, 6))
    x[:, 1:] = 0
    y = np.where(x == 0, -1, x >= 7)[..., None]
    inputs = keras.Input((6,), dtype="int32")
    masked = keras.layers.Embedding(10, 2, mask_zero=True)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(masked))
    plan = tfi.Rebalance((x[:, 0] >= 7).astype(int), class_weight="balanced")
    model.compile("sgd", plan.loss(from_logits=True), run_eagerly=True)
    report = tfi.callbacks.ClassReport(plan.validation((x, y)), every=0)
    model.fit(x, np.maximum(y, 0), verbose=0, batch_size=500, callbacks=[report])
    assert sum(row["rows"] for row in report.rows) == 2000  # A false rate would have warned.


def test_labels_of_several_outputs_in_a_list():
    """Of other widths, of other rates: those of another output are not the plan's."""
    x, y = rows_of_two_classes()
    plan = tfi.Rebalance(y, class_weight="balanced")
    wide = np.eye(3)[np.arange(len(y)) % 3]
    i = keras.Input((2,))
    model = keras.Model(
        i,
        [
            keras.layers.Dense(1, name="click", activation="sigmoid")(i),
            keras.layers.Dense(3, name="kind", activation="softmax")(i),
        ],
    )
    model.compile("sgd", [plan.loss(), "categorical_crossentropy"], run_eagerly=True)
    both = [y, wide]
    arrays = plan.validation((x, both), output="click")
    dataset = tf.data.Dataset.from_tensor_slices((x, (y, wide))).batch(100)
    batches = plan.validation(dataset, output="click")
    readers = [tfi.callbacks.ClassReport(v, every=0) for v in (arrays, batches)]
    callbacks = [*plan.callbacks(arrays), *readers]
    model.fit(x, both, verbose=0, validation_data=(x, both), callbacks=callbacks)
    assert readers[0].rows == readers[1].rows


@pytest.mark.parametrize("as_dataset", [False, True])
def test_an_output_that_is_not_there_is_named(as_dataset):
    model, x, y = of_two_outputs()
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(100) if as_dataset else (x, y)

    def run():
        report = tfi.callbacks.ClassReport(tfi.callbacks.Validation(data, output="c"))
        model.fit(x, y, verbose=0, callbacks=[report])

    with pytest.raises(ValueError, match=r"`output`: expected one of .*a.*b.*Received: 'c'"):
        run()


def test_a_validation_of_two_fits_at_once_is_refused():
    x, y = rows_of_two_classes()
    validation = tfi.callbacks.Validation((x, y))

    def another(epoch, logs):
        report = tfi.callbacks.ClassReport(validation, every=0)
        binary().fit(x, y, verbose=0, callbacks=[report])

    nested = keras.callbacks.LambdaCallback(on_epoch_begin=another)
    report = tfi.callbacks.ClassReport(validation, every=0)
    with pytest.raises(ValueError, match="serves one fit at a time"):
        binary().fit(x, y, verbose=0, callbacks=[nested, report])


def test_metrics_are_metrics():
    for metrics in (3, "auc", [len]):
        with pytest.raises(ValueError, match="`metrics`: expected a list of Keras metrics"):
            tfi.callbacks.CorrectedValidation((np.ones((2, 1)), np.array([0, 1])), metrics=metrics)


def test_words_are_predicted_as_they_come():
    words = np.array(["rare", "common", "common", "rare"])
    given = keras.Input((), dtype="string", name="word")
    lookup = keras.layers.StringLookup(vocabulary=["rare", "common"], output_mode="one_hot")
    model = keras.Model({"word": given}, keras.layers.Dense(1, "sigmoid")(lookup(given)))
    rows = tfi.callbacks.Validation(({"word": words}, np.array([1, 0, 0, 1])))
    found = rows.read(model).given[:, 0]
    expected = model.predict({"word": words.astype(object)}, verbose=0)[:, 0]
    np.testing.assert_allclose(found, expected)


def test_a_model_trained_with_offsets_is_judged_as_the_one_inside():
    x, y = np.linspace(-2, 2, 40, dtype="float32")[:, None], np.repeat([0, 1], 20)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    trained = tfi.layers.OffsetModel(model)
    trained.compile(keras.optimizers.SGD(0.1), keras.losses.BinaryCrossentropy(from_logits=True))
    watched = tfi.callbacks.CorrectedValidation(tfi.callbacks.Validation((x, y)))
    offset = np.full((40, 1), 2.0, "float32")
    logs = trained.fit((x, offset), y, batch_size=40, callbacks=[watched], verbose=0).history
    p = keras.ops.sigmoid(model(x))
    expected = float(tfi.metrics.NormalizedEntropy()(y, p))
    assert logs["val_corrected_normalized_entropy"] == [pytest.approx(expected, rel=1e-5)]
