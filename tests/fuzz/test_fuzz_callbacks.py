"""Callbacks and pictures of anything."""

import inspect

import keras
import numpy as np
import tensorflow as tf
from fuzz.arguments import PRIORS, arguments_of, labels
from fuzz.given import FLAGS, UNIT
from fuzz.judge import REFUSED, examples, holds, judged
from fuzz.rows import rows
from hypothesis import given
from hypothesis import strategies as st

import tfimbalance as tfi

OF_CALLBACKS = {
    "labels": st.one_of(PRIORS, st.just([0, 0, 1]), st.just(np.eye(2)[[0, 1, 1]])),
    "scheme": st.sampled_from(["balanced", "inverse_sqrt", "effective_number"]),
    "beta": st.sampled_from([None, 0.9, 2.0]),
    "empty_classes": st.sampled_from(["raise", "zero"]),
    "ignore_class": st.sampled_from([None, -1]),
    "start_epoch": st.integers(0, 3),
    "output": st.sampled_from([None, "click"]),
    "verbose": st.sampled_from([0, 1]),
    "priors": PRIORS,
    "validation_data": st.sampled_from(
        [
            (np.ones((4, 2)), np.array([0, 1, 0, 1])),
            tf.data.Dataset.from_tensor_slices((np.ones((4, 2)), [0, 1, 0, 1])).batch(2),
        ]
    ),
    "data": st.sampled_from(
        [(np.ones((4, 2)), np.array([0, 1, 0, 1])), (np.ones((4, 2)), np.array([0, 1, 0]))]
    ),
    "class_names": st.sampled_from([None, ["a", "b"], ["a", "a"], "ab"]),
    "threshold": UNIT,
    "every": st.integers(1, 3),
    "max_logged": st.integers(0, 20),
    "metrics": st.sampled_from([None, [], [tfi.metrics.BrierScore()]]),
    "argument": st.sampled_from(["tau", "gamma"]),
    "schedule": st.sampled_from([float, lambda epoch: 0.5]),
    "objective": st.sampled_from(
        [
            "f1",
            "fbeta",
            "cost",
            "recall_at_precision",
            "precision_at_recall",
            "recall_at_flagged",
            "balanced_accuracy",
        ]
    ),
    "costs": st.sampled_from([[[0, 10], [1, 0]], [[0, 1], [1, 0], [1, 1]], {0: 1}]),
    "precision": UNIT,
    "recall": UNIT,
    "share": UNIT,
    "from_logits": st.sampled_from([None, True, False]),
    "multi_label": FLAGS,
    "batch_size": st.sampled_from([1, 2, 1024]),
    "dataset": st.just(tf.data.Dataset.range(3)),
    "correct": st.none(),
    "queries": st.just(np.arange(4)),
    "items": st.just(np.arange(6)),
    "positives": st.sampled_from([[[0], [1], [5], []], np.arange(4), ([0, 3], [1, 1])]),
    "seen": st.sampled_from([None, [[1], [2], [], []]]),
    "counts": st.sampled_from([None, [6, 5, 4, 3, 2, 0], {0: 9}]),
    "k": st.sampled_from([1, (2, 6)]),
    "bands": st.integers(1, 6),
    "tau": UNIT,
    "temperature": UNIT,
    "query_tower": st.just(keras.layers.Embedding(4, 2)),
    "item_tower": st.just(keras.layers.Embedding(6, 2)),
}
CALLBACKS = [getattr(tfi.callbacks, name) for name in tfi.callbacks.__all__]


@st.composite
def callbacks(draw):
    call = draw(st.sampled_from(CALLBACKS))
    return call, draw(arguments_of(call, OF_CALLBACKS))[0]


def small_model(units, activation):
    inputs = keras.Input((2,))
    return keras.Model(inputs, keras.layers.Dense(units, activation)(inputs))


MODEL = []


@examples()
@given(callbacks())
def test_callbacks(drawn):
    call, kwargs = drawn
    callback = judged("callbacks", call, **kwargs)
    if callback is REFUSED:
        return
    callback._fuzzed = kwargs
    if isinstance(callback, tfi.callbacks.NaturalRate):
        judged("callbacks", callback.check, np.array([0, 1, 0, 1]))
    if isinstance(callback, (tfi.callbacks.ClassWeight, tfi.callbacks.LossSchedule)):
        judged("callbacks", callback.value, 1)


@examples(0.02)
@given(callbacks())
def test_callbacks_at_work(drawn):
    call, kwargs = drawn
    callback = judged("callbacks", call, **kwargs)
    if callback is REFUSED or not hasattr(callback, "set_model"):
        return
    callback._fuzzed = kwargs
    model = small_model(1, "sigmoid")
    model.compile("sgd", tfi.losses.BinaryFocalLoss(), run_eagerly=True)
    callback.set_model(model)
    for step in ("on_train_begin", "on_epoch_begin", "on_epoch_end"):
        args = () if step == "on_train_begin" else (0,)
        if judged("callbacks", getattr(callback, step), *args) is REFUSED:
            return


OF_PLOTS = {
    "num_bins": st.integers(1, 15),
    "bins": st.sampled_from([None, "width", "mass", "even", "quantile"]),
    "confidence": UNIT,
    "log": st.sampled_from([None, True, False]),
    "from_logits": FLAGS,
    "class_id": st.sampled_from([None, 0, 1]),
    "label": st.sampled_from([None, "model"]),
    "ax": st.none(),
    "threshold": st.one_of(st.none(), UNIT),
    "after": st.one_of(st.none(), PRIORS),
    "class_names": st.sampled_from([None, ["a", "b"], ["a", "a"]]),
}
PLOTS = [
    tfi.plots.cumulative_gain,
    tfi.plots.lift,
    tfi.plots.precision_recall,
    tfi.plots.reliability,
    tfi.plots.threshold_curves,
]


@st.composite
def plots(draw):
    call = draw(st.sampled_from(PLOTS))
    kwargs, spoilt = draw(arguments_of(call, OF_PLOTS))
    case = draw(rows())
    if "from_logits" in inspect.signature(call).parameters and spoilt != "from_logits":
        kwargs["from_logits"] = case.from_logits
    return call, kwargs, case


@examples(0.1)
@given(plots())
def test_plots(drawn):
    call, kwargs, case = drawn
    if case.sample_weight is not None:
        kwargs = {**kwargs, "sample_weight": case.sample_weight}
    axes = judged("plots", call, case.y_true, case.y_pred, **kwargs)
    if axes is not REFUSED:
        good = not case.must
        holds(
            "plots",
            good,
            f"draws {case.spoilt} {case.how}",
            call,
            case.y_true,
            case.y_pred,
            **kwargs,
        )


@examples(0.05)
@given(st.one_of(labels(), PRIORS.map(lambda p: (None, None, p, ("priors", False)))), st.data())
def test_balance_plots(drawn, data):
    kwargs, _ = data.draw(arguments_of(tfi.plots.class_balance, OF_PLOTS))
    judged("plots", tfi.plots.class_balance, drawn[2], **kwargs)


@st.composite
def reports(draw):
    likely = {
        **OF_PLOTS,
        "from_logits": st.sampled_from([None, True, False]),
        "before": st.one_of(st.none(), PRIORS),
        "multi_label": st.sampled_from([None, True, False]),
        "batch_size": st.sampled_from([2, 10]),
        "title": st.sampled_from([None, "a"]),
    }
    return draw(rows()), draw(arguments_of(tfi.plots.report, likely))[0]


@examples(0.005)
@given(reports())
def test_reports(drawn):
    case, kwargs = drawn
    width = case.width if case.kind in ("sparse", "one_hot", "labels") else 1
    model = small_model(width, "softmax" if case.softmax else "sigmoid")
    x = np.ones((case.size, 2), "float32")
    more = {"sample_weight": case.sample_weight, **kwargs}
    judged("plots", tfi.plots.report, model, x, case.y_true, **more)
