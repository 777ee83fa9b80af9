"""What precision, gain, lift and thresholds show."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from plots.drawn import gaussians, legend_of, models, references, sigmoid, xy
from sklearn import metrics as sk

from tfimbalance import plots
from tfimbalance.plots import _style


def test_precision_recall_is_that_of_scikit_learn():
    y, z, _ = gaussians(0.05)
    z[np.flatnonzero(y == 0)[:2]] = z.max() + np.arange(1, 3)  # The top of the ranking is wrong.
    ax = plots.precision_recall(y, sigmoid(z))
    recall, precision = xy(models(ax)[0])
    expected, at, _ = sk.precision_recall_curve(y, z, drop_intermediate=True)
    np.testing.assert_allclose(recall, at)
    np.testing.assert_allclose(precision[:-1], expected[:-1])
    assert precision[-1] == expected[-2] == 0  # Instead of 1, where nothing is flagged.
    average = sk.average_precision_score(y, z)
    # Average precision is the area under the steps that are drawn.
    assert models(ax)[0].get_drawstyle() == "steps-post"
    assert -np.sum(np.diff(recall) * precision[:-1]) == pytest.approx(average)
    assert legend_of(ax)[0].startswith(f"AP {average:.3f}")
    assert xy(references(ax, "base rate")[0])[1] == pytest.approx([y.mean()] * 2)
    assert legend_of(ax)[-1] == f"base rate {100 * y.mean():.2g}%"


def test_best_f1_is_the_best_of_all_thresholds():
    y, z, _ = gaussians(0.1, 150)
    p = sigmoid(z)
    scores = {t: sk.f1_score(y, p >= t) for t in p}
    best = max(scores, key=scores.get)
    text = f"best F1 {scores[best]:.3f} from {best:.3g} on"
    ax = plots.precision_recall(y, p)
    assert text in legend_of(ax)[0]
    dot = next(line for line in ax.get_lines() if line.get_marker() == "o")
    expected = [sk.recall_score(y, p >= best)], [sk.precision_score(y, p >= best)]
    np.testing.assert_allclose(xy(dot), expected)
    ax = plots.threshold_curves(y, p)
    assert text in legend_of(ax)
    dot = next(line for line in ax.get_lines() if line.get_marker() == "o")
    np.testing.assert_allclose(xy(dot), ([best], [scores[best]]))


def test_base_rates_that_differ_have_a_line_each():
    ax = plt.figure().add_subplot()
    for rate in (0.3, 0.1, 0.3):
        y, z, _ = gaussians(rate)
        plots.precision_recall(y, sigmoid(z), ax=ax)
    assert len(references(ax, "base rate")) == 2


def test_scale_of_precision_is_set_by_settled_recall():
    # One lucky row on top, and then a precision of about 2%.
    rng = np.random.default_rng(0)
    y, p = (rng.random(20_000) < 0.02).astype(int), rng.random(20_000)
    p[np.flatnonzero(y)[0]] = 1.0
    ax = plots.precision_recall(y, p)
    recall, precision = xy(models(ax)[0])
    assert precision.max() == 1.0
    assert ax.get_ylim()[1] == pytest.approx(1.15 * precision[recall >= 0.02].max())


@pytest.mark.parametrize("rate", [0.3, 0.02])
def test_gain_and_lift_are_counts_from_the_top(rate):
    y, z, _ = gaussians(rate, 1000)
    top = y[np.argsort(-z)]
    found, flagged = np.cumsum(top) / y.sum(), np.arange(1, 1001) / 1000
    x, recall = xy(models(plots.cumulative_gain(y, sigmoid(z)))[0])
    np.testing.assert_allclose(x, np.concatenate([[0], flagged]))
    np.testing.assert_allclose(recall, np.concatenate([[0], found]), atol=1e-12)
    ax = plots.lift(y, sigmoid(z))
    x, times = xy(models(ax)[0])
    np.testing.assert_allclose(x[1:], flagged)
    np.testing.assert_allclose(times[1:], found / flagged, atol=1e-9)
    positives = y.sum()
    assert legend_of(ax)[0].startswith(f"lift {found[positives - 1] / flagged[positives - 1]:.3g}")


@pytest.mark.parametrize("log", [True, False])
def test_gain_and_lift_have_their_bounds(log):
    y, z, _ = gaussians(0.2, 1000)
    rate = y.mean()
    ax = plots.cumulative_gain(y, sigmoid(z), log=log)
    x, recall = xy(references(ax, "perfect")[0])
    np.testing.assert_allclose(recall, np.minimum(x / rate, 1))
    assert rate in x
    x, recall = xy(references(ax, "random")[0])
    np.testing.assert_allclose(recall, x)
    ax = plots.lift(y, sigmoid(z), log=log)
    x, times = xy(references(ax, "perfect")[0])
    np.testing.assert_allclose(times, np.minimum(1 / np.maximum(x, 1e-300), 1 / rate))
    np.testing.assert_array_equal(xy(references(ax, "random")[0])[1], 1.0)
    assert ax.get_yscale() == ("log" if log else "linear")
    # A perfect ranking lies on its bound.
    x, times = xy(models(plots.lift(y, y.astype(float)))[0])
    np.testing.assert_allclose(times, np.minimum(1 / np.maximum(x, rate), 1 / rate))


def test_threshold_curves_are_what_each_threshold_flags():
    y, z, _ = gaussians(0.2, 80)
    p = sigmoid(z)
    ax = plots.threshold_curves(y, p, log=False)
    by_name = {line.get_label(): xy(line) for line in models(ax)}
    expected = {
        "precision": lambda hit: sk.precision_score(y, hit),
        "recall": lambda hit: sk.recall_score(y, hit),
        "F1": lambda hit: sk.f1_score(y, hit),
        "rows flagged": np.mean,
    }
    assert set(by_name) == set(expected)
    for name, (x, values) in by_name.items():
        np.testing.assert_allclose(x, np.sort(p)[::-1])
        np.testing.assert_allclose(values, [expected[name](p >= t) for t in x], atol=1e-12)
    assert len({to_hex(line.get_color()) for line in models(ax)}) == 4
    assert len({line.get_linestyle() for line in models(ax)}) == 4


@pytest.mark.parametrize("label", [None, "model"])
def test_a_threshold_is_drawn_and_described(label):
    y, z, _ = gaussians(0.2, 500)
    hit = sigmoid(z) >= 0.25
    ax = plots.threshold_curves(y, z, from_logits=True, threshold=0.25, label=label)
    line = references(ax, "threshold")[0]
    np.testing.assert_array_equal(xy(line)[0], 0.25)
    precision, recall = sk.precision_score(y, hit), sk.recall_score(y, hit)
    text = f"at 0.25: precision {100 * precision:.2g}%, recall {100 * recall:.2g}%, flagged "
    assert any(text in entry for entry in legend_of(ax))
    ax = plots.threshold_curves([0, 1], [0.1, 0.2], threshold=0.9)
    assert "at 0.9: nothing flagged" in legend_of(ax)
    with pytest.raises(ValueError, match=r"`threshold`.*\[0, 1\]"):
        plots.threshold_curves(y, z, from_logits=True, threshold=1.5)


def test_thinning_is_not_seen():
    y, z, _ = gaussians(0.02, 60_000)
    for draw in (plots.cumulative_gain, plots.threshold_curves):
        lines = models(draw(y, sigmoid(z)))
        for line in lines:
            assert len(xy(line)[0]) <= 4002
    flagged, recall = xy(models(plots.cumulative_gain(y, sigmoid(z)))[0])
    whole = np.concatenate([[0], np.cumsum(y[np.argsort(-z)]) / y.sum()])
    exact = np.linspace(0, 1, len(whole))
    # A thousandth of the height of the axes is less than a pixel.
    assert np.abs(np.interp(exact, flagged, recall) - whole).max() < 1e-3
    assert flagged[0] == 0
    assert flagged[-1] == 1


def test_percentages_keep_the_digits_of_rare_shares():
    written = [_style.percent(v) for v in (0.0, 0.5, 0.002, 0.000134, 0.998, 1.0)]
    assert written == ["0%", "50%", "0.2%", "0.013%", "99.8%", "100%"]


def test_a_threshold_is_compared_as_the_layer_does():
    """.7 in float32 is less than .7; the scores came as float32."""
    p = np.array([0.1, 0.2, 0.7, 0.7, 0.9], "float32")
    ax = plots.threshold_curves([0, 0, 1, 0, 1], p, threshold=0.7)
    assert "flagged 60%" in ax.get_legend().get_texts()[-1].get_text()
