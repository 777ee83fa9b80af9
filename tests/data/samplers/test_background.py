"""Draws of other threads: when they are made, fail and end."""

import gc
import threading
import weakref

import numpy as np
import pytest
import tensorflow as tf
from data.samplers.sampled import NUMBERS, ROWS, TRACED, batches, features, together
from imblearn import FunctionSampler
from imblearn.over_sampling import (
    SMOTE,
)

pytestmark = pytest.mark.slow


class Watched:
    """A sampler's function that says when it is called, in which thread, and waits for leave."""

    def __init__(self, calls=8):
        self.begun = [threading.Event() for _ in range(calls)]
        self.leave = [threading.Event() for _ in range(calls)]
        self.threads, self.drawn, self.alive = [], [], []
        self.leave[0].set()

    def sampler(self):
        def draw(x, y):  # A function is not copied with the sampler; a method would be.
            number = len(self.threads)
            self.threads.append(threading.get_ident())
            self.alive.append(sum(made() is not None for made in self.drawn))
            self.begun[number].set()
            assert self.leave[number].wait(60)
            made = x + np.float32(number)
            self.drawn.append(weakref.ref(made))
            return made, y

        return FunctionSampler(func=draw)


def test_the_next_epoch_is_drawn_while_this_one_is_read():
    watched = Watched()
    dataset = batches(features(), sampler=watched.sampler())
    assert watched.threads == [threading.get_ident()]  # The first one in the call itself.
    iterator = iter(dataset)
    next(iterator)
    assert watched.begun[1].wait(60)
    assert watched.threads[1] != threading.get_ident()
    list(iterator)  # All of this epoch can be read although the next is not there.
    assert not watched.begun[2].is_set()
    for leave in watched.leave:
        leave.set()
    assert np.mean(together(dataset)[0]) == pytest.approx(features().mean() + 1, abs=0.2)
    assert watched.begun[2].wait(60)
    assert len(watched.threads) == 3


def test_two_draws_are_in_memory_at_most():
    watched = Watched()
    for leave in watched.leave:
        leave.set()
    dataset = batches(features(), sampler=watched.sampler())
    for _ in range(5):
        list(dataset)
    assert watched.begun[5].wait(60)  # Or it would be called off.
    dataset._tfimbalance.draws.close()
    assert len(watched.alive) == 6
    assert max(watched.alive) == 1  # That which is read, when another is about to be made.


def test_what_fails_in_the_background_says_so_in_the_epoch_that_needs_it():
    calls = []

    def draw(x, y):
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("no neighbours left")
        return x, y

    dataset = batches(features(), sampler=FunctionSampler(func=draw))
    assert len(list(dataset)) == len(dataset)
    for _ in range(2):  # It stays so.
        with pytest.raises(tf.errors.OpError, match=r"epoch 1 failed: ValueError: .*no neighbours"):
            list(dataset)


def test_a_later_draw_of_one_class_is_refused():
    calls = []

    def draw(x, y):
        calls.append(1)
        return (x, y) if len(calls) == 1 else (x[:9], y[:9])

    dataset = batches(features(), sampler=FunctionSampler(func=draw))
    list(dataset)
    with pytest.raises(tf.errors.OpError, match="class 0 from FunctionSampler"):
        list(dataset)


def test_later_draws_may_be_larger_or_smaller():
    sizes = iter([120, 40, 7, 120, 120])

    def draw(x, y):
        size = next(sizes)
        return x[-size:], y[-size:] if size > 7 else np.arange(size) % 2

    dataset = batches(NUMBERS[:, None], sampler=FunctionSampler(func=draw), batch_size=20)
    for size in (120, 40, 7, 120):
        epoch = [(x.numpy(), y.numpy()) for x, y in dataset]
        assert len(epoch) == 6
        counts = np.bincount(together(epoch)[0].ravel(), minlength=ROWS)[-size:]
        assert counts.sum() == 120
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("name", ["SMOTE", "RandomUnderSampler", "TomekLinks"])
def test_the_data_are_let_go_with_the_dataset(name):
    sampler, make = TRACED[name]
    x = make()
    watch = weakref.ref(x)
    dataset = batches(x, sampler=sampler)
    draws = dataset._tfimbalance.draws
    iterator = iter(dataset.map(lambda x, y: (x * 2, y)).prefetch(1))
    steps = len(dataset)
    del dataset, x
    gc.collect()
    assert len(list(iterator)) == steps  # A dataset made from it keeps it.
    draws.close()  # The draw of the next epoch may be under way.
    del iterator, draws
    gc.collect()
    assert watch() is None


def test_threads_end_with_their_datasets():
    threads = lambda: {t for t in threading.enumerate() if "tfimbalance" in t.name}  # noqa: E731
    before = threads()
    dataset = batches(features(), sampler=SMOTE())
    list(dataset)
    (worker,) = threads() - before
    del dataset
    gc.collect()
    worker.join(60)
    assert not worker.is_alive()
