"""Input of other kinds: an error of ours that says what came and what to do, or it works."""

import collections
import inspect

import imblearn.over_sampling
import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf

import tfimbalance as tfi

X, Y = np.zeros((100, 2), "float32"), np.repeat([0, 1], [90, 10])
Element = collections.namedtuple("Element", "x y")


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = slice(index * 50, index * 50 + 50)
        return X[rows], Y[rows]


def batches(x, y=Y):
    return next(iter(tfi.data.balanced_batches(x, y, batch_size=10)))


def named_elements():
    return tf.data.Dataset.from_tensor_slices(Element(X, Y))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tfi.data.balanced_stream(named_elements()), r"`dataset`.*Map the named tuple"),
        (lambda: tfi.data.augment(named_elements(), lambda x: x), r"`dataset`.*named tuple"),
        (lambda: tfi.class_statistics(named_elements()), r"`labels`.*named tuple Element"),
        (lambda: batches(X, scipy.sparse.csr_matrix(np.eye(2)[Y])), r"`y`.*csr_matrix.*argmax"),
        (lambda: batches(X, tf.sparse.from_dense(np.eye(2)[Y])), r"`y`.*SparseTensor"),
        (lambda: batches(X, tf.ragged.constant([[int(k)] for k in Y])), r"`y`.*RaggedTensor"),
        (lambda: batches(X.astype("longdouble")), r"`x`.*up to 64 bits"),
        (lambda: batches(np.zeros(100, [("a", "f4")])), r"`x`.*fields of a record"),
        (lambda: batches(scipy.sparse.coo_array(np.arange(100))), r"`x`.*two axes"),
        (lambda: tfi.class_statistics(Batches()), r"`labels`.*a Batches.*concatenate"),
        (lambda: tfi.class_weights((X, Y)), r"`labels`.*a tuple.*Pass y alone"),
        (lambda: batches(Batches()), r"`x`: expected arrays with a row axis.*Batches"),
        (lambda: tfi.data.balanced_stream(lambda: iter([])), r"`dataset`.*from_generator"),
        (
            lambda: batches({"a": X, "b": pd.Series(["a"] * 22 + [None] + ["b"] * 77)}),
            r"`x\['b'\]`.*row 22",
        ),
        (lambda: batches([[1], [2, 3]] * 50), r"`x`.*mixed objects such as"),
        (
            lambda: tfi.data.weighted_undersampling(
                X, Y, keep_weight=0.5, per_class_offset=np.ones(2)
            ),
            r"`per_class_offset`: expected True or False",
        ),
        (
            lambda: batches(pd.DataFrame({"id": np.arange(100) + 2**53, "v": np.ones(100)})),
            r"`x`.*float64.*9007199254741091 in column 'id'.*dict\(frame\)",
        ),
        (
            lambda: batches(
                pd.DataFrame(
                    {"u": np.uint64(2**63) + np.arange(100, dtype="u8"), "i": np.arange(100)}
                )
            ),
            r"`x`.*float64.*column 'u'",
        ),
        (
            lambda: tfi.data.resampled_batches(
                np.eye(100) / 3, np.repeat([0, 1], [97, 3]), imblearn.over_sampling.SMOTE()
            ),
            r"`sampler`.*SMOTE.*Class 1 has 3 rows.*k_neighbors=2",
        ),
        (
            lambda: tfi.data.weighted_undersampling(X, np.ones((100, 3)), keep_weight=0.5),
            r"`y`.*no class to thin by",
        ),
        (
            lambda: tfi.data.weighted_undersampling(X, Y, keep_weight=int),
            r"`keep_weight`: expected a function of an array of row numbers",
        ),
        (
            lambda: tfi.data.weighted_undersampling(X, Y, keep_weight=1e-45),
            r"`keep_weight`.*at least 1e-09",
        ),
        (
            lambda: tfi.data.balanced_batches(X, Y, batch_size=2**63),
            r"`batch_size`: expected fewer than",
        ),
        (
            lambda: tfi.data.resampled_batches(
                X, Y, imblearn.over_sampling.RandomOverSampler(), quantities=0.5
            ),
            r"`quantities`: expected numbers of columns",
        ),
        (lambda: batches(X, [[0], [1, 0]]), r"`y`.*mixed objects"),
        (
            lambda: tfi.data.resampled_batches(
                X, [[0], [1, 0]], imblearn.over_sampling.RandomOverSampler()
            ),
            r"`y`.*rows that differ in length",
        ),
        (
            lambda: tfi.data.balanced_batches(X, Y, labels=np.array(0.5)),
            r"`labels`: expected an array with a row axis",
        ),
        (lambda: batches(X, tf.constant("a")), r"`y`.*row axis"),
        (
            lambda: tfi.data.augment(tf.data.Dataset.from_tensor_slices((Y, Y)), lambda x: x),
            r"`dataset`: expected batches of rows",
        ),
        (
            lambda: tfi.data.smote_mixup(tf.data.Dataset.from_tensor_slices((X, np.eye(3)[Y]))),
            r"`dataset`: expected batches of rows",
        ),
    ],
)
def test_is_refused_in_our_words(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("add", ["sparse", "ragged", "dok"])
def test_lists_and_dictionaries_of_any_arrays_work(add):
    other = {
        "sparse": tf.sparse.from_dense(X + 1),
        "ragged": tf.ragged.constant([[1]] * 100),
        "dok": scipy.sparse.dok_matrix(X + 1),
    }[add]
    for x in ([X, other], {"a": other, "b": X}):
        parts, labels = batches(x)
        assert len(parts) == 2
        assert int(tf.reduce_sum(labels)) == 5


def test_any_type_that_tensorflow_knows_works():
    for x in (tf.constant(X, tf.bfloat16), X.astype("complex64"), X.astype("float16")):
        rows, _ = batches(x)
        assert rows.dtype == x.dtype


def test_one_weight_for_all_rows_is_refused():
    for weight in (np.inf, -1.0):
        with pytest.raises(ValueError, match="`sample_weight`: expected"):
            tfi.data.weighted_undersampling(
                np.ones((4, 1)), [0, 1, 0, 1], keep_weight=0.5, sample_weight=weight
            )


ROWS = tf.data.Dataset.from_tensor_slices((X, Y))
CALLS = {
    tfi.data.balanced_batches: (X, Y),
    tfi.data.balanced_stream: (ROWS,),
    tfi.data.weighted_undersampling: (X, Y),
    tfi.data.resampled_batches: (X, Y, imblearn.over_sampling.RandomOverSampler()),
    tfi.data.smote_batches: (X, Y),
    tfi.data.smote_mixup: (ROWS.batch(10),),
    tfi.data.augment: (ROWS.batch(10), lambda x: x),
    tfi.data.with_negatives: ({"user": np.arange(20), "item": np.arange(20)},),
    tfi.data.mixed_negatives: (
        tf.data.Dataset.from_tensor_slices({"item": np.arange(20)}).batch(5),
        np.arange(50),
    ),
}
NEEDED = {
    tfi.data.weighted_undersampling: {"keep_weight": 0.5},
    tfi.data.with_negatives: {"num_items": 50, "num_negatives": 2},
    tfi.data.mixed_negatives: {"item": "item", "num_uniform": 3},
}


def flags(call):
    parameters = inspect.signature(call).parameters.values()
    return [p.name for p in parameters if "bool" in str(p.annotation).split("[")[0]]


@pytest.mark.parametrize(
    ("call", "flag"),
    [(call, flag) for call in CALLS for flag in flags(call)],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_flags_are_true_or_false(call, flag):
    more = {"offset": True} if flag == "per_class_offset" and "offset" in flags(call) else {}
    with pytest.raises(ValueError, match=f"`{flag}`: expected True or False"):
        call(*CALLS[call], **NEEDED.get(call, {}), **more, **{flag: "no"})


def test_every_dataset_stands_in_this_table():
    made = {getattr(tfi.data, name) for name in tfi.data.__all__ if name[0].islower()}
    assert made - set(CALLS) == {tfi.data.class_sampling}
