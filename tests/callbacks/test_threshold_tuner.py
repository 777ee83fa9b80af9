import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, logit
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    fbeta_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
)

import tfimbalance as tfi
from tfimbalance._evaluation.cuts import Cuts
from tfimbalance.callbacks._objectives import (
    balanced_accuracy,
    choose,
    cost,
    f_beta,
    matthews_correlation,
    recall_at_precision,
)

pytestmark = pytest.mark.slow


def two_gaussians(rows, prior=0.05, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < prior).astype("int32")
    return (rng.normal(size=(rows, 2)) + (2 * y - 1)[:, None]).astype("float32"), y


def bayes_model(scale=1.0):
    """The posterior of FORMULAS.md 5.1, or one that is ``scale`` times as sure."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.set_weights([np.full((2, 1), 2.0 * scale), np.array([logit(0.05) * scale])])
    return model


def tuned(rows, model=None, kind=None, **arguments):
    validation = tfi.callbacks.Validation(rows, **(kind or {}))
    tuner = tfi.callbacks.ThresholdTuner(validation, **arguments)
    model = bayes_model() if model is None else model
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.0), loss, run_eagerly=True)  # Two steps.
    x, y = rows[:2]
    history = model.fit(x[:64], y[:64], callbacks=[tuner], verbose=0).history
    return tuner, model, history


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_f1_on_two_gaussians_is_at_half_of_the_best_f1(seed):
    """FORMULAS.md 5.1: .7367 at .3684."""
    rows = two_gaussians(400_000, seed=seed)
    tuner, _, history = tuned(rows, kind={"batch_size": 400_000})
    assert tuner.threshold == pytest.approx(0.3684, abs=0.02)
    assert tuner.value == pytest.approx(0.7367, abs=0.01)
    assert history["val_threshold"] == [tuner.threshold]
    assert history["val_tuned_f1"] == [tuner.value]


@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize(
    ("arguments", "score"),
    [
        ({"objective": "f1"}, f1_score),
        ({"objective": "fbeta", "beta": 2.0}, lambda y, said: fbeta_score(y, said, beta=2.0)),
        (
            {"objective": "cost", "costs": [[0.0, 8.0], [1.0, 0.0]]},
            lambda y, said: -(8.0 * ((y == 1) & (said == 0)) + ((y == 0) & (said == 1))).mean(),
        ),
    ],
    ids=["f1", "f2", "cost"],
)
def test_no_threshold_is_better_by_more_than_noise(scale, arguments, score):
    """Scores of scale .3 are not calibrated: there the known thresholds are not taken."""
    x, y = two_gaussians(20_000)
    tuner, model, _ = tuned((x, y), bayes_model(scale), **arguments)
    p = expit(model.predict(x, batch_size=len(x), verbose=0)[:, 0])
    said = tuner.wrap(model).predict(x, batch_size=len(x), verbose=0)[:, 0]
    np.testing.assert_array_equal(said, p >= tuner.threshold)
    found = score(y, said)
    assert abs(tuner.value) == pytest.approx(abs(found), rel=1e-6)
    # Fine where the 5% of positives are.
    grid = np.quantile(p, [*np.linspace(0.01, 0.8, 20), *np.linspace(0.8, 1, 81)[1:-1]])
    if "costs" in arguments:
        best = max(score(y, (p >= t).astype(int)) for t in grid)
    else:  # F-beta, of counts.
        beta2 = arguments.get("beta", 1.0) ** 2
        hit = p >= grid[:, None]
        best = (
            (1 + beta2) * (hit & (y == 1)).sum(axis=1) / (beta2 * y.sum() + hit.sum(axis=1))
        ).max()
    assert found >= best - 0.03 * abs(best)
    known = 1 / 9 if "costs" in arguments else abs(found) / (1 + arguments.get("beta", 1.0) ** 2)
    # Of the costs it is Elkan's: (1 - 0) / (1 - 0 + 8 - 0).
    assert (abs(tuner.threshold - known) < 0.01) == (scale == 1.0)


def test_constraints_are_kept_and_used_up():
    x, y = two_gaussians(20_000)
    tuner, model, _ = tuned((x, y), objective="recall_at_precision", precision=0.8)
    said = tuner.wrap(model).predict(x, batch_size=len(x), verbose=0)[:, 0]
    assert precision_score(y, said) >= 0.8
    assert recall_score(y, said) == pytest.approx(tuner.value, rel=1e-6)
    p = expit(model.predict(x, batch_size=len(x), verbose=0)[:, 0])
    hit = p >= np.sort(p[p < tuner.threshold])[::-1][:300, None]
    true = (hit & (y == 1)).sum(axis=1)
    more = true > said[y == 1].sum()
    assert more.any()
    assert (true < 0.8 * hit.sum(axis=1))[more].all()
    tuner, model, _ = tuned((x, y), objective="recall_at_flagged", share=0.02)
    assert tuner.wrap(model).predict(x, batch_size=len(x), verbose=0).mean() == pytest.approx(
        0.02, abs=1e-9
    )


def test_a_precision_that_nothing_reaches_flags_nothing():
    x, y = two_gaussians(1_000)
    model = bayes_model()
    model.set_weights([-w for w in model.get_weights()])
    tuner, model, _ = tuned((x, y), model, objective="recall_at_precision", precision=0.99)
    assert tuner.value == 0
    assert tuner.wrap(model).predict(x, batch_size=len(x), verbose=0).sum() == 0


def test_weights_are_copies_of_rows():
    x, y = two_gaussians(3_000, prior=0.2)
    weight = np.random.default_rng(1).integers(0, 4, len(y))
    copies = np.repeat(np.arange(len(y)), weight)
    arguments = {"objective": "recall_at_precision", "precision": 0.7}
    one = tfi.callbacks.ThresholdTuner((x, y, weight), **arguments)
    other = tfi.callbacks.ThresholdTuner((x[copies], y[copies]), **arguments)
    one.tune(bayes_model())
    other.tune(bayes_model())
    assert one.value == pytest.approx(other.value, rel=1e-9)


def test_labels_have_a_threshold_each():
    x, y = two_gaussians(5_000, prior=0.2)
    pair = np.stack([y, 1 - y], axis=1)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.set_weights([np.array([[2.0, -2.0], [2.0, -2.0]]), logit(np.array([0.2, 0.8]))])
    tuner, model, history = tuned((x, pair), model, {"multi_label": True})
    assert tuner.threshold.shape == (2,)
    assert set(history) >= {"val_threshold_0", "val_threshold_1", "val_tuned_f1"}
    said = tuner.wrap(model).predict(x, batch_size=len(x), verbose=0)
    for k in range(2):
        assert f1_score(pair[:, k], said[:, k]) == pytest.approx(tuner.value[k], rel=1e-6)


def test_the_wrapped_model_saves_and_exports_with_its_correction(tmp_path):
    x, y = two_gaussians(4_000)
    plan = tfi.Rebalance(y, class_weight={0: 1.0, 1: 19.0})
    model = bayes_model()
    model.set_weights([model.get_weights()[0], model.get_weights()[1] + np.log(19.0)])
    tuner, model, _ = tuned((x, y), model, {"correct": plan.corrected, "priors": plan.statistics})
    assert tuner.threshold == pytest.approx(0.3684, abs=0.05)  # Of the corrected probability.
    wrapped = tuner.wrap(model)
    said = wrapped.predict(x, batch_size=len(x), verbose=0)
    wrapped.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(x, batch_size=len(x), verbose=0), said)
    assert again.layers[-1].threshold == tuner.threshold
    wrapped.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    np.testing.assert_array_equal(served.serve(x), said)


def test_the_threshold_is_of_the_model_that_is_wrapped():
    """Weights may have been restored since the last epoch."""
    x, y = two_gaussians(20_000)
    plan = tfi.Rebalance(y, class_weight={0: 1.0, 1: 19.0})
    arguments = {"objective": "recall_at_flagged", "share": 0.02}
    tuner, model, _ = tuned((x, y), kind={"correct": plan.corrected}, **arguments)
    before = tuner.threshold
    model.set_weights([w / 2 for w in model.get_weights()])
    wrapped = tuner.wrap(model)
    assert tuner.threshold != before
    assert wrapped.predict(x, batch_size=len(x), verbose=0).mean() == pytest.approx(0.02, abs=1e-3)
    assert tuner.tune(model) == tuner.threshold


def test_a_threshold_belongs_to_the_probabilities_that_are_served():
    x, y = two_gaussians(20_000)
    plan = tfi.Rebalance(y, class_weight={0: 1.0, 1: 19.0})
    tuner, model, _ = tuned((x, y), kind={"correct": plan.corrected})
    corrected, calibrated = plan.corrected(model), plan.calibrated(model, (x, y))
    for served in (corrected, calibrated):
        wrapped = tuner.wrap(served)
        said = served.predict(x, batch_size=len(x), verbose=0)[:, 0] >= np.float32(tuner.threshold)
        decided = wrapped.predict(x, batch_size=len(x), verbose=0)[:, 0]
        np.testing.assert_array_equal(decided, said)
        assert tuner.tune(served) == tuner.threshold
    assert tuner.tune(corrected) == tuner.tune(model)
    with pytest.raises(ValueError, match="has a threshold already"):
        tuner.wrap(tuner.wrap(calibrated))
    # A corrected model that is a part of another corrects nothing of its outputs.
    stacked = keras.Sequential([keras.Input((2,)), corrected, keras.layers.Dense(1)])
    assert tuner.tune(stacked) == tuner.tune(plan.corrected(stacked))
    known = tuner.wrap(calibrated, threshold=1 / 11)
    assert known.layers[-1].threshold == pytest.approx(1 / 11)


def test_mistakes_show_before_the_first_step():
    x, y = two_gaussians(500)
    seen = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda *_: pytest.fail("trained"))
    for rows, model, match in (
        ((x, y + 1), bayes_model(), "below num_classes=2"),
        ((x, y), _pair(), "multi_label"),
        ((x, y[:, None] * [1, 1]), bayes_model(), "single 1"),
    ):
        model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
        tuner = tfi.callbacks.ThresholdTuner(rows)
        with pytest.raises(ValueError, match=match):
            model.fit(x, np.zeros((500, model.output_shape[1])), callbacks=[tuner, seen], verbose=0)


def test_ties_at_a_known_threshold_are_cut_as_they_are_served():
    """All scores are .7, which is not the .7 of float64."""
    x, y = np.ones((100, 1), "float32"), np.arange(100) < 21
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.set_weights([np.zeros((1, 1)), logit(np.array([0.7]))])
    tuner = tfi.callbacks.ThresholdTuner((x, y), objective="cost", costs=[[0, 3], [7, 0]])
    said = tuner.wrap(model).predict(x, batch_size=len(x), verbose=0)[:, 0]
    cost = (7 * ((said == 1) & ~y) + 3 * ((said == 0) & y)).mean()
    assert cost == pytest.approx(tuner.value, rel=1e-6)


def test_two_tuners_log_two_thresholds():
    x, y = two_gaussians(2_000)
    model = bayes_model()
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    one = tfi.callbacks.ThresholdTuner((x, y))
    other = tfi.callbacks.ThresholdTuner((x, y), objective="recall_at_flagged", share=0.1)
    history = model.fit(x, y, callbacks=[one, other], verbose=0).history
    assert history["val_threshold"] == [one.threshold]
    assert history["val_recall_at_flagged_0.1_threshold"] == [other.threshold]


def test_resampled_validation_data_warns():
    x, y = two_gaussians(4_000)
    batches = tfi.data.balanced_batches(x, y, batch_size=200)
    tuner = tfi.callbacks.ThresholdTuner(batches)
    with pytest.warns(UserWarning, match="natural rate"):
        tuner.tune(bayes_model())
    half = np.concatenate([np.flatnonzero(y == 1), np.flatnonzero(y == 0)[: int(y.sum())]])
    with pytest.warns(UserWarning, match="class 1 is 0.5 of the rows"):
        tuned((x[half], y[half]), kind={"priors": tfi.class_statistics(y)})


X, Y = two_gaussians(100, prior=0.4)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: tfi.callbacks.ThresholdTuner((X, Y), objective="g"), "objective"),
        (lambda: tfi.callbacks.ThresholdTuner((X, Y), objective="fbeta"), "beta"),
        (lambda: tfi.callbacks.ThresholdTuner((X, Y), beta=2.0), "beta"),
        (lambda: tfi.callbacks.ThresholdTuner((X, Y), objective="cost", costs=[[0, 1]]), "costs"),
        (
            lambda: tfi.callbacks.ThresholdTuner((X, Y), objective="cost", costs=[[0, 0], [1, 0]]),
            "costs",
        ),
        (
            lambda: tfi.callbacks.ThresholdTuner((X, Y), objective="recall_at_flagged", share=0),
            r"\(0, 1\]",
        ),
        (lambda: tfi.callbacks.ThresholdTuner(X), "validation_data"),
        (lambda: tuned((X, np.zeros(100))), "both classes"),
        (lambda: tfi.callbacks.ThresholdTuner((X, Y, Y == 0)).tune(bayes_model()), "both classes"),
        (lambda: tfi.callbacks.ThresholdTuner((X, Y, Y * -1)).tune(bayes_model()), "weight"),
        (
            lambda: tfi.callbacks.ThresholdTuner((X, Y, Y[:9])).tune(bayes_model()),
            "one number a row",
        ),
        (lambda: tuned((X, Y * 2)), "below num_classes=2"),
        (lambda: tuned((X, np.stack([Y, Y], 1)), _pair()), "multi_label"),
        (
            lambda: tfi.callbacks.ThresholdTuner(
                tf.data.Dataset.from_tensor_slices((X, Y)).batch(8).repeat()
            ),
            "ends",
        ),
        (
            lambda: tfi.callbacks.ThresholdTuner(tf.data.Dataset.from_tensor_slices((X, Y))),
            "batches",
        ),
    ],
)
def test_bad_input_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def _pair():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])


def raw_posterior(rows, rate, distance, seed):
    """Scores of two Gaussians as balanced training leaves them: far above the rate."""
    rng = np.random.default_rng(seed)
    y = rng.random(rows) < rate
    x = rng.normal(size=rows) + distance * y
    return y, 1 / (1 + np.exp(-distance * (x - distance / 2)))


@pytest.mark.parametrize(("rows", "rate", "distance"), [(1_000, 0.02, 3), (3_000, 0.003, 5)])
def test_scores_that_are_not_calibrated_get_the_threshold_of_their_own(rows, rate, distance):
    def f1(y, flagged):
        return 2 * (y & flagged).sum() / (y.sum() + flagged.sum())

    found, argmax = [], []
    for seed in range(20):
        y, p = raw_posterior(rows, rate, distance, seed)
        fresh_y, fresh_p = raw_posterior(100_000, rate, distance, seed + 100)
        cuts = Cuts.of(y, p, np.ones(rows))
        found.append(f1(fresh_y, fresh_p >= choose(f_beta(1.0), cuts)[0]))
        best = max(np.unique(p), key=lambda t: f1(y, p >= t))
        argmax.append(f1(fresh_y, fresh_p >= best))
    # Until it looked at both ends, half of what the maximum reaches.
    assert np.mean(found) > np.mean(argmax) - 0.01


def test_equal_weights_change_no_threshold():
    y, p = np.array([1, 1, 1, 1, 0], bool), np.array([0.9, 0.7, 0.6, 0.5, 0.55])
    for weight in (1.0, 0.1, 0.3, 0.7):
        cuts = Cuts.of(y, p, np.full(5, weight))
        assert choose(recall_at_precision(0.8), cuts)[1] == 1.0


def test_weights_may_be_none():
    with_none, model, _ = tuned((X, Y, None))
    assert with_none.threshold == tfi.callbacks.ThresholdTuner((X, Y)).tune(model)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 3.0])
def test_scores_that_are_not_calibrated_lose_nothing_to_the_samples_maximum(scale):
    """Thresholds of 40 small samples, judged on the population."""
    y_all, z_all = scores(200_000, scale, seed=99)
    of_all = Cuts.of(y_all, expit(z_all), np.ones(len(y_all)))
    objectives = (f_beta(1.0), balanced_accuracy(), matthews_correlation())
    values_of_all = [objective.values(of_all) for objective in objectives]
    gained = {objective.name: [] for objective in objectives}
    for seed in range(40):
        y, z = scores(2_000, scale, seed)
        cuts = Cuts.of(y, expit(z), np.ones(len(y)))
        for objective, values in zip(objectives, values_of_all, strict=True):
            threshold, _ = choose(objective, cuts)
            largest = cuts.threshold(int(np.argmax(objective.values(cuts))))
            found, peer = (values[of_all.at(t)] for t in (threshold, largest))
            gained[objective.name].append(found - peer)
    for name, gains in gained.items():
        # F1 and the correlation gain where few are flagged, and the sample's maximum wanders most.
        assert np.mean(gains) > (-0.002 if name == "balanced_accuracy" else 0.002), name


def scores(rows, scale, seed):
    """Labels, and logits that are ``scale`` times as sure as they should be."""
    rng = np.random.default_rng(seed)
    y = rng.random(rows) < 0.05
    z = 1.5 * (rng.normal(size=rows) + 1.5 * y) - 1.5**2 / 2 + logit(0.05)
    return y, scale * z


def behind(z, y):
    """The log odds that are found behind logits, and the logits, both descending."""
    cuts = Cuts.of(y, expit(z), np.ones(len(y)))
    return cuts.calibrated, logit(cuts.levels)


def test_calibrated_scores_stay_as_they_are():
    """But once in a hundred times."""
    lines = [behind(*scores(2_000, 1.0, seed)[::-1])[0].line for seed in range(40)]
    assert sum(line == (1.0, 0.0) for line in lines) >= 38


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_a_slope_and_a_bias_are_found(scale):
    y, z = scores(40_000, scale, seed=1)
    slope, bias = behind(z + 2.0, y)[0].line
    assert slope == pytest.approx(1 / scale, rel=0.1)
    assert bias == pytest.approx(-2.0 / scale, abs=0.25)


def test_scores_off_at_one_end_only_get_a_curve():
    y, z = scores(40_000, 1.0, seed=2)
    found, given = behind(np.where(z > -2.0, 3.0 * z + 4.0, z), y)
    truth = np.where(given > -2.0, (given - 4.0) / 3.0, given)
    assert found.line is None
    middle = (truth > -5.0) & (truth < 1.0)
    np.testing.assert_allclose(found.log_odds[middle], truth[middle], atol=0.4)


@pytest.mark.parametrize("score", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    "objective",
    [f_beta(1.0), cost(np.array([[0, 8], [1, 0]])), balanced_accuracy(), matthews_correlation()],
)
def test_scores_that_are_all_alike_have_a_threshold(objective, score):
    cuts = Cuts.of(np.arange(50) < 9, np.full(50, score), np.ones(50))
    threshold, value = choose(objective, cuts)
    assert np.isfinite(threshold)
    assert value == objective.values(cuts).max()


def test_classes_that_do_not_overlap_are_told_apart():
    y = np.arange(3_000) < 150
    p = np.where(y, 0.1, 0.001) * np.random.default_rng(0).uniform(0.5, 1.0, 3_000)
    for objective in (f_beta(1.0), balanced_accuracy(), matthews_correlation()):
        assert choose(objective, Cuts.of(y, p, np.ones(3_000)))[1] == pytest.approx(1.0)


# Of how many of the rows of each class are flagged, and of the share that is positive.
FORMULAS = {
    balanced_accuracy_score: lambda hit, false, rate: (hit + 1 - false) / 2,
    precision_score: lambda hit, false, rate: rate * hit / (rate * hit + (1 - rate) * false),
    matthews_corrcoef: lambda hit, false, rate: (
        (hit - false)
        * np.sqrt(rate * (1 - rate))
        / np.sqrt((flagged := rate * hit + (1 - rate) * false) * (1 - flagged))
    ),
}


@pytest.mark.parametrize(
    ("arguments", "score"),
    [
        ({"objective": "balanced_accuracy"}, balanced_accuracy_score),
        ({"objective": "matthews_correlation"}, matthews_corrcoef),
        ({"objective": "precision_at_recall", "recall": 0.8}, precision_score),
    ],
)
def test_more_objectives_are_scikit_learns(arguments, score):
    x, y = two_gaussians(3_000)
    tuner, model, _ = tuned((x, y), **arguments)
    said = tuner.wrap(model).predict(x, batch_size=len(x), verbose=0)[:, 0]
    assert tuner.value == pytest.approx(score(y, said), abs=1e-6)
    p = expit(model.predict(x, batch_size=len(x), verbose=0)[:, 0])
    assert recall_score(y, said) >= arguments.get("recall", 0.0)

    def scored(flagged):
        hit, false = (flagged[..., y == k].mean(axis=-1) for k in (1, 0))
        return FORMULAS[score](hit, false, y.mean()), hit

    assert scored(said == 1)[0] == pytest.approx(score(y, said), rel=1e-9)
    # Flagging all is a cut, too, but not of the correlation, which is 0 / 0 there.
    cuts = np.quantile(p, np.linspace(0, 0.999, 400))[score is matthews_corrcoef :]
    values, recall = scored(p >= cuts[:, None])
    best = values[recall >= arguments.get("recall", 0.0)].max()
    assert tuner.value >= best - 0.02


def test_an_inference_model_takes_the_threshold_that_is_known():
    """Of raw features, which validation rows do not fit."""
    x, y = two_gaussians(3_000)
    tuner, model, _ = tuned((x, y))
    raw = {name: keras.Input((1,), name=name) for name in "ab"}
    inference = keras.Model(raw, model(keras.layers.Concatenate()([raw["a"], raw["b"]])))
    wrapped = tuner.wrap(inference, threshold=tuner.threshold)
    said = wrapped.predict({"a": x[:, :1], "b": x[:, 1:]}, verbose=0)
    np.testing.assert_array_equal(said, tuner.wrap(model).predict(x, verbose=0))
    with pytest.raises(ValueError, match=r"`model`: .*does not: .*threshold=tuner.threshold"):
        tuner.wrap(inference)


def test_a_label_without_positives_takes_what_its_probabilities_expect():
    x, y = two_gaussians(20_000)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    kernel, bias = bayes_model().get_weights()
    model.set_weights([np.repeat(kernel, 2, axis=1), np.repeat(bias, 2)])
    rows = (x, np.stack([y, np.zeros_like(y)], axis=1))
    validation = tfi.callbacks.Validation(rows, multi_label=True, from_logits=True)
    tuner = tfi.callbacks.ThresholdTuner(validation)
    with pytest.warns(UserWarning, match="20000 rows, all 0 for label 1"):
        thresholds = tuner.tune(model)
    assert thresholds == pytest.approx([0.3684, 0.3684], abs=0.05)
    assert np.isnan(tuner.value).tolist() == [False, True]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Once is enough.
        tuner.tune(model)
    none = tfi.callbacks.Validation((x, 0 * rows[1]), multi_label=True, from_logits=True)
    with pytest.raises(ValueError, match="alike in all of them"):
        tfi.callbacks.ThresholdTuner(none).tune(model)
