"""Predicted against observed rates, in bins."""

from statistics import NormalDist

import numpy as np
import pytest
from matplotlib import pyplot as plt
from plots.drawn import gaussians, legend_of, models, references, sigmoid, xy
from sklearn.calibration import calibration_curve

from tfimbalance import plots
from tfimbalance.plots._bins import equal_mass_bins
from tfimbalance.plots._one_class import read_one_class


def test_reliability_of_rows_is_the_quantile_curve_of_scikit_learn():
    y, z, _ = gaussians(0.3, 1500)
    p = sigmoid(z)
    predicted, observed = xy(models(plots.reliability(y, p))[0])
    expected, at = calibration_curve(y, p, n_bins=15, strategy="quantile")
    np.testing.assert_allclose(predicted, at)
    np.testing.assert_allclose(observed, expected)


@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_bands_are_wilsons(confidence):
    y, z, _ = gaussians(0.3, 1500)
    ax = plots.reliability(y, sigmoid(z), confidence=confidence)
    observed = xy(models(ax)[0])[1]
    low, high = np.array([segment[:, 1] for segment in ax.collections[0].get_segments()]).T
    limit = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    for bound in (low, high):  # Where the score test of that rate is at its limit.
        np.testing.assert_allclose(
            (observed - bound) ** 2, limit * bound * (1 - bound) / 100, rtol=1e-6, atol=1e-12
        )
    assert (low <= observed).all()
    assert (observed <= high).all()


def test_bins_of_predicted_positives_hold_as_many_each():
    y, z, _ = gaussians(0.01, 40_000)
    p = sigmoid(z)
    assert legend_of(plots.reliability(y, p)) == legend_of(
        plots.reliability(y, p, bins="positives")
    )
    predicted, observed = xy(models(plots.reliability(y, p, bins="positives", log=False))[0])
    order = np.argsort(p)
    middle = np.cumsum(p[order]) - p[order] / 2
    place = np.floor(middle / p.sum() * 15).astype(int)
    np.testing.assert_allclose(predicted, [p[order][place == k].mean() for k in range(15)])
    np.testing.assert_allclose(observed, [y[order][place == k].mean() for k in range(15)])


def test_bins_without_positives_show_their_upper_limit():
    y = np.repeat([0, 1], [990, 10])
    p = np.linspace(0.001, 0.2, 1000)  # The positives are last.
    ax = plots.reliability(y, p, num_bins=10, bins="rows")
    assert len(xy(models(ax)[0])[0]) == 1
    triangles = references(ax, "upper limit")[0]
    z2 = NormalDist().inv_cdf(0.975) ** 2
    np.testing.assert_allclose(xy(triangles)[1], [z2 / (100 + z2)] * 9)
    np.testing.assert_allclose(xy(triangles)[0], p.reshape(10, 100).mean(axis=1)[:9])
    assert legend_of(ax)[-1] == "no positives: upper limit"
    # On linear axes 0 has its place.
    ax = plots.reliability(y, p, num_bins=10, bins="rows", log=False)
    np.testing.assert_allclose(xy(models(ax)[0])[1], [0] * 9 + [0.1])


def test_equal_predictions_stay_in_one_bin():
    p = np.repeat([0.2, 0.4, 0.8], [70, 20, 10])
    y = np.tile([0, 1], 50)
    predicted, observed = xy(models(plots.reliability(y, p, num_bins=10))[0])
    np.testing.assert_allclose(predicted, [0.2, 0.4, 0.8])
    np.testing.assert_allclose(observed, [y[p == level].mean() for level in (0.2, 0.4, 0.8)])


def test_reliability_says_how_much_too_high_predictions_are():
    y, z, _ = gaussians(0.05)
    p = sigmoid(z + np.log(19))
    assert legend_of(plots.reliability(y, p))[0] == f"mean p / rate = {p.mean() / y.mean():.2f}"


def test_histogram_holds_all_predictions():
    y, z, _ = gaussians(0.3)
    p = sigmoid(z)
    ax = plots.reliability(y, p)
    heights, edges, _ = ax.patches[0].get_data()
    counts, _ = np.histogram(p, edges)
    assert counts.sum() == len(p)
    np.testing.assert_allclose(heights / heights.max(), counts / counts.max())


@pytest.mark.parametrize("log", [True, False])
def test_reliability_of_one_prediction_for_all(log):
    """As of a model that says its prior: edges of a histogram may not fall together."""
    y = np.random.default_rng(0).random(300) < 0.02
    # Linear edges are the same for all; logarithmic ones go by what is predicted.
    for p in np.geomspace(1e-7, 0.9, 40 if log else 4):
        for spread in (0.0, 1e-16):
            ax = plots.reliability(y, p * (1 + spread * np.arange(300)), log=log)
            heights, edges, _ = next(
                patch.get_data() for patch in ax.patches if hasattr(patch, "get_data")
            )
            assert (np.diff(edges) > 0).all()
            assert np.count_nonzero(heights) >= 1
            plt.close(ax.figure)


def test_bands_of_weights_that_undo_what_was_kept_cover():
    rng = np.random.default_rng(0)
    inside, bins = 0, 0
    for _ in range(40):
        p = rng.beta(2, 18, 20_000)
        y = rng.random(20_000) < p  # Calibrated.
        kept = ~y | (rng.random(20_000) < 0.2)
        weight = np.where(y, 5.0, 1.0)[kept]
        scores = read_one_class(
            y[kept], p[kept], sample_weight=weight, from_logits=False, class_id=None
        )
        found = equal_mass_bins(scores, mass="rows", num_bins=10, confidence=0.95)
        inside += ((found.low <= found.predicted) & (found.predicted <= found.high)).sum()
        bins += len(found.low)
    # 400 intervals: the standard error of their coverage is about .011.
    assert 0.91 < inside / bins < 0.985


def test_predictions_far_apart_do_not_share_a_point():
    p = np.where(np.arange(10_000) < 200, 0.6, 1e-4)
    y = np.arange(10_000) < 40
    scores = read_one_class(y, p, sample_weight=None, from_logits=False, class_id=None)
    for mass in ("rows", "positives"):
        found = equal_mass_bins(scores, mass=mass, num_bins=10, confidence=0.95)
        np.testing.assert_allclose(found.predicted, [1e-4, 0.6])
        np.testing.assert_allclose(found.observed, [0.0, 0.2])
