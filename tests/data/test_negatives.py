import itertools

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st

import tfimbalance as tfi
from tfimbalance.data._order.items import AliasTable


def pairs(users=50, items=40, rows=600, seed=0):
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, items + 1)
    return rng.integers(0, users, rows), rng.choice(items, rows, p=popularity / popularity.sum())


# Whole numbers, and fractions of them: sums that are equal but for their rounding.
TIES = st.builds(
    lambda w, scale: [x * scale for x in w],
    st.lists(st.integers(0, 5), max_size=30),
    st.sampled_from([1.0, 1 / 3, 0.7, 1e-9]),
)


@given((st.lists(st.floats(0, 10), max_size=60) | TIES).filter(lambda w: sum(w) > 1e-12))
@example([0.0, 7.640972359204385, 0.6180339887498949, 0.0, 1.640972359204385, 6.618033988749895])
@example([1.0, 2.0, 0.0])
def test_an_alias_table_has_exactly_its_probabilities(weights):
    p = np.array(weights) / sum(weights)
    table, n = AliasTable(p), len(p)
    assert ((table.own >= -1e-12) & (table.own <= 1)).all()
    held = table.own / n + np.bincount(table.alias, weights=(1 - table.own) / n, minlength=n)
    np.testing.assert_allclose(held, p, atol=1e-12)


@pytest.mark.parametrize("distribution", ["uniform", "popularity", "given"])
def test_draws_have_the_distribution_that_is_returned(distribution):
    users, items = pairs()
    given_frequency = np.arange(1.0, 41.0)
    dataset = tfi.data.with_negatives(
        (users, items),
        num_items=40,
        num_negatives=30,
        distribution=given_frequency if distribution == "given" else distribution,
        batch_size=100,
    )
    counts = np.bincount(items, minlength=40)
    expected = {
        "uniform": np.full(40, 1 / 40),
        "popularity": counts**0.75 / (counts**0.75).sum(),
        "given": given_frequency / given_frequency.sum(),
    }[distribution]
    drawn = []
    for _ in range(3):
        for (_, item, probability), label in dataset:
            np.testing.assert_allclose(probability, expected[item], rtol=1e-6)
            drawn.append(item.numpy()[label.numpy() == 0])
    seen = np.bincount(np.concatenate(drawn), minlength=40)
    # A chi-square of 39 degrees of freedom (fewer where nothing is expected) is below 80.
    total, hit = seen.sum(), expected > 0
    assert (seen[~hit] == 0).all()
    assert ((seen - total * expected)[hit] ** 2 / (total * expected[hit])).sum() < 80


def test_every_positive_once_an_epoch_with_its_columns():
    users, items = pairs(rows=601)
    table = {"user": users, "item": items, "row": np.arange(601), "text": users.astype(str)}
    dataset = tfi.data.with_negatives(table, num_items=40, num_negatives=3, batch_size=50)
    assert len(dataset) == 13
    seen = []
    for x, y in dataset:
        row, label = x["row"].numpy(), y.numpy()
        np.testing.assert_array_equal(label, np.tile([1, 0, 0, 0], 50))
        np.testing.assert_array_equal(row.reshape(50, 4), row[::4, None] * [1, 1, 1, 1])
        np.testing.assert_array_equal(x["user"], users[row])
        np.testing.assert_array_equal(x["item"].numpy()[::4], items[row[::4]])
        assert x["text"].numpy()[7].decode() == str(users[row[7]])
        assert x["item"].dtype == items.dtype
        seen.extend(row[::4])
    assert set(seen) == set(range(601))
    assert len(seen) - 601 == 13 * 50 - 601  # The next pass fills the last batch.


def test_frames_and_matrices():
    users, items = pairs()
    arguments = {"num_items": 40, "batch_size": 50}
    expected = next(iter(tfi.data.with_negatives((users, items), **arguments)))[0][1]
    frame = pd.DataFrame({"user": users, "item": items, "age": users + 20.0})
    x, _ = next(iter(tfi.data.with_negatives(frame, **arguments)))
    np.testing.assert_array_equal(x["item"], expected)
    np.testing.assert_array_equal(x["age"], x["user"].numpy() + 20.0)
    matrix = np.stack([users, items], axis=1)
    (_, item, _), _ = next(iter(tfi.data.with_negatives(matrix, **arguments)))
    np.testing.assert_array_equal(item, expected)


def test_as_lists():
    users, items = pairs()
    table = {"user": users, "item": items, "row": np.arange(600)}
    flat = tfi.data.with_negatives(table, num_items=40, num_negatives=3, batch_size=50)
    lists = tfi.data.with_negatives(
        table, num_items=40, num_negatives=3, batch_size=50, as_lists=True
    )
    for (x, y), (x2, y2) in zip(flat, lists, strict=True):
        np.testing.assert_array_equal(x["item"], tf.reshape(x2["item"], [-1]))
        np.testing.assert_array_equal(
            x["draw_probability"], tf.reshape(x2["draw_probability"], [-1])
        )
        np.testing.assert_array_equal(y, tf.reshape(y2, [-1]))
        assert x2["row"].shape == (50,)
        np.testing.assert_array_equal(x2["user"], users[x2["row"]])


def test_known_positives_are_never_drawn_and_the_probability_says_so():
    users, items = pairs(users=8)
    dataset = tfi.data.with_negatives(
        (users, items),
        num_items=40,
        num_negatives=20,
        distribution="popularity",
        exclude_positives=True,
        batch_size=100,
        as_lists=True,
    )
    known = np.zeros((8, 40), bool)
    known[users, items] = True
    counts = np.bincount(items, minlength=40) ** 0.75
    q = np.where(known, 0, counts)
    q /= q.sum(axis=1, keepdims=True)
    drawn = np.zeros((8, 40))
    for (user, item, probability), _ in dataset:
        negative = item.numpy()[:, 1:]
        assert not known[user.numpy()[:, None], negative].any()
        np.testing.assert_allclose(
            probability[:, 1:], q[user.numpy()[:, None], negative], rtol=1e-5
        )
        np.add.at(drawn, (user.numpy()[:, None], negative), 1)
    for u in range(8):
        expected, hit = drawn[u].sum() * q[u], q[u] > 0
        assert ((drawn[u] - expected)[hit] ** 2 / expected[hit]).sum() < 2.5 * hit.sum() + 20


@pytest.mark.parametrize("exclude_positives", [False, True])
def test_without_replacement_the_first_different_items_of_a_sequence_are_drawn(exclude_positives):
    """Three of five items, two of them rare: how often each set comes is enumerated."""
    users, items = np.zeros(4000, int), np.zeros(4000, int)
    p = np.array([0.4, 0.35, 0.2, 0.04, 0.01])
    dataset = tfi.data.with_negatives(
        (users, items), num_items=5, num_negatives=3, replace=False, distribution=p,
        exclude_positives=exclude_positives, as_lists=True, batch_size=4000,
    )  # fmt: skip
    drawn = np.sort(next(iter(dataset))[0][1].numpy()[:, 1:], axis=1)
    assert (np.diff(drawn, axis=1) > 0).all()
    q = p * ([0, 1, 1, 1, 1] if exclude_positives else np.ones(5))
    q /= q.sum()
    for chosen in itertools.combinations(range(5), 3):
        share = sum(
            q[a] * q[b] / (1 - q[a]) * q[c] / (1 - q[a] - q[b])
            for a, b, c in itertools.permutations(chosen)
            if q[[a, b, c]].all()
        )
        seen = (drawn == chosen).all(axis=1).mean()
        assert seen == pytest.approx(share, abs=4 * (share * (1 - share) / 4000) ** 0.5 + 1e-9)


def test_as_many_different_negatives_as_there_are_items():
    x = np.array([0, 1]), np.array([3, 3], np.uint8)
    every = tfi.data.with_negatives(
        x, num_items=300, num_negatives=300, replace=False, as_lists=True, batch_size=2
    )
    drawn = next(iter(every))[0][1].numpy()[:, 1:]
    assert (np.sort(drawn, axis=1) == np.arange(300)).all()
    assert (drawn[0] != drawn[1]).any()
    with pytest.raises(ValueError, match=r"`num_negatives`: expected at most 299 different items"):
        tfi.data.with_negatives(
            x, num_items=300, num_negatives=300, replace=False, exclude_positives=True
        )


def test_a_word_for_replace_is_refused():
    with pytest.raises(ValueError, match=r"`replace`: expected True or False. Received: 'no'"):
        tfi.data.with_negatives(([0, 1], [0, 1]), num_items=3, replace="no")


def test_a_positive_that_is_never_drawn_is_refused_where_a_correction_would_be_infinite():
    x, frequency = (np.array([0, 1]), np.array([0, 1])), [0.0, 1.0, 1.0]
    with pytest.raises(ValueError, match=r"`distribution`: expected .* Received: 0 for item 0"):
        tfi.data.with_negatives(x, num_items=3, distribution=frequency)
    ranked = tfi.data.with_negatives(
        x, num_items=3, distribution=frequency, exclude_positives=True, batch_size=2
    )
    assert len(list(ranked)) == 1


def test_a_user_who_has_nearly_all():
    """Where drawing again does not help, the rest is drawn from what is left."""
    users, items = np.zeros(39, int), np.arange(39)
    frequency = np.append(np.ones(39), 1e-6)
    dataset = tfi.data.with_negatives(
        (users, items), num_items=40, distribution=frequency, exclude_positives=True
    )
    (_, item, probability), label = next(iter(dataset))
    assert (item.numpy()[label.numpy() == 0] == 39).all()
    np.testing.assert_allclose(probability.numpy()[label.numpy() == 0], 1.0, rtol=1e-3)
    # What is left is drawn as often as its probabilities say, however it was tried before.
    users, items = np.zeros(38, np.uint64), np.arange(38, dtype=np.uint64)
    frequency = np.append(np.ones(38), [2e-3, 1e-3])
    dataset = tfi.data.with_negatives(
        (users, items), num_items=40, num_negatives=500, distribution=frequency,
        exclude_positives=True, batch_size=38,
    )  # fmt: skip
    drawn = np.concatenate([item[label == 0] for (_, item, _), label in dataset])
    assert set(drawn) == {38, 39}
    assert (drawn == 38).mean() == pytest.approx(2 / 3, abs=4 * 0.47 / len(drawn) ** 0.5)
    users, items = np.zeros(39, int), np.arange(39)
    with pytest.raises(ValueError, match="user 0, whose positives are all"):
        tfi.data.with_negatives((users, items), num_items=39, exclude_positives=True)


@pytest.mark.slow
def test_anew_in_each_epoch_and_the_same_in_each_run():
    x = pairs()
    make = lambda **kw: tfi.data.with_negatives(x, num_items=40, batch_size=64, **kw)  # noqa: E731
    items = lambda dataset: np.stack([item.numpy() for (_, item, _), _ in dataset])  # noqa: E731
    dataset = make()
    first, second = items(dataset), items(dataset)
    assert (np.sort(first, axis=None) != np.sort(second, axis=None)).any()
    np.testing.assert_array_equal(items(make()), first)
    np.testing.assert_array_equal(items(make(initial_epoch=1)), second)
    parts = [items(make(num_shards=2, shard_index=i)) for i in (0, 1)]
    together = np.stack(parts, axis=1).reshape(-1, first.shape[1])
    np.testing.assert_array_equal(together, np.concatenate([first, second])[: len(together)])


@pytest.mark.parametrize("step", [1, 7])
def test_resuming_gives_the_same_remaining_batches(step, tmp_path):
    make = lambda: tfi.data.with_negatives(pairs(), num_items=40, batch_size=64)  # noqa: E731
    items = lambda dataset: [item.numpy() for (_, item, _), _ in dataset]  # noqa: E731
    first = make()
    items(first)
    iterator = iter(first)
    for _ in range(step):
        next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "iterator"))
    restored = iter(make())
    tf.train.Checkpoint(iterator=restored).restore(path)
    again = make()
    items(again)
    np.testing.assert_array_equal(items(restored), items(again)[step:])


@pytest.mark.slow
def test_log_q_recovers_preference_from_popular_negatives():
    """FORMULAS.md 3, form (a): with log Q subtracted from all logits, a softmax over drawn lists
    learns the rates of the items; without, rates over popularity."""
    rng = np.random.default_rng(0)
    rate = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    items = rng.choice(5, 40_000, p=rate)
    popularity = rate**2
    dataset = tfi.data.with_negatives(
        {"item": items},
        num_items=5,
        num_negatives=8,
        distribution=popularity,
        batch_size=500,
        as_lists=True,
    )

    class Softmax(keras.Model):
        def __init__(self, corrected):
            super().__init__()
            self.bias, self.corrected = keras.layers.Embedding(5, 1, "zeros"), corrected

        def call(self, x):
            logits = self.bias(x["item"])[..., 0]
            return logits - keras.ops.log(x["draw_probability"]) * self.corrected

    for corrected, expected in ((True, rate), (False, rate / popularity)):
        model = Softmax(float(corrected))
        model.compile(
            keras.optimizers.Adam(0.05), keras.losses.CategoricalCrossentropy(from_logits=True)
        )
        model.fit(dataset, epochs=5, verbose=0)
        logits = model.bias.get_weights()[0][:, 0]
        learned = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(learned, expected / expected.sum(), rtol=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_items": 3}, "items from 0 to num_items - 1 = 2"),
        ({"positives": (np.zeros(0, int), np.zeros(0, int))}, "at least one positive"),
        ({"positives": {"user": np.zeros(3, int)}}, "items as 'item'"),
        ({"positives": (np.zeros(3), np.zeros(3))}, "integer ids of items"),
        ({"positives": (np.zeros(3, int), np.zeros(2, int))}, "3 rows"),
        ({"positives": np.arange(3)}, "two columns"),
        ({"num_negatives": 0}, "num_negatives"),
        ({"distribution": "log"}, '"uniform", "popularity"'),
        ({"distribution": np.ones(3)}, "num_items=40"),
        ({"distribution": np.zeros(40)}, "not all 0"),
        ({"power": 0.5}, "only distribution"),
        ({"distribution": "popularity", "power": -1}, "power"),
        ({"exclude_positives": True, "user": "who"}, "users as 'who'"),
        ({"user": 0}, "only exclude_positives"),
        ({"positives": {"item": [0], "draw_probability": [1.0]}}, "which is added"),
    ],
)
def test_bad_input_is_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        tfi.data.with_negatives(**{"positives": pairs(), "num_items": 40, **arguments})


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint64"])
def test_negatives_do_not_wrap_in_the_type_of_the_positives(dtype):
    items = np.array([3, 5, 3, 9], dtype)
    rows = tfi.data.with_negatives(
        (np.arange(4), items), num_items=100_000, num_negatives=50, batch_size=4
    )
    (_, drawn, _), labels = next(iter(rows))
    assert drawn.numpy().min() >= 0
    assert drawn.numpy().max() > 40_000
    assert set(drawn.numpy()[labels.numpy() == 1]) == {3, 5, 9}
