import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from data.streams import rare, read, stream_of

import tfimbalance as tfi

pytestmark = pytest.mark.slow


def test_the_frequent_class_is_thinned_and_every_rare_row_comes():
    x, y = rare()
    dataset = tfi.data.balanced_stream(stream_of(x, y), batch_size=64)
    times = np.bincount(np.concatenate([rows for rows, _ in read(dataset)]), minlength=len(x))
    assert (times[y == 1] >= 1).all()
    # Once each, but for the few of the batch that is made of what was left at the end.
    assert (times[y == 0] > 1).sum() <= 32
    # Thinned evenly: as many of every tenth of the stream, within a chunk's rounding.
    kept = (times[y == 0] > 0).reshape(-1)[: len(y[y == 0]) // 10 * 10].reshape(10, -1).sum(axis=1)
    assert kept.max() / kept.min() < 1.3
    rates = tfi.data.class_sampling(dataset).rates
    drawn = len(dataset) * 32
    np.testing.assert_allclose(rates, [drawn / (y == 0).sum(), drawn / (y == 1).sum()])


def test_rows_that_are_said_give_a_length_and_are_counted():
    x, y = rare(3_000)
    batches = stream_of(x, y).batch(100)
    make = lambda rows, **kw: tfi.data.balanced_stream(  # noqa: E731
        batches, batch_size=64, batched=True, num_rows=rows, **kw
    )
    plain = tfi.data.balanced_stream(batches, batch_size=64, batched=True)
    said = make(len(x))
    assert len(said) == -(-len(x) // 64)
    for _ in range(2):  # An epoch ends, and the next one begins.
        for (a, _), (b, _) in zip(read(said), read(plain), strict=True):
            np.testing.assert_array_equal(a, b)
    assert tfi.data.class_sampling(plain).read.num_samples == 2 * len(x)
    for rows in (len(x) + 1, len(x) - 1):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"`num_rows`: expected the rows"):
            read(make(rows))
    with pytest.raises(ValueError, match=r"`num_rows`: expected None.*in_graph"):
        make(len(x), in_graph=True)
    with pytest.raises(ValueError, match=r"`num_rows`: expected None for a dataset without end"):
        tfi.data.balanced_stream(batches.repeat(), batched=True, num_rows=5)
    with pytest.raises(ValueError, match=rf"`num_rows`: expected {len(x)} or None. Received: 5"):
        tfi.data.balanced_stream(stream_of(x, y), num_rows=5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("priors", "share", "batch_size", "rate", "source", "seed"),
    [  # Source: rows a batch of it, None for single rows.
        ([1, 1], None, 5, 0.1, 7, 0),
        ([40, 1], None, 64, 1.0, None, 1),
        ([1, 40, 3, 20, 9], None, 39, 1.0, None, 2),
        ([39, 40, 1], None, 400, 0.5, 100, 3),
        ([3, 30, 5], None, 32, 1.7, 1, 4),
        ([30, 9, 1], "natural", 50, 0.5, 700, 0),
        ([1, 20], "natural", 7, 0.03, 32, 5),
        ([25, 8, 2, 1], 0.25, 90, 0.1, 32, 1),
        ([2, 40], 0.25, 300, 1.7, 7, 2),
    ],
)
def test_every_batch_has_its_quota_and_no_row_comes_twice_before_all_have_come(
    priors, share, batch_size, rate, source, seed
):
    """Of a class that is thinned none comes twice; of one that is reused each comes, and evenly."""
    k, rows = len(priors), 300 if source == 1 else 1_500
    y = np.random.default_rng(seed).choice(k, rows, p=np.array(priors) / sum(priors))
    y[:k] = np.arange(k)
    shares = {None: "balanced", "natural": "natural"}.get(share, {0: share})
    given = stream_of(np.arange(rows), y)
    dataset = tfi.data.balanced_stream(
        given if source is None else given.batch(source),
        batch_size=batch_size,
        class_shares=shares,
        num_classes=k,
        batched=source is not None,
        rate=rate,
        buffer_size=k * rows,  # Room for all, so that nothing is lost.
        seed=seed,
    )
    batches = read(dataset)
    assert len(batches) == -(-round(rate * rows) // batch_size)
    assert source is not None or len(dataset) == len(batches)
    for row, labels in batches:
        np.testing.assert_array_equal(labels, y[row])
        held = np.bincount(labels, minlength=k)
        assert held.sum() == batch_size
        if share is None:
            assert held.min() >= batch_size // k
            assert held.max() <= -(-batch_size // k)
        elif share != "natural":
            assert abs(held[0] - share * batch_size) < 1
    drawn = np.concatenate([row for row, _ in batches])
    sampling = tfi.data.class_sampling(dataset)
    assert sampling.lost == 0
    np.testing.assert_array_equal(sampling.read.counts, np.bincount(y, minlength=k))
    np.testing.assert_array_equal(sampling.drawn.counts, np.bincount(y[drawn], minlength=k))
    groups = {None: y, "natural": np.zeros(rows, int), 0.25: np.minimum(y, 1)}[share]
    batch = np.arange(len(drawn)) // batch_size
    for group in range(groups.max() + 1):
        own = np.flatnonzero(groups == group)
        order, when = (part[groups[drawn] == group] for part in (drawn, batch))
        first = np.full(rows, batch[-1] + 1)
        np.minimum.at(first, order, when)
        read_by = np.maximum.accumulate(order)
        again = np.flatnonzero(~np.isin(np.arange(len(order)), np.unique(order, True)[1]))
        for place in again[:1]:  # The first row that comes again: all that were read have come.
            assert first[own[own <= read_by[place]]].max() <= when[place]
        if len(order) < 0.8 * len(own) and len(order) > 5 * batch_size:
            # Thinned: once each, but for the batch that is made of what was left at the end.
            assert len(again) <= batch_size


@pytest.mark.slow
def test_batches_that_wait_for_more_rows_lose_none():
    """Fewer rows a chunk than a batch has, in each of the ways in which that happens."""
    x, y = rare(8192 + 200, 0.02)
    y[-1] = 1
    cases = {
        "small batches": (stream_of(x, y).batch(32), {"batched": True}),
        "a low rate": (stream_of(x, y), {"rate": 0.1, "batch_size": 512}),
        "a tail": (stream_of(x, y), {}),
    }
    for name, (source, arguments) in cases.items():
        dataset = tfi.data.balanced_stream(source, **arguments)
        rows = np.concatenate([rows for rows, _ in read(dataset)])
        times = np.bincount(rows, minlength=len(x))
        assert times[y == 1].min() >= 1, name
        # But for the batch that is made of what was left at the end.
        assert (times[y == 0] > 1).sum() <= 256, name


@pytest.mark.slow
def test_a_natural_stream_is_thinned_evenly_whatever_its_batches():
    """Every tenth row, also where five chunks make a batch."""
    x = np.arange(60_000)
    rows = stream_of(x, np.zeros(len(x), int))
    for source, batch_size in ((rows, 4096), (rows.batch(256), 256)):
        dataset = tfi.data.balanced_stream(
            source,
            class_shares="natural",
            rate=0.1,
            batch_size=batch_size,
            batched=batch_size == 256,
        )
        drawn = np.concatenate([rows for rows, _ in read(dataset)])[:6_000]
        of_stretch = np.bincount(drawn // 256, minlength=len(x) // 256)[:200]
        assert of_stretch.min() >= 24
        assert of_stretch.max() <= 28


@pytest.mark.slow
def test_what_is_owed_comes_in_the_end_and_what_is_lost_is_said():
    """A class that comes last: as many batches as rows, but of what the buffer holds."""
    y = np.repeat([0, 1], [40_000, 400])
    dataset = tfi.data.balanced_stream(stream_of(np.arange(len(y)), y), batch_size=50)
    with pytest.warns(UserWarning, match=r"30,720 of the first 40,400 rows .* Shuffle the source"):
        batches = read(dataset)
    assert len(batches) == len(dataset) == 808
    assert all(labels.sum() == 25 for _, labels in batches)
    lost = tfi.data.class_sampling(dataset).lost
    frequent = np.concatenate([rows[labels == 0] for rows, labels in batches])
    assert lost == 30_720
    assert len(np.unique(frequent)) <= 40_000 - lost


def test_rare_rows_take_turns():
    """A full buffer that goes on through `repeat` reuses its rows equally often."""
    x, y = rare(4_000)
    endless = tfi.data.balanced_stream(stream_of(x, y).repeat(), batch_size=32)
    assert int(endless.cardinality()) == tf.data.INFINITE_CARDINALITY
    first = len(x) // 32 * 4
    later = [rows for rows, _ in read(endless.skip(first).take(2 * len(x) // 32))]
    times = np.bincount(np.concatenate(later), minlength=len(x))[y == 1]
    expected = times.sum() / len(times)
    assert np.abs(times - expected).max() < 0.35 * expected


@pytest.mark.slow
def test_shares_of_the_rest_keep_their_proportions():
    y = np.random.default_rng(0).choice(4, 40_000, p=[0.6, 0.3, 0.09, 0.01])
    dataset = tfi.data.balanced_stream(
        stream_of(np.arange(len(y)), y), batch_size=40, class_shares={3: 0.25}, num_classes=4
    )
    labels = np.stack([labels for _, labels in read(dataset)])
    assert ((labels == 3).sum(axis=1) == 10).all()
    rest = np.bincount(labels[labels < 3], minlength=3) / (labels < 3).sum()
    read_of_rest = np.bincount(y[y < 3]) / (y < 3).sum()
    np.testing.assert_allclose(rest, read_of_rest, atol=0.005)
    without = tfi.data.balanced_stream(
        stream_of(np.arange(len(y)), y), batch_size=40, class_shares=[0.5, 0.5, 0, 0]
    )
    assert all(set(labels) == {0, 1} for _, labels in read(without))


@pytest.mark.slow
def test_what_was_read_adds_up_over_iterators():
    x, y = rare()
    dataset = tfi.data.balanced_stream(stream_of(x, y), batch_size=100)
    with pytest.raises(ValueError, match="unread"):
        tfi.data.class_sampling(dataset)
    list(dataset)
    once = tfi.data.class_sampling(dataset)
    for _ in range(2):
        list(dataset.take(50))
    more = tfi.data.class_sampling(dataset)
    # What was read ahead counts, too.
    assert more.drawn.num_samples >= once.drawn.num_samples + 2 * 5_000
    assert more.read.num_samples <= 3 * once.read.num_samples
    list(dataset)
    after = tfi.data.class_sampling(dataset)
    assert after.drawn.num_samples == more.drawn.num_samples + once.drawn.num_samples


@pytest.mark.slow
def test_resuming_gives_the_same_remaining_batches(tmp_path):
    x, y = rare(5_000, 0.02)
    make = lambda: tfi.data.balanced_stream(stream_of(x, y).shuffle(500, seed=1), batch_size=64)  # noqa: E731
    whole, paths = [], {}
    iterator = iter(make())
    for step in range(79):
        if step in (1, 77):
            checkpoint = tf.train.Checkpoint(iterator=iterator)
            paths[step] = checkpoint.save(str(tmp_path / f"iterator {step}"))
        whole.append([part.numpy() for part in next(iterator)])
    assert next(iterator, None) is None
    for step, path in paths.items():
        restored = iter(make())
        tf.train.Checkpoint(iterator=restored).restore(path)
        rest = read(restored)
        assert len(rest) == len(whole) - step
        for (x1, y1), (x2, y2) in zip(rest, whole[step:], strict=True):
            np.testing.assert_array_equal(x1, x2)
            np.testing.assert_array_equal(y1, y2)


@pytest.mark.slow
def test_in_graph_is_the_first_epoch():
    x, y = rare(3_000)
    first = [rows for rows, _ in read(tfi.data.balanced_stream(stream_of(x, y), batch_size=64))]
    graph = tfi.data.balanced_stream(stream_of(x, y), batch_size=64, in_graph=True)
    np.testing.assert_array_equal([rows for rows, _ in read(graph)], first)
    with pytest.raises(ValueError, match="in_graph"):
        tfi.data.class_sampling(graph)


@pytest.mark.slow
def test_rows_are_mixed_within_the_shuffle_size():
    n = 5_000
    x, y = np.arange(n), np.zeros(n, np.int32)
    for batched in (False, True):
        source = stream_of(x, y).batch(70) if batched else stream_of(x, y)
        dataset = tfi.data.balanced_stream(
            source, batch_size=50, class_shares="natural", shuffle_size=500, batched=batched
        )
        first, second = (np.concatenate([rows for rows, _ in read(dataset)]) for _ in (0, 1))
        assert (first != second).any()
        for order in (first, second):
            np.testing.assert_array_equal(np.sort(order), x)
            stretches = order.reshape(-1, 500)
            np.testing.assert_array_equal(np.sort(stretches, axis=1), x.reshape(-1, 500))
            # Anywhere in its stretch: the mean distance of two random places is a third of it.
            moved = np.abs(order - x).mean()
            assert moved == pytest.approx(500 / 3, rel=0.1)


@pytest.mark.slow
def test_correction_by_what_was_drawn():
    """A model of nothing but a bias: trained on a stream, corrected, it says the base rate."""
    x, y = rare(20_000, 0.02)
    rows = stream_of(np.ones((len(x), 1), "float32"), y)
    dataset = tfi.data.balanced_stream(rows, batch_size=500, class_shares={1: 0.3})
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(2.0), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(dataset, epochs=2, verbose=0)
    sampling = tfi.data.class_sampling(dataset.prefetch(1))
    logit = float(model.predict(np.ones((1, 1)), verbose=0)[0, 0])
    shift = tfi.calibration.prior_shift(sampling.drawn.priors[1], sampling.read.priors[1])
    assert 1 / (1 + np.exp(-logit)) == pytest.approx(0.3, abs=1e-3)
    assert 1 / (1 + np.exp(-(logit + shift))) == pytest.approx(y.mean(), rel=0.01)


def test_what_is_watched_is_let_go_with_the_dataset():
    x, y = rare(1_000)
    dataset = tfi.data.balanced_stream(stream_of(x, y), batch_size=10)
    iterator = iter(dataset.map(lambda x, y: (x + 1, y)))
    owner = weakref.ref(dataset._tfimbalance)
    del dataset
    gc.collect()
    assert len(list(iterator)) == 100  # A dataset made from it keeps it.
    del iterator
    gc.collect()
    assert owner() is None
