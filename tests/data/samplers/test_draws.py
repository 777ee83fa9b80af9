"""What each epoch is, and how it goes on after a restart."""

import math

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf
from data.samplers.sampled import (
    NUMBERS,
    ROWS,
    TRACED,
    UNTRACED,
    Y,
    batches,
    features,
    numbers,
    together,
)
from imblearn import FunctionSampler
from imblearn.combine import SMOTEENN
from imblearn.over_sampling import (
    SMOTE,
)
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling import (
    RandomUnderSampler,
)

import tfimbalance as tfi

pytestmark = pytest.mark.slow

MAKE_NOTHING = {
    "RandomOverSampler",
    "RandomUnderSampler",
    "NearMiss",
    "TomekLinks",
    "EditedNearestNeighbours",
    "AllKNN",
    "OneSidedSelection",
    "selectors",
    "blind",
}


SAME_EVERY_EPOCH = {"NearMiss", "TomekLinks", "EditedNearestNeighbours", "AllKNN"}


KINDS = {"array": np.asarray, "frame": pd.DataFrame, "sparse": scipy.sparse.csr_matrix}


def dense(x):
    return tf.sparse.to_dense(x).numpy() if isinstance(x, tf.SparseTensor) else x.numpy()


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, "array") for name in TRACED]
    + [
        (name, kind)
        for name in ("shrinkage", "SMOTE", "SMOTENC", "SVMSMOTE", "TomekLinks", "SMOTEENN", "blind")
        for kind in ("frame", "sparse")
    ],
)
def test_what_is_kept_is_a_row_and_what_is_made_is_marked(name, kind):
    """Of every sampler, for two epochs: the row, its label, its weight and its number agree."""
    sampler, make = TRACED[name]
    x, weight = make(), np.random.default_rng(3).random(ROWS)
    dataset = batches(KINDS[kind](x), sampler=sampler, row_ids=NUMBERS, sample_weight=weight)
    mean = np.array([weight[k == Y].mean() for k in (0, 1)])
    for _ in range(2):
        elements = [(dense(a), i, y, w) for (a, i), y, w in dataset]
        assert all(a.shape == (16, 3) and a.dtype == np.float32 for a, *_ in elements)
        drawn, ids, labels, weights = together(elements)
        kept = ids >= 0
        np.testing.assert_array_equal(drawn[kept], x[ids[kept]])
        np.testing.assert_array_equal(labels[kept], Y[ids[kept]])
        np.testing.assert_array_equal(weights[kept], weight[ids[kept]])
        np.testing.assert_allclose(weights[~kept], mean[labels[~kept]], rtol=1e-12)
        assert kept.all() == (name in MAKE_NOTHING)
        assert set(labels) == {0, 1}
        # What is made is new: but for codes, which can coincide.
        if make is features and not kept.all():
            assert not any((x == row).all(axis=1).any() for row in drawn[~kept])


def test_trains_a_model():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", tfi.losses.BinaryFocalLoss(from_logits=True))
    for name in ("SMOTE", "RandomUnderSampler", "SMOTEENN", *UNTRACED):
        sampler, make = {**TRACED, **UNTRACED}[name]
        dataset = batches(make(), sampler=sampler)
        before = int(model.optimizer.iterations)
        history = model.fit(dataset, epochs=2, verbose=0)
        assert np.isfinite(history.history["loss"]).all(), name
        assert int(model.optimizer.iterations) == before + 2 * len(dataset), name


@pytest.mark.slow
@pytest.mark.parametrize("name", [*TRACED, *UNTRACED])
def test_epochs_are_drawn_anew_and_the_same_with_the_same_seed(name):
    sampler, make = {**TRACED, **UNTRACED}[name]
    dataset = batches(make(), sampler=sampler, seed=7)
    first, second = (together(dataset) for _ in range(2))
    for a, b in zip(first, together(batches(make(), sampler=sampler, seed=7)), strict=True):
        np.testing.assert_array_equal(a, b)
    epochs = first[0], second[0]
    assert not np.array_equal(*epochs)
    rows = [sorted(row.tobytes() for row in epoch) for epoch in epochs]
    if name in SAME_EVERY_EPOCH:
        assert set(rows[0]) == set(rows[1])  # In another order.
    elif name in TRACED:
        assert rows[0] != rows[1]
    if name in ("SMOTE", "RandomUnderSampler", "FunctionSampler"):
        assert not np.array_equal(together(batches(make(), sampler=sampler, seed=8))[0], epochs[0])


def test_rare_rows_come_once_a_pass_and_many_majority_rows_are_seen():
    """The point of drawing anew: under-sampling once shows 20 of 100 rows for ever."""
    dataset = batches(features(), sampler=RandomUnderSampler(), row_ids=NUMBERS, batch_size=8)
    seen = [numbers(dataset) for _ in range(20)]
    for epoch in seen:
        assert len(epoch) == 40
        np.testing.assert_array_equal(np.bincount(epoch, minlength=ROWS)[100:], 1)
        assert np.bincount(epoch).max() == 1
    # A row is left out of 20 draws of 20 in 100 with probability .8**20 = .012.
    assert len(set(np.concatenate(seen))) > 110


def test_an_epoch_is_the_draw_in_a_random_order_then_in_another():
    dataset = batches(features(), row_ids=NUMBERS, batch_size=64)
    assert int(dataset.cardinality()) == len(dataset) == math.ceil(200 / 64)
    epoch = numbers(dataset)
    whole, rest = epoch[:200], epoch[200:]
    counts = np.bincount(whole, minlength=ROWS)
    np.testing.assert_array_equal(counts[:100], 1)
    assert counts[100:].sum() == 100
    assert counts[100:].min() >= 1
    assert len(rest) == 56
    assert len(set(rest[rest < 100])) == (rest < 100).sum()
    assert not np.array_equal(rest, whole[:56])
    # Both classes all along.
    assert all(0.2 < (part >= 100).mean() < 0.8 for part in np.split(epoch, 4))


@pytest.mark.parametrize("steps", [1, 3, 40])
def test_steps_can_be_said(steps):
    dataset = batches(
        features(), sampler=RandomUnderSampler(), steps_per_epoch=steps, row_ids=NUMBERS
    )
    for _ in range(2):
        epoch = numbers(dataset)
        assert len(epoch) == 16 * steps
        counts = np.bincount(epoch)
        assert counts.max() == math.ceil(16 * steps / 40)  # Pass after pass of 40 rows.


def test_a_draw_of_a_single_batch_and_of_few_rows():
    few = FunctionSampler(func=lambda x, y: (x[[0, 1, 118, 119]], y[[0, 1, 118, 119]]))
    (batch,) = batches(NUMBERS[:, None], sampler=few)
    counts = np.unique(batch[0], return_counts=True)
    np.testing.assert_array_equal(counts, [[0, 1, 118, 119], [4, 4, 4, 4]])


def test_shards_take_turns_in_the_same_draw():
    make = lambda **kw: batches(features(), sampler=SMOTE(), batch_size=8, **kw)  # noqa: E731
    parts = [make(num_shards=2, shard_index=i) for i in (0, 1)]
    assert [len(part) for part in parts] == [13, 13]
    whole = make(steps_per_epoch=26)
    for _ in range(2):
        mine, other = ([x.numpy() for x, _ in part] for part in parts)
        turns = [x for pair in zip(mine, other, strict=True) for x in pair]
        np.testing.assert_array_equal(turns, [x.numpy() for x, _ in whole])


@pytest.mark.parametrize(
    ("name", "step"), [("SMOTE", 1), ("SMOTE", 3), ("RandomUnderSampler", 2), ("SMOTEENN", 2)]
)
def test_a_checkpoint_restores_the_next_batch(name, step, tmp_path):
    sampler, make = TRACED[name]
    whole = batches(make(), sampler=sampler, batch_size=8)
    expected = [[x.numpy() for x, _ in whole] for _ in range(3)]
    first = batches(make(), sampler=sampler, batch_size=8)
    list(first)
    iterator = iter(first)
    for _ in range(step):
        next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).save(tmp_path / "iterator")
    # Into a new object, which knows nothing of the epoch: this epoch and the next.
    second = batches(make(), sampler=sampler, batch_size=8)
    restored = iter(second)
    tf.train.Checkpoint(iterator=restored).restore(path)
    np.testing.assert_array_equal([x.numpy() for x, _ in restored], expected[1][step:])
    np.testing.assert_array_equal([x.numpy() for x, _ in second], expected[2])


@pytest.mark.parametrize("name", ["SMOTE", "SMOTEENN", "TomekLinks"])
def test_a_restart_goes_on_with_the_epoch_it_is_told(name):
    """SMOTEENN draws another number of rows each time: an epoch keeps its length all the same."""
    sampler, make = TRACED[name]
    whole = batches(make(), sampler=sampler, batch_size=8)
    epochs = [together(whole)[0] for _ in range(3)]
    again = batches(make(), sampler=sampler, batch_size=8, initial_epoch=2)
    assert len(again) == len(whole)
    np.testing.assert_array_equal(together(again)[0], epochs[2])


def test_a_glance_does_not_use_up_an_epoch():
    dataset = batches(features(), sampler=SMOTE())
    glance = next(iter(dataset))[0].numpy()
    np.testing.assert_array_equal(next(iter(dataset))[0], glance)


def test_every_seed_is_replaced_and_the_sampler_is_left_alone():
    states = []

    def note(x, y, random_state):
        states.append(random_state)
        return x, y

    nested = SMOTEENN(random_state=1, smote=SMOTE(random_state=1))
    fixed = FunctionSampler(func=note, kw_args={"random_state": 1})
    pipeline = make_pipeline(nested, RandomUnderSampler(random_state=1), fixed)
    dataset = batches(features(), sampler=pipeline)
    epochs = [{row.tobytes() for row in together(dataset)[0]} for _ in range(2)]
    assert epochs[0] != epochs[1]
    assert nested.smote.random_state == nested.random_state == 1
    assert not hasattr(nested, "smote_")
    assert len(set(states[:2])) == 2  # What a function is given, too.
    assert fixed.kw_args == {"random_state": 1}
