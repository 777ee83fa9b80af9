"""Datasets of anything, up to their first batch."""

import numpy as np
import pandas as pd
import tensorflow as tf
from fuzz.arguments import arguments_of
from fuzz.given import FLAGS, JUNK, SHARES, UNIT, mostly
from fuzz.judge import REFUSED, examples, holds, judged
from fuzz.rows import SPOILT_LABELS
from hypothesis import given
from hypothesis import strategies as st
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler

import tfimbalance as tfi

X = {
    "array": lambda n: np.arange(2 * n, dtype="float32").reshape(n, 2),
    "vector": lambda n: np.arange(n),
    "dict": lambda n: {"a": np.arange(n), "b": np.ones((n, 3))},
    "tuple": lambda n: (np.arange(n), np.ones((n, 3), "float32")),
    "frame": lambda n: pd.DataFrame({"a": np.arange(n), "b": np.ones(n)}),
    "tensor": lambda n: tf.ones((n, 2)),
    "strings": lambda n: np.array(["x"] * n),
    "list": lambda n: [[0.0, 1.0]] * n,
    "nan": lambda n: np.full((n, 2), np.nan),
    "shorter": lambda n: np.ones((n - 1, 2)),
    "none": lambda n: None,
    "objects": lambda n: np.array([object()] * n),
    "dates": lambda n: np.zeros(n, "datetime64[D]"),
    "complex": lambda n: np.ones((n, 2), complex),
    "empty": lambda n: np.ones((n, 0)),
    "scalar": lambda n: 1.0,
    "series": lambda n: pd.Series(np.arange(n), index=np.arange(n) + 5),
}
OF_DATA = {
    "batch_size": st.sampled_from([1, 2, 4, 8]),
    "class_shares": SHARES,
    "steps_per_epoch": st.sampled_from([None, 1, 3]),
    "seed": st.integers(0, 5),
    "initial_epoch": st.integers(0, 2),
    "num_shards": st.sampled_from([1, 2]),
    "shard_index": st.sampled_from([0, 0, 1]),
    "small_batches": FLAGS,
    "in_graph": FLAGS,
    "k_neighbors": st.integers(1, 5),
    "quantities": st.just(()),
    "features": st.none(),
    "labels": st.none(),
    "sampler": st.sampled_from(
        [
            RandomUnderSampler(random_state=0),
            RandomOverSampler(),
            RandomUnderSampler(sampling_strategy=0.5),
        ]
    ),
    "keep_weight": st.one_of(UNIT, st.just({0: 0.5, 1: 1.0}), st.just([0.5, 1.0]), st.just(len)),
    "correction": st.sampled_from([None, "offset", "weight"]),
    "per_class_offset": st.sampled_from([None, True, False]),
    "sample_weight": st.one_of(
        st.none(), st.just(np.arange(12.0)), st.just(np.ones(5)), st.just(-np.ones(12))
    ),
    "num_classes": st.sampled_from([None, 2, 3]),
    "batched": FLAGS,
    "rate": UNIT,
    "shuffle_size": st.sampled_from([0, 1, 10]),
    "buffer_size": st.sampled_from([None, 10]),
    "max_warmup": st.sampled_from([1000, 1]),
    "label_fn": st.none(),
    "classes": st.sampled_from([(1,), (0, 1), [1], ()]),
    "fraction": UNIT,
    "whole_numbers": st.sampled_from(["keep", "round"]),
    "num_items": st.sampled_from([20, 12]),
    "num_negatives": st.sampled_from([1, 4]),
    "distribution": st.sampled_from(["uniform", "frequency"]),
    "power": st.sampled_from([None, 0.5]),
    "exclude_positives": FLAGS,
    "item": st.none(),
    "user": st.none(),
    "as_lists": FLAGS,
    "row_ids": st.none(),
}


@st.composite
def sources(draw):
    """Twelve rows or so, and labels of two classes or three."""
    size = draw(st.sampled_from([12, 12, 7, 3]))
    likely = ["array", "array", "vector", "dict", "tuple", "frame", "tensor"]
    x = X[draw(mostly(st.sampled_from(likely), st.sampled_from(sorted(X))))](size)
    y = np.arange(size) % draw(st.sampled_from([2, 3, 5])) % 3
    spoilt = draw(st.integers(0, 4)) == 0
    if spoilt:
        return (
            x,
            draw(
                st.one_of(
                    st.sampled_from(sorted(SPOILT_LABELS)).map(
                        lambda how: SPOILT_LABELS[how][0](y)
                    ),
                    JUNK,
                )
            ),
            size,
        )
    return (
        x,
        draw(
            st.sampled_from(
                [
                    y,
                    y.astype("float32"),
                    y.tolist(),
                    y[:, None],
                    np.eye(3)[y],
                    pd.Series(y),
                    tf.constant(y),
                ]
            )
        ),
        size,
    )


def first_batch(dataset):
    return next(iter(dataset.as_numpy_iterator()))


def judged_batch(dataset, call, args, kwargs):
    batch = judged("data", first_batch, dataset)
    if batch is REFUSED:
        return
    sizes = {len(leaf) for leaf in tf.nest.flatten(batch)}
    holds("data", len(sizes) == 1, f"sizes {sizes}", call, *args, **kwargs)
    judged("data", tfi.data.class_sampling, dataset)


OF_ARRAYS = [
    tfi.data.balanced_batches,
    tfi.data.smote_batches,
    tfi.data.resampled_batches,
    tfi.data.weighted_undersampling,
]


@st.composite
def of_arrays(draw):
    call = draw(st.sampled_from(OF_ARRAYS))
    kwargs, _ = draw(arguments_of(call, OF_DATA))
    return call, draw(sources()), kwargs


@examples(0.5)
@given(of_arrays())
def test_datasets_of_arrays(drawn):
    call, (x, y, _), kwargs = drawn
    dataset = judged("data", call, x, y, **kwargs)
    if dataset is not REFUSED:
        judged_batch(dataset, call, (x, y), kwargs)


@st.composite
def of_datasets(draw):
    call = draw(st.sampled_from([tfi.data.balanced_stream, tfi.data.augment, tfi.data.smote_mixup]))
    kwargs, _ = draw(arguments_of(call, OF_DATA))
    if call is tfi.data.augment:
        kwargs["function"] = draw(mostly(st.just(lambda x: x)))
    y = np.arange(24) % draw(st.sampled_from([1, 2, 3, 5])) % 3
    y = draw(
        st.sampled_from(
            [
                y,
                y.astype("float32"),
                y - 1,
                np.eye(3)[y],
                y + 0.5,
                y[:, None],
                y.astype(str),
                y.astype(float) * np.nan,
            ]
        )
    )
    x = draw(
        st.sampled_from(
            [
                np.ones((24, 2), "float32"),
                np.arange(24),
                {"a": np.ones((24, 2))},
                np.array(["x"] * 24),
            ]
        )
    )
    rows_of = tf.data.Dataset.from_tensor_slices((x, y))
    source = draw(
        mostly(
            st.sampled_from(
                [
                    rows_of,
                    rows_of.batch(6),
                    rows_of.batch(6, drop_remainder=True),
                    rows_of.take(0),
                    rows_of.map(lambda *e: e[1]),
                    rows_of.map(lambda x, y: (x, y, 1.0)),
                    rows_of.map(lambda x, y: {"x": x, "y": y}),
                    rows_of.repeat(),
                ]
            )
        )
    )
    return call, source, kwargs


@examples(0.04)
@given(of_datasets())
def test_datasets_of_datasets(drawn):
    call, source, kwargs = drawn
    dataset = judged("data", call, source, **kwargs)
    if dataset is not REFUSED:
        judged_batch(dataset, call, (source,), kwargs)


@st.composite
def positives(draw):
    user, item = np.arange(12) % 4, np.arange(12)
    return draw(
        mostly(
            st.sampled_from(
                [
                    item,
                    {"user": user, "item": item},
                    (user, item),
                    pd.DataFrame({"user": user, "item": item}),
                    item.astype("int64"),
                    item.astype("float32"),
                    np.stack([user, item], 1),
                    item - 1,
                    item + 100,
                    item[:0],
                ]
            )
        )
    )


@st.composite
def with_negatives(draw):
    kwargs, _ = draw(arguments_of(tfi.data.with_negatives, dict(OF_DATA.items())))
    if draw(st.booleans()):
        kwargs["item"] = draw(mostly(st.sampled_from(["item", 1])))
    if draw(st.booleans()):
        kwargs["user"] = draw(mostly(st.sampled_from(["user", 0])))
    return draw(positives()), kwargs


@examples(0.3)
@given(with_negatives())
def test_negatives(drawn):
    source, kwargs = drawn
    dataset = judged("data", tfi.data.with_negatives, source, **kwargs)
    if dataset is not REFUSED:
        judged_batch(dataset, tfi.data.with_negatives, (source,), kwargs)


@examples(0.1)
@given(JUNK)
def test_sampling_of_anything(dataset):
    judged("data", tfi.data.class_sampling, dataset)
    judged("data", tfi.data.ClassSampling, dataset, tfi.ClassStatistics([1, 1]))
