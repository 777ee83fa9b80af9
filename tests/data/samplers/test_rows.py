"""What batches hold: rows, labels, numbers."""

import functools

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf
from data.samplers.sampled import COUNTS, NUMBERS, ROWS, TRACED, Y, batches, features, together
from imblearn.over_sampling import (
    SMOTE,
    RandomOverSampler,
)
from imblearn.under_sampling import (
    RandomUnderSampler,
    TomekLinks,
)

import tfimbalance as tfi

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("sampler", [RandomOverSampler(), RandomUnderSampler()])
def test_samplers_of_classes_take_any_x_and_copy_nothing(sampler):
    images = np.broadcast_to(NUMBERS[:, None, None, None], (ROWS, 4, 4, 2))
    x = {
        "image": images,
        "text": np.array([f"row {i}" for i in NUMBERS]),
        "ragged": tf.RaggedTensor.from_row_lengths(np.repeat(NUMBERS, NUMBERS % 4), NUMBERS % 4),
        "pair": (scipy.sparse.diags(NUMBERS + 1.0, format="csr"), NUMBERS),
    }
    dataset = batches(x, sampler=sampler, row_ids=NUMBERS)
    for _ in range(2):
        for (batch, ids), y in dataset:
            row = ids.numpy()
            np.testing.assert_array_equal(y, Y[row])
            np.testing.assert_array_equal(batch["image"][:, 3, 3, 1], row)
            assert batch["text"].numpy()[0].decode() == f"row {row[0]}"
            assert batch["ragged"].to_list() == [[i] * (i % 4) for i in row]
            diagonal = tf.sparse.to_dense(batch["pair"][0]).numpy()
            np.testing.assert_array_equal(diagonal.argmax(axis=1), row)


def test_samplers_that_select_keep_numbers_alone():
    x = features()
    dataset = batches(x, sampler=TomekLinks())
    draw = dataset._tfimbalance.draws.get(0)
    assert draw.index is not None
    assert len(draw.index) == draw.num_rows < ROWS


@functools.cache
def plain_labels(name):
    sampler, make = TRACED[name]
    return together(batches(make(), Y, sampler))[1]


@pytest.mark.parametrize(
    "as_given",
    [
        lambda y: y[:, None],
        lambda y: np.eye(2, dtype="float32")[y],
        lambda y: y.astype(bool),
        lambda y: y.astype("float32"),
        lambda y: y.astype("uint8")[:, None].tolist(),
        lambda y: pd.Series(y, dtype="Int64"),
        lambda y: tf.constant(y),
    ],
)
@pytest.mark.parametrize("name", ["SMOTE", "TomekLinks"])
def test_labels_are_emitted_as_they_are(as_given, name):
    sampler, make = TRACED[name]
    given = as_given(Y)
    plain = together(batches(make(), Y, sampler))[1]
    element = next(iter(batches(make(), given, sampler)))
    expected = np.asarray(as_given(plain))
    assert element[1].shape[1:] == expected.shape[1:]
    if not isinstance(given, list):
        assert element[1].dtype == np.asarray(given).dtype
    np.testing.assert_array_equal(together(batches(make(), given, sampler))[1], expected)


def test_several_classes():
    y = np.repeat([0, 1, 3], [80, 25, 15])
    dataset = batches(features(), y, SMOTE(), batch_size=60)
    np.testing.assert_array_equal(np.bincount(together(dataset)[1]), [80, 80, 0, 80])
    hot = together(batches(features(), np.eye(4)[y], SMOTE(), batch_size=60))[1]
    np.testing.assert_array_equal(hot.sum(axis=0), [80, 80, 0, 80])


def test_made_rows_lie_between_rows_of_their_class():
    line = np.stack([Y + 0.0, np.linspace(0.1, 0.9, ROWS)], axis=1)
    dataset = batches(line, sampler=SMOTE(), quantities=[0], row_ids=NUMBERS)
    drawn, ids, labels = together(dataset)
    assert (ids < 0).any()
    np.testing.assert_array_equal(drawn[:, 0], labels)
    rare = drawn[labels == 1][:, 1]
    assert rare.min() >= line[100, 1]
    assert rare.max() <= 0.9


def test_class_sampling_gives_the_shift():
    sampling = tfi.data.class_sampling(batches(features(), sampler=SMOTE()).prefetch(1))
    np.testing.assert_array_equal(sampling.read.counts, COUNTS)
    np.testing.assert_array_equal(sampling.drawn.counts, [100, 100])
    shift = tfi.calibration.prior_shift(sampling.drawn, sampling.read)
    assert shift[1] - shift[0] == pytest.approx(np.log(20 / 100))
