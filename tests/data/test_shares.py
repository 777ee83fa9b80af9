import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfimbalance.data._order.arrays import NumPyOps
from tfimbalance.data._order.quota import Quota, Turns, floor_sum
from tfimbalance.shares import resolve_shares


@st.composite
def problems(draw):
    counts = np.array(draw(st.lists(st.integers(1, 500), min_size=2, max_size=8)))
    batch_size = draw(st.integers(len(counts), 100))
    parts = np.array(draw(st.lists(st.integers(1, 99), min_size=len(counts), max_size=len(counts))))
    shares = draw(
        st.sampled_from(
            ["balanced", "natural", {1: 0.2}, {0: 1 / 3}, (parts / parts.sum()).tolist()]
        )
    )
    return counts, batch_size, shares


@given(problems(), st.integers(0, 500))
def test_quotas(problem, first):
    counts, batch_size, class_shares = problem
    shares = resolve_shares(class_shares, counts)
    assert sum(shares) == 1
    quota = Quota(shares, batch_size)
    exact = np.array([float(share) for share in shares]) * batch_size
    batches = held(quota, 0, first + 7)
    assert (batches.sum(axis=1) == batch_size).all()
    # One more or one less than the share, never further, and right in the long run.
    assert (np.abs(batches - exact) < 1).all()
    sums = np.vstack([0 * exact, np.cumsum(batches, axis=0)])
    assert np.abs(sums - np.arange(len(sums))[:, None] * exact).max() < 16
    # The closed form and the batches agree: a batch can be had without the ones before it.
    np.testing.assert_array_equal(quota.before(NumPyOps, first), sums[first])
    np.testing.assert_array_equal(held(quota, first, 7), batches[first:])


def held(quota, first, batches):
    """Rows of each class in each batch; and every class's rows come in order, none left out."""
    classes, places = quota.slots(NumPyOps, first, batches)
    start = quota.before(NumPyOps, first)
    for k in np.unique(classes):
        came = np.sort(places[classes == k])
        np.testing.assert_array_equal(came, start[k] + np.arange(len(came)))
    return np.stack([np.bincount(batch, minlength=len(start)) for batch in classes])


@given(st.integers(1, 30), st.integers(1, 90), st.integers(0, 10**9))
def test_turns(classes, batch_size, first):
    turns = Turns(classes, batch_size)
    batches, places = turns.slots(NumPyOps, first, 6)
    for batch in batches:
        held = np.bincount(batch, minlength=classes)
        assert held.max() - held.min() <= 1
    for k in range(classes):
        came = places[batches == k]
        start, end = (turns.before(NumPyOps, batch)[k] for batch in (first, first + 6))
        np.testing.assert_array_equal(came, np.arange(start, end))


def test_a_series_is_read_by_its_index():
    shares = resolve_shares(pd.Series({1: 0.1, 0: 0.9}), np.array([50, 50]))
    assert [float(share) for share in shares] == [0.9, 0.1]


def test_a_whole_cycle_is_exact():
    quota = Quota(resolve_shares("natural", np.array([61, 29, 11])), 16)
    assert quota.before(NumPyOps, 101 * 3).tolist() == [61 * 48, 29 * 48, 11 * 48]


def test_shares_without_a_short_cycle_keep_their_rate():
    shares = [0.123456789, 0.3333333333, 0.543209877700]
    quota = Quota(resolve_shares(shares, np.array([9, 9, 9])), 64)
    rows = 64 * 10**7
    # Rounded to the nearest 2**-31, and never more than a few rows from that.
    assert (
        np.abs(quota.before(NumPyOps, 10**7) - rows * np.array(shares)).max() < rows * 2.0**-31 + 16
    )


@given(st.integers(0, 60), st.integers(1, 40), st.integers(0, 90), st.integers(0, 90))
def test_floor_sum(n, m, a, b):
    wanted = sum((a * j + b) // m for j in range(n))
    assert floor_sum(n, m, a, np.array([b])).tolist() == [wanted]


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ("equal", '"balanced", "natural"'),
        ([0.5, 0.6], r"sum of 1\.1"),
        ([1.0], "2 shares"),
        ([-0.5, 1.5], "at least 0"),
        ([float("nan"), 0.5], "at least 0"),
        ({2: 0.5}, "class 2, which has none"),
        ({1: 1.0}, "class 0 share the rest"),
        ({0: 0.5, 1: 0.6}, "sum of 1.1"),
        ({"1": 0.5}, "the key '1'"),
    ],
)
def test_bad_shares_are_refused(shares, message):
    with pytest.raises(ValueError, match=message):
        resolve_shares(shares, np.array([90, 10]))
