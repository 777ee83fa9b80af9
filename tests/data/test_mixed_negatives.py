"""`mixed_negatives`: batches of positives with a block of uniformly drawn items."""

import gc
import weakref

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfimbalance as tfi

pytestmark = pytest.mark.slow

ITEMS = 37
PLAYS = {
    "user": np.arange(60) % 7,
    "film": np.arange(60) % ITEMS,
    "genres": np.eye(ITEMS, 4, dtype="float32")[np.arange(60) % ITEMS],
}
CATALOGUE = {"film": np.arange(ITEMS), "genres": np.eye(ITEMS, 4, dtype="float32")}


def plays(batch_size=12):
    return tf.data.Dataset.from_tensor_slices(PLAYS).batch(batch_size)


def mixed(positives=None, items=CATALOGUE, num_uniform=5, **arguments):
    positives = plays() if positives is None else positives
    return tfi.data.mixed_negatives(
        positives, items, item="film", num_uniform=num_uniform, **arguments
    )


def drawn(dataset):
    return np.stack([x["negatives"]["film"].numpy() for x in dataset])


def test_what_is_added_and_what_stays():
    dataset = mixed()
    assert len(dataset) == 5
    spec = dataset.element_spec
    assert spec["negatives"]["film"] == tf.TensorSpec([5], tf.int64)
    assert spec["negatives"]["genres"] == tf.TensorSpec([5, 4], tf.float32)
    assert spec["draw_probability"] == tf.TensorSpec([5], tf.float32)
    for x, given in zip(dataset, plays(), strict=True):
        negatives = x.pop("negatives")
        np.testing.assert_allclose(x.pop("draw_probability"), 1 / ITEMS, rtol=1e-7)
        tf.nest.map_structure(np.testing.assert_array_equal, x, given)
        np.testing.assert_array_equal(negatives["genres"], CATALOGUE["genres"][negatives["film"]])


def test_every_item_is_drawn_equally_often_and_independently():
    film = drawn(mixed(num_uniform=20_000))
    counts = np.bincount(film.ravel(), minlength=ITEMS)
    # Chi-squares of 36 and of 36 x 36 degrees of freedom, at 5 standard deviations.
    expected = film.size / ITEMS
    assert ((counts - expected) ** 2 / expected).sum() < 36 + 5 * 72**0.5
    pairs = np.bincount(film[:, 1:].ravel() * ITEMS + film[:, :-1].ravel(), minlength=ITEMS**2)
    expected = film[:, 1:].size / ITEMS**2
    assert ((pairs - expected) ** 2 / expected).sum() < ITEMS**2 + 5 * (2 * ITEMS**2) ** 0.5


def test_anew_in_each_batch_and_epoch_and_the_same_in_each_run():
    dataset = mixed()
    first, second = drawn(dataset), drawn(dataset)
    assert len({tuple(row) for row in np.concatenate([first, second])}) == 10
    np.testing.assert_array_equal(drawn(mixed()), first)
    np.testing.assert_array_equal(drawn(mixed(initial_epoch=1)), second)
    np.testing.assert_array_equal(drawn(mixed(in_graph=True)), first)
    # A longer block begins with the same items, and another catalogue with those of their places.
    np.testing.assert_array_equal(drawn(mixed(num_uniform=9))[:, :5], first)
    named = {"film": np.arange(ITEMS)[::-1], "genres": CATALOGUE["genres"]}
    np.testing.assert_array_equal(drawn(mixed(items=named)), ITEMS - 1 - first)
    assert (drawn(mixed(seed=1)) != first).any()


def test_resuming_gives_the_same_remaining_batches(tmp_path):
    first = mixed()
    drawn(first)
    iterator = iter(first)
    for _ in range(2):
        next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "iterator"))
    restored = iter(mixed())
    tf.train.Checkpoint(iterator=restored).restore(path)
    np.testing.assert_array_equal(drawn(restored), drawn(mixed(initial_epoch=1))[2:])


def test_catalogues_of_any_kind():
    expected = drawn(mixed())
    ids = plays().map(lambda x: {"film": x["film"], "user": x["user"]})
    for items in (np.arange(ITEMS), list(range(ITEMS)), pd.DataFrame({"film": np.arange(ITEMS)})):
        np.testing.assert_array_equal(drawn(mixed(ids, items)), expected)
    names = np.array([f"film {i}" for i in range(ITEMS)])
    words = tf.ragged.constant([["of"] * (i % 3) for i in range(ITEMS)])
    log = plays().map(
        lambda x: {
            "film": tf.gather(names, x["film"]),
            "text": {"words": tf.gather(words, x["film"])},
        }
    )
    for x in mixed(log, {"film": names, "text": {"words": words}}):
        film = [int(name.decode().split()[1]) for name in x["negatives"]["film"].numpy()]
        assert x["negatives"]["text"]["words"].to_list() == [[b"of"] * (i % 3) for i in film]
    large = 2**33 + np.arange(3)  # Ids that neither float32 nor int32 can hold.
    log = tf.data.Dataset.from_tensor_slices({"film": large}).batch(2)
    assert set(drawn(mixed(log.take(1), large, 50)).ravel()) == set(large)


def test_elements_with_weights_beside_the_dictionary():
    weighted = plays().map(lambda x: (x, None, tf.ones(tf.shape(x["film"]))))
    for (x, nothing, weight), alone in zip(mixed(weighted), mixed(), strict=True):
        assert nothing is None
        assert weight.shape == x["film"].shape
        np.testing.assert_array_equal(x["negatives"]["film"], alone["negatives"]["film"])


@pytest.mark.parametrize("length", ["unknown", "endless"])
def test_any_length(length):
    source = plays().filter(lambda x: True) if length == "unknown" else plays().repeat()
    dataset = mixed(source)
    assert int(dataset.cardinality()) == int(source.cardinality())
    np.testing.assert_array_equal(drawn(dataset.take(5)), drawn(mixed()))


def test_replicas_share_the_positives_and_what_was_drawn():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    parts = strategy.experimental_distribute_dataset(mixed(num_uniform=8))
    for x, whole in zip(parts, mixed(num_uniform=8)):
        for part, all_of_it in (
            (x["film"], whole["film"]),
            (x["negatives"]["genres"], whole["negatives"]["genres"]),
            (x["draw_probability"], whole["draw_probability"]),
        ):
            local = strategy.experimental_local_results(part)
            assert len({replica.shape[0] for replica in local}) == 1
            np.testing.assert_array_equal(tf.concat(local, axis=0), all_of_it)


def test_the_catalogue_is_let_go_with_the_dataset():
    dataset = mixed()
    drawn(dataset)
    owner = weakref.ref(dataset._tfimbalance)
    del dataset
    gc.collect()
    assert owner() is None


def without(*keys):
    return plays().map(lambda x: {key: part for key, part in x.items() if key not in keys})


@pytest.mark.parametrize(
    ("positives", "items", "arguments", "message"),
    [
        ([1, 2], CATALOGUE, {}, r"`positives`: expected a tf\.data\.Dataset.*Received: list"),
        (plays().map(lambda x: x["film"]), CATALOGUE, {}, r"`positives`.*elements TensorSpec"),
        (plays().unbatch(), CATALOGUE, {}, r"`positives`: expected batches.*dataset\.batch"),
        (
            plays().map(lambda x: {**x, "negatives": x["film"]}),
            CATALOGUE,
            {},
            r"`positives`: expected no features 'negatives'",
        ),
        (without("film"), CATALOGUE, {}, r"`item`.*ids in `positives`, one of \['user', 'genres'"),
        (plays(), {"genres": CATALOGUE["genres"]}, {}, r"`item`.*ids in `items`.*'film'"),
        (without("genres"), CATALOGUE, {}, r"`items`: expected features.*Received: 'genres'"),
        (plays(), PLAYS["film"], {}, r"`items`: expected each item in one row.*0 in rows 0 and 37"),
        (plays(), np.arange(ITEMS) / 2, {}, r"`items`.*an integer or a string.*float64"),
        (plays(), np.arange(0), {}, r"`items`.*shape \(0,\)"),
        (plays(), np.arange(ITEMS, dtype="int32"), {}, r"`items`: expected 'film' of the type"),
        (plays(), {**CATALOGUE, "genres": np.eye(ITEMS)}, {}, r"`items`: expected 'genres' of"),
        (plays(), {**CATALOGUE, "genres": {"a": np.eye(ITEMS)}}, {}, r"`items`: expected 'genres'"),
        (
            plays(),
            {**CATALOGUE, "genres": np.eye(9, dtype="float32")},
            {},
            r"`items`: expected 37 rows, as many as `items\['film'\]`.*Received: 9 rows",
        ),
        (plays(), None, {}, r"`items\['film'\]`: expected an array"),
        (plays(), {"film": np.array([1, "a"], object)}, {}, r"`items\['film'\]`.*mixed objects"),
        (plays(), CATALOGUE, {"num_uniform": 0}, "`num_uniform`"),
        (plays(), CATALOGUE, {"num_uniform": 2**40}, r"`num_uniform`: expected fewer than 2\*\*31"),
        (plays(), CATALOGUE, {"seed": -1}, "`seed`"),
        (plays(), CATALOGUE, {"initial_epoch": -1}, "`initial_epoch`"),
    ],
)
def test_bad_input_is_refused_at_once(positives, items, arguments, message):
    with pytest.raises(ValueError, match=message):
        mixed(positives, items, **arguments)


def test_a_key_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"`item`: expected the key.*\['film'\]"):
        tfi.data.mixed_negatives(plays(), CATALOGUE, item=["film"], num_uniform=2)
