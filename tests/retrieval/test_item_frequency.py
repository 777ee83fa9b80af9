import numpy as np
import pytest
from backend import TRACES, array, compiled, tensor

import tfimbalance as tfi
from tfimbalance.retrieval import ItemFrequency

any_backend = pytest.mark.any_backend


@any_backend
def test_reading_counts_nothing():
    layer = ItemFrequency(5)
    before = array(layer([[1, 2]]))
    np.testing.assert_allclose(before, np.log([[0.5, 0.5]]))  # Half a draw of 0 + 1.
    assert array(layer(3)).shape == ()
    assert array(layer(np.zeros((0, 2), "int32"), training=True)).shape == (0, 2)
    assert layer.num_draws == 0
    # The only item there is: what it leaves to others is half a draw.
    assert array(layer([1, 1], training=True)) == pytest.approx(np.log(2.5 / 3), rel=1e-5)


def test_ids_of_64_bits_are_never_confused():
    pairs = [2**33 + 1, 2**33 + 2, 2**24, 2**24 + 1, 1, -1]
    layer = ItemFrequency(rate=None)
    layer.update(np.repeat(pairs, range(1, 7)))
    np.testing.assert_array_equal(layer.counts(pairs), [1, 2, 3, 4, 5, 6])
    layer = ItemFrequency(2**24 + 2, rate=None)
    layer.update(np.array([2**24, 2**24 + 1, 2**24 + 1]))
    np.testing.assert_array_equal(layer.counts([2**24 - 1, 2**24, 2**24 + 1]), [0, 1, 2])


@pytest.mark.only_on("tensorflow", why="it has words")
def test_words_are_hashed():
    layer = ItemFrequency(rate=None, num_cells=997, counts={"a": 2})
    log_q = layer(np.array([["b", "a"], ["c", "a"]]), training=True)
    np.testing.assert_allclose(array(log_q), np.log(np.array([[1.5, 4.5], [1.5, 4.5]]) / 7), 1e-6)
    assert layer.counts(["a", "zz"]).tolist() == [4, 0]


def test_no_id_shares_all_of_its_cells():
    """About 10 of 5,000 ids would, if tables were alike; of four independent ones, none."""
    ids = np.arange(5_000, dtype="int32")
    layer = ItemFrequency(rate=None, num_cells=2**20, counts=dict.fromkeys(ids.tolist(), 1))
    np.testing.assert_array_equal(layer.counts(ids), 1)
    few = ItemFrequency(rate=None, num_cells=100, num_hashes=2)
    few.update(ids)
    assert (few.counts(ids) >= 1).all()  # Shared cells are over-estimated only.
    assert few.counts(ids).mean() == pytest.approx(50, rel=0.1)


def test_draws_beyond_32_bits():
    layer = ItemFrequency(2, counts=[2**40, 2**30], rate=0.01)
    layer.update([0, 1])
    assert layer.num_draws == 2**40 + 2**30 + 2
    gap = 0.99 * (2**10 + 1) + 0.01 * 2
    np.testing.assert_allclose(array(layer.log_q([1])), -np.log(gap), rtol=1e-6)


def test_ten_million_items_fit_in_140_megabytes():
    layer = ItemFrequency(10_000_000)
    assert sum(np.prod(v.shape) * np.dtype(v.dtype).itemsize for v in layer.variables) <= 140e6


@any_backend
def test_unknown_ids_are_refused_or_nan():
    layer = ItemFrequency(20)
    for bad in (-1, 20):
        with pytest.raises(ValueError, match=rf"`ids`: expected integers from 0 to 19.*{bad}"):
            layer.update([3, bad])
    if TRACES:
        log_q = array(compiled(layer.log_q)(tensor([-1, 5, 20, 5])))
        np.testing.assert_array_equal(np.isnan(log_q), [True, False, True, False])


@any_backend
@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1.0], "integers.*float64"),
        ([True], "integers.*bool"),
        ([[1], [2, 3]], "integers.*unequal length"),
        (["a"], "words"),
        (None, "Received: (objects such as None|words)"),
    ],
    ids=["floats", "flags", "ragged", "words", "none"],
)
def test_only_integers_are_taken(ids, message):
    with pytest.raises(ValueError, match=f"`ids`: expected.*{message}"):
        ItemFrequency(5).log_q(ids)


@pytest.mark.only_on("jax", why="the others have 64 bits")
@any_backend
def test_ids_that_jax_would_wrap_are_refused():
    with pytest.raises(ValueError, match=r"below 2\*\*31.*jax_enable_x64"):
        ItemFrequency()(np.array([2**33 + 1]))


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_items": 0},
        {"num_items": 2**31},
        {"num_items": 2.5},
        {"rate": 0.0},
        {"rate": 1.0},
        {"num_cells": 0},
        {"num_cells": 2**30},
        {"num_items": 5, "num_cells": 5},
        {"num_hashes": 0},
        {"seed": -1},
        {"num_items": 2, "counts": [1, 2, 3]},
        {"num_items": 2, "counts": [1.5, 2]},
        {"num_items": 2, "counts": [-1, 2]},
        {"num_items": 2, "counts": {2: 1}},
        {"num_items": 2, "counts": {"a": 1}},
        {"counts": [1, 2]},
        {"counts": {1: "a"}},
        {"counts": {1.5: 2}},
        {"num_items": 2, "counts": [[1], [2, 3]]},
        {"num_items": 2, "counts": np.ones((2, 1))},
    ],
    ids=str,
)
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=r"expected.*Received"):
        ItemFrequency(**arguments)


def test_counts_come_by_item_or_by_id():
    pandas = pytest.importorskip("pandas")
    for counts in ([2, 0, 1], {0: 2, 2: 1}, pandas.Series([0, 2, 0]).value_counts()):
        layer = ItemFrequency(3, counts=counts)
        assert layer.num_draws == 3
        # Never drawn: half a draw of 3 + 1.
        np.testing.assert_allclose(layer.counts(), [2, 0.5 / 4 * 3, 1], rtol=1e-6)
    with pytest.raises(ValueError, match=r"`counts`: expected each item once.*groupby"):
        ItemFrequency(3, counts=pandas.Series([1, 2, 3], index=[0, 0, 1]))
    assert ItemFrequency(3, counts={}).num_draws == 0
    assert ItemFrequency(2, counts=tfi.ClassStatistics([3, 4])).num_draws == 7


def test_hashed_counts_need_ids():
    with pytest.raises(ValueError, match="`ids`: expected the ids to look up"):
        ItemFrequency(num_cells=10).counts()


def test_a_seed_chooses_the_cells():
    ids = np.arange(50)
    found = []
    for seed in (0, 0, 1):
        layer = ItemFrequency(rate=None, num_cells=20, num_hashes=1, seed=seed)
        layer.update(ids)
        found.append(layer.counts(ids).tolist())
    assert found[0] == found[1] != found[2]
