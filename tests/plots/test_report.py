"""One page about a model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib import pyplot as plt
from plots.drawn import (
    CURVES,
    Shown,
    dense,
    endless,
    gaussians,
    legend_of,
    models,
    sigmoid,
    titles,
    widths,
    xy,
)
from sklearn import metrics as sk

from tfimbalance import plots

pytestmark = pytest.mark.slow

BINARY = [
    "Class balance",
    "Precision and recall",
    "Reliability",
    "Cumulative gain",
    "Lift",
    "Thresholds",
]


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_report_draws_what_the_functions_draw(activation):
    y, _, x = gaussians(0.1, 600)
    model = dense(1, activation)
    figure = plots.report(model, x, y, after=[0.5, 0.5], threshold=0.5, title="A model")
    assert titles(figure) == BINARY
    assert figure.get_suptitle() == f"A model: 600 rows, {100 * y.mean():.2g}% positive"
    np.testing.assert_allclose(
        widths(figure.axes[0]), [1 - y.mean(), y.mean(), 0.5, 0.5], rtol=1e-6
    )
    p = model.predict(x, verbose=0)
    for draw, ax in zip(CURVES, figure.axes[1:]):
        alone = draw(y, p, from_logits=activation is None)
        for one, other in zip(models(ax), models(alone), strict=True):
            np.testing.assert_allclose(xy(one), xy(other), rtol=1e-5)
    assert any(t.startswith("at 0.5: ") for t in legend_of(figure.axes[5]))


@pytest.mark.parametrize("weighted", [True, False])
def test_report_reads_a_dataset_once(weighted):
    y, _, x = gaussians(0.2, 300)
    weight = np.random.default_rng(2).random(300).astype("float32")
    read = []

    def rows():
        read.append("once")
        # Another order each time: a second pass would not match the labels.
        for k in np.random.default_rng(len(read)).permutation(300):
            yield (x[k], y[k], weight[k]) if weighted else (x[k], y[k])

    spec = [tf.TensorSpec((2,)), tf.TensorSpec((), tf.int64), tf.TensorSpec(())]
    dataset = tf.data.Dataset.from_generator(rows, output_signature=tuple(spec[: 2 + weighted]))
    model = dense(1)
    figure = plots.report(model, dataset.batch(64))
    assert read == ["once"]
    arrays = plots.report(model, x, y, sample_weight=weight if weighted else None)
    for ax, other in zip(figure.axes[1:], arrays.axes[1:]):
        assert legend_of(ax) == legend_of(other)


def test_report_predicts_arrays_once_and_takes_dicts(monkeypatch):
    y, _, x = gaussians(0.2, 200)
    a, b = keras.Input((1,), name="a"), keras.Input((1,), name="b")
    joined = keras.layers.Concatenate()([a, b])
    model = keras.Model({"a": a, "b": b}, keras.layers.Dense(1, activation="sigmoid")(joined))
    calls, predict = [], keras.Model.predict
    monkeypatch.setattr(keras.Model, "predict", lambda *a, **k: calls.append(k) or predict(*a, **k))
    figure = plots.report(model, {"a": x[:, :1], "b": x[:, 1:]}, y[:, None], batch_size=50)
    assert [call["batch_size"] for call in calls] == [50]
    assert titles(figure) == BINARY


@pytest.mark.parametrize(("activation", "form"), [(None, "ids"), ("softmax", "one-hot")])
def test_report_of_classes_is_of_the_rarest(activation, form):
    rng = np.random.default_rng(0)
    ids = rng.choice(4, 800, p=[0.6, 0.1, 0.02, 0.28])
    x = rng.normal(size=(800, 2)) + ids[:, None]
    model = dense(5, activation)  # Class 4 has no rows: the rarest is the rarest that there is.
    truth = ids if form == "ids" else np.eye(5)[ids]
    figure = plots.report(model, x, truth, class_names=list("abcde"))
    counts = np.bincount(ids, minlength=5)
    np.testing.assert_allclose(widths(figure.axes[0]), counts / 800)
    assert "curves of class 2 (c), the rarest, against the rest" in figure.get_suptitle()
    predicted = model.predict(x, verbose=0)
    alone = plots.precision_recall(ids, predicted, class_id=2, from_logits=activation is None)
    assert legend_of(figure.axes[1]) == legend_of(alone)
    recall = [(predicted.argmax(axis=1) == k)[ids == k].mean() for k in range(4)]
    np.testing.assert_allclose(widths(figure.axes[5]), [*recall, 0])
    assert figure.axes[5].texts[-1].get_text() == "no rows"
    assert titles(figure)[5] == f"Recall of each class (mean {np.mean(recall):.3f})"
    other = plots.report(model, x, truth, class_id=3)
    assert "curves of class 3, against the rest" in other.get_suptitle()


def test_report_of_labels_decides_at_the_threshold():
    rng = np.random.default_rng(0)
    x, tags = rng.normal(size=(400, 2)), (rng.random((400, 3)) < [0.5, 0.3, 0.1]).astype(int)
    for model, more in ((dense(3, "sigmoid"), {}), (dense(3), {"multi_label": True})):
        figure = plots.report(model, x, tags, threshold=0.3, **more)
        p = model.predict(x, verbose=0)
        p = sigmoid(p) if more else p
        expected = sk.recall_score(tags, p >= 0.3, average=None)
        np.testing.assert_allclose(widths(figure.axes[5]), expected)
        assert "curves of label 2, the rarest: " in figure.get_suptitle()
        alone = plots.precision_recall(tags[:, 2], p[:, 2])
        assert legend_of(figure.axes[1]) == legend_of(alone)
    # Ids of classes that have an output each are rows with a single 1.
    ids = np.arange(400) % 3
    by_id, by_row = (plots.report(model, x, y, multi_label=True) for y in (ids, np.eye(3)[ids]))
    for one, other in zip(by_id.axes[1:5], by_row.axes[1:5], strict=True):
        assert legend_of(one) == legend_of(other)
    np.testing.assert_array_equal(widths(by_id.axes[5]), widths(by_row.axes[5]))


def test_report_of_a_long_tail():
    rng = np.random.default_rng(0)
    ids = np.minimum(rng.geometric(0.1, 3000) - 1, 29)
    x = rng.normal(size=(3000, 2)) + np.stack([ids % 6, ids // 6], axis=1)
    model = dense(30)
    figure = plots.report(model, x, ids)
    counts = np.bincount(ids, minlength=30)
    predicted = model.predict(x, verbose=0).argmax(axis=1)
    recall = np.array([(predicted == k)[ids == k].mean() for k in range(30)])
    expected = recall[np.argsort(-counts, kind="stable")]
    np.testing.assert_allclose(xy(models(figure.axes[5])[0])[1], expected)
    figure.draw_without_rendering()


def ending(*layers):
    inputs = keras.Input((2,))
    outputs = keras.layers.Dense(1)(inputs)
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: ending(), "linear"),
        (lambda: ending(keras.ops.sigmoid), "sigmoid"),
        (lambda: ending(keras.layers.Activation("sigmoid")), "sigmoid"),
        (lambda: ending(keras.layers.Activation("linear", dtype="float32")), "linear"),
        (lambda: ending(keras.layers.Activation("sigmoid"), keras.layers.Flatten()), "sigmoid"),
        (lambda: ending(keras.layers.Softmax()), "softmax"),
        (lambda: ending(keras.layers.Reshape((1,)), keras.layers.Dropout(0.1)), "linear"),
        (lambda: keras.Sequential([keras.Input((2,)), dense(3, "softmax")]), "softmax"),
        (lambda: ending(keras.layers.ReLU()), None),
        (lambda: ending(keras.layers.Dense(1, activation="relu")), None),
        (lambda: ending(lambda x: x + 1), None),
        (lambda: keras.Sequential([keras.layers.Dense(1, "sigmoid")]), "sigmoid"),
        (Shown, None),
    ],
)
def test_the_end_of_a_model_is_seen_in_its_structure(make, expected):
    from tfimbalance._evaluation.ending import last_activation

    assert last_activation(make()) == expected


@pytest.mark.parametrize(
    ("model", "data", "more", "message"),
    [
        (lambda: "model", lambda: (np.zeros((2, 2)), [0, 1]), {}, r"`model`: expected a Keras"),
        (Shown, lambda: (np.zeros((2, 2)), [0, 1]), {}, r"`from_logits`: expected True or False"),
        (lambda: dense(1), lambda: (np.zeros((2, 2)),), {}, r"`y`: expected the labels"),
        (lambda: dense(1), lambda: (endless(),), {}, r"`x`: expected a dataset that ends"),
        (lambda: dense(1), lambda: (endless().take(2), [0, 1]), {}, r"`y`: expected None"),
        (lambda: dense(1), lambda: (endless().take(2).unbatch(),), {}, r"dataset of batches"),
        (lambda: dense(1), lambda: (endless().take(0),), {}, r"at least one batch"),
        (lambda: dense(1), lambda: (endless().take(2).map(lambda x, y: x),), {}, r"\(x, y\)"),
        (
            lambda: dense(1),
            lambda: (np.zeros((2, 2)), [0, 1]),
            {"class_id": 1},
            r"`class_id`: expected ",
        ),
        (lambda: dense(3), lambda: (np.zeros((2, 2)), [0, 1]), {"class_id": 3}, r"0 to 2"),
        (lambda: dense(3), lambda: (np.zeros((2, 2)), [0, 1]), {"threshold": 0.5}, r"highest"),
        (lambda: dense(1), lambda: (np.zeros((2, 2)), [0, 1]), {"batch_size": "1"}, "batch_size"),
        (
            lambda: keras.Model(i := keras.Input((2,)), [keras.layers.Dense(1)(i) for _ in "ab"]),
            lambda: (np.zeros((2, 2)), [0, 1]),
            {"from_logits": True},
            r"`model`: expected a model of one output.*2 outputs",
        ),
    ],
)
def test_report_refuses(model, data, more, message):
    with pytest.raises(ValueError, match=message):
        plots.report(model(), *data(), **more)
    assert not plt.get_fignums()


def test_a_model_that_does_not_show_its_end_can_be_told():
    y, _, x = gaussians(0.2, 200)
    figure = plots.report(Shown(), x, y, from_logits=True)
    alone = plots.precision_recall(y, x.sum(axis=1), from_logits=True)
    assert legend_of(figure.axes[1]) == legend_of(alone)


def test_labels_that_are_not_known_are_left_out_one_by_one():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 3)).astype("float32")
    full = rng.random((800, 3)) < 1 / (1 + np.exp(2 - x))
    y = np.where(rng.random((800, 3)) < [1.0, 0.5, 0.0], full, -1)
    layer = keras.layers.Dense(3, "sigmoid", kernel_initializer="identity")
    model = keras.Sequential([keras.Input((3,)), layer])
    figure = plots.report(model, x, y, ignore_class=-1, threshold=0.6, class_id=1)
    known = y[:, 1] != -1
    rates = [y[:, 0].mean(), y[known, 1].mean(), 0.0]
    np.testing.assert_allclose(widths(figure.axes[0]), rates, rtol=1e-6)
    assert [text.get_text() for text in figure.axes[0].texts][-1] == "not known"
    p = model.predict(x, verbose=0)
    alone = plots.precision_recall(y[known, 1], p[known, 1])
    for one, other in zip(models(figure.axes[1]), models(alone), strict=True):
        np.testing.assert_allclose(xy(one), xy(other), rtol=1e-5)
    recalls = [
        sk.recall_score(y[:, 0], p[:, 0] >= 0.6),
        sk.recall_score(y[known, 1], p[known, 1] >= 0.6),
    ]
    np.testing.assert_allclose(widths(figure.axes[5]), [*recalls, 0.0], rtol=1e-6)
    with pytest.raises(ValueError, match="rows that count"):
        plots.report(model, x, np.full_like(y, -1), ignore_class=-1)
