"""What the callback reports is what `evaluate` says of the towers at the end of each epoch."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfimbalance as tfi

pytestmark = pytest.mark.slow

USERS, FILMS = 12, 30
RNG = np.random.default_rng(0)
POSITIVES = [RNG.choice(FILMS, 3, replace=False) for _ in range(USERS)]
SEEN = [np.setdiff1d(RNG.choice(FILMS, 4), items) for items in POSITIVES]
COUNTS = RNG.integers(0, 9, FILMS)
SHARED = {"k": (2, 8), "seen": SEEN, "counts": COUNTS}


class TwoTowers(keras.Model):
    """The smallest model that trains two towers: rows are pairs of a user and a film."""

    def __init__(self, **options):
        super().__init__(**options)
        self.query_tower = keras.layers.Embedding(USERS, 4, embeddings_initializer="normal")
        self.item_tower = keras.Sequential(
            [
                keras.Input((), dtype="int32"),
                keras.layers.Embedding(FILMS, 4, embeddings_initializer="normal"),
                keras.layers.Dropout(0.9),
            ]
        )

    def call(self, x):
        return keras.ops.sum(self.query_tower(x[:, 0]) * self.item_tower(x[:, 1]), axis=1)


PAIRS = np.array([(user, film) for user, films in enumerate(POSITIVES) for film in films])


def fitted(callbacks, epochs=2, **options):
    model = TwoTowers(**options)
    model.compile(keras.optimizers.SGD(5.0), "mse", run_eagerly=True)
    return model, model.fit(
        PAIRS, np.ones(len(PAIRS)), 12, epochs=epochs, callbacks=callbacks, verbose=0
    ).history


class Kept(keras.callbacks.Callback):
    """Tables of both towers at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.tables = []

    def on_epoch_end(self, epoch, logs=None):
        self.tables.append([np.array(w) for w in self.model.get_weights()])


@pytest.mark.parametrize("kind", ["arrays", "datasets"])
def test_is_what_evaluate_says(kind, capsys):
    queries, items = np.arange(USERS), np.arange(FILMS)
    if kind == "datasets":
        queries, items = (tf.data.Dataset.from_tensor_slices(x).batch(7) for x in (queries, items))
    kept = Kept()
    report = tfi.callbacks.RetrievalReport(
        queries, items, POSITIVES, tau=0.3, every=2, batch_size=5, **SHARED
    )
    _, history = fitted([report, kept])
    for epoch, tables in enumerate(kept.tables):
        wanted = tfi.retrieval.evaluate(*tables, POSITIVES, tau=0.3, **SHARED)
        values = {
            f"val_{name}": value
            for name, value in wanted.as_dict().items()
            if not name.startswith(("popularity_", "unseen"))
        }
        assert len(values) == 2 * 8
        assert {name: history[name][epoch] for name in values} == pytest.approx(values)
    assert set(history) == {"loss", *values}
    assert report.report == wanted
    assert (kept.tables[0][0] != kept.tables[1][0]).any()
    printed = capsys.readouterr().out
    assert printed.count("popularity\n") == 1  # Of the first epoch alone.


def test_towers_may_be_functions_of_anything():
    """One that leaves Keras, of strings; one of a dictionary."""
    names = np.array([f"user {number}" for number in range(USERS)])
    table, films = RNG.normal(size=(USERS, 3)), RNG.normal(size=(FILMS, 2))

    def users(x):
        return table[[int(name.decode().split()[1]) for name in x.numpy()]]

    def items(x):
        return keras.ops.concatenate([x["a"], x["b"][:, None]], axis=1)

    inputs = {"a": films, "b": np.arange(FILMS, dtype="float64")}
    report = tfi.callbacks.RetrievalReport(
        names, inputs, POSITIVES, k=3, query_tower=users, item_tower=items, every=0, batch_size=7
    )
    _, history = fitted([report], epochs=1)
    catalogue = np.concatenate([films, np.arange(FILMS)[:, None]], axis=1)
    wanted = tfi.retrieval.evaluate(table, catalogue, POSITIVES, k=3)
    assert report.report == wanted
    assert history["val_recall@3"] == [wanted.as_dict()["recall@3"]]


def test_keys_of_others_stay():
    reports = [
        tfi.callbacks.RetrievalReport(np.arange(USERS), np.arange(FILMS), p, k=3, every=0)
        for p in (POSITIVES, POSITIVES[::-1])
    ]
    _, history = fitted(reports, epochs=1)
    for report, key in zip(reports, ("val_ndcg@3", "val_retrieval_report_ndcg@3"), strict=True):
        assert history[key] == [report.report.as_dict()["ndcg@3"]]


def test_copies_share_rows_and_towers():
    dataset = tf.data.Dataset.range(FILMS).batch(9)
    original = tfi.callbacks.RetrievalReport(np.arange(USERS), dataset, POSITIVES, k=3, every=0)
    copied = copy.deepcopy([original])[0]
    assert copied.items is dataset
    stop = keras.callbacks.EarlyStopping("val_recall@3", mode="max", patience=9)
    _, history = fitted([copied, stop])
    assert len(history["val_recall@3"]) == 2
    assert original.report is None
    fitted([original], epochs=1)
    assert original.report is not None


def test_mixed_precision_does_not_round_inputs():
    """Ids that float16 cannot hold come to a function as they are."""
    x = np.arange(USERS, dtype="float32") + 4096
    report = tfi.callbacks.RetrievalReport(
        x,
        np.arange(FILMS),
        POSITIVES,
        k=3,
        every=0,
        query_tower=lambda x: keras.ops.stack([x - 4096, x * 0 + 1], axis=1),
        item_tower=lambda x: keras.ops.cast(keras.ops.stack([x, x * x], axis=1), "float32"),
    )
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        fitted([report], epochs=1)
    finally:
        keras.config.set_dtype_policy(policy)
    films = np.arange(FILMS)
    wanted = tfi.retrieval.evaluate(
        np.stack([x - 4096, np.ones(USERS)], axis=1),
        np.stack([films, films**2], axis=1),
        POSITIVES,
        k=3,
    )
    assert report.report == wanted


def endless():
    return tf.data.Dataset.range(FILMS).batch(5).repeat()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"queries": 3}, r"`queries`: expected arrays"),
        ({"queries": []}, r"`queries`: expected arrays"),
        ({"queries": {"a": np.ones(3), "b": np.ones(4)}}, r"`queries`.*\(3,\), \(4,\)"),
        ({"items": endless()}, r"`items`.*an infinite dataset.*repeat"),
        (
            {"items": tf.data.Dataset.range(FILMS).shuffle(FILMS).batch(9)},
            r"`items`.*one that shuff",
        ),
        ({"items": tf.data.Dataset.range(9)}, r"`items`.*single rows.*batch"),
        ({"items": tf.data.Dataset.from_tensor_slices((POSITIVES, POSITIVES)).batch(2)}, "alone"),
        ({"items": tf.data.Dataset.range(0).batch(2)}, r"`items`.*an empty dataset"),
        ({"positives": [[0]]}, r"`positives`: expected 12 rows"),
        ({"query_tower": 3}, r"`query_tower`: expected a layer"),
        ({"every": -1}, r"`every`"),
        ({"tau": 1.0}, r"`counts`.*beside `tau`"),
    ],
)
def test_refuses_what_it_is_given(more, message):
    given = {"queries": np.arange(USERS), "items": np.arange(FILMS), "positives": POSITIVES}
    with pytest.raises(ValueError, match=message):
        tfi.callbacks.RetrievalReport(**{**given, "k": 3, **more})


def test_refuses_towers_before_the_first_step():
    def refused(message, **more):
        report = tfi.callbacks.RetrievalReport(
            np.arange(USERS), np.arange(FILMS), POSITIVES, k=3, **more
        )
        report.set_model(model)
        with pytest.raises(ValueError, match=f"(?s){message}"):
            report.on_train_begin()

    model = TwoTowers()
    refused(r"`query_tower`: expected a tower that returns.*\(12,\)", query_tower=lambda x: x)
    refused(r"`item_tower`.*indices\[3\] = 3 is not in", item_tower=keras.layers.Embedding(3, 4))
    refused(r"`query_tower`: expected a tower that embeds.*numpy", query_tower=len)
    refused(r"`items`: expected embeddings of 4", item_tower=keras.layers.Embedding(FILMS, 3))
    model.compile("sgd", "mse")
    model.loss = type("Loss", (), {"temperature": 0.05})()
    refused(r"`temperature`: expected 0.05", tau=0.5, counts=COUNTS)
    model = keras.Sequential([keras.layers.Dense(1)])
    refused(r"`query_tower`.*None, beside a Sequential.*query_tower=tower")
