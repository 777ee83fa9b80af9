"""Orders without a table: random, complete, and the same in NumPy and in a graph."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfimbalance.data._order.arrays import NumPyOps
from tfimbalance.data._order.plan import BalancedPlan
from tfimbalance.data._order.shuffle import Sizes, shuffled
from tfimbalance.data._order.words import words
from tfimbalance.shares import resolve_shares


def orders(n, count, at=None):
    """The rows at each place, or some, of many orders of ``n`` rows, ``(places, count)``."""
    sizes = Sizes.of([n]).pick(NumPyOps, np.zeros(1, int))
    keys = words(NumPyOps, np.array([7], np.uint64), np.arange(count).astype(np.uint64))
    places = [np.full(count, place, np.uint64) for place in (range(n) if at is None else at)]
    return np.stack([shuffled(NumPyOps, place, sizes, keys) for place in places]).astype(int)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6, 7, 8, 12, 31, 100, 1001])
def test_an_order_has_every_row_once(n):
    np.testing.assert_array_equal(
        np.sort(orders(n, 50), axis=0), np.tile(np.arange(n)[:, None], 50)
    )


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 5, 6, 7])
def test_all_orders_of_a_few_rows_are_as_likely(n):
    count = 400 * math.factorial(n) if n < 7 else 500_000
    code = (orders(n, count) * n ** np.arange(n)[:, None]).sum(axis=0)
    _, seen = np.unique(code, return_counts=True)
    expected, cells = count / math.factorial(n), math.factorial(n)
    assert len(seen) == cells
    chi_square = ((seen - expected) ** 2 / expected).sum()
    assert chi_square < cells + 5 * math.sqrt(2 * cells)


@pytest.mark.parametrize("n", [10, 33, 200])
def test_pairs_of_places_are_as_likely(n):
    count = 400_000
    rows = orders(n, count, [0, n // 2])
    seen = np.bincount(rows[0] * n + rows[1], minlength=n * n).reshape(n, n)
    off = ~np.eye(n, dtype=bool)
    expected, cells = count / (n * (n - 1)), n * (n - 1)
    assert seen[~off].sum() == 0
    chi_square = ((seen[off] - expected) ** 2 / expected).sum()
    assert chi_square < cells + 5 * math.sqrt(2 * cells)


def test_an_order_does_not_remember_the_one_before():
    n = 5_000
    two = orders(n, 2)
    assert abs(np.corrcoef(two.T)[0, 1]) < 5 / math.sqrt(n)
    assert abs(np.corrcoef(two[:-1, 0], two[1:, 0])[0, 1]) < 5 / math.sqrt(n)
    # About one row stays in its place, as in any two orders.
    assert (two[:, 0] == two[:, 1]).sum() <= 8


@pytest.mark.slow
@given(
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=40),
    extra=st.integers(0, 40),
    shares=st.sampled_from(["balanced", "natural"]),
    first=st.integers(0, 10**9),
)
@settings(max_examples=7)
def test_a_graph_gives_the_same_rows(counts, extra, shares, first):
    ids = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    batch_size = len(counts) + extra
    exact = resolve_shares(shares, np.array(counts))
    plan = BalancedPlan(ids, len(counts), exact, batch_size, 3)
    here = plan.rows(first, 3)
    graph = tf.function(lambda number: plan.rows_in_graph(number, 3), autograph=False)
    np.testing.assert_array_equal(graph(tf.constant(first, tf.int64)), here)
    # One batch alone is the same as among others.
    np.testing.assert_array_equal(plan.rows(first + 2, 1)[0], here[2])
    assert here.min() >= 0
    assert here.max() < len(ids)


def test_many_classes_in_turns():
    """More classes than a batch has rows."""
    ids = np.random.default_rng(0).permutation(np.repeat(np.arange(1_000), 7))
    plan = BalancedPlan(ids, 1_000, resolve_shares("balanced", np.full(1_000, 7)), 64, 0)
    rows = plan.rows(0, 1_000)  # 64 rows of each class: 9 passes and a row.
    for batch in rows:
        assert np.bincount(ids[batch]).max() == 1
    times = np.bincount(rows.ravel(), minlength=7_000)
    assert times.min() == 9
    assert times.max() == 10
