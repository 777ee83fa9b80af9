import keras
import numpy as np
import pytest
from backend import NAME, array, compiled, tensor

from tfimbalance.retrieval import ItemFrequency

any_backend = pytest.mark.any_backend
tensorflow_only = pytest.mark.only_on("tensorflow", why="in its graphs, or with its strategies")
ZIPF = 1 / np.arange(1, 21)
ZIPF /= ZIPF.sum()


def draws(p, shape, seed=0):
    """Ids drawn by their probabilities."""
    edges = np.cumsum(p)
    return np.searchsorted(edges / edges[-1], np.random.default_rng(seed).random(shape), "right")


def expected_log_q(batches, num_items, rate):
    """Gaps averaged one by one, in float64: each weighs one over their number, or the rate."""
    last, seen, gap, t = np.zeros(num_items), np.zeros(num_items), np.zeros(num_items), 0
    for batch in batches:
        for item in set(batch):
            at = t + 1 + np.flatnonzero(batch == item)
            since = at[-1] - last[item]
            for _ in at:  # In a batch, occurrences share its mean gap.
                seen[item] += 1
                r = max(rate, 1 / seen[item])
                gap[item] = (1 - r) * gap[item] + r * since / len(at)
            last[item] = at[-1]
        t += len(batch)
    still_open = t - last
    r = np.maximum(rate, 1 / (seen + 1))
    gap = np.where(still_open > gap, (1 - r) * gap + r * still_open, gap)
    q = np.where(seen > 0, 1 / np.maximum(gap, 1), 0.5 / (t + 1))
    return np.log(np.minimum(q, (t + 0.5) / (t + 1)))


def step_of(layer, xla=False):
    """A compiled step that counts and reads; JAX has no state of which it is not told."""
    if NAME != "jax":
        return compiled(lambda ids, mask=None: layer(ids, training=True, mask=mask), xla=xla)
    step = compiled(
        lambda state, ids, mask: layer.stateless_call([], state, ids, training=True, mask=mask)
    )

    def run(ids, mask=None):
        log_q, state = step([v.value for v in layer.variables], ids, mask)
        for variable, value in zip(layer.variables, state, strict=True):
            variable.assign(value)
        return log_q

    return run


@pytest.mark.any_backend(jax_every=2)
@pytest.mark.parametrize("rate", [0.05, 0.002])
def test_it_is_the_mean_of_gaps_in_draws(rate):
    batches = draws(ZIPF, (25, 37)).astype("int32")
    layer = ItemFrequency(21, rate=rate)  # The last is never drawn.
    step = step_of(layer)
    for batch in batches:
        log_q = step(tensor(batch))
    expected = expected_log_q(batches, 21, rate)
    np.testing.assert_allclose(array(log_q), expected[batches[-1]], atol=2e-6)
    np.testing.assert_allclose(array(layer.log_q(np.arange(21))), expected, atol=2e-6)
    assert layer.num_draws == batches.size
    np.testing.assert_allclose(layer.counts(), batches.size * np.exp(expected), rtol=1e-5)


@pytest.mark.any_backend(jax_every=2)
@pytest.mark.parametrize("hashes", [False, True], ids=["exact", "hashed"])
def test_plain_counts(hashes):
    batches = draws(ZIPF, (3, 4, 50)).astype("int32")
    layer = ItemFrequency(rate=None, **({"num_cells": 997} if hashes else {"num_items": 21}))
    step = step_of(layer)
    for batch in batches:
        log_q = step(tensor(batch))
    counts = np.bincount(batches.ravel(), minlength=21)
    np.testing.assert_array_equal(layer.counts(np.arange(21)), counts)
    expected = np.log((counts + 0.5) / (batches.size + 1))
    np.testing.assert_allclose(array(log_q), expected[batches[-1]], atol=1e-6)


@pytest.mark.any_backend(jax_every=2)
@pytest.mark.parametrize(
    "options",
    [{"num_items": 20, "rate": 0.05}, {"num_cells": 997, "rate": 0.05}, {"rate": None}],
    ids=["exact", "hashed", "counts"],
)
def test_padding_is_not_drawn(options):
    batches = draws(ZIPF, (6, 4, 12)).astype("int32")
    real = np.random.default_rng(0).random(batches.shape) < 0.6
    real[2] = False  # A batch of padding alone.
    padded, cut = ItemFrequency(**options), ItemFrequency(**options)
    step = step_of(padded)
    for batch, mask in zip(batches, real, strict=True):
        log_q = array(step(tensor(np.where(mask, batch, -1)), tensor(mask)))
        wanted = array(cut(batch[mask], training=True))
        np.testing.assert_allclose(log_q[mask], wanted, atol=1e-6)
    assert padded.num_draws == cut.num_draws == real.sum()
    ids = np.arange(20)
    np.testing.assert_allclose(array(padded.log_q(ids)), array(cut.log_q(ids)), atol=1e-6)
    padded.update(batches[0], mask=real[0])
    assert padded.num_draws == real.sum() + real[0].sum()


@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
def test_xla_and_policies_change_nothing(policy):
    batches = draws(ZIPF, (8, 37))
    layer = ItemFrequency(20, rate=0.05, dtype=policy)
    step = step_of(layer, xla=policy != "float64")
    for batch in batches:
        log_q = step(tensor(batch))
    expected = expected_log_q(batches, 20, 0.05)
    assert log_q.dtype == "float32"
    np.testing.assert_allclose(array(log_q), expected[batches[-1]], atol=2e-6)


# Q as it is estimated: sd / mean of sqrt(rate / (2 - rate) (1 - Q)), the same mean.


def spread(q, streams, steps, batch=64):
    """Estimates of Q in streams that take turns, each with a draw in every ``streams``."""
    items = round(1 / q)
    ids = draws(np.ones(items), (steps, batch, streams)) + items * np.arange(streams)
    layer = ItemFrequency(items * streams)
    step = compiled(layer.update)
    for batch in ids.reshape(steps, -1):
        step(tensor(batch))
    return np.exp(array(layer.log_q(np.arange(items * streams)))) * streams


@pytest.mark.slow
@pytest.mark.parametrize(
    ("q", "estimates"),
    [
        (0.2, lambda q: spread(q, streams=200, steps=40)),
        (0.01, lambda q: spread(q, streams=10, steps=400)),
        (1e-4, lambda q: few_of_many(q, steps=250, batch=8_192)),
    ],
    ids=["0.2", "0.01", "0.0001"],
)
def test_spread_of_q_is_that_of_the_rate(q, estimates):
    found = estimates(q)
    limit = np.sqrt(0.01 / (2 - 0.01) * (1 - q))
    assert found.mean() / q == pytest.approx(1, abs=0.02)
    assert found.std() / found.mean() == pytest.approx(limit, rel=0.1)


def few_of_many(q, steps, batch, items=2_000):
    """Estimates of rare items, from counts that are right: the rest is one item."""
    p = np.append(np.full(items, q), 1 - q * items)
    layer = ItemFrequency(items + 1, counts=np.round(p * 2e6))
    step = compiled(layer.update)
    for ids in draws(p, (steps, batch)):
        step(tensor(ids))
    return np.exp(array(layer.log_q(np.arange(items))))


def at_occurrence(layer, p, items, when, steps, batch):
    """Log Q of each of the first items, as training reads it at an occurrence of this number."""
    seen, found = np.zeros(len(p), int), {number: {} for number in when}
    step = compiled(lambda ids: layer(ids, training=True))
    for ids in draws(p, (steps, batch)):
        log_q = array(step(tensor(ids)))
        before, seen = seen, seen + np.bincount(ids, minlength=len(p))
        for number in when:
            due = (before < number) & (seen >= number)
            for at in np.flatnonzero(due[ids] & (ids < items)):
                found[number][ids[at]] = log_q[at]
    return {number: np.array([*values.values()]) for number, values in found.items()}


def test_new_items_are_right_after_a_few_occurrences():
    layer = ItemFrequency(1_000)
    found = at_occurrence(layer, np.full(1_000, 1e-3), 1_000, (10, 100), 300, 500)
    assert min(map(len, found.values())) > 990
    assert abs(np.mean(found[10] - np.log(1e-3))) < 0.07
    assert abs(np.mean(found[100] - np.log(1e-3))) < 0.02


def test_a_rate_that_jumps_is_followed():
    p = np.append(np.full(200, 2e-3), 0.6)
    layer = ItemFrequency(201, counts=[200] * 200 + [960_000])
    found = at_occurrence(layer, p, 200, (400,), 480, 500)[400]
    assert len(found) > 190
    assert abs(np.mean(found - np.log(2e-3))) < 0.2


def test_items_that_vanish_fade():
    layer = ItemFrequency(3, counts=[100, 900, 0])
    assert layer.num_draws == 1000
    mean = np.log(1000 / 100)
    np.testing.assert_allclose(array(layer.log_q([0])), -mean, rtol=1e-6)
    layer.update(np.ones(10, "int32"))
    np.testing.assert_allclose(array(layer.log_q([0])), -mean, rtol=1e-6)
    layer.update(np.ones(1000, "int32"))  # .99 * 10 + .01 * 1010 = 20.
    np.testing.assert_allclose(array(layer.log_q([0])), -mean - np.log(2), rtol=1e-6)


def model_of(**arguments):
    ids = keras.Input((), dtype="int32")
    layer = ItemFrequency(20, name="frequency", **arguments)
    score = keras.layers.Embedding(20, 1)(ids)[:, 0]
    model = keras.Model(ids, score - layer(ids))
    model.compile("sgd", "mse", jit_compile=NAME == "jax")
    return model, layer


@any_backend
def test_fit_counts_and_saves(tmp_path):
    batches = draws(ZIPF, (5, 37)).astype("int32")
    model, layer = model_of(rate=0.05)
    assert layer.output.shape == (None,)
    assert layer.output.dtype == "float32"
    options = {"batch_size": 37, "verbose": 0}
    y = np.zeros(batches.size)
    model.fit(batches.ravel(), y, shuffle=False, **options)
    model.evaluate(batches.ravel(), y, **options)
    assert layer.num_draws == batches.size
    expected = expected_log_q(batches, 20, 0.05)
    np.testing.assert_allclose(array(layer.log_q(np.arange(20))), expected, atol=2e-6)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras").get_layer("frequency")
    assert again.get_config() == layer.get_config()
    for kept, loaded in zip(layer.variables, again.variables, strict=True):
        np.testing.assert_array_equal(array(loaded), array(kept))


class Interrupted(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise InterruptedError


@pytest.mark.slow
def test_an_interrupted_fit_goes_on(tmp_path):
    ids = draws(ZIPF, 200).astype("int32")
    options = {"epochs": 2, "batch_size": 50, "verbose": 0, "shuffle": False}
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(InterruptedError):
        model_of()[0].fit(ids, np.zeros(200), callbacks=[backup, Interrupted()], **options)
    model, layer = model_of()
    model.fit(ids, np.zeros(200), callbacks=[backup], **options)
    expected = expected_log_q([*ids.reshape(4, 50)] * 2, 20, 0.01)
    np.testing.assert_allclose(array(layer.log_q(np.arange(20))), expected, atol=2e-6)


@pytest.mark.slow
@tensorflow_only
def test_replicas_are_one():
    import tensorflow as tf

    ids = draws(ZIPF, 200).astype("int32")
    alone, one = model_of()
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model, layer = model_of()
    mask = draws(ZIPF, 200) > 0
    for each in (alone, model):  # The last batch is of one row: a replica has none.
        each.fit(ids[:193], np.zeros(193), batch_size=64, shuffle=False, verbose=0)
    layer.update(ids, mask)
    one.update(ids, mask)
    assert layer.num_draws == one.num_draws == 193 + mask.sum()
    for variable, wanted in zip(layer.variables, one.variables, strict=True):
        for copy in variable.value.values:
            np.testing.assert_array_equal(copy.numpy(), array(wanted))


@tensorflow_only
def test_a_stateless_call_leaves_the_layer_alone():
    layer = ItemFrequency(20)
    state = [variable.value for variable in layer.variables]
    log_q, state = layer.stateless_call([], state, tensor([3, 3, 4]), training=True)
    assert layer.num_draws == 0
    assert array(state[0]) == 3
    layer(tensor([3, 3, 4]), training=True)
    np.testing.assert_array_equal(array(log_q), array(layer.log_q([3, 3, 4])))
