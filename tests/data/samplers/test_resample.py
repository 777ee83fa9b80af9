import gc
import math
import subprocess
import sys
import threading
import weakref

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf
from imblearn import FunctionSampler
from imblearn.combine import SMOTEENN, SMOTETomek
from imblearn.over_sampling import (
    ADASYN,
    SMOTE,
    SMOTEN,
    SMOTENC,
    SVMSMOTE,
    BorderlineSMOTE,
    KMeansSMOTE,
    RandomOverSampler,
)
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling import (
    AllKNN,
    ClusterCentroids,
    EditedNearestNeighbours,
    NearMiss,
    OneSidedSelection,
    RandomUnderSampler,
    TomekLinks,
)
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import tfimbalance as tfi

COUNTS = (100, 20)
Y = np.repeat([0, 1], COUNTS)
ROWS = len(Y)
NUMBERS = np.arange(ROWS)


def features(dtype="float32"):
    """Two classes that overlap a little: what cleans has something to clean."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(ROWS, 3)) + 1.2 * Y[:, None]).astype(dtype)


def mixed():
    """Two columns of measurements, one of codes."""
    x = features()
    x[:, 2] = np.random.default_rng(1).integers(0, 3, ROWS)
    return x


def codes():
    return np.random.default_rng(2).integers(0, 3, (ROWS, 3)).astype("float32")


def batches(x, y=Y, sampler=None, **arguments):
    sampler = RandomOverSampler() if sampler is None else sampler
    return tfi.data.resampled_batches(x, y, sampler, **{"batch_size": 16, **arguments})


def together(epoch):
    """All batches of an epoch, one array for each part of the elements."""
    parts = [tf.nest.flatten(element) for element in epoch]
    return [np.concatenate([np.asarray(part) for part in column]) for column in zip(*parts)]


def numbers(dataset):
    """Row numbers of an epoch of a dataset with ids."""
    return together((ids, y) for (_, ids), y, *_ in dataset)[0]


TRACED = {
    "RandomOverSampler": (RandomOverSampler(), features),
    "shrinkage": (RandomOverSampler(shrinkage=0.5), features),
    "SMOTE": (SMOTE(), features),
    "SMOTENC": (SMOTENC([2]), mixed),
    "SMOTEN": (SMOTEN(), codes),
    "BorderlineSMOTE": (BorderlineSMOTE(), features),
    "SVMSMOTE": (SVMSMOTE(), features),
    "KMeansSMOTE": (KMeansSMOTE(cluster_balance_threshold=0.05), features),
    "ADASYN": (ADASYN(), features),
    "RandomUnderSampler": (RandomUnderSampler(), features),
    "NearMiss": (NearMiss(), features),
    "TomekLinks": (TomekLinks(), features),
    "EditedNearestNeighbours": (EditedNearestNeighbours(), features),
    "AllKNN": (AllKNN(), features),
    "OneSidedSelection": (OneSidedSelection(), features),
    "SMOTEENN": (SMOTEENN(), features),
    "SMOTETomek": (SMOTETomek(), features),
    "SMOTEENN around SMOTENC": (SMOTEENN(smote=SMOTENC([2])), mixed),
    "samplers": (make_pipeline(SMOTE(sampling_strategy=0.5), RandomUnderSampler()), features),
    "selectors": (make_pipeline(TomekLinks(), "passthrough", RandomOverSampler()), features),
    "blind": (make_pipeline(RandomUnderSampler(sampling_strategy=0.5), RandomOverSampler()), codes),
}
UNTRACED = {
    "ClusterCentroids": (ClusterCentroids(), features),
    "ClusterCentroids, hard": (ClusterCentroids(voting="hard"), codes),
    "FunctionSampler": (FunctionSampler(func=lambda x, y: (x[::-1], y[::-1])), features),
    "transformer": (make_pipeline(StandardScaler(), ClusterCentroids()), features),
}
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


@pytest.mark.parametrize("name", ["SMOTE", "RandomUnderSampler", "SMOTEENN", *UNTRACED])
def test_trains_a_model(name):
    sampler, make = {**TRACED, **UNTRACED}[name]
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", tfi.losses.BinaryFocalLoss(from_logits=True))
    dataset = batches(make(), sampler=sampler)
    history = model.fit(dataset, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert int(model.optimizer.iterations) == 2 * len(dataset)


@pytest.mark.parametrize("name", [*TRACED, *UNTRACED])
def test_epochs_are_drawn_anew_and_the_same_with_the_same_seed(name):
    sampler, make = {**TRACED, **UNTRACED}[name]
    first, second = (together(batches(make(), sampler=sampler, seed=7)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    dataset = batches(make(), sampler=sampler, seed=7)
    epochs = [together(dataset)[0] for _ in range(2)]
    assert not np.array_equal(*epochs)
    rows = [sorted(row.tobytes() for row in epoch) for epoch in epochs]
    if name in SAME_EVERY_EPOCH:
        assert set(rows[0]) == set(rows[1])  # In another order.
    elif name in TRACED:
        assert rows[0] != rows[1]
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


def test_a_checkpoint_restores_in_another_process(tmp_path):
    code = (
        "import sys, numpy as np, tensorflow as tf, tfimbalance as tfi\n"
        "from imblearn.over_sampling import SMOTE\n"
        "x = np.random.default_rng(0).normal(size=(120, 3)); y = np.repeat([0, 1], [100, 20])\n"
        "d = tfi.data.resampled_batches(x, y, SMOTE(), batch_size=16, seed=5)\n"
        "iterator = iter(d)\n"
        "tf.train.Checkpoint(iterator=iterator).restore(sys.argv[1])\n"
        "print(next(iterator)[0].numpy().tobytes().hex())"
    )
    x = np.random.default_rng(0).normal(size=(120, 3))
    dataset = batches(x, sampler=SMOTE(), seed=5)
    list(dataset)
    iterator = iter(dataset)
    next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).save(tmp_path / "iterator")
    printed = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip().splitlines()[-1] == next(iterator)[0].numpy().tobytes().hex()


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
        with pytest.raises(tf.errors.OpError, match=r"epoch 1 failed: ValueError: no neighbours"):
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


def mixed_frame():
    x = mixed()
    frame = pd.DataFrame({"amount": x[:, 0], "rate": x[:, 1]})
    frame["city"] = pd.Categorical(x[:, 2].astype(int))
    frame["flag"] = x[:, 0] > 0
    frame["age"] = np.random.default_rng(4).integers(20, 60, ROWS)
    return frame


def test_a_frame_reaches_the_sampler_as_a_frame():
    """By names and categories; a batch is one array of its columns."""
    frame = mixed_frame()
    by_name = SMOTENC(categorical_features=["city", "flag"])
    dataset = batches(frame, sampler=by_name, quantities=["age"], row_ids=NUMBERS)
    drawn, ids, _ = together(dataset)
    assert drawn.dtype == np.float64
    expected = np.stack([np.asarray(frame[name]) for name in frame], axis=1)
    kept = ids >= 0
    np.testing.assert_array_equal(drawn[kept], expected[ids[kept]])
    assert set(drawn[:, 2]) == {0, 1, 2}
    assert set(drawn[:, 3]) == {0, 1}
    assert not set(drawn[~kept, 0]) & set(expected[:, 0])
    auto = batches(frame.drop(columns=["flag", "age"]), sampler=SMOTENC("auto"))
    assert set(together(auto)[0][:, 2]) == {0, 1, 2}
    # The same layout where rows are selected.
    selected, ids, _ = together(batches(frame, sampler=TomekLinks(), row_ids=NUMBERS))
    np.testing.assert_array_equal(selected, expected[ids])


INTEGERS = np.random.default_rng(5).integers(0, 5, (ROWS, 8))


@pytest.mark.parametrize(
    ("x", "sampler", "message"),
    [
        (mixed(), SMOTE(), r"column 2 of whole.*SMOTENC\(categorical_features=\[2\]\)"),
        (mixed(), BorderlineSMOTE(), "BorderlineSMOTE makes rows between"),
        (mixed(), SVMSMOTE(), "column 2"),
        (mixed(), KMeansSMOTE(), "column 2"),
        (mixed(), ADASYN(), "column 2"),
        (mixed(), ClusterCentroids(), r'voting="hard"'),
        (mixed(), RandomOverSampler(shrinkage=1.0), "shrinkage=None"),
        (mixed(), SMOTEENN(), r"SMOTEENN\(smote=SMOTENC"),
        (mixed(), SMOTETomek(smote=SMOTE()), "column 2"),
        (mixed(), make_pipeline(RandomUnderSampler(), SMOTE()), "column 2"),
        (mixed(), make_pipeline(FunctionSampler(validate=False), SMOTE()), "column 2"),
        (mixed(), make_pipeline(OneHotEncoder(sparse_output=False), SMOTE()), "in all"),
        (mixed(), SMOTENC([0]), r"column 2.*Add them to its categorical_features: \[2\]"),
        (mixed(), SMOTENC([True, False, False]), "column 2"),
        (mixed() > 0.5, SMOTE(), r"columns 0, 1, 2 .*SMOTEN\(\)"),
        (INTEGERS, SMOTE(), r"columns 0, 1, 2, 3, 4, \.\.\. \(8 in all\).*quantities=\[\.\.\.\]"),
        (scipy.sparse.csr_matrix(mixed()), SMOTE(), "column 2"),
        (scipy.sparse.csc_array(INTEGERS), SMOTE(), "8 in all"),
        (pd.DataFrame(mixed(), columns=["a", "b", "c"]), SMOTE(), r"'c' .*\['c'\]"),
        (mixed_frame(), SMOTE(), "columns 'city', 'flag', 'age'"),
        (mixed_frame(), SMOTENC(["city", "age"]), "column 'flag'"),
        (mixed_frame(), SMOTENC("auto"), "columns 'flag', 'age'"),
    ],
)
def test_categories_are_never_interpolated(x, sampler, message):
    with pytest.raises(ValueError, match=f"`x`: .*{message}"):
        batches(x, sampler=sampler)


def test_quantities_may_be():
    x = np.column_stack([features(), INTEGERS[:, 0]])
    for quantities in ([3], [-1], np.array([3])):
        assert len(together(batches(x, sampler=SMOTE(), quantities=quantities))[0]) == 208
    ages = batches(INTEGERS, sampler=SMOTE(), quantities=range(8))
    assert together(ages)[0].dtype == INTEGERS.dtype
    frame = pd.DataFrame(x, columns=list("abcd"))
    for quantities in (["d"], [3]):
        list(batches(frame, sampler=SMOTE(), quantities=quantities))
    with pytest.raises(ValueError, match=r"`quantities`.*'e'.*'a', 'b', 'c', 'd'"):
        batches(frame, sampler=SMOTE(), quantities=["e"])
    with pytest.raises(ValueError, match=r"`quantities`.*4, where `x` has 4 columns"):
        batches(x, sampler=SMOTE(), quantities=[4])


def test_what_does_not_vary_is_no_category():
    x = np.column_stack([features(), np.ones(ROWS), np.zeros(ROWS)])
    for each in (x, pd.DataFrame(x), scipy.sparse.csr_matrix(x)):
        assert len(list(batches(each, sampler=SMOTE()))) == math.ceil(2 * COUNTS[0] / 16)


def test_late_fractions_are_found():
    """A column of whole numbers but for its last row is one of measurements."""
    x = np.column_stack([features(), np.arange(ROWS)])
    x[-1, 3] = 0.5
    assert len(list(batches(x, sampler=SMOTE()))) == math.ceil(2 * COUNTS[0] / 16)


def test_a_pipeline_transforms():
    x = features("float64") * 3 + 7
    dataset = batches(x, sampler=make_pipeline(StandardScaler(), SMOTE()), row_ids=NUMBERS)
    drawn, ids, _ = together(dataset)
    kept = ids >= 0
    expected = (x - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose(drawn[kept], expected[ids[kept]], rtol=1e-9)
    # Strings are for a transformer to encode.
    words = np.array([["a"], ["b"], ["c"]])[INTEGERS[:, 0] % 3]
    encoded = make_pipeline(OneHotEncoder(sparse_output=False), RandomUnderSampler())
    assert together(batches(words, sampler=encoded))[0].shape[1] == 3


class NoSampler:
    pass


def one_class(x, y):
    return x[:50], y[:50]


def nothing(x, y):
    return x[:0], y[:0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": np.zeros(ROWS, int)}, "`y`.*at least two classes.*class 0 alone"),
        ({"x": np.zeros((0, 3)), "y": np.zeros(0, int)}, "`y`.*no rows"),
        ({"y": np.repeat([0.0, np.nan], 60)}, "nan in row 60"),
        ({"y": {"click": Y}}, "`y`.*several outputs"),
        ({"y": np.zeros((ROWS, 4, 1), int)}, "`y`.*one class a row"),
        ({"x": features()[1:]}, "`x`.*119 rows"),
        ({"x": features()[1:], "sampler": RandomOverSampler()}, "`x`.*119 rows"),
        ({"sample_weight": np.ones(3)}, "`sample_weight`.*3 rows"),
        ({"sample_weight": np.array(["a"] * ROWS)}, "`sample_weight`.*one number"),
        ({"row_ids": NUMBERS[1:]}, "`row_ids`.*119 rows"),
        ({"row_ids": NUMBERS - 1}, "`row_ids`.*at least 0.*np.arange"),
        ({"row_ids": NUMBERS / 2}, "`row_ids`.*float64"),
        ({"sampler": NoSampler()}, "`sampler`.*fit_resample"),
        ({"sampler": SMOTE}, "`sampler`.*fit_resample"),
        ({"sampler": make_pipeline(SMOTE(), StandardScaler())}, "ends with a sampler"),
        ({"sampler": FunctionSampler(func=one_class)}, "class 0 from FunctionSampler"),
        ({"sampler": FunctionSampler(func=nothing, validate=False)}, "no rows from Function"),
        (
            {"sampler": FunctionSampler(), "row_ids": NUMBERS},
            "because row_ids was given.*Leave out row_ids",
        ),
        (
            {"sampler": ClusterCentroids(), "sample_weight": np.ones(ROWS)},
            "because sample_weight was given",
        ),
        ({"x": features()[:, 0]}, r"shape \(120,\).*reshape\(-1, 1\)"),
        ({"x": np.zeros((ROWS, 4, 4))}, r"reshape\(len\(x\), -1\).*RandomOverSampler"),
        ({"x": {"a": features()}}, "SMOTE looks at features.*a dict"),
        ({"x": tf.RaggedTensor.from_row_lengths(NUMBERS, np.ones(ROWS, int))}, "RaggedTensor"),
        ({"x": np.array([["a"]] * ROWS)}, "`x`.*numbers or flags"),
        ({"x": pd.DataFrame({"a": NUMBERS / 7, "b": ["x"] * ROWS})}, r"column 'b'.*cat\.codes"),
        ({"x": np.where(features() > 2, np.nan, features())}, "NaN"),
        ({"sampler": SMOTE(k_neighbors=50)}, "n_neighbors"),
        ({"batch_size": 0}, "batch_size"),
        ({"steps_per_epoch": 0}, "steps_per_epoch"),
        ({"seed": -1}, "seed"),
        ({"initial_epoch": -1}, "initial_epoch"),
        ({"shard_index": 1}, "below num_shards=1"),
    ],
)
def test_bad_input_is_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        batches(**{"x": features(), "sampler": SMOTE(), **arguments})


def test_missing_text_does_not_hide_where_a_row_is_from():
    """An encoder comes after the sampler, so that strings and gaps reach it."""
    frame = pd.DataFrame({"size": features()[:, 0], "word": ["a", None, "b", "b"] * 30})
    frame["other"] = pd.array(["u", pd.NA, "v", "u"] * 30, dtype="string").astype(object)
    rows = RandomUnderSampler(sampling_strategy=0.9)
    select = FunctionSampler(func=lambda x, y: (x, y), validate=False)
    encode = OneHotEncoder(sparse_output=False)
    with pytest.raises(ValueError, match="because ids was given"):
        batches(frame, sampler=make_pipeline(encode, select, rows), row_ids=NUMBERS)
    pipeline = make_pipeline(rows, encode, TomekLinks())
    ids = numbers(batches(frame, sampler=pipeline, row_ids=NUMBERS))
    assert (ids >= 0).all()
    assert len(set(ids)) > 20
