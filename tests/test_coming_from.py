"""What becomes what in docs/coming_from/: equal values, of formulas where a package is missing."""

import keras
import numpy as np
import pytest
from imblearn.tensorflow import balanced_batch_generator
from imblearn.under_sampling import RandomUnderSampler
from scipy.special import expit, log_softmax, softmax

import tfimbalance as tfi

RNG = np.random.default_rng(0)
LABELS = (RNG.random((12, 3)) < 0.3).astype("float32")
LOGITS = RNG.normal(scale=2, size=(12, 3)).astype("float32")
P = expit(LOGITS.astype("float64"))
IDS = RNG.integers(0, 3, 12)
HOT = np.eye(3, dtype="float32")[IDS]
WEIGHTS = {0: 1.0, 1: 5.0, 2: 2.0}


def close(ours, other):
    np.testing.assert_allclose(float(ours), float(other), rtol=2e-6)


def focal(p, y, gamma, positive=1.0, negative=1.0):
    """Return the focal loss of each label in float64."""
    losses = -positive * (1 - p) ** gamma * np.log(p), -negative * p**gamma * np.log1p(-p)
    return np.where(y == 1, *losses)


# fit(class_weight=...)


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_class_weighted_trains_as_fit_with_class_weight(loss):
    y = IDS if loss.startswith("sparse") else HOT

    def trained(loss, **kwargs):
        head = keras.layers.Dense(3, activation="softmax", kernel_initializer="zeros")
        model = keras.Sequential([keras.Input((3,)), head])
        model.compile(keras.optimizers.SGD(1.0), loss, run_eagerly=True)
        history = model.fit(LOGITS, y, batch_size=12, verbose=0, **kwargs).history["loss"]
        return [*history, *model.get_weights()]

    theirs = trained(loss, class_weight=WEIGHTS)
    for mine, other in zip(trained(tfi.losses.ClassWeighted(loss, WEIGHTS)), theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-7)


def test_scikit_learns_balanced_weights():
    from sklearn.utils.class_weight import compute_class_weight

    theirs = compute_class_weight("balanced", classes=np.arange(3), y=IDS)
    assert tfi.class_weights(IDS) == pytest.approx(dict(enumerate(theirs)))


# Keras' focal losses


def test_keras_binary_focal_ignores_alpha_unless_it_balances():
    for gamma in (1.0, 2.0):
        ours = tfi.losses.BinaryFocalLoss(gamma, from_logits=True)(LABELS, LOGITS)
        theirs = keras.losses.BinaryFocalCrossentropy(alpha=0.9, gamma=gamma, from_logits=True)
        close(ours, theirs(LABELS, LOGITS))
        ours = tfi.losses.BinaryFocalLoss(gamma, alpha=0.9, from_logits=True)(LABELS, LOGITS)
        theirs = keras.losses.BinaryFocalCrossentropy(
            True, alpha=0.9, gamma=gamma, from_logits=True
        )
        close(ours, theirs(LABELS, LOGITS))


def test_keras_categorical_focal_is_a_quarter_by_default():
    ours = tfi.losses.CategoricalFocalLoss(from_logits=True)(HOT, LOGITS)
    theirs = keras.losses.CategoricalFocalCrossentropy(from_logits=True)(HOT, LOGITS)
    close(0.25 * ours, theirs)
    alpha = [*WEIGHTS.values()]
    theirs = keras.losses.CategoricalFocalCrossentropy(alpha=alpha, from_logits=True)(HOT, LOGITS)
    for loss, y in (("CategoricalFocalLoss", HOT), ("SparseCategoricalFocalLoss", IDS)):
        ours = getattr(tfi.losses, loss)(class_weight=alpha, from_logits=True)
        close(ours(y, LOGITS), theirs)


def test_keras_focal_alpha_beside_weights_of_fit_is_a_product_of_both():
    y, given = LABELS[:, :1], {0: 1.5, 1: 5.0}
    alpha, gamma = 0.8, 1.5
    weights = {0: (1 - alpha) * given[0], 1: alpha * given[1]}
    ids = y[:, 0].astype(int)
    plan = tfi.Rebalance(ids, class_weight=weights, focal_gamma=gamma)

    def trained(loss, **kwargs):
        head = keras.layers.Dense(1, activation="sigmoid", kernel_initializer="zeros")
        model = keras.Sequential([keras.Input((3,)), head])
        model.compile(keras.optimizers.SGD(1.0), loss, run_eagerly=True)
        history = model.fit(LOGITS, y, batch_size=12, epochs=2, verbose=0, **kwargs).history
        return model, [*history["loss"], *model.get_weights()]

    loss = keras.losses.BinaryFocalCrossentropy(True, alpha=alpha, gamma=gamma)
    old, theirs = trained(loss, class_weight=given)
    for ours in (tfi.losses.BinaryFocalLoss(gamma, class_weight=weights), plan.loss()):
        for mine, other in zip(trained(ours)[1], theirs, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-7)
    read = tfi.Rebalance.from_compiled(old, ids, class_weight=given)
    assert read.focal_gamma == gamma
    np.testing.assert_allclose(read.effective_priors, plan.effective_priors, rtol=1e-6)


# focal-loss: not installed, its formulas


def test_focal_loss_weighs_positives_alone():
    ours = tfi.losses.BinaryFocalLoss(1.5, pos_weight=4.0, from_logits=True)
    close(ours(LABELS, LOGITS), focal(P, LABELS, 1.5, positive=4.0).mean())


def test_focal_loss_sparse():
    p = softmax(LOGITS.astype("float64"), axis=1)[np.arange(12), IDS]
    each = -((1 - p) ** 2) * np.log(p)
    close(tfi.losses.SparseCategoricalFocalLoss(2.0, from_logits=True)(IDS, LOGITS), each.mean())
    ours = tfi.losses.SparseCategoricalFocalLoss(2.0, class_weight=WEIGHTS, from_logits=True)
    close(ours(IDS, LOGITS), (each * np.array([*WEIGHTS.values()])[IDS]).mean())


# TensorFlow Addons: not installed, its formula


def test_addons_sum_the_labels():
    each = focal(P, LABELS, 2.0, positive=0.25, negative=0.75).sum(axis=1)
    ours = tfi.losses.BinaryFocalLoss(2.0, alpha=0.25, from_logits=True, reduction="none")
    np.testing.assert_allclose(3 * np.asarray(ours(LABELS, LOGITS)), each, rtol=2e-6)


# imblearn.keras and imblearn.tensorflow


def test_imblearn_draws_once_and_batches_see_every_row():
    x, y = np.arange(120)[:, None], np.repeat([0, 1], [100, 20])
    generator, steps = balanced_batch_generator(x, y, batch_size=10, random_state=0)
    theirs = [next(generator) for _ in range(3 * steps)]
    assert np.concatenate([labels for _, labels in theirs]).mean() == 0.5
    seen = np.concatenate([rows[labels == 0] for rows, labels in theirs])
    assert len(np.unique(seen)) == 20
    ours = tfi.data.balanced_batches(x, y, batch_size=10, steps_per_epoch=steps)
    assert [int(labels.numpy().sum()) for _, labels in ours] == [5] * steps
    later = [rows.numpy()[labels == 0] for _ in range(4) for rows, labels in ours]
    assert len(np.unique(np.concatenate(later))) == 4 * 20  # No row twice before all have come.


def test_imblearn_samplers_draw_the_same_classes():
    x, y = np.arange(120.0)[:, None], np.repeat([0, 1], [100, 20])
    _, drawn = RandomUnderSampler(random_state=0).fit_resample(x, y)
    ours = tfi.data.resampled_batches(x, y, RandomUnderSampler(), batch_size=10)
    assert len(ours) == len(drawn) // 10
    assert sum(int(labels.numpy().sum()) for _, labels in ours) == drawn.sum()


# TensorFlow Recommenders: not installed, its formulas

QUERY, ITEM = RNG.normal(size=(2, 12, 4)).astype("float32")
PROBABILITY = RNG.uniform(0.01, 0.2, 12)


def scores(temperature):
    return QUERY.astype("float64") @ ITEM.T.astype("float64") / temperature


def test_recommenders_task_sums_the_rows_and_takes_probabilities():
    for probability, tau in ((np.ones(12), 0.0), (PROBABILITY, 1.0)):
        theirs = -np.trace(log_softmax(scores(0.5) - np.log(probability), axis=1))
        ours = tfi.retrieval.SampledSoftmaxLoss(tau=tau, temperature=0.5, reduction="sum")
        close(ours(QUERY, ITEM, log_q=np.log(probability) if tau else None), theirs)


def test_importance_corrects_for_the_hits_that_it_removes():
    ids = RNG.integers(0, 6, 12)
    hit = (ids[:, None] == ids) & ~np.eye(12, dtype=bool)
    q = np.bincount(ids, minlength=6)[ids] / 12 * 0.9
    # The positive is not corrected, and the negatives are by how many of them are expected.
    expected = (11 - hit.sum(axis=1, keepdims=True)) * q / (1 - q[:, None])
    z = np.where(hit, -np.inf, scores(1.0) - np.where(np.eye(12), 0.0, np.log(expected)))
    ours = tfi.retrieval.SampledSoftmaxLoss("importance")
    theirs = -np.trace(log_softmax(z, axis=1)) / 12
    close(ours(QUERY, ITEM, log_q=np.log(q), ids=ids), theirs)


# LibAUC: not installed, its formulas


def pairs(scale):
    y, s = LABELS[:, 0], scale * LOGITS[:, 0].astype("float64")
    return y, s.astype("float32"), s[y == 1][:, None] - s[y == 0]


def test_libauc_pairwise_losses():
    y, s, d = pairs(1.0)
    close(tfi.losses.PairwiseAUCLoss(margin=0.5)(y, s), (np.maximum(0.5 - d, 0) ** 2).mean())
    close(tfi.losses.PairwiseAUCLoss("logistic")(y, s), np.logaddexp(0, -d).mean())


def test_libauc_aucm_is_the_squared_hinge_while_no_pair_is_ahead_by_the_margin():
    y, s, d = pairs(0.1)
    assert d.max() < 1.0
    positive, negative = s[y == 1].astype("float64"), s[y == 0].astype("float64")
    # Version "v2" at the a, b and alpha of its saddle point.
    alpha = max(0.0, 1.0 + negative.mean() - positive.mean())
    close(tfi.losses.PairwiseAUCLoss()(y, s), positive.var() + negative.var() + alpha**2)


def test_libauc_focal_alpha_is_that_of_the_negatives():
    alpha = np.array([0.25, 0.75])[LABELS.astype(int)]  # Taken by the label: of 0 first.
    p_t = np.where(LABELS == 1, P, 1 - P)
    theirs = (alpha * (1 - p_t) ** 2 * -np.log(p_t)).mean()
    close(tfi.losses.BinaryFocalLoss(alpha=0.75, from_logits=True)(LABELS, LOGITS), theirs)
