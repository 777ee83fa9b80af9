import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

import tfimbalance as tfi

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
Y = RNG.choice(4, 500, p=[0.7, 0.2, 0.07, 0.03])
X = (RNG.normal(size=(500, 4)) + 2 * np.eye(4)[Y]).astype("float32")


def fitted(data, units=4, y=Y, kind=None, **arguments):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)])
    loss = (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if units > 1 and y.ndim == 1
        else keras.losses.BinaryCrossentropy(from_logits=True)
    )
    model.compile(keras.optimizers.Adam(0.1), loss, run_eagerly=True)
    report = tfi.callbacks.ClassReport(tfi.callbacks.Validation(data, **(kind or {})), **arguments)
    history = model.fit(X, y, 250, epochs=2, callbacks=[report], verbose=0).history
    return report, model.predict(X, verbose=0), history


def compare(report, history, y, said, weight=None, names=None):
    precision, recall, _, _ = precision_recall_fscore_support(
        y, said, sample_weight=weight, zero_division=np.nan
    )
    names = names or [str(k) for k in range(len(recall))]
    rows = {row["class"]: row for row in report.rows}
    for k, name in enumerate(names):
        assert rows[name]["recall"] == pytest.approx(recall[k], nan_ok=True)
        assert rows[name]["precision"] == pytest.approx(precision[k], nan_ok=True)
        assert history[f"val_recall_{name}"][-1] == pytest.approx(recall[k], nan_ok=True)
        assert history[f"val_precision_{name}"][-1] == pytest.approx(precision[k], nan_ok=True)


@pytest.mark.parametrize("kind", ["ids", "one-hot", "dataset", "weights"])
def test_is_scikit_learns(kind, capsys):
    weight = RNG.random(500) if kind == "weights" else None
    y = np.eye(4)[Y] if kind == "one-hot" else Y
    data = (X, y, weight) if weight is not None else (X, y)
    if kind == "dataset":
        data = tf.data.Dataset.from_tensor_slices(data).batch(97)
    report, z, history = fitted(
        data, class_names=list("abcd"), kind={"priors": tfi.class_statistics(Y)}
    )
    said = z.argmax(axis=1)
    compare(report, history, Y, said, weight, list("abcd"))
    right = balanced_accuracy_score(Y, said, sample_weight=weight)
    assert history["val_balanced_accuracy"][-1] == pytest.approx(right)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["class", "rows", "recall", "precision"]
    assert [line.split()[0] for line in printed[1:5]] == list("abcd")  # The rarest last.
    assert len(printed) == 10


@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_one_output_is_decided_by_the_threshold(threshold):
    y = (Y == 1).astype(int)
    report, z, history = fitted((X, y), units=1, y=y, threshold=threshold, every=0)
    compare(report, history, y, (z[:, 0] >= np.log(threshold / (1 - threshold))).astype(int))


def test_labels_are_counted_each_for_itself():
    y = np.stack([Y == 0, Y == 1, Y >= 1], axis=1).astype("float32")
    report, z, history = fitted(
        (X, y), units=3, y=y, kind={"multi_label": True}, threshold=[0.5, 0.3, 0.4], every=0
    )
    said = (z >= np.log(np.array([0.5, 0.3, 0.4]) / np.array([0.5, 0.7, 0.6]))).astype(int)
    compare(report, history, y, said)


def test_sequences_are_rows_of_their_steps():
    x = RNG.normal(size=(40, 5, 3)).astype("float32")
    y = RNG.integers(0, 3, (40, 5))
    model = keras.Sequential([keras.Input((5, 3)), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    report = tfi.callbacks.ClassReport((x, y), every=0)
    history = model.fit(x, y, callbacks=[report], verbose=0).history
    compare(report, history, y.ravel(), model.predict(x, verbose=0).argmax(axis=-1).ravel())


def test_the_rarest_classes_are_logged():
    _, _, history = fitted((X, Y), max_logged=2, every=0)
    assert {k for k in history if k.startswith("val_recall_")} == {"val_recall_2", "val_recall_3"}


def test_early_stopping_takes_any_of_its_logs():
    report = tfi.callbacks.ClassReport((X, Y), every=0)
    stop = keras.callbacks.EarlyStopping("val_recall_3", mode="max", patience=0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    model.compile(
        keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    assert len(model.fit(X, Y, epochs=9, callbacks=[report, stop], verbose=0).history["loss"]) == 2


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="4 names"):
        fitted((X, Y), class_names=["a"])
    with pytest.raises(ValueError, match="threshold"):
        tfi.callbacks.ClassReport((X, Y), threshold=2.0)
    with pytest.raises(ValueError, match="validation_data"):
        tfi.callbacks.ClassReport((X,))
    with pytest.warns(UserWarning, match="natural rate"):
        fitted(tfi.data.balanced_batches(X, Y, batch_size=100), every=0)


def test_two_classes_of_one_name_are_refused_before_the_first_step():
    """The second would take the place of the first in the logs."""
    x, y = np.eye(3, dtype="float32"), np.array([0, 1, 2])
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    report = tfi.callbacks.ClassReport((x, y), class_names=["a", "a", "b"])
    with pytest.raises(ValueError, match=r"`class_names`.*'a' for 2 classes"):
        model.fit(x, y, callbacks=[report], verbose=0)
    assert int(model.optimizer.iterations) == 0


def test_a_model_that_is_trained_is_measured_without_a_fit():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4_000, 1)).astype("float32")
    y = (rng.random(4_000) < 1 / (1 + np.exp(3 - 2 * x[:, 0]))).astype(int)
    plan = tfi.Rebalance(y, class_shares={1: 0.5})
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    plan.compile(model, keras.optimizers.Adam(0.1))
    model.fit(plan.dataset(x, y), epochs=3, verbose=0)
    held_out = plan.validation((x, y))
    report = tfi.callbacks.ClassReport(held_out, threshold=0.3)
    served = plan.calibrated(model, held_out)
    found = {row["class"]: row for row in report.measure(served)}
    said = served.predict(x, verbose=0)[:, 0] >= 0.3
    assert found["1"]["recall"] == pytest.approx(said[y == 1].mean())
    assert found["1"]["precision"] == pytest.approx(y[said].mean())
    assert "recall" in str(report)
    # The correction is put behind a model that has none.
    assert report.measure(model) == report.measure(plan.corrected(model))
