import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import tfimbalance as tfi


def data(*counts):
    """Rows numbered from 0, class by class: x is the number, y the class."""
    return np.arange(sum(counts)), np.repeat(np.arange(len(counts)), counts)


def rows_of(dataset, epochs=1):
    return [x.numpy() for _ in range(epochs) for x, *_ in dataset]


@pytest.mark.slow
@given(
    counts=st.lists(st.integers(1, 80), min_size=2, max_size=6),
    extra=st.integers(0, 30),
    steps=st.integers(1, 9),
    seed=st.integers(0, 5),
)
@settings(max_examples=12)
def test_quotas_are_exact_and_nothing_is_starved(counts, extra, steps, seed):
    x, y = data(*counts)
    k, batch_size = len(counts), len(counts) + extra
    dataset = tfi.data.balanced_batches(
        x, y, batch_size=batch_size, steps_per_epoch=steps, seed=seed
    )
    batches = rows_of(dataset, epochs=3)
    assert len(batches) == 3 * steps
    drawn = np.zeros(len(x), int)
    for batch in batches:
        held = np.bincount(y[batch], minlength=k)
        assert held.sum() == batch_size
        assert held.min() >= batch_size // k
        assert held.max() <= -(-batch_size // k)
        np.add.at(drawn, batch, 1)
        # Without replacement until all are used: no row is ever two draws ahead of another.
        for label in range(k):
            of_class = drawn[y == label]
            assert of_class.max() - of_class.min() <= 1


@pytest.mark.parametrize("shares", ["balanced", "natural", {1: 0.2}, [0.7, 0.1, 0.2]])
def test_shares_hold_in_the_long_run(shares):
    x, y = data(700, 250, 50)
    dataset = tfi.data.balanced_batches(
        x, y, batch_size=30, class_shares=shares, steps_per_epoch=200
    )
    held = np.bincount(y[np.concatenate(rows_of(dataset))], minlength=3) / 6000
    wanted = {
        "balanced": [1 / 3] * 3,
        "natural": [0.7, 0.25, 0.05],
        str({1: 0.2}): [0.8 * 700 / 750, 0.2, 0.8 * 50 / 750],
    }.get(str(shares), shares)
    np.testing.assert_allclose(held, wanted, atol=4 / 6000)


def test_hundreds_of_classes():
    counts = np.random.default_rng(0).integers(1, 30, 300).tolist()
    x, y = data(*counts)
    dataset = tfi.data.balanced_batches(x, y, batch_size=640)
    seen = np.concatenate(rows_of(dataset, epochs=2))
    assert all((np.bincount(y[b]) >= 2).all() for b in rows_of(dataset))
    assert set(seen) == set(x)


def test_an_epoch_is_one_pass_by_default_and_known():
    x, y = data(95, 6)
    dataset = tfi.data.balanced_batches(x, y, batch_size=8)
    assert int(dataset.cardinality()) == len(dataset) == math.ceil(101 / 8)
    assert len(list(dataset)) == math.ceil(101 / 8)
    assert dataset.element_spec[0].shape == (8,)


class Recorder(keras.Model):
    """A model that writes down the rows that reach its training step."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.rows = []

    def call(self, x):
        return self.dense(tf.cast(x, "float32")[:, None] / 1000.0)

    def train_step(self, data):
        tf.py_function(lambda rows: self.rows.append(rows.numpy()), [data[0]], [])
        return super().train_step(data)


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "steps_per_epoch"), [(False, None), (True, 5)])
def test_epochs_of_fit_continue_one_another(strategy, steps_per_epoch):
    x, y = data(95, 6)
    arguments = {"batch_size": 8, "seed": 3}
    scope = tf.distribute.OneDeviceStrategy("CPU:0") if strategy else tf.distribute.get_strategy()
    with scope.scope():
        model = Recorder()
        model.compile("sgd", tfi.losses.BinaryFocalLoss(from_logits=True))
    dataset = tfi.data.balanced_batches(x, y, **arguments, steps_per_epoch=steps_per_epoch)
    model.fit(dataset, epochs=2, verbose=0)
    model.fit(dataset, epochs=2, verbose=0)
    one_long = tfi.data.balanced_batches(x, y, **arguments, steps_per_epoch=4 * len(dataset))
    np.testing.assert_array_equal(np.stack(model.rows), np.stack(rows_of(one_long)))
    assert set(np.concatenate(model.rows)) == set(x) or steps_per_epoch


def test_a_glance_does_not_use_up_an_epoch():
    x, y = data(95, 6)
    dataset = tfi.data.balanced_batches(x, y, batch_size=8)
    glance = next(iter(dataset))[0].numpy()
    np.testing.assert_array_equal(rows_of(dataset)[0], glance)


@pytest.mark.slow
def test_resuming_gives_the_same_remaining_batches(tmp_path):
    x, y = data(95, 6)
    make = lambda **kw: tfi.data.balanced_batches(x, y, batch_size=8, **kw)  # noqa: E731
    first = make()
    whole = rows_of(first)
    # An iterator knows its epoch from its first batch on.
    iterator, paths = iter(first), {}
    for step in range(1, len(first) + 1):
        whole.append(next(iterator)[0].numpy())
        if step in (1, 7, 12):
            checkpoint = tf.train.Checkpoint(iterator=iterator)
            paths[step] = checkpoint.save(tmp_path / f"iterator {step}")
    assert next(iterator, None) is None
    whole = np.stack(whole + rows_of(first))
    # By epoch and step.
    for step in (0, *paths):
        again = make(initial_epoch=1)
        resumed = rows_of(again.skip(step)) + rows_of(again)
        np.testing.assert_array_equal(resumed, whole[len(first) + step :])
    # By a checkpoint of the iterator, restored into a new dataset: this epoch and the next.
    for step, path in paths.items():
        second = make()
        restored = iter(second)
        tf.train.Checkpoint(iterator=restored).restore(path)
        resumed = [x.numpy() for x, _ in restored] + rows_of(second)
        np.testing.assert_array_equal(resumed, whole[len(first) + step :])


def test_shards_split_the_batches_without_overlap_or_loss():
    x, y = data(95, 6)
    make = lambda **kw: tfi.data.balanced_batches(x, y, batch_size=8, **kw)  # noqa: E731
    parts = [rows_of(make(num_shards=2, shard_index=i), epochs=3) for i in (0, 1)]
    together = [batch for pair in zip(*parts, strict=True) for batch in pair]
    one = rows_of(make(steps_per_epoch=len(together)))
    np.testing.assert_array_equal(together, one)
    resumed = rows_of(make(num_shards=2, shard_index=1, initial_epoch=2))
    np.testing.assert_array_equal(resumed, parts[1][-len(resumed) :])


def test_another_seed_gives_other_batches():
    """The same seed gives the same bytes in another process: test_workers.py."""
    x, y = data(95, 6)
    one, same, other = (
        np.concatenate(rows_of(tfi.data.balanced_batches(x, y, batch_size=8, seed=seed)))
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_each_half_of_a_batch_is_balanced_too():
    """A distribution strategy gives each replica a contiguous part."""
    x, y = data(900, 100)
    for batch in rows_of(tfi.data.balanced_batches(x, y, batch_size=64)):
        assert abs(y[batch[:32]].sum() - 16) <= 2
