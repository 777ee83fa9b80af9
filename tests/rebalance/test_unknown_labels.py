"""Several labels a row, some not known: each label is judged by the rows of which it is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

import tfimbalance as tfi
from tfimbalance import calibration as cal

UNKNOWN = -1
ROWS, LABELS = 6_000, 3
SHARE_KNOWN = np.array([0.9, 0.5, 1.0])


def drawn(seed=0):
    """Logits that are off by a slope and a bias, the labels, and those of them that are known."""
    rng = np.random.default_rng(seed)
    z = rng.normal([-1.0, -2.0, 0.5], 1.5, (ROWS, LABELS))
    full = (rng.random((ROWS, LABELS)) < 1 / (1 + np.exp(-z))).astype("int32")
    # What is not known is no chance: of label 1, negatives are left out more often.
    known = rng.random((ROWS, LABELS)) < SHARE_KNOWN * (1 - 0.5 * (full == 0) * [0, 1, 0])
    logits = (1.5 * z + [1.0, 0.0, -1.0]).astype("float32")
    return logits, np.where(known, full, UNKNOWN), known


LOGITS, Y, KNOWN = drawn()
EACH = [(LOGITS[KNOWN[:, k], k], Y[KNOWN[:, k], k]) for k in range(LABELS)]


def identity(width=LABELS):
    """A model that returns its inputs, as logits."""
    layer = keras.layers.Dense(width, kernel_initializer="identity")
    model = keras.Sequential([keras.Input((width,)), layer])
    model.compile(keras.optimizers.SGD(0.0), keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def judged(callback, width=LABELS):
    """Let a callback look at an epoch in which nothing is learned; return the logs."""
    x = np.zeros((2, width), "float32")
    fitted = identity(width).fit(x, x, callbacks=[callback], verbose=0)
    return fitted.history


def several(**arguments):
    return tfi.callbacks.Validation(
        (LOGITS, Y), multi_label=True, ignore_class=UNKNOWN, from_logits=True, **arguments
    )


def alone(k):
    z, y = EACH[k]
    return tfi.callbacks.Validation((z[:, None], y), from_logits=True)


def statistics(labels=Y):
    return tfi.class_statistics(labels, multi_label=True, ignore_class=UNKNOWN)


# --- Counting -------------------------------------------------------------------------------------


def test_each_label_is_counted_where_it_is_known():
    stats = statistics()
    for k, (_, y) in enumerate(EACH):
        one = tfi.class_statistics(y)
        assert (stats.counts[k], stats.num_known[k]) == (one.counts[1], one.num_samples)
        assert stats.priors[k] == one.priors[1]
        weights = tfi.class_weights(one)
        assert tfi.class_weights(stats)[k] == pytest.approx(weights[1] / weights[0])
    assert stats.num_samples == KNOWN.any(axis=1).sum()
    assert statistics(Y.astype("float32")) == stats


@pytest.mark.parametrize("batch", [None, 7, 1_000])
def test_datasets_are_counted_alike(batch):
    rows = tf.data.Dataset.from_tensor_slices((LOGITS[:700], Y[:700]))
    rows = rows if batch is None else rows.batch(batch)
    assert statistics(rows) == statistics(Y[:700])


def test_shards_add_up():
    shards = [statistics(part) for part in np.array_split(Y, 3)]
    assert sum(shards) == statistics()
    # Known in all rows of one shard, and not in those of the other.
    one = tfi.ClassStatistics([2, 1], 4, multi_label=True)
    other = tfi.ClassStatistics([2, 1], 4, True, [3, 4])
    assert (one + other).num_known.tolist() == [7, 8]
    assert one != other
    assert (one + one).num_known is None


def test_known_in_all_rows_is_nothing_to_say():
    y = np.abs(Y)
    assert statistics(y) == tfi.class_statistics(y, multi_label=True)
    assert statistics(y).num_known is None


def test_a_row_of_which_nothing_is_known_does_not_count():
    stats = statistics([[1, -1], [-1, -1], [0, 1]])
    assert (stats.num_samples, stats.num_known.tolist()) == (2, [2, 1])
    with pytest.raises(ValueError, match=r"`labels`: expected at least one row"):
        statistics([[-1, -1]])


@pytest.mark.parametrize(
    "known", [[1, 3], [5, 3], [3], [3.5, 3], "many", [[3, 3]]], ids=lambda known: str(known)
)
def test_numbers_of_known_rows_that_cannot_be_are_refused(known):
    with pytest.raises(ValueError, match="`num_known`: expected"):
        tfi.ClassStatistics([2, 1], 4, True, known)


def test_classes_that_exclude_one_another_have_no_number_of_known_rows():
    with pytest.raises(ValueError, match="`num_known`: expected None, or beside multi_label=True"):
        tfi.ClassStatistics([2, 2], num_known=[2, 2])


def test_a_label_that_is_known_of_no_row_is_named():
    stats = statistics([[1, -1, -1], [0, -1, 1], [0, -1, 0]])
    with pytest.raises(ValueError, match="statistics of no rows of label 1"):
        tfi.Rebalance(stats)


@pytest.mark.parametrize("labels", [[[0, 1], [1, -1]], [[0, 1], [1, np.nan]], [[0, 1], [1, 2]]])
def test_what_is_neither_0_nor_1_is_refused_with_the_remedy(labels):
    with pytest.raises(ValueError, match=r"zeros and ones.*not known: ignore_class=-1"):
        tfi.class_statistics(labels, multi_label=True)


# --- Judging --------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["f1", "balanced_accuracy", "matthews_correlation"])
def test_thresholds_are_those_of_the_known_rows(objective):
    tuner = tfi.callbacks.ThresholdTuner(several(), objective=objective)
    tuner.tune(identity())
    for k in range(LABELS):
        one = tfi.callbacks.ThresholdTuner(alone(k), objective=objective)
        one.tune(identity(1))
        assert tuner.threshold[k] == one.threshold
        assert tuner.value[k] == pytest.approx(one.value, rel=1e-12)


def test_a_label_of_which_nothing_is_known_has_the_threshold_of_its_probabilities():
    y = Y.copy()
    y[:, 1] = UNKNOWN
    rows = tfi.callbacks.Validation(
        (LOGITS, y), multi_label=True, ignore_class=UNKNOWN, from_logits=True
    )
    tuner = tfi.callbacks.ThresholdTuner(rows)
    with pytest.warns(UserWarning, match="no row for label 1"):
        tuner.tune(identity())
    tuner.tune(identity())  # It says so once.
    assert np.isnan(tuner.value).tolist() == [False, True, False]
    # F1 is best at half of itself, as the probabilities expect it.
    p = np.sort(1 / (1 + np.exp(-LOGITS[:, 1].astype("float64"))))[::-1]
    best = (2 * np.cumsum(p) / (np.arange(1, ROWS + 1) + p.sum())).max()
    assert tuner.threshold[1] == pytest.approx(best / 2, abs=1e-3)


def test_labels_without_a_threshold_are_named_in_one_warning():
    y = np.where(np.arange(LABELS) > 0, 0, Y)
    tuner = tfi.callbacks.ThresholdTuner(
        tfi.callbacks.Validation(
            (LOGITS, y), multi_label=True, ignore_class=UNKNOWN, from_logits=True
        )
    )
    with pytest.warns(UserWarning, match="all alike for labels 1, 2. Theirs are those") as warned:
        tuner.tune(identity())
    assert len(warned) == 1


def test_nothing_is_said_of_labels_one_by_one_where_none_has_a_threshold(recwarn):
    y = np.where(KNOWN, 0, UNKNOWN)
    rows = tfi.callbacks.Validation(
        (LOGITS, y), multi_label=True, ignore_class=UNKNOWN, from_logits=True
    )
    with pytest.raises(ValueError, match="rows with and without some label"):
        tfi.callbacks.ThresholdTuner(rows).tune(identity())
    assert not recwarn.list


def test_recall_and_precision_are_those_of_the_known_rows():
    report = tfi.callbacks.ClassReport(several(), every=0)
    judged(report)
    found = {row["class"]: row for row in report.rows}
    for k in range(LABELS):
        one = tfi.callbacks.ClassReport(alone(k), every=0)
        judged(one, 1)
        wanted = next(row for row in one.rows if row["class"] == "1")
        for name in ("rows", "recall", "precision"):
            assert found[str(k)][name] == pytest.approx(wanted[name], rel=1e-12)


def test_the_corrected_entropy_is_that_of_the_known_rows():
    logs = judged(tfi.callbacks.CorrectedValidation(several()))
    p = 1 / (1 + np.exp(-LOGITS))
    metric = tfi.metrics.NormalizedEntropy(multi_label=True, ignore_class=UNKNOWN)
    assert logs["val_corrected_normalized_entropy"][0] == pytest.approx(float(metric(Y, p)))


def test_metrics_that_would_count_what_is_not_known_are_refused():
    callback = tfi.callbacks.CorrectedValidation(
        several(), metrics=[tfi.metrics.BrierScore(multi_label=True)]
    )
    with pytest.raises(ValueError, match=r"`metrics`: .*'brier_score', whose ignore_class is None"):
        judged(callback)


def test_probabilities_that_are_off_are_judged_by_the_known_rows():
    """All that is known of label 2 is negative: its probabilities are far off, and only those."""
    plan = tfi.Rebalance(statistics(), ignore_class=UNKNOWN)
    y = Y.copy()
    y[:, 2] = np.where(Y[:, 2] == 1, UNKNOWN, 0)
    rows = tfi.callbacks.Validation(
        (LOGITS / 1.5, y),
        correct=plan.corrected,
        multi_label=True,
        ignore_class=UNKNOWN,
        from_logits=True,
    )
    with pytest.warns(UserWarning, match="corrected probabilities of label 2"):
        judged(tfi.callbacks.CorrectedValidation(rows))


def test_the_natural_rate_is_that_of_the_known_rows():
    priors = statistics()
    # Half of the labels are left out by chance: the rates stay what they were.
    rng = np.random.default_rng(1)
    fewer = np.where(rng.random(Y.shape) < 0.5, Y, UNKNOWN)
    callback = tfi.callbacks.NaturalRate(priors, ignore_class=UNKNOWN)
    assert callback.check(fewer) < 5
    fewer[:, 2] = UNKNOWN  # What nothing is known of is no reason to warn.
    assert callback.check(fewer) < 5
    fewer[:, 1] = np.where(Y[:, 1] == 1, 1, UNKNOWN)
    with pytest.warns(UserWarning, match="class 1 is 1 of the rows"):
        callback.check(fewer)


# --- Calibrating ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [cal.VectorScaling, cal.IsotonicCalibration])
def test_each_label_is_calibrated_on_its_known_rows(cls):
    layer = cls(from_logits=True, activation="sigmoid").fit(Y, LOGITS, ignore_class=UNKNOWN)
    found = np.asarray(layer(LOGITS))
    for k, (z, y) in enumerate(EACH):
        one = cls(from_logits=True).fit(y, z)
        wanted = np.asarray(one(LOGITS[:, k : k + 1]))[:, 0]
        np.testing.assert_allclose(found[:, k], wanted, atol=2e-3)


def test_vector_scaling_is_the_logistic_regression_of_the_known_rows():
    layer = cal.VectorScaling(from_logits=True, activation="sigmoid")
    layer.fit(Y, LOGITS, ignore_class=UNKNOWN)
    for k, (z, y) in enumerate(EACH):
        peer = LogisticRegression(C=np.inf, tol=1e-8).fit(z[:, None], y)
        assert float(layer.scale[k]) == pytest.approx(peer.coef_[0, 0], rel=1e-3)
        assert float(layer.bias[k]) == pytest.approx(peer.intercept_[0], abs=1e-3)


def test_one_temperature_is_of_all_known_labels():
    layer = cal.TemperatureScaling(from_logits=True, activation="sigmoid")
    layer.fit(Y, LOGITS, ignore_class=UNKNOWN)
    flat = cal.TemperatureScaling(from_logits=True).fit(Y[KNOWN], LOGITS[KNOWN])
    assert float(layer.temperature) == pytest.approx(float(flat.temperature), rel=1e-5)


def test_rows_of_a_label_that_are_all_alike_are_refused():
    y = Y.copy()
    y[:, 1] = np.where(Y[:, 1] == 0, UNKNOWN, Y[:, 1])
    layer = cal.VectorScaling(from_logits=True, activation="sigmoid")
    with pytest.raises(ValueError, match="none of one kind for output 1"):
        layer.fit(y, LOGITS, ignore_class=UNKNOWN)


@pytest.mark.parametrize("few", [None, 1])
def test_a_plan_calibrates_each_label_on_its_known_rows(few):
    plan = tfi.Rebalance(statistics(), ignore_class=UNKNOWN)
    y = Y.copy()
    if few is not None:  # Of 140 positives that are known, a slope and a bias would be noise.
        y[np.flatnonzero(np.cumsum(Y[:, few] == 1) > 140)[0] :, few] = UNKNOWN
    model = identity()
    if few is None:
        served = plan.calibrated(model, (LOGITS, y), from_logits=True)
    else:
        with pytest.warns(UserWarning, match="label 1 has fewer than 150 validation rows"):
            served = plan.calibrated(model, (LOGITS, y), from_logits=True)
    p = served.predict(LOGITS, verbose=0)
    for k, (z, of_label) in enumerate(EACH):
        if k == few:
            wanted = 1 / (1 + np.exp(-LOGITS[:, k]))
        else:
            one = cal.VectorScaling(from_logits=True).fit(of_label, z)
            wanted = 1 / (1 + np.exp(-np.asarray(one(LOGITS[:, k : k + 1]))[:, 0]))
        np.testing.assert_allclose(p[:, k], wanted, atol=2e-3)


# --- All of it ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_plan_serves_the_rates_of_labels_that_are_known_in_part():
    """Weights that a fit sees, and unknown labels that it does not, leave the rates as they are."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(30_000, 2)).astype("float32")
    p = 1 / (1 + np.exp(-(x @ [[1.0, 0.0], [0.5, -1.0]] + [-2.0, -3.0])))
    full = (rng.random(p.shape) < p).astype("int32")
    y = np.where(rng.random(p.shape) < [0.8, 0.4], full, UNKNOWN)
    train, valid = slice(0, 20_000), slice(20_000, None)
    plan = tfi.Rebalance(statistics(y[train]), class_weight="balanced", ignore_class=UNKNOWN)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    plan.prepare(model)
    rows = plan.validation((x[valid], y[valid]))
    tuner = tfi.callbacks.ThresholdTuner(rows)
    model.compile(keras.optimizers.Adam(0.05), plan.loss(from_logits=True))
    options = {"batch_size": 256, "epochs": 4, "verbose": 0}
    model.fit(x[train], y[train], callbacks=[*plan.callbacks(rows), tuner], **options)
    served = plan.calibrated(model, rows).predict(x, verbose=0)
    np.testing.assert_allclose(served.mean(axis=0), full.mean(axis=0), rtol=0.1)
    np.testing.assert_allclose(served, p, atol=0.06)
    raw = 1 / (1 + np.exp(-model.predict(x, verbose=0)))
    assert (raw.mean(axis=0) > 2 * full.mean(axis=0)).all()


# --- Found by attacks -----------------------------------------------------------------------------


def test_one_label_is_judged_as_several_are():
    plan = tfi.Rebalance(statistics(Y[:, :1]), ignore_class=UNKNOWN)
    x = np.zeros((2, 1), "float32")
    rows = (LOGITS[:, :1], Y[:, :1])
    logs = (
        identity(1).fit(x, x, callbacks=plan.callbacks(rows, from_logits=True), verbose=0).history
    )
    p = 1 / (1 + np.exp(-LOGITS[KNOWN[:, 0], 0].astype("float64")))
    ratio = logs["val_corrected_calibration_ratio"][0]
    assert ratio == pytest.approx(p.mean() / EACH[0][1].mean(), rel=1e-5)


@pytest.mark.parametrize("mark", [0, 1, 2])
def test_an_ignored_class_of_ids_is_none_of_the_labels(mark):
    ids = np.random.default_rng(0).integers(0, 3, ROWS)
    logs = judged(
        tfi.callbacks.CorrectedValidation(
            tfi.callbacks.Validation(
                (LOGITS, ids), multi_label=True, ignore_class=mark, from_logits=True
            ),
            metrics=[keras.metrics.BinaryCrossentropy(name="nats")],
        )
    )
    counts = ids != mark
    z, target = LOGITS[counts].astype("float64"), ids[counts, None] == np.arange(3)
    nats = (np.logaddexp(0, z) - z * target).mean()
    assert logs["val_corrected_nats"][0] == pytest.approx(nats, rel=1e-4)


@pytest.mark.parametrize(
    "metric",
    [
        tfi.metrics.NormalizedEntropy,
        tfi.metrics.BrierScore,
        tfi.metrics.BalancedAccuracy,
        tfi.metrics.GeometricMean,
        tfi.metrics.MatthewsCorrelation,
        tfi.metrics.AUC,
        tfi.metrics.ExpectedCalibrationError,
    ],
)
def test_a_label_that_no_row_is_known_of_is_none_of_a_metric(metric):
    y, p = Y.copy(), 1 / (1 + np.exp(-LOGITS))
    y[:, 1] = UNKNOWN
    kind = {"multi_label": True, "ignore_class": UNKNOWN}
    wanted = float(metric(**kind)(Y[:, ::2], p[:, ::2]))
    assert np.isfinite(wanted)
    assert float(metric(**kind)(y, p)) == pytest.approx(wanted, rel=1e-6)
    broken = p.copy()
    broken[7, 0] = np.nan  # What is wrong shows all the same.
    assert np.isnan(float(metric(**kind)(y, broken)))


def test_early_stopping_goes_on_beside_a_label_that_no_validation_row_is_known_of():
    y = Y.copy()
    y[:, 1] = UNKNOWN
    rows = tfi.callbacks.Validation(
        (LOGITS, y), multi_label=True, ignore_class=UNKNOWN, from_logits=True
    )
    logs = judged(tfi.callbacks.CorrectedValidation(rows))
    assert np.isfinite(logs["val_corrected_normalized_entropy"]).all()


def test_priors_of_classes_beside_several_sigmoids_are_compared_as_classes():
    ids = np.random.default_rng(0).choice(3, ROWS, p=[0.3, 0.3, 0.4])
    for labels in (ids, np.eye(3)[ids]):
        judged(  # A warning would be an error.
            tfi.callbacks.CorrectedValidation(
                tfi.callbacks.Validation(
                    (LOGITS, labels), multi_label=True, priors=[0.3, 0.3, 0.4], from_logits=True
                )
            )
        )


def test_metrics_without_a_mark_are_taken_where_everything_is_known():
    rows = tfi.callbacks.Validation(
        (LOGITS, np.abs(Y)), multi_label=True, ignore_class=UNKNOWN, from_logits=True
    )
    metric = keras.metrics.AUC(multi_label=True, num_labels=LABELS)
    logs = judged(tfi.callbacks.CorrectedValidation(rows, metrics=[metric]))
    assert logs["val_corrected_auc"][0] > 0.5


def test_metrics_are_given_the_mark_that_they_know():
    metrics = [
        tfi.metrics.BrierScore(multi_label=True, ignore_class=mark, name=f"brier_{abs(mark)}")
        for mark in (-1, 255)
    ]
    logs = judged(tfi.callbacks.CorrectedValidation(several(), metrics=metrics))
    one, other = (logs[f"val_corrected_brier_{k}"][0] for k in (1, 255))
    assert one == other


def test_several_labels_that_are_not_said_to_be_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"multi_label=True, or activation=\"sigmoid\""):
        cal.VectorScaling(from_logits=True).fit(Y, LOGITS, ignore_class=UNKNOWN)


@pytest.mark.parametrize("mark", [0, 1])
def test_a_label_is_no_mark(mark):
    with pytest.raises(ValueError, match="`ignore_class`: expected neither 0 nor 1"):
        tfi.class_statistics(np.abs(Y), multi_label=True, ignore_class=mark)
    with pytest.raises(ValueError, match="`ignore_class`: expected neither 0 nor 1"):
        cal.VectorScaling(activation="sigmoid", from_logits=True).fit(
            np.abs(Y), LOGITS, ignore_class=mark
        )


def test_rows_of_which_nothing_is_known_are_refused_as_such():
    y = np.full_like(Y, UNKNOWN)
    rows = tfi.callbacks.Validation(
        (LOGITS, y), multi_label=True, ignore_class=UNKNOWN, from_logits=True
    )
    with pytest.raises(ValueError, match=r"rows that count\. Received: none"):
        tfi.callbacks.ThresholdTuner(rows).tune(identity())
    with pytest.raises(ValueError, match=r"rows that count\. Received: none"):
        cal.VectorScaling(activation="sigmoid").fit(y, LOGITS, ignore_class=UNKNOWN)
    report = tfi.callbacks.ClassReport(rows, every=0)
    judged(report)
    assert np.isnan([row["recall"] for row in report.rows]).all()


def test_a_plan_that_is_not_told_the_mark_asks_for_it():
    with pytest.raises(ValueError, match="`ignore_class`: expected what stands for labels"):
        tfi.Rebalance(statistics()).loss()
