"""Every strategy of the seed article trains through `fit`, and learns what it should."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

import tfimbalance as tfi

RATE = 0.02
pytestmark = pytest.mark.slow


def two_gaussians(rows, seed):
    """x | y ~ N(y (1, 1), I), y in {-1, 1}: the best ROC-AUC is .977."""
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < RATE).astype("int32")
    x = rng.normal(size=(rows, 2)) + (2 * y - 1)[:, None]
    return x.astype("float32"), y


X, Y = two_gaussians(20_000, 0)
BATCHES = {"batch_size": 128, "seed": 1}


def noise(x, seed):
    return x + 0.1 * tf.random.stateless_normal(tf.shape(x), seed)


def balanced(**arguments):
    return tfi.data.balanced_batches(X, Y, **BATCHES, **arguments)


def resampled(sampler):
    return tfi.data.resampled_batches(X, Y, sampler, **BATCHES)


def stream(passes=1, **arguments):
    source = tf.data.Dataset.from_tensor_slices((X, Y)).repeat(passes)
    return tfi.data.balanced_stream(source, batch_size=128, **arguments)


# What each hands out, and its prior; None where the offset is in the model.
STRATEGIES = {
    "random over-sampling": (lambda: resampled(RandomOverSampler()), 0.5),
    "random over-sampling, exact": (balanced, 0.5),
    "random over-sampling of a stream": (stream, 0.5),
    "SMOTE": (lambda: resampled(SMOTE()), 0.5),
    "SMOTE on the way": (lambda: tfi.data.smote_batches(X, Y, **BATCHES), 0.5),
    "random under-sampling": (lambda: resampled(RandomUnderSampler()), 0.5),
    "weighted under-sampling": (
        lambda: tfi.data.weighted_undersampling(X, Y, keep_weight=0.1, **BATCHES),
        None,
    ),
    "augmentation of positives": (lambda: tfi.data.augment(balanced(), noise), 0.5),
    "mixing of positives": (lambda: tfi.data.smote_mixup(balanced(), fraction=1.0), 0.5),
    "more positives": (lambda: balanced(class_shares={1: 0.2}), 0.2),
    "fewer negatives": (lambda: stream(10, rate=2 * RATE), 0.5),
}


def test_resampling_and_samples_made_and_chosen():
    """One compiled step for all that take their logits as they are, from the same start each."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    start = model.get_weights()
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build(model.trainable_variables)
    fresh = [variable.numpy() for variable in optimizer.variables]
    model.compile(optimizer, loss)
    x, y = two_gaussians(20_000, 1)
    for name, (make, prior) in STRATEGIES.items():
        dataset = make()
        model.set_weights(start)
        trained = model
        if prior is None:
            trained = tfi.layers.OffsetModel(model)
            trained.compile(keras.optimizers.Adam(0.05), loss)
        for variable, value in zip(optimizer.variables, fresh, strict=True):
            variable.assign(value)
        # Some hand out few rows an epoch. Beside an offset the bias has further to go.
        steps = 250 if prior is None else 125
        epochs = max(1, round(steps / len(dataset)))
        trained.fit(dataset, epochs=epochs, verbose=0)
        logits = model.predict(x, verbose=0, batch_size=20_000)[:, 0]
        assert roc_auc_score(y, logits) > 0.97, name
        if prior is not None:
            shift = float(tfi.calibration.prior_shift(prior, RATE))
            logits = logits + shift
            if not name.startswith(("augmentation", "mixing", "fewer")):
                of_dataset = tfi.data.class_sampling(dataset).shift()
                assert of_dataset == pytest.approx(shift, abs=0.15), name
        probability = 1 / (1 + np.exp(-logits))
        assert probability.sum() / y.sum() == pytest.approx(1.0, abs=0.35), name


def test_selection_of_negatives():
    """Implicit feedback: positives alone, negatives drawn by popularity."""
    rng = np.random.default_rng(0)
    users = rng.integers(0, 40, 6_000)
    # A user takes items of its own half, the first ones more often.
    items = (users % 2) * 20 + np.minimum(rng.geometric(0.15, 6_000) - 1, 19)
    dataset = tfi.data.with_negatives(
        {"user": users, "item": items},
        num_items=40,
        distribution="popularity",
        exclude_positives=False,
        batch_size=256,
    ).map(lambda x, y: ({"user": x["user"], "item": x["item"]}, y))
    user, item = (keras.Input((), dtype="int32", name=name) for name in ("user", "item"))
    sides = [keras.layers.Embedding(40, 4)(side) for side in (user, item)]
    logit = keras.layers.Add()([keras.layers.Dot(1)(sides), keras.layers.Embedding(40, 1)(item)])
    model = keras.Model({"user": user, "item": item}, logit)
    model.compile(keras.optimizers.Adam(0.05), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(dataset, epochs=6, verbose=0)
    grid = {"user": np.repeat(np.arange(40), 40), "item": np.tile(np.arange(40), 40)}
    scores = model.predict(grid, verbose=0)[:, 0]
    own_half = grid["user"] % 2 == grid["item"] // 20
    assert roc_auc_score(own_half, scores) > 0.95


def test_combinations():
    """The article's section 4: re-sampling, then weights of what was sampled, and focal loss."""
    dataset = balanced(class_shares={1: 0.2})
    sampled = tfi.data.class_sampling(dataset).drawn
    weights = tfi.class_weights(sampled)
    np.testing.assert_allclose([weights[0] * 0.8, weights[1] * 0.2], [0.5, 0.5], rtol=1e-3)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    loss = tfi.losses.BinaryFocalLoss(gamma=1.0, from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss)
    mixed = tfi.data.smote_mixup(dataset)
    model.fit(mixed, epochs=2, callbacks=[tfi.callbacks.ClassWeight(sampled)], verbose=0)
    x, y = two_gaussians(20_000, 1)
    logits = model.predict(x, verbose=0, batch_size=20_000)[:, 0]
    assert roc_auc_score(y, logits) > 0.97
    # Balanced by both together: half of the mass lies above 1/2 where half of each class does.
    recalls = [(logits[y == k] > 0).mean() for k in (0, 1)]
    assert abs((1 - recalls[0]) - recalls[1]) < 0.08


def test_leakage():
    """FORMULAS.md 5.4: re-sampled before the split, pure noise scores like a good model."""
    rng = np.random.default_rng(0)
    scores = {}
    x, y = rng.normal(size=(2_000, 8)), (np.arange(2_000) % 20 == 0).astype(int)
    train, test = np.split(rng.permutation(2_000), [1_400])

    def balanced_accuracy(x_train, y_train, x_test, y_test):
        guess = KNeighborsClassifier(1).fit(x_train, y_train).predict(x_test)
        return np.mean([(guess[y_test == k] == k).mean() for k in (0, 1)])

    over, smote = RandomOverSampler(random_state=0), SMOTE(random_state=0)
    for name, sampler in (("over", over), ("SMOTE", smote)):
        x2, y2 = sampler.fit_resample(x, y)
        first, second = np.split(rng.permutation(len(x2)), [len(x2) * 7 // 10])
        scores[name, "before"] = balanced_accuracy(x2[first], y2[first], x2[second], y2[second])
        resampled = sampler.fit_resample(x[train], y[train])
        scores[name, "after"] = balanced_accuracy(*resampled, x[test], y[test])
    assert scores["over", "before"] > 0.95
    assert scores["SMOTE", "before"] > 0.85
    assert scores["over", "after"] == pytest.approx(0.5, abs=0.06)
    assert scores["SMOTE", "after"] == pytest.approx(0.5, abs=0.08)
