"""Plausible arguments, by their names."""

import inspect

import keras
import numpy as np
import tensorflow as tf
from fuzz.given import FLAGS, JUNK, NUMBERS, UNIT
from fuzz.rows import SPOILT_LABELS, ids_of
from hypothesis import strategies as st

import tfimbalance as tfi

WEIGHTS = st.one_of(
    st.just({0: 1.0, 1: 3.0}),
    st.just([1.0, 3.0]),
    st.just([1.0, 2.0, 3.0]),
    st.lists(st.floats(0, 9), min_size=2, max_size=4),
    st.just({0: 0, 1: 1}),
)
PRIORS = st.one_of(
    st.just([0.75, 0.25]),
    st.just([3, 1]),
    st.just([0.5, 0.3, 0.2]),
    st.just([5, 3, 2, 1]),
    st.just(tfi.ClassStatistics([90, 10])),
    st.just(tfi.ClassStatistics([90, 10, 1])),
    st.just({0: 9, 1: 1}),
    st.just(0.25),
    st.just([0.25]),
    st.just([0.2, 0.3, 0.4]),
    st.just(tfi.ClassStatistics([3, 4], 9, True)),
    st.just([0.0, 1.0]),
)


REDUCTIONS = st.sampled_from(
    [None, "none", "sum", "sum_over_batch_size", "mean", "mean_with_sample_weight"]
)
OF_LOSSES = {
    "priors": PRIORS,
    "loss": st.one_of(
        st.builds(tfi.losses.BinaryFocalLoss),
        st.builds(keras.losses.BinaryCrossentropy),
        st.builds(keras.losses.SparseCategoricalCrossentropy),
        st.just("mse"),
        st.just("binary_crossentropy"),
        st.builds(keras.losses.CategoricalCrossentropy),
    ),
    "gamma": NUMBERS,
    "gamma_neg": NUMBERS,
    "gamma_pos": NUMBERS,
    "margin": UNIT,
    "tau": NUMBERS,
    "max_margin": NUMBERS,
    "scale": NUMBERS,
    "alpha": UNIT,
    "pos_weight": st.one_of(NUMBERS, WEIGHTS),
    "class_weight": WEIGHTS,
    "label_smoothing": UNIT,
    "from_logits": FLAGS,
    "ignore_class": st.sampled_from([None, -1, 0, 1, 255]),
    "reduction": REDUCTIONS,
    "surrogate": st.sampled_from(["squared_hinge", "logistic"]),
}


KEPT = {"reduction", "dtype"}  # Keras' own arguments, and errors.


@st.composite
def arguments_of(draw, thing, likely):
    """Arguments of a constructor: those that it needs and some others, at most one of them junk."""
    parameters = inspect.signature(thing).parameters.values()
    names = [p.name for p in parameters if p.name in likely]
    needed = [p.name for p in parameters if p.name in likely and p.default is p.empty]
    chosen = needed + [n for n in names if n not in needed and draw(st.integers(0, 3)) == 0]
    spoilt = draw(st.sampled_from(chosen)) if chosen and draw(st.integers(0, 4)) == 4 else None
    spoilt = None if spoilt in KEPT else spoilt
    return {name: draw(JUNK if name == spoilt else likely[name]) for name in chosen}, spoilt


def finite(value):
    return bool(np.isfinite(np.asarray(value, np.float64)).all())


def read(case):
    """Predictions as they were given, in float64: logits or probabilities."""
    return np.asarray(
        keras.ops.convert_to_numpy(case.y_pred)
        if keras.ops.is_tensor(case.y_pred)
        else case.y_pred,
        np.float64,
    )


OF_LAYERS = {
    "gamma": NUMBERS,
    "from_logits": FLAGS,
    "activation": st.sampled_from([None, "sigmoid", "softmax"]),
    "train_priors": PRIORS,
    "target_priors": PRIORS,
    "temperature": NUMBERS,
    "scale": st.one_of(st.none(), WEIGHTS),
    "bias": st.one_of(st.none(), WEIGHTS),
    "scores": st.one_of(st.none(), st.just([0.1, 0.5, 0.9]), st.just([[0.1, 0.5], [0.2, 0.6]])),
    "probabilities": st.one_of(
        st.none(), st.just([0.0, 0.4, 0.8]), st.just([[0.1, 0.5], [0.2, 0.6]])
    ),
    "loss": st.one_of(OF_LOSSES["loss"], st.builds(tfi.losses.WeightedBinaryCrossentropy, NUMBERS)),
    "loss_from_logits": st.sampled_from([None, True, False]),
    "units": st.integers(1, 4),
    "threshold": st.one_of(UNIT, st.just([0.1, 0.5]), st.just([0.3, 0.3, 0.3])),
    "priors": PRIORS,
}


@st.composite
def labels(draw, least=0):
    """Labels alone: ids, one-hot rows or several a row; datasets of them; and what is spoilt."""
    size, width = draw(st.integers(least, 12)), draw(st.integers(2, 4))
    ids, given_ids = draw(ids_of(size, width))
    kind = draw(
        st.sampled_from(
            ["ids", "ids", "column", "one_hot", "dataset", "batches", "pairs", "spoilt", "junk"]
        )
    )
    if kind == "column":
        return ids, width, ids[:, None], None
    if kind == "one_hot":
        return (
            ids,
            width,
            np.eye(width, dtype=draw(st.sampled_from(["int32", "float32", "bool"])))[ids],
            None,
        )
    if kind == "dataset":
        return ids, width, tf.data.Dataset.from_tensor_slices(ids), None
    if kind == "batches":
        return ids, width, tf.data.Dataset.from_tensor_slices(ids).batch(3), None
    if kind == "pairs":
        return (
            ids,
            width,
            tf.data.Dataset.from_tensor_slices((np.zeros((size, 2)), ids)).batch(3),
            None,
        )
    if kind == "spoilt" and size:
        how = draw(st.sampled_from(sorted(SPOILT_LABELS)))
        change, must = SPOILT_LABELS[how]
        return (
            ids,
            width,
            change(ids),
            (how, must and how not in ("far", "shorter", "longer", "2**31", "2**32")),
        )
    if kind == "junk":
        return ids, width, draw(JUNK), ("junk", False)
    return ids, width, given_ids, None
