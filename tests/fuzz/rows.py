"""Labels beside predictions, right and spoilt."""

import numpy as np
import pandas as pd
import tensorflow as tf
from fuzz.given import NAN
from hypothesis import strategies as st
from scipy.special import expit
from scipy.special import softmax as softmax_of


class Case:
    """Rows of labels, predictions and weights; what was spoiled, and whether it must be refused."""

    def __init__(self, **parts):
        self.__dict__.update(parts)


IDS = [
    "int8",
    "uint8",
    "int16",
    "int32",
    "int64",
    "uint32",
    "uint64",
    "float32",
    "float64",
    "float16",
]


def as_kind(draw, array, kinds=("array", "list", "tensor", "series", "tuple", "object", "masked")):
    """Give an array as another kind of the same values."""
    kind = draw(st.sampled_from(kinds))
    if kind == "list":
        return array.tolist()
    if kind == "tuple":
        return tuple(array.tolist())
    if kind == "tensor":
        return tf.constant(array)
    if kind == "series" and array.ndim == 1:
        return pd.Series(array, index=np.arange(len(array))[::-1] + 3)
    if kind == "object":
        return array.astype(object)
    if kind == "masked":
        return np.ma.masked_array(array, np.zeros(array.shape, bool))
    return array


@st.composite
def ids_of(draw, rows, classes, kinds=("array", "list", "tensor", "series", "object", "masked")):
    """Class ids of any dtype and kind."""
    ids = np.array(draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows)), int)
    dtype = draw(st.sampled_from([*IDS, "bool"] if classes == 2 else IDS))
    return ids, as_kind(draw, ids.astype(dtype), kinds)


# What spoils labels, and whether it has to be refused (or to show).
def _put(value):
    def put(y):
        y = np.array(y, np.float64)
        y.flat[0] = value
        return y

    return put


SPOILT_LABELS = {
    "nan": (_put(NAN), True),
    "-1": (_put(-1), True),
    "far": (_put(1000), True),
    "inf": (_put(np.inf), True),
    "2**31": (lambda y: _put(2**31)(y).astype("int64"), True),
    "2**32": (lambda y: _put(2**32)(y).astype("int64"), True),
    "fraction": (_put(0.3), False),
    "1.5": (_put(1.5), True),
    "string": (lambda y: np.asarray(y).astype(str), True),
    "bytes": (lambda y: np.asarray(y).astype("S"), True),
    "none": (lambda y: [None, *np.asarray(y).ravel().tolist()][: max(1, np.size(y))], True),
    "complex": (lambda y: np.asarray(y) + 1j, True),
    "date": (lambda y: np.asarray(y).astype("datetime64[D]"), True),
    "masked": (lambda y: np.ma.masked_array(y, np.ones(np.shape(y), bool)), False),
    "0-d": (lambda y: np.asarray(y).ravel()[0], True),
    "shorter": (lambda y: np.asarray(y)[:-1], True),
    "longer": (lambda y: np.concatenate([y, y]), True),
    "row": (lambda y: np.asarray(y)[None], False),
    "rank": (lambda y: np.asarray(y)[..., None, None], False),
    "wide": (lambda y: np.stack([y, y, y, y, y], -1), False),
    "sparse": (lambda y: tf.sparse.from_dense(np.atleast_2d(y)), True),
    "ragged": (lambda y: tf.ragged.constant([[0], [1, 0]]), True),
    "nothing": (lambda y: None, True),
    "dict": (lambda y: {"y": y}, True),
    "lists": (lambda y: [[0], [1, 0]], True),
    "frame": (lambda y: pd.DataFrame({"y": np.asarray(y).ravel()}), False),
    "category": (lambda y: pd.Series(np.asarray(y).ravel()).astype("category"), False),
    "missing": (
        lambda y: pd.Series([None, *np.asarray(y).ravel().tolist()[1:]], dtype="Int64"),
        True,
    ),
    "function": (lambda y: len, True),
}
SPOILT_SCORES = {
    "nan": (_put(NAN), False),
    "inf": (_put(np.inf), False),
    "-inf": (_put(-np.inf), False),
    "1e30": (_put(1e30), False),
    "-1e300": (_put(-1e300), False),
    "2": (_put(2.0), False),
    "string": (lambda y: np.asarray(y).astype(str), True),
    "words": (lambda y: np.array(["a"] * len(y)), True),
    "none": (lambda y: np.full(np.shape(y), None), True),
    "complex": (lambda y: np.asarray(y) + 1j, True),
    "date": (lambda y: np.zeros(np.shape(y), "datetime64[D]"), True),
    "masked": (lambda y: np.ma.masked_array(y, np.ones(np.shape(y), bool)), False),
    "0-d": (lambda y: np.asarray(y).ravel()[0], True),
    "shorter": (lambda y: np.asarray(y)[:-1], True),
    "longer": (lambda y: np.concatenate([y, y]), True),
    "row": (lambda y: np.asarray(y)[None], False),
    "rank": (lambda y: np.asarray(y)[..., None], False),
    "wide": (lambda y: np.stack([y, y, y], -1), False),
    "ints": (lambda y: np.asarray(y).astype("int32"), False),
    "flags": (lambda y: np.asarray(y) > 0.5, False),
    "sparse": (lambda y: tf.sparse.from_dense(np.atleast_2d(y)), True),
    "nothing": (lambda y: None, True),
    "dict": (lambda y: {"y": y}, True),
    "lists": (lambda y: [[0.5], [1.0, 0.0]], True),
    "frame": (lambda y: pd.DataFrame(np.atleast_2d(y)), False),
    "no columns": (lambda y: np.zeros((len(y), 0)), True),
    "function": (lambda y: len, True),
}
SPOILT_WEIGHTS = {
    "negative": (lambda n: -np.ones(n), False),
    "nan": (lambda n: np.full(n, NAN), False),
    "inf": (lambda n: np.full(n, np.inf), False),
    "string": (lambda n: np.array(["1"] * n), True),
    "none": (lambda n: [None] * n, True),
    "complex": (lambda n: np.ones(n) + 1j, True),
    # One weight is that of all rows.
    "shorter": (lambda n: np.ones(n - 1 if n != 2 else 0), True),
    "longer": (lambda n: np.ones(n + 2), True),
    "one": (lambda n: 2.0, False),
    "of one": (lambda n: np.ones(1), False),
    "row": (lambda n: np.ones((1, n)), False),
    "square": (lambda n: np.ones((n, n)), False),
    "rank": (lambda n: np.ones((n, 1, 1)), False),
    "wide": (lambda n: np.ones((n, 7)), True),
    "dict": (lambda n: {0: 1.0, 1: 2.0}, True),
    "word": (lambda n: "balanced", True),
    "lists": (lambda n: [[1.0], [1.0, 2.0]], True),
    "function": (lambda n: len, True),
}


@st.composite
def rows(draw, kinds=("binary", "column", "sparse", "one_hot", "labels"), least=2, plain=False):
    """Labels beside predictions, of any kind; one time in two something is spoilt."""
    kind = draw(st.sampled_from(kinds))
    size, width = draw(st.integers(least, 7)), draw(st.integers(2, 4))
    classes = 2 if kind in ("binary", "column", "labels") else width
    of = (size, width) if kind == "labels" else (size,)
    cells = int(np.prod(of))
    y = np.array(draw(st.lists(st.integers(0, classes - 1), min_size=cells, max_size=cells)), int)
    y = y.reshape(of)
    shape = {"binary": (size,), "column": (size, 1)}.get(kind, (size, width))
    cells = int(np.prod(shape))
    most = draw(st.sampled_from([1.0, 5.0, 50.0, 1e3]))
    z = np.array(draw(st.lists(st.floats(-1, 1, width=16), min_size=cells, max_size=cells))) * most
    z = z.reshape(shape)
    from_logits = draw(st.booleans())
    softmax = kind in ("sparse", "one_hot")
    p = softmax_of(z, axis=-1) if softmax else expit(z)
    true = np.eye(width, dtype=int)[y] if kind == "one_hot" else y
    if kind in ("column", "sparse") and draw(st.booleans()):
        true = true[..., None]
    weight = draw(
        st.none() | st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=size, max_size=size)
    )
    spoilt = (
        None if plain else draw(st.sampled_from([None, None, None, "y_true", "y_pred", "weight"]))
    )
    must, how = False, None
    given = z if from_logits else p
    pred_type = draw(st.sampled_from(["float32", "float64", "float16", "list", "tensor"]))
    if pred_type.startswith("float"):
        given = given.astype(pred_type)
    elif pred_type == "list":
        given = given.tolist()
    else:
        given = tf.constant(given, draw(st.sampled_from([tf.float32, tf.float64, tf.bfloat16])))
    dtypes = ["int8", "uint8", "int32", "int64", "uint16", "float16", "float32", "float64"]
    given_true = true.astype(
        draw(st.sampled_from([*dtypes, "bool"] if classes == 2 or kind == "one_hot" else dtypes))
    )
    given_true = as_kind(draw, given_true, ("array", "list", "tensor"))
    given_weight = weight
    if weight is not None:
        given_weight = np.array(weight, draw(st.sampled_from(["float32", "float64", "float16"])))
        given_weight = (
            given_weight[:, None] if draw(st.booleans()) and kind != "labels" else given_weight
        )
        given_weight = as_kind(draw, given_weight, ("array", "list", "tensor"))
    if spoilt == "y_true":
        how = draw(st.sampled_from(sorted(SPOILT_LABELS)))
        change, must = SPOILT_LABELS[how]
        given_true = change(true)
        # Rows of weight 0 may hold anything.
        of_value = how in ("nan", "-1", "far", "inf", "2**31", "2**32", "1.5", "missing")
        must = must and not (of_value and weight is not None and weight[0] == 0)
    elif spoilt == "y_pred":
        how = draw(st.sampled_from(sorted(SPOILT_SCORES)))
        change, must = SPOILT_SCORES[how]
        given = change(z if from_logits else p)
    elif spoilt == "weight":
        how = draw(st.sampled_from(sorted(SPOILT_WEIGHTS)))
        change, must = SPOILT_WEIGHTS[how]
        given_weight = change(size)
    weight = np.ones(size) if weight is None else np.array(weight)
    return Case(
        kind=kind,
        size=size,
        width=width,
        y=y,
        true=true,
        z=z,
        p=p,
        softmax=softmax,
        from_logits=from_logits,
        weight=weight,
        y_true=given_true,
        y_pred=given,
        sample_weight=given_weight,
        spoilt=spoilt,
        how=how,
        must=must and spoilt is not None,
    )
