"""Two towers: which features they read, what a batch costs, and what `fit` makes of them."""

import keras
import numpy as np
import pytest
from backend import NAME, array
from scipy.special import logsumexp, softmax

import tfimbalance as tfi
from tfimbalance.retrieval import ItemFrequency, SampledSoftmaxLoss, TwoTower

pytestmark = pytest.mark.slow

any_backend = pytest.mark.any_backend
tensorflow_only = pytest.mark.only_on("tensorflow", why="it is TensorFlow's")
USERS, FILMS, DIM, ROWS = 4, 6, 3, 5
RNG = np.random.default_rng(0)
USER, FILM = RNG.normal(size=(USERS, DIM)), RNG.normal(size=(FILMS, DIM))
COUNTS = np.array([50, 20, 10, 10, 8, 2])
Q = (COUNTS + 0.5) / 101
X = {"user": np.array([0, 1, 2, 3, 0], "int32"), "film": np.array([0, 1, 0, 5, 3], "int32")}
DRAWN = np.array([5, 0, 4], "int32")
MIXED = {**X, "negatives": {"film": DRAWN}, "draw_probability": np.full(3, 1 / FILMS, "float32")}


def tower(name, table, **kwargs):
    ids = keras.Input((), dtype="int32", name=name)
    rows = keras.layers.Embedding(*np.shape(table), weights=[np.asarray(table, "f4")], **kwargs)
    return keras.Model(ids, rows(ids))


def model_of(loss=None, frequency=None, **kwargs):
    frequency = frequency or ItemFrequency(FILMS, rate=None, counts=COUNTS)
    model = TwoTower(
        tower("user", USER, **kwargs),
        tower("film", FILM, **kwargs),
        item_id="film",
        loss=loss,
        frequency=frequency,
    )
    model.compile(keras.optimizers.SGD(0.1))
    return model


def nats(log_q, log_q_drawn=None, form="nce"):
    """The loss of each row of X, candidate by candidate."""
    ids = X["film"] if log_q_drawn is None else np.r_[X["film"], DRAWN]
    log_q = log_q if log_q_drawn is None else np.r_[log_q, log_q_drawn]
    values = []
    for row, user in enumerate(X["user"]):
        s = FILM[ids] @ USER[user]
        others = [j for j in range(len(ids)) if j != row and (form == "nce" or ids[j] != ids[row])]
        if form == "nce":
            z = np.r_[s[row] - log_q[row], s[others] - log_q[others]]
        else:
            rest = 1 - np.exp(log_q[row])
            z = np.r_[s[row], s[others] - np.log(len(others) * np.exp(log_q[others]) / rest)]
        values.append(logsumexp(z) - z[0])
    return np.array(values)


# --- What a batch costs ---------------------------------------------------------------------------


@any_backend
@pytest.mark.parametrize("form", ["nce", "importance"])
def test_the_loss_of_a_batch(form):
    log_q = np.log(Q[X["film"]])
    model = model_of(SampledSoftmaxLoss(form))
    found = model.evaluate(X, batch_size=ROWS, verbose=0)
    assert found == pytest.approx(nats(log_q, form=form).mean(), rel=1e-5)
    assert model.frequency.num_draws == COUNTS.sum()  # Evaluation counts nothing.
    weight = np.array([0.0, 1.0, 2.0, 0.0, 0.5], "float32")
    found = array(model.test_on_batch(X, sample_weight=weight))
    assert float(found) == pytest.approx((weight * nats(log_q, form=form)).mean(), rel=1e-5)
    # A step counts the items first; then their frequencies are those of all rows before and now.
    found = model.train_on_batch(X)
    counts = COUNTS + np.bincount(X["film"], minlength=FILMS)
    np.testing.assert_array_equal(model.frequency.counts(), counts)
    log_q = np.log((counts + 0.5) / (counts.sum() + 1))[X["film"]]
    assert float(array(found)) == pytest.approx(nats(log_q, form=form).mean(), rel=1e-5)


@any_backend
@pytest.mark.parametrize("form", ["nce", "importance"])
def test_a_shared_block_of_negatives(form):
    """Log Q of all candidates is that of 4 negatives from the batch and 3 uniform ones."""
    mixed = np.log((4 * Q + 3 / FILMS) / 7)
    found = model_of(SampledSoftmaxLoss(form)).test_on_batch(MIXED)
    expected = nats(mixed[X["film"]], mixed[DRAWN], form).mean()
    assert float(array(found)) == pytest.approx(expected, rel=1e-5)


@any_backend
def test_what_regularises_the_towers_is_part_of_the_loss():
    penalty = keras.regularizers.L2(0.1)
    plain, more = model_of(), model_of(embeddings_regularizer=penalty)
    squares = 0.1 * ((USER**2).sum() + (FILM**2).sum())
    found = more.evaluate(X, batch_size=ROWS, verbose=0)
    expected = plain.evaluate(X, batch_size=ROWS, verbose=0) + squares
    assert found == pytest.approx(expected, rel=1e-5)


@any_backend
def test_rows_of_padding_cost_nothing_and_are_no_negatives():
    x = {name: ids[1:] for name, ids in X.items()}
    film = np.where(x["film"] == 0, 2, x["film"])  # No item 0 but for padding.
    padded = {"user": np.r_[x["user"], 1].astype("int32"), "film": np.r_[film, 0].astype("int32")}
    model, plain = model_of(mask_zero=True), model_of()
    padded["user"] = np.where(padded["user"] == 0, 2, padded["user"]).astype("int32")
    real = {name: ids[:-1] for name, ids in padded.items()}
    for more in ({}, {name: MIXED[name] for name in ("negatives", "draw_probability")}):
        drawn = {"negatives": {"film": DRAWN[[0, 2]]}, "draw_probability": np.full(2, 0.2, "f4")}
        more = drawn if more else {}
        found, wanted = model.test_on_batch(padded | more), plain.test_on_batch(real | more)
        assert float(array(found)) == pytest.approx(float(array(wanted)), rel=1e-5)
        # Nor are they draws.
        found, wanted = model.train_on_batch(padded | more), plain.train_on_batch(real | more)
        assert float(array(found)) == pytest.approx(float(array(wanted)), rel=1e-5)
    np.testing.assert_array_equal(model.frequency.counts(), plain.frequency.counts())


def test_a_row_that_either_tower_masks_is_no_negative():
    model = TwoTower(
        tower("user", USER, mask_zero=True),
        tower("film", FILM),
        item_id="film",
        frequency=ItemFrequency(FILMS, rate=None, counts=COUNTS),
    )
    model.compile("sgd")
    x = {"user": np.array([1, 2, 3, 1, 0], "int32"), "film": X["film"]}
    real = {name: ids[:4] for name, ids in x.items()}
    more = {name: MIXED[name] for name in ("negatives", "draw_probability")}
    found, wanted = model.test_on_batch(x | more), model_of().test_on_batch(real | more)
    assert found == pytest.approx(wanted, rel=1e-5)


def test_padding_is_no_hit():
    model, plain = model_of(mask_zero=True), model_of()
    film = np.tile([1, 2, 3, 4, 5], 20).astype("int32")
    real = {"user": np.full(100, 1, "int32"), "film": film}
    padded = {name: np.r_[ids, np.zeros(50, "int32")] for name, ids in real.items()}
    for _ in range(12):
        model.train_on_batch(padded)
        plain.train_on_batch(real)
    sums = [array(each._hits.variables[0]) for each in (model, plain)]
    np.testing.assert_allclose(*sums, rtol=1e-4)
    assert sums[0][1] == 2 * 5 * (20 * 19 / 2)  # Of two batches: frequencies of ten are guesses.


# --- Features -------------------------------------------------------------------------------------


@any_backend
def test_features_go_to_the_towers_by_name():
    """Inputs as a dictionary, a list, one alone; Sequential, as it was built; one of both."""
    hour, age = keras.Input((1,), name="hour"), keras.Input((1,), name="age")
    of_list = keras.Model([hour, age], keras.layers.Concatenate()([hour, age]))
    parts = {name: keras.Input((1,), name=name) for name in ("hour", "length")}
    late = keras.layers.Subtract()([parts["hour"], parts["length"]])
    of_dict = keras.Model(parts, keras.layers.Concatenate()([late, parts["length"]]))
    model = TwoTower(of_list, of_dict, item_id="film", frequency=ItemFrequency(FILMS))
    given = {"age": [[1.0]], "length": [[2.0]], "hour": [[5.0]], "film": [3], "more": [7.0]}
    given = {name: np.array(x, "int32" if name == "film" else "f4") for name, x in given.items()}
    found = model(given)
    np.testing.assert_array_equal(array(found["query"]), [[5.0, 1.0]])
    np.testing.assert_array_equal(array(found["item"]), [[3.0, 2.0]])
    one = keras.Sequential([keras.Input((1,), name="length"), keras.layers.Flatten()])
    other = keras.Sequential([keras.Input((1,), name="age"), keras.layers.Flatten()])
    found = TwoTower(one, other, item_id="film", frequency=ItemFrequency(FILMS))(given)
    np.testing.assert_array_equal(array(found["query"]), [[2.0]])
    np.testing.assert_array_equal(array(found["item"]), [[1.0]])


def test_ids_of_64_bits_are_never_confused():
    """The item tower reads something else; under "importance", ids tell hits."""
    near = np.array([2**33 + 1, 2**33 + 2, 2**24, 2**24 + 1], "int64")
    frequency = ItemFrequency(rate=None, num_cells=1009)
    model = TwoTower(
        tower("user", USER),
        tower("place", FILM),
        item_id="id",
        loss=SampledSoftmaxLoss("importance"),
        frequency=frequency,
    )
    model.compile("sgd")
    places = np.arange(4, dtype="int32")
    model.fit({"user": places, "place": places, "id": near}, epochs=2, verbose=0)
    np.testing.assert_array_equal(frequency.counts(near), 2)
    hits = {"user": places, "place": places, "id": np.full(4, 2**33 + 1)}
    assert model.evaluate(hits, verbose=0) == 0.0  # All of one item: nothing to compare with.
    assert model.evaluate({**hits, "id": near}, verbose=0) > 0.1


# --- What fit makes of them -----------------------------------------------------------------------


def test_what_is_learned_is_preference_or_association():
    """A catalogue by Zipf's law whose p(item | context) are known; frequencies are estimated."""
    size, contexts, batch = 300, 8, 512
    rng = np.random.default_rng(0)
    p = softmax(np.log(1 / np.arange(1, size + 1)) + rng.normal(size=(contexts, size)), axis=1)
    q = p.mean(axis=0)

    def kl(log_p):
        return (p * (np.log(p) - log_p + logsumexp(log_p, axis=1, keepdims=True))).sum(1).mean()

    def learned(steps, loss):
        rng = np.random.default_rng(1)
        context = rng.integers(contexts, size=steps * batch)
        below = p.cumsum(axis=1)[context] < rng.random(len(context))[:, None]
        x = {"context": context, "film": np.minimum(below.sum(axis=1), size - 1)}
        query = tower("context", np.eye(contexts), trainable=False)
        films = tower("film", np.zeros((size, contexts)))
        model = TwoTower(query, films, item_id="film", loss=loss, frequency=ItemFrequency(size))
        rate = keras.optimizers.schedules.PolynomialDecay(0.05, steps, 5e-4)
        model.compile(keras.optimizers.Adam(rate, use_ema=True))
        rows = {name: ids.astype("int32") for name, ids in x.items()}
        model.fit(rows, batch_size=batch, shuffle=False, verbose=0)
        return kl(films.predict(np.arange(size), verbose=0).T)

    assert learned(700, SampledSoftmaxLoss()) < 0.01
    assert learned(700, SampledSoftmaxLoss("importance")) < 0.01
    assert kl(np.log(p / q)) > 1.2  # What no correction learns.
    assert learned(200, SampledSoftmaxLoss(tau=0.0)) > 1.2


@any_backend
def test_rows_that_are_not_shuffled_are_noticed_once():
    rng = np.random.default_rng(0)
    film = rng.choice(FILMS, size=640, p=COUNTS / 100).astype("int32")
    x = {"user": rng.integers(USERS, size=640).astype("int32"), "film": film}
    model = model_of()
    model.fit(x, batch_size=32, epochs=2, verbose=0)
    order = np.argsort(film, kind="stable")
    by_item = {name: ids[order] for name, ids in x.items()}
    model = model_of(frequency=ItemFrequency(FILMS, counts=COUNTS))
    message = r"pairs of rows of a batch had the same 'film', where chance explains [\d,]+: the"
    with pytest.warns(UserWarning, match=message):
        model.fit(by_item, batch_size=32, shuffle=False, verbose=0)
    model.fit(by_item, batch_size=32, shuffle=False, verbose=0)


@any_backend
def test_a_saved_model_goes_on(tmp_path):
    model = model_of(SampledSoftmaxLoss("importance", temperature=0.5))
    model.compile("adam")
    model.fit(X, batch_size=ROWS, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.get_config() == model.get_config()
    assert again.loss.temperature == 0.5
    np.testing.assert_array_equal(again.frequency.counts(), model.frequency.counts())
    for each in (model, again):
        each.fit(X, batch_size=ROWS, verbose=0)
    for found, wanted in zip(again.variables, model.variables, strict=True):
        np.testing.assert_allclose(array(found), array(wanted), rtol=1e-5)
    assert int(array(again.optimizer.iterations)) == 2


def test_towers_that_share_a_table_are_trained_but_not_saved_together(tmp_path):
    """Keras cannot load them; it would say so only then."""

    def made():
        table = keras.layers.Embedding(FILMS, DIM)
        history = keras.Input((2,), dtype="int32", name="history")
        film = keras.Input((), dtype="int32", name="film")
        query = keras.Model(history, keras.layers.GlobalAveragePooling1D()(table(history)))
        towers = query, keras.Model(film, table(film))
        model = TwoTower(*towers, item_id="film", frequency=ItemFrequency(FILMS))
        model.compile("sgd")
        return model

    model, again = made(), made()
    x = {"history": np.array([[1, 2], [0, 3]], "int32"), "film": np.array([4, 5], "int32")}
    model.fit(x, verbose=0)
    assert len(model.trainable_variables) == 1
    with pytest.raises(ValueError, match=r"without layers in common.*save_weights"):
        model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    again.load_weights(tmp_path / "model.weights.h5")
    assert again.evaluate(x, verbose=0) == pytest.approx(model.evaluate(x, verbose=0))


@any_backend
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = model_of()
        model.compile("adam")
        history = model.fit(X, batch_size=ROWS, epochs=2, verbose=0).history
        assert keras.backend.standardize_dtype(model(X)["query"].dtype) == policy[6:]
    finally:
        keras.config.set_dtype_policy("float32")
    assert history["loss"][0] == pytest.approx(nats(np.log(Q[X["film"]])).mean(), rel=0.05)
    assert history["loss"][1] < history["loss"][0]


@pytest.mark.parametrize("xla", [False, True])
def test_datasets(xla):
    """Of dictionaries, of weights beside them; under XLA; with validation on all items."""
    import tensorflow as tf

    weight = np.linspace(0.5, 1.5, ROWS).astype("float32")
    plain = tf.data.Dataset.from_tensor_slices(X).batch(2)
    weighed = tf.data.Dataset.from_tensor_slices((X, weight)).batch(2)
    weighed = weighed.map(lambda x, weight: (x, None, weight))
    model = model_of()
    model.compile("sgd", jit_compile=xla)
    report = tfi.callbacks.RetrievalReport(
        np.arange(USERS), np.arange(FILMS), [[1], [2], [3], [0]], k=2, counts=COUNTS, every=0
    )
    history = model.fit(plain, validation_data=weighed, callbacks=[report], verbose=0).history
    assert {"loss", "val_loss", "val_recall@2"} <= set(history)
    model.fit(weighed, callbacks=keras.callbacks.CallbackList([], model=model), verbose=0)
    assert model.frequency.num_draws == COUNTS.sum() + 2 * ROWS


@tensorflow_only
def test_words_are_ids():
    model = TwoTower(
        tower("user", USER),
        tower("film", FILM),
        item_id="word",
        loss=SampledSoftmaxLoss("importance"),
        frequency=ItemFrequency(rate=None, num_cells=997),
    )
    model.compile("sgd")
    words = np.array(["a", "b", "a", "c", "d"], object)
    model.fit({**X, "word": words}, verbose=0)
    assert model.frequency.counts(["a", "d", "z"]).tolist() == [2, 1, 0]


def test_replicas_compare_all_rows():
    """With across_replicas, two replicas take the step of one that has the whole batch."""
    import tensorflow as tf

    # In Keras, replicas must have the same number of rows in their first batch.
    x = {name: np.repeat(ids, [1, 1, 1, 1, 2]) for name, ids in X.items()}
    x["negatives"], x["draw_probability"] = {"film": np.r_[DRAWN, 1]}, np.full(4, 1 / FILMS, "f4")
    dataset = tf.data.Dataset.from_tensors(x)
    on_one = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=on_one)
    alone = model_of(SampledSoftmaxLoss("importance"))
    with strategy.scope():
        model = model_of(SampledSoftmaxLoss("importance", across_replicas=True))
    losses = [each.fit(dataset, verbose=0).history["loss"][0] for each in (alone, model)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    for name in ("query_tower", "item_tower", "frequency"):
        pairs = zip(getattr(model, name).variables, getattr(alone, name).variables, strict=True)
        for found, wanted in pairs:
            np.testing.assert_allclose(array(found), array(wanted), rtol=1e-4, atol=1e-6)


# --- What is refused ------------------------------------------------------------------------------


@any_backend
def test_arguments_that_do_not_fit():
    user, film = tower("user", USER), tower("film", FILM)
    two = keras.Model(user.inputs, [user.output, user.output])
    for given, why in (
        ({"query_tower": keras.layers.Embedding(3, 3)}, r"`query_tower`.*built model.*Embedding"),
        ({"query_tower": keras.Sequential([keras.layers.Dense(2)])}, "`query_tower`.*Sequential"),
        ({"item_tower": two}, r"`item_tower`: expected a built model.*\(None, 3\), \(None, 3\)"),
        ({"item_tower": tower("film", FILM[:, :2])}, "`item_tower`.*3 dimensions.*of 2"),
        ({"item_tower": tower("user", USER)}, r"features other than.*\['user'\] of either"),
        ({"item_tower": tower("negatives", FILM)}, "`item_tower`: expected no inputs 'neg"),
        ({"item_id": 3}, "`item_id`: expected the name of a feature. Received: 3"),
        ({"loss": "mse"}, "`loss`: expected a tfi.retrieval.SampledSoftmaxLoss"),
        ({"frequency": 300}, "`frequency`: expected a tfi.retrieval.ItemFrequency"),
    ):
        with pytest.raises(ValueError, match=why):
            TwoTower(**{"query_tower": user, "item_tower": film, "item_id": "film", **given})
    model = model_of()
    for given, why in (
        ({"loss": "mse"}, r"`loss`: expected None.*TwoTower\(..., loss=...\) takes it"),
        ({"metrics": ["mse"]}, "`metrics`: expected None.*RetrievalReport"),
        ({"weighted_metrics": ["mse"]}, "`weighted_metrics`: expected None"),
    ):
        with pytest.raises(ValueError, match=why):
            model.compile("sgd", **given)


@any_backend
def test_rows_that_do_not_fit():
    model = model_of()
    before = [array(variable) for variable in model.variables]
    for call, message in (
        (lambda: model.fit(X, sample_weight=np.ones(ROWS)), "`sample_weight`: expected.*dataset"),
        (lambda: model.evaluate(X, sample_weight=np.ones(ROWS)), "`sample_weight`"),
        (lambda: model.fit(X, validation_data=(X, None, np.ones(ROWS))), "`sample_weight`"),
        (lambda: model.fit(X, validation_data=(X, np.ones(ROWS))), "`y`: expected None"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    without = {name: x for name, x in MIXED.items() if name != "draw_probability"}
    for x, y, why in (
        (X, np.ones(ROWS), "`y`: expected None: each row is a positive.*drop the labels"),
        (X["film"], None, "`x`: expected a dictionary with the features 'user'"),
        ({"film": X["film"]}, None, r"`x`.*'user'. Received: \['film'\]"),
        ({"user": X["user"]}, None, r"`x`.*'film'"),
        ({**X, "film": X["film"].astype("f4")}, None, "`ids`.*dense array of integers.*float"),
        (without, None, "`x`.*'draw_probability'"),
        ({**MIXED, "negatives": {"user": DRAWN}}, None, r"`x\['negatives'\]`.*'film'"),
        ({**MIXED, "negatives": DRAWN}, None, r"`x\['negatives'\]`.*'film'"),
    ):
        mixed = isinstance(x, dict) and "negatives" in x
        # On JAX a step that fails leaves a model without its variables.
        step = model_of().train_on_batch if mixed and NAME == "jax" else model.train_on_batch
        with pytest.raises(ValueError, match=why):
            step(x, y) if mixed else model.fit(x, y)
    for variable, wanted in zip(model.variables, before, strict=False):
        np.testing.assert_array_equal(array(variable), wanted)


@any_backend
@pytest.mark.only_on("jax", why="others have 64 bits")
def test_ids_that_jax_would_wrap_are_refused():
    with pytest.raises(ValueError, match="jax_enable_x64"):
        model_of().fit({**X, "film": X["film"].astype("int64") + 2**33}, verbose=0)


def test_labels_of_datasets_are_refused():
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((X, np.ones(ROWS))).batch(2)
    with pytest.raises(ValueError, match="`y`: expected None"):
        model_of().fit(dataset, verbose=0)


def test_towers_are_exported_each_by_itself(tmp_path):
    with pytest.raises(NotImplementedError, match=r"model\.query_tower\.export"):
        model_of().export(tmp_path / "both")
