import keras
import numpy as np
import pytest
import tensorflow as tf
from data.streams import rare

import tfimbalance as tfi

pytestmark = pytest.mark.slow

K3 = np.repeat([0, 1, 2], [700, 200, 100])
TWO = np.repeat([0, 1], [970, 30])


def arrays(y, **kwargs):
    return tfi.data.balanced_batches(np.arange(len(y)), y, batch_size=20, offset=True, **kwargs)


def stream(y, **kwargs):
    order = np.random.default_rng(0).permutation(len(y))
    rows = tf.data.Dataset.from_tensor_slices((order, y[order]))
    known = {"num_classes": int(y.max()) + 1, "priors": tfi.class_statistics(y), "offset": True}
    return tfi.data.balanced_stream(rows, batch_size=20, **{**known, **kwargs})


@pytest.mark.parametrize("make", [arrays, stream], ids=["arrays", "stream"])
@pytest.mark.parametrize(
    ("y", "shares"),
    [(TWO, "balanced"), (TWO, {1: 0.15}), (K3, [0.5, 0.3, 0.2]), (K3, {2: 0.3}), (TWO, "natural")],
    ids=["half", "15%", "three", "the rest keeps its own", "natural"],
)
def test_the_offset_is_what_the_realised_shares_do(make, y, shares):
    batches = list(make(y, class_shares=shares).take(36))  # Whole cycles of all these shares.
    drawn = np.bincount(np.concatenate([label.numpy() for _, label in batches]))
    # A rest that keeps its own proportions does so row by row in a stream, by quota in arrays.
    exact = make is arrays or not isinstance(shares, dict) or len(drawn) == 2
    moved = np.log(drawn / drawn.sum()) - np.log(np.bincount(y) / len(y))
    moved = moved if len(moved) > 2 else moved[1:] - moved[:1]
    if shares == "natural":
        moved, exact = np.zeros(1), True
    for (_, offset), _ in batches:
        assert offset.shape == (20, len(moved))
        np.testing.assert_allclose(offset, np.tile(moved, (20, 1)), atol=1e-6 if exact else 0.1)


def test_weights_stay_last_and_two_units_have_two_numbers():
    weight = np.linspace(1, 2, len(TWO))
    (_, offset), _, found = next(
        iter(arrays(TWO, class_shares={1: 0.1}, sample_weight=weight, per_class_offset=True))
    )
    np.testing.assert_allclose(offset[0], np.log([0.9 / 0.97, 0.1 / 0.03]), rtol=1e-6)
    assert found.shape == (20,)
    one_hot = np.eye(2, dtype="float32")[TWO]
    (_, offset), _ = next(iter(tfi.data.balanced_batches(TWO, one_hot, batch_size=4, offset=True)))
    assert offset.shape == (4, 2)


@pytest.mark.parametrize("in_graph", [False, True])
def test_rows_are_those_without_an_offset(in_graph):
    kwargs = {"batch_size": 20, "seed": 3, "in_graph": in_graph, "steps_per_epoch": 5}
    plain = tfi.data.balanced_batches(np.arange(len(TWO)), TWO, **kwargs)
    beside = tfi.data.balanced_batches(np.arange(len(TWO)), TWO, offset=True, **kwargs)
    for (x, y), ((x_too, _), y_too) in zip(plain, beside, strict=True):
        np.testing.assert_array_equal(x, x_too)
        np.testing.assert_array_equal(y, y_too)


def test_large_rows_that_come_one_batch_at_a_time_have_it():
    x = np.zeros((60, 300_000), "float32")
    dataset = tfi.data.balanced_batches(x, np.arange(60) % 3 // 2, batch_size=10, offset=True)
    (rows, offset), _ = next(iter(dataset))
    assert rows.shape == (10, 300_000)
    np.testing.assert_allclose(offset, np.full((10, 1), np.log(2.0)), rtol=1e-6)


def test_limits_of_a_fixed_share():
    """FORMULAS.md 5.2 with balanced batches: logit = -5.2 + x, every positive drawn once."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=4_000_000)
    y = (rng.random(len(x)) < 1 / (1 + np.exp(5.2 - x))).astype(np.int8)
    steps = 2 * int(y.sum()) // 1_000
    dataset = tfi.data.balanced_batches(x, y, batch_size=1_000, steps_per_epoch=steps, offset=True)
    (x, offset), y = _columns(dataset)
    design, beta = np.stack([np.ones_like(x), x], axis=1), np.array([-4.0, 0.0])
    for _ in range(20):  # Newton's method.
        p = 1 / (1 + np.exp(-(design @ beta + offset)))
        hessian = design.T @ (design * (p * (1 - p))[:, None])
        beta += np.linalg.solve(hessian, design.T @ (y - p))
    assert beta == pytest.approx([-5.2, 1.0], abs=0.02)


def _columns(dataset):
    parts = [(x.numpy(), offset.numpy()[:, 0], y.numpy()) for (x, offset), y in dataset]
    x, offset, y = (np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True))
    return (x, offset), y


def test_a_plan_trains_with_it_and_leaves_nothing_to_undo():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 1)).astype("float32")
    y = (rng.random(len(x)) < 1 / (1 + np.exp(3.0 - x[:, 0]))).astype("int32")
    plan = tfi.Rebalance(y, class_shares={1: 0.3}, class_weight="balanced", offset=True)
    inner = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    plan.prepare(inner)
    model = plan.model(inner)
    model.compile(keras.optimizers.Adam(0.05), plan.loss(from_logits=True))
    callbacks = plan.callbacks((x, y))
    zeros = ((x[:100], np.zeros((100, 1))), y[:100])
    history = model.fit(
        plan.dataset(x, y), epochs=3, verbose=0, callbacks=callbacks, validation_data=zeros
    )
    served = plan.corrected(model)
    p = served.predict(x, verbose=0, batch_size=10_000)
    assert p.sum() / y.sum() == pytest.approx(1.0, abs=0.1)
    assert history.history["val_corrected_normalized_entropy"][-1] < 0.9
    # Weights refer to what is sampled; the sampling itself is no factor.
    weights = np.array([0.5 / 0.7, 0.5 / 0.3])
    effective = plan.priors * weights
    np.testing.assert_allclose(plan.effective_priors, effective / effective.sum(), rtol=1e-6)
    assert [row["sampling"] for row in plan.audit().rows] == [1.0, 1.0]
    assert "Batches hold shares of .7000, .3000, which an offset" in str(plan.audit())


def test_a_plan_gives_streams_its_priors():
    x, y = rare(2_000, 0.1)
    plan = tfi.Rebalance(y, class_shares={1: 0.25}, offset=True)
    rows = tf.data.Dataset.from_tensor_slices((x, y))
    (_, offset), _ = next(iter(plan.dataset(rows, batch_size=40)))
    rate = y.mean()
    wanted = np.log(0.25 / 0.75) - np.log(rate / (1 - rate))
    np.testing.assert_allclose(offset, np.full((40, 1), wanted), rtol=1e-5)
    assert plan.layers(from_logits=True) == []


def dense(units=1):
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(units)])


def fitted(plan, model, dataset):
    model.compile("sgd", plan.loss(from_logits=True))
    model.fit(dataset, verbose=0, callbacks=plan.callbacks())
    return model


def test_a_plan_and_its_model_agree_on_the_offset():
    x = np.zeros((len(TWO), 1), "float32")
    beside = tfi.Rebalance(TWO, class_shares={1: 0.2}, offset=True)
    after = tfi.Rebalance(TWO, class_shares={1: 0.2})
    dataset = beside.dataset(x, TWO, batch_size=100)
    with pytest.raises(ValueError, match=r"expected an OffsetModel.*plan\.model\(model\)"):
        fitted(beside, dense(), dataset.map(lambda x, y: (x[0], y)))
    right = fitted(beside, beside.model(dense()), dataset)
    with pytest.raises(ValueError, match="a model without an offset"):
        after.corrected(right)
    bare = fitted(after, dense(), after.dataset(x, TWO, batch_size=100))
    with pytest.raises(ValueError, match="expected an OffsetModel"):
        beside.corrected(bare)
    with pytest.raises(ValueError, match="a model without an offset"):
        fitted(after, tfi.layers.OffsetModel(dense()), dataset)
    read = tfi.Rebalance.from_compiled(right, TWO, class_shares={1: 0.2})
    assert read.offset
    assert read.layers(from_logits=True) == []
    # Thinned rows have offsets, too, and no shares.
    for plan, model in ((beside, right), (beside, right.model), (tfi.Rebalance(TWO), right)):
        assert not any("undo" in layer.name for layer in plan.corrected(model).layers)


def test_weights_that_find_nothing_to_do_are_named_beside_an_offset():
    with pytest.warns(UserWarning, match="leaves nothing to weights"):
        tfi.Rebalance(TWO, class_shares="balanced", class_weight="balanced", offset=True)


def test_offsets_of_many_classes_are_made_a_batch_at_a_time():
    y = np.arange(8_000) % 2_000
    dataset = tfi.data.balanced_batches(y, y, batch_size=64, small_batches=True, offset=True)
    owner = dataset._tfimbalance
    assert owner._block * 64 * 2_000 * 4 < 2**23


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: arrays(K3, per_class_offset=False), "True for 3 classes"),
        (lambda: arrays(K3, class_shares=[0.5, 0.5, 0.0]), "above 0.*class 2"),
        (lambda: arrays(TWO, per_class_offset="no"), "per_class_offset"),
        (lambda: tfi.data.balanced_batches(TWO, TWO, offset=2.0), "`offset`"),
        (
            lambda: tfi.data.balanced_batches(TWO, TWO, per_class_offset=True),
            "None without an offset",
        ),
        (lambda: stream(TWO, offset=False), "`priors`: expected None without an offset"),
        (
            lambda: tfi.data.weighted_undersampling(
                TWO, TWO, keep_weight=0.5, correction="weight", per_class_offset=True
            ),
            "None without an offset",
        ),
        (
            lambda: tfi.Rebalance(TWO, class_shares={1: 0.2}).dataset(TWO, TWO, offset=True),
            "`offset`: expected what the plan says",
        ),
        (lambda: tfi.layers.OffsetModel(tfi.layers.OffsetModel(dense())), "without an offset yet"),
        (
            lambda: tfi.layers.OffsetModel(dense()).compile("sgd", "binary_crossentropy"),
            "a loss of logits",
        ),
        (
            lambda: tfi.layers.OffsetModel(dense()).compile("sgd", tfi.losses.BinaryFocalLoss()),
            "from_logits=True",
        ),
        (lambda: stream(TWO, priors=None), "`priors`.*class_statistics"),
        (lambda: stream(TWO, priors=[0.5, 0.3, 0.2]), "2 priors"),
        (lambda: stream(TWO, priors=1e-13), "`priors`: expected at least 1e-12.*class 1"),
        (lambda: tfi.Rebalance(TWO, offset=True), "class_shares"),
        (lambda: tfi.Rebalance(TWO, class_shares="balanced", focal_gamma=2, offset=True), "focal"),
    ],
)
def test_what_has_no_offset_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_trains_with_an_offset_is_loaded_compiled(tmp_path):
    dataset = tfi.data.balanced_batches(
        *(np.zeros((64, 1), "float32"), np.arange(64) % 4 == 0), batch_size=16, offset=True
    )
    trained = tfi.layers.OffsetModel(dense())
    trained.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    trained.fit(dataset, verbose=0)
    trained.save(tmp_path / "trained.keras")
    again = keras.saving.load_model(tmp_path / "trained.keras")
    assert again.optimizer.iterations == trained.optimizer.iterations == 4
    again.fit(dataset, verbose=0)
    assert again.optimizer.iterations == 8


def test_a_job_that_is_killed_goes_on_with_an_offset(tmp_path):
    """A new model is built without a call, as a backup needs it."""
    x, y = np.zeros((200, 2), "float32"), np.repeat([0, 1], [180, 20])
    plan = tfi.Rebalance(y, class_shares={1: 0.25}, offset=True)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    plan.prepare(model)
    trained = plan.model(model)
    trained.compile("sgd", plan.loss(from_logits=True))
    dataset = plan.dataset(x, y, 50)
    backup = keras.callbacks.BackupAndRestore(tmp_path)
    history = trained.fit(
        dataset,
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=[tfi.callbacks.DatasetEpochs(dataset), backup],
    )
    assert len(history.history["loss"]) == 2


def test_masks_have_no_share():
    masks = np.random.default_rng(0).integers(0, 3, (20, 4, 4))
    plan = tfi.Rebalance(masks, ignore_class=255, class_shares={2: 0.4})
    images = np.zeros((20, 4, 4, 1), "float32")
    with pytest.raises(ValueError, match=r"`y`: expected one label a row.*labels=\.\.\."):
        plan.dataset(images, masks)
    of_rows = ((masks == 2).sum(axis=(1, 2)) > 5).astype(int)
    batches = tfi.data.balanced_batches(images, masks, batch_size=4, labels=of_rows)
    assert next(iter(batches))[1].shape == (4, 4, 4)
    plan = tfi.Rebalance(of_rows, class_shares="balanced")
    batches = plan.dataset(images, (of_rows, masks), 8, labels=of_rows)
    assert [part.shape for part in next(iter(batches))[1]] == [(8,), (8, 4, 4)]
    assert len(plan.dataset(images, of_rows.tolist(), 8)) == 3


def test_what_is_served_has_no_offset(tmp_path):
    with pytest.raises(NotImplementedError, match=r"trained\.model\.export"):
        tfi.layers.OffsetModel(dense()).export(tmp_path)
