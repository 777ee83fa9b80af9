import ast
import inspect
import sys
from pathlib import Path
from statistics import NormalDist

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

import tfimbalance as tfi
from tfimbalance import plots
from tfimbalance.plots import _style
from tfimbalance.plots._bins import equal_mass_bins
from tfimbalance.plots._one_class import read_scores

CURVES = [
    plots.precision_recall,
    plots.reliability,
    plots.cumulative_gain,
    plots.lift,
    plots.threshold_curves,
]
each = pytest.mark.parametrize("draw", CURVES, ids=lambda draw: draw.__name__)


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    plt.close("all")  # What another module left in this process.
    yield
    plt.close("all")


def gaussians(rate, rows=3000, seed=0):
    """Two Gaussians and their Bayes logit (FORMULAS 5.1)."""
    rng = np.random.default_rng(seed)
    y = rng.random(rows) < rate
    x = rng.normal(size=(rows, 2)) + np.where(y, 1, -1)[:, None]
    return y.astype(int), 2 * x.sum(axis=1) + np.log(rate / (1 - rate)), x.astype("float32")


def sigmoid(z):
    return 1 / (1 + np.exp(-np.asarray(z, np.float64)))


def models(ax):
    """Curves of models, without the lines that they are compared with."""
    return [line for line in ax.get_lines() if line.get_gid() == "tfimbalance:curve"]


def references(ax, name):
    return [line for line in ax.get_lines() if line.get_gid() == f"tfimbalance:{name}"]


def xy(line):
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# The family: what all curves have in common.


def test_all_is_sorted_and_documented():
    assert sorted(plots.__all__) == plots.__all__
    for name in plots.__all__:
        thing = getattr(plots, name)
        assert ">>>" in thing.__doc__
        assert "Use it" in thing.__doc__
        parameters = inspect.signature(thing).parameters.values()
        positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        required = [p for p in positional if p.default is p.empty]
        assert len(required) <= 3
        assert len(positional) == len(required) or name == "report"  # y is None for datasets.


@pytest.mark.parametrize(
    "path", sorted(Path(plots.__file__).parent.glob("*.py")), ids=lambda p: p.name
)
def test_importing_the_room_imports_no_extra(path):
    for node in ast.parse(path.read_text()).body:
        names = [alias.name for alias in getattr(node, "names", [])]
        names.append(getattr(node, "module", None) or "")
        assert not {n.split(".")[0] for n in names} & {"matplotlib", "sklearn", "pandas", "scipy"}


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "tfimbalance\[plots\]"'):
        plots.precision_recall([0, 1], [0.1, 0.9])


@each
def test_draws_where_it_is_told_and_returns_that(draw):
    y, z, _ = gaussians(0.3)
    ax = plt.figure().add_subplot()
    assert draw(y, sigmoid(z), ax=ax) is ax
    own = draw(y, sigmoid(z))
    assert own.figure is not ax.figure
    assert own.get_title()
    assert own.get_xlabel()
    assert own.get_ylabel()
    ax.figure.draw_without_rendering()


@each
def test_models_overlay_in_the_colors_of_the_axes(draw):
    y, z, _ = gaussians(0.3)
    ax = plt.figure().add_subplot()
    ax.set_prop_cycle(color=["#010203", "#040506", "#070809"])
    draw(y, sigmoid(z), label="one", ax=ax)
    alone = len([line for line in ax.get_lines() if line not in models(ax)])
    draw(y, z + 1, from_logits=True, label="two", ax=ax)
    lines = models(ax)
    assert len(lines) == (8 if draw is plots.threshold_curves else 2)
    assert list(dict.fromkeys(to_hex(line.get_color()) for line in lines)) == ["#010203", "#040506"]
    text = legend_of(ax)
    assert sum(t.startswith("one: ") for t in text) == sum(t.startswith("two: ") for t in text) == 1
    # Lines to compare with are drawn once. (The dots of the best F1 come with each model.)
    dots = draw in (plots.precision_recall, plots.threshold_curves)
    assert len([line for line in ax.get_lines() if line not in models(ax)]) == alone + dots
    assert len(text) == len(set(text))


@each
@pytest.mark.parametrize("rate", [0.3, 0.02])
def test_integer_weights_are_repeated_rows(draw, rate):
    y, z, _ = gaussians(rate, 1500)
    weight = np.random.default_rng(1).integers(0, 4, len(y))
    style = {"from_logits": True, "log": rate < 0.1}
    if draw is plots.precision_recall:
        del style["log"]
    weighed = draw(y, z, sample_weight=weight, **style)
    repeated = draw(np.repeat(y, weight), np.repeat(z, weight), **style)
    for one, other in zip(models(weighed), models(repeated), strict=True):
        np.testing.assert_allclose(xy(one), xy(other), rtol=1e-9)
    assert legend_of(weighed) == legend_of(repeated)


@each
def test_logits_are_probabilities_and_rank_beyond_them(draw):
    y, z, _ = gaussians(0.3, 500)
    by_logit, by_p = draw(y, z, from_logits=True), draw(y, sigmoid(z))
    for one, other in zip(models(by_logit), models(by_p), strict=True):
        np.testing.assert_allclose(xy(one), xy(other), rtol=1e-9)
    # From 37 on the sigmoid is exactly 1, and tells nothing apart.
    far = plots.precision_recall([0, 0, 1, 1], [100.0, 101.0, 102.0, 103.0], from_logits=True)
    assert legend_of(far)[0].startswith("AP 1.000")


@each
@pytest.mark.parametrize(
    "shape",
    [
        list,
        lambda a: np.asarray(a)[:, None],
        lambda a: tf.constant(np.asarray(a)),
        pd.Series,
        lambda a: np.asarray(a, "float32"),
    ],
    ids=["list", "column", "tensor", "series", "float32"],
)
def test_takes_what_people_have(draw, shape):
    y, z, _ = gaussians(0.3, 300)
    p = np.round(sigmoid(z), 3)
    for one, other in zip(models(draw(shape(y), shape(p))), models(draw(y, p)), strict=True):
        np.testing.assert_allclose(xy(one), xy(other), rtol=1e-5)


@each
def test_one_class_against_the_rest(draw):
    rng = np.random.default_rng(0)
    logits, ids = rng.normal(size=(600, 4)), rng.integers(0, 4, 600)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = models(draw(ids == 2, softmax[:, 2]))
    one_hot = np.eye(4)[ids]
    for truth in (ids, ids[:, None], one_hot):
        for scores, from_logits in ((softmax, False), (logits, True)):
            found = models(draw(truth, scores, class_id=2, from_logits=from_logits))
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(xy(one), xy(other), rtol=1e-9)
    tags = rng.integers(0, 2, (600, 4))
    found = models(draw(tags, softmax, class_id=1))
    for one, other in zip(found, models(draw(tags[:, 1], softmax[:, 1])), strict=True):
        np.testing.assert_array_equal(xy(one), xy(other))


@each
@pytest.mark.parametrize(
    ("y_true", "y_pred", "more", "message"),
    [
        ([0, 1], [0.1, np.nan], {}, r"`y_pred`: expected finite .*nan in row 1"),
        ([0, 1], [0.1, 2.5], {}, r"`y_pred`.*\[0, 1\].*2.5 in row 1.*from_logits=True"),
        ([0, 1], [np.inf, 0.5], {"from_logits": True}, r"finite predictions.*inf in row 0"),
        ([0, 0], [0.1, 0.2], {}, r"`y_true`: expected rows of both classes.*2 rows, all negative"),
        ([1, 1], [0.1, 0.2], {}, r"2 rows, all positive"),
        ([0, 1, 1], [0.1, 0.2], {}, r"`y_true`: expected 2 rows.*Received: 3 rows"),
        ([0, 2], [0.1, 0.2], {}, r"`y_true`: expected class ids below num_classes=2"),
        ([-1, 1], [0.1, 0.2], {}, r"`y_true`.*-1/\+1"),
        (["a", "b"], [0.1, 0.2], {}, r"`y_true`.*LabelEncoder"),
        ([0, 1], ["a", "b"], {}, r"`y_pred`: expected an array of predictions"),
        ([0, 1], [], {}, r"`y_pred`: expected at least one prediction"),
        ([0, 1], np.zeros((2, 1, 1)), {}, r"`y_pred`.*shape \(2, 1, 1\)"),
        ([0, 1], np.eye(2), {}, r"`class_id`: expected one of the 2 classes.*class_id=1"),
        ([0, 1], np.eye(2), {"class_id": 2}, r"`class_id`.*0 to 1"),
        ([0, 1], [0.1, 0.2], {"class_id": 1}, r"`class_id`: expected None"),
        (np.eye(3), np.zeros((3, 2)), {"class_id": 1}, r"as wide as y_pred \(2\)"),
        (
            [[1, 1], [0, 1]],
            np.zeros((2, 2)),
            {"class_id": 0, "from_logits": True},
            r"one-hot rows.*y_true\[:, k\]",
        ),
        ([0, 1], [0.1, 0.2], {"sample_weight": [1.0]}, r"`sample_weight`: expected 2 rows"),
        ([0, 1], [0.1, 0.2], {"sample_weight": [1.0, -1.0]}, r"`sample_weight`.*-1.0 in row 1"),
        ([0, 1], [0.1, 0.2], {"sample_weight": [0.0, 0.0]}, r"both classes.*no rows"),
        ([0, 1], [0.1, 0.2], {"from_logits": None}, r"`from_logits`: expected True or False"),
        ([0, 1], [0.1, 0.2], {"ax": "here"}, r"`ax`: expected one matplotlib Axes"),
    ],
)
def test_refuses(draw, y_true, y_pred, more, message):
    with pytest.raises(ValueError, match=message):
        draw(y_true, y_pred, **more)
    assert not plt.get_fignums()  # Nothing is left behind.


@each
@pytest.mark.parametrize(
    ("y", "p"),
    [
        ([0, 1], [0.5, 0.5]),
        ([0, 1], [0.0, 1.0]),
        ([1, 0], [0.0, 1.0]),
        ([0] * 99 + [1], np.zeros(100)),
        ([0] * 99 + [1], np.ones(100)),
        ([0] * 99 + [1], np.linspace(0, 1, 100)),
        ([1] * 99 + [0], np.linspace(0, 1, 100)),
        ([0] * 999 + [1], np.linspace(1e-12, 1e-11, 1000)),
    ],
    ids=["tie", "perfect", "wrong", "zeros", "ones", "one positive", "one negative", "tiny"],
)
def test_extremes_are_drawn(draw, y, p):
    ax = draw(y, p, label="one", ax=plt.figure().add_subplot())
    draw(y, p, label="two", ax=ax)
    for line in models(ax):
        assert np.isfinite(xy(line)).all()
    ax.figure.draw_without_rendering()


@pytest.mark.parametrize("draw", CURVES[1:], ids=lambda draw: draw.__name__)
def test_log_axes_are_decided_by_the_base_rate(draw):
    scale = "logit" if draw is plots.threshold_curves else "log"
    for rate, expected in ((0.5, "linear"), (0.02, scale)):
        y, z, _ = gaussians(rate)
        ax = draw(y, sigmoid(z))
        assert ax.get_xscale() == expected
        # What lies on top keeps the scales, whatever its own base rate.
        other, logits, _ = gaussians(0.52 - rate)
        assert draw(other, sigmoid(logits), ax=ax).get_xscale() == expected
        assert draw(y, sigmoid(z), log=True).get_xscale() == scale
        assert draw(y, sigmoid(z), log=False).get_xscale() == "linear"
    with pytest.raises(ValueError, match=r"`log`: expected True, False or None"):
        draw(y, sigmoid(z), log="yes")


# Each curve: its values.


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
    y, z, _ = gaussians(0.1, 400)
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
    y, z, _ = gaussians(0.2, 200)
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


# Class balance.


def widths(ax):
    return np.array([bar.get_width() for bar in ax.patches])


def test_class_balance_is_shares():
    y = np.repeat([0, 1, 2], [70, 20, 10])
    expected = np.array([0.7, 0.2, 0.1])
    for before in (y, tfi.class_statistics(y), {0: 70, 1: 20, 2: 10}, np.eye(3)[y], pd.Series(y)):
        ax = plots.class_balance(before)
        np.testing.assert_allclose(widths(ax), expected)
        assert ax.get_xscale() == "linear"
        assert ax.get_legend() is None
    assert [text.get_text() for text in ax.texts] == [f"{100 * v:.2g}%" for v in expected]
    for after in (
        [5, 3, 2],
        [0.5, 0.3, 0.2],
        tfi.ClassStatistics([50, 30, 20]),
        {0: 5, 1: 3, 2: 2},
    ):
        ax = plots.class_balance(y, after=after, class_names=["a", "b", "c"])
        np.testing.assert_allclose(widths(ax), [*expected, 0.5, 0.3, 0.2])
        assert legend_of(ax) == ["before", "after"]
        assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "c"]


def test_class_balance_is_logarithmic_from_a_ratio_of_20():
    assert plots.class_balance({0: 20, 1: 1}).get_xscale() == "linear"
    ax = plots.class_balance({0: 21, 1: 1})
    assert ax.get_xscale() == "log"
    assert ax.get_xlim()[0] < 1 / 22
    # A class without rows has no bar, and is no ratio.
    assert plots.class_balance({0: 9, 1: 0, 2: 1}).get_xscale() == "linear"


@pytest.mark.parametrize("ratio", [10, 1000])
def test_a_long_tail_is_a_sorted_line(ratio):
    counts = np.random.default_rng(0).permutation(np.geomspace(ratio, 1, 200).round().astype(int))
    counts[:3] = 0
    after = np.arange(1, 201) + (0 if ratio > 20 else 200)
    ax = plots.class_balance(tfi.ClassStatistics(counts), after=after)
    order = np.argsort(-counts, kind="stable")
    before_line, after_line = models(ax)
    rank, shares = xy(before_line)
    np.testing.assert_array_equal(rank, np.arange(1, 201))
    np.testing.assert_allclose(shares[:197], counts[order][:197] / counts.sum())
    assert np.isnan(shares[197:]).all() if ratio > 20 else (shares[197:] == 0).all()
    np.testing.assert_allclose(xy(after_line)[1], after[order] / after.sum())
    assert legend_of(ax) == ["before (3 without rows)", "after"]
    ax.figure.draw_without_rendering()


def test_multi_label_balance_is_rates():
    tags = (np.random.default_rng(0).random((500, 5)) < [0.9, 0.8, 0.3, 0.2, 0.1]).astype(int)
    stats = tfi.class_statistics(tags, multi_label=True)
    ax = plots.class_balance(stats, after=[0.5] * 5)
    np.testing.assert_allclose(widths(ax), [*tags.mean(axis=0), *[0.5] * 5])
    assert ax.get_ylabel() == "label"
    with pytest.raises(ValueError, match=r"`after`: expected the rate of each label"):
        plots.class_balance(stats, after=[5, 4, 3, 2, 1])
    with pytest.raises(ValueError, match=r"`after`.*multi_label=True"):
        plots.class_balance(stats, after=tfi.ClassStatistics([1] * 5))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"after": [0.5, 0.3, 0.2]}, r"`after`: expected shares or counts of the 2 classes"),
        ({"after": [0.5, 0.3]}, r"`after`: expected counts, or shares that add up to 1"),
        ({"after": [0, 0]}, r"`after`.*add up to 0"),
        ({"after": [-1, 2]}, r"`after`.*-1.0 for class 0"),
        ({"class_names": ["a"]}, r"`class_names`: expected 2 names"),
    ],
)
def test_class_balance_refuses(more, message):
    with pytest.raises(ValueError, match=message):
        plots.class_balance({0: 9, 1: 1}, **more)
    with pytest.raises(ValueError, match=r"all of class 0"):
        plots.class_balance([0, 0, 0])
    assert not plt.get_fignums()


# The report.


def dense(units, activation=None, inputs=2, **options):
    model = keras.Sequential(
        [keras.Input((inputs,)), keras.layers.Dense(units, activation=activation, **options)]
    )
    model.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in model.get_weights()])
    return model


def titles(figure):
    return [ax.get_title() or ax.get_title(loc="left") for ax in figure.axes]


BINARY = [
    "Class balance",
    "Precision and recall",
    "Reliability",
    "Cumulative gain",
    "Lift",
    "Thresholds",
]


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_report_draws_what_the_functions_draw(activation):
    y, _, x = gaussians(0.1, 600)
    model = dense(1, activation)
    figure = plots.report(model, x, y, after=[0.5, 0.5], threshold=0.5, title="A model")
    assert titles(figure) == BINARY
    assert figure.get_suptitle() == f"A model: 600 rows, {100 * y.mean():.2g}% positive"
    np.testing.assert_allclose(
        widths(figure.axes[0]), [1 - y.mean(), y.mean(), 0.5, 0.5], rtol=1e-6
    )
    p = model.predict(x, verbose=0)
    for draw, ax in zip(CURVES, figure.axes[1:]):
        alone = draw(y, p, from_logits=activation is None)
        for one, other in zip(models(ax), models(alone), strict=True):
            np.testing.assert_allclose(xy(one), xy(other), rtol=1e-5)
    assert any(t.startswith("at 0.5: ") for t in legend_of(figure.axes[5]))


@pytest.mark.parametrize("weighted", [True, False])
def test_report_reads_a_dataset_once(weighted):
    y, _, x = gaussians(0.2, 300)
    weight = np.random.default_rng(2).random(300).astype("float32")
    read = []

    def rows():
        read.append("once")
        # Another order each time: a second pass would not match the labels.
        for k in np.random.default_rng(len(read)).permutation(300):
            yield (x[k], y[k], weight[k]) if weighted else (x[k], y[k])

    spec = [tf.TensorSpec((2,)), tf.TensorSpec((), tf.int64), tf.TensorSpec(())]
    dataset = tf.data.Dataset.from_generator(rows, output_signature=tuple(spec[: 2 + weighted]))
    model = dense(1)
    figure = plots.report(model, dataset.batch(64))
    assert read == ["once"]
    arrays = plots.report(model, x, y, sample_weight=weight if weighted else None)
    for ax, other in zip(figure.axes[1:], arrays.axes[1:]):
        assert legend_of(ax) == legend_of(other)


def test_report_predicts_arrays_once_and_takes_dicts(monkeypatch):
    y, _, x = gaussians(0.2, 200)
    a, b = keras.Input((1,), name="a"), keras.Input((1,), name="b")
    joined = keras.layers.Concatenate()([a, b])
    model = keras.Model({"a": a, "b": b}, keras.layers.Dense(1, activation="sigmoid")(joined))
    calls, predict = [], model.predict
    monkeypatch.setattr(model, "predict", lambda *a, **k: calls.append(k) or predict(*a, **k))
    figure = plots.report(model, {"a": x[:, :1], "b": x[:, 1:]}, y[:, None], batch_size=50)
    assert [call["batch_size"] for call in calls] == [50]
    assert titles(figure) == BINARY


@pytest.mark.parametrize(("activation", "form"), [(None, "ids"), ("softmax", "one-hot")])
def test_report_of_classes_is_of_the_rarest(activation, form):
    rng = np.random.default_rng(0)
    ids = rng.choice(4, 800, p=[0.6, 0.1, 0.02, 0.28])
    x = rng.normal(size=(800, 2)) + ids[:, None]
    model = dense(5, activation)  # Class 4 has no rows: the rarest is the rarest that there is.
    truth = ids if form == "ids" else np.eye(5)[ids]
    figure = plots.report(model, x, truth, class_names=list("abcde"))
    counts = np.bincount(ids, minlength=5)
    np.testing.assert_allclose(widths(figure.axes[0]), counts / 800)
    assert "curves of class 2 (c), the rarest, against the rest" in figure.get_suptitle()
    predicted = model.predict(x, verbose=0)
    alone = plots.precision_recall(ids, predicted, class_id=2, from_logits=activation is None)
    assert legend_of(figure.axes[1]) == legend_of(alone)
    recall = [(predicted.argmax(axis=1) == k)[ids == k].mean() for k in range(4)]
    np.testing.assert_allclose(widths(figure.axes[5]), [*recall, 0])
    assert figure.axes[5].texts[-1].get_text() == "no rows"
    assert titles(figure)[5] == f"Recall of each class (mean {np.mean(recall):.3f})"
    other = plots.report(model, x, truth, class_id=3)
    assert "curves of class 3, against the rest" in other.get_suptitle()


def test_report_of_labels_decides_at_the_threshold():
    rng = np.random.default_rng(0)
    x, tags = rng.normal(size=(400, 2)), (rng.random((400, 3)) < [0.5, 0.3, 0.1]).astype(int)
    for model, more in ((dense(3, "sigmoid"), {}), (dense(3), {"multi_label": True})):
        figure = plots.report(model, x, tags, threshold=0.3, **more)
        p = model.predict(x, verbose=0)
        p = sigmoid(p) if more else p
        expected = sk.recall_score(tags, p >= 0.3, average=None)
        np.testing.assert_allclose(widths(figure.axes[5]), expected)
        assert "curves of label 2, the rarest: " in figure.get_suptitle()
        alone = plots.precision_recall(tags[:, 2], p[:, 2])
        assert legend_of(figure.axes[1]) == legend_of(alone)
    with pytest.raises(ValueError, match=r"multi-label rows of shape \(rows, 3\)"):
        plots.report(dense(3, "sigmoid"), x, tags[:, 0])


def test_report_of_a_long_tail():
    rng = np.random.default_rng(0)
    ids = np.minimum(rng.geometric(0.1, 3000) - 1, 29)
    x = rng.normal(size=(3000, 2)) + np.stack([ids % 6, ids // 6], axis=1)
    model = dense(30)
    figure = plots.report(model, x, ids)
    counts = np.bincount(ids, minlength=30)
    predicted = model.predict(x, verbose=0).argmax(axis=1)
    recall = np.array([(predicted == k)[ids == k].mean() for k in range(30)])
    expected = recall[np.argsort(-counts, kind="stable")]
    np.testing.assert_allclose(xy(models(figure.axes[5])[0])[1], expected)
    figure.draw_without_rendering()


def ending(*layers):
    inputs = keras.Input((2,))
    outputs = keras.layers.Dense(1)(inputs)
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


class Shown(keras.Model):
    def call(self, x):
        return keras.ops.sum(x, axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: ending(), "linear"),
        (lambda: ending(keras.ops.sigmoid), "sigmoid"),
        (lambda: ending(keras.layers.Activation("sigmoid")), "sigmoid"),
        (lambda: ending(keras.layers.Activation("linear", dtype="float32")), "linear"),
        (lambda: ending(keras.layers.Activation("sigmoid"), keras.layers.Flatten()), "sigmoid"),
        (lambda: ending(keras.layers.Softmax()), "softmax"),
        (lambda: ending(keras.layers.Reshape((1,)), keras.layers.Dropout(0.1)), "linear"),
        (lambda: keras.Sequential([keras.Input((2,)), dense(3, "softmax")]), "softmax"),
        (lambda: ending(keras.layers.ReLU()), None),
        (lambda: ending(keras.layers.Dense(1, activation="relu")), None),
        (lambda: ending(lambda x: x + 1), None),
        (lambda: keras.Sequential([keras.layers.Dense(1, "sigmoid")]), "sigmoid"),
        (Shown, None),
    ],
)
def test_the_end_of_a_model_is_seen_in_its_structure(make, expected):
    from tfimbalance._evaluation.ending import last_activation

    assert last_activation(make()) == expected


def endless():
    return tf.data.Dataset.from_tensors((np.zeros((4, 2)), np.array([0, 1, 0, 1]))).repeat()


@pytest.mark.parametrize(
    ("model", "data", "more", "message"),
    [
        (lambda: "model", lambda: (np.zeros((2, 2)), [0, 1]), {}, r"`model`: expected a Keras"),
        (Shown, lambda: (np.zeros((2, 2)), [0, 1]), {}, r"`from_logits`: expected True or False"),
        (lambda: dense(1), lambda: (np.zeros((2, 2)),), {}, r"`y`: expected the labels"),
        (lambda: dense(1), lambda: (endless(),), {}, r"`x`: expected a dataset that ends"),
        (lambda: dense(1), lambda: (endless().take(2), [0, 1]), {}, r"`y`: expected None"),
        (lambda: dense(1), lambda: (endless().take(2).unbatch(),), {}, r"dataset of batches"),
        (lambda: dense(1), lambda: (endless().take(0),), {}, r"at least one batch"),
        (lambda: dense(1), lambda: (endless().take(2).map(lambda x, y: x),), {}, r"\(x, y\)"),
        (
            lambda: dense(1),
            lambda: (np.zeros((2, 2)), [0, 1]),
            {"class_id": 1},
            r"`class_id`: expected None",
        ),
        (lambda: dense(3), lambda: (np.zeros((2, 2)), [0, 1]), {"class_id": 3}, r"0 to 2"),
        (lambda: dense(3), lambda: (np.zeros((2, 2)), [0, 1]), {"threshold": 0.5}, r"highest"),
        (
            lambda: keras.Model(i := keras.Input((2,)), [keras.layers.Dense(1)(i) for _ in "ab"]),
            lambda: (np.zeros((2, 2)), [0, 1]),
            {"from_logits": True},
            r"`output`: expected a model of one output.*2 outputs",
        ),
    ],
)
def test_report_refuses(model, data, more, message):
    with pytest.raises(ValueError, match=message):
        plots.report(model(), *data(), **more)
    assert not plt.get_fignums()


def test_a_model_that_does_not_show_its_end_can_be_told():
    y, _, x = gaussians(0.2, 200)
    figure = plots.report(Shown(), x, y, from_logits=True)
    alone = plots.precision_recall(y, x.sum(axis=1), from_logits=True)
    assert legend_of(figure.axes[1]) == legend_of(alone)


# TensorBoard.


def pictures(log_dir):
    """Return {step: (tag, width, height, pixels)} of the events in a directory."""
    found = {}
    for path in sorted(Path(log_dir).glob("events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "images"
                width, height, png = tf.make_ndarray(value.tensor)
                pixels = tf.io.decode_png(png).numpy()
                found[event.step] = (value.tag, int(width), int(height), pixels)
    return found


def test_save_to_tensorboard_writes_what_its_image_plugin_reads(tmp_path):
    ax = plots.class_balance({0: 9, 1: 1})
    plots.save_to_tensorboard(ax.figure, tmp_path, name="balance", step=7)
    plots.save_to_tensorboard(ax.figure, str(tmp_path), step=8)
    found = pictures(tmp_path)
    assert sorted(found) == [7, 8]
    tag, width, height, pixels = found[7]
    assert tag == "balance"
    assert pixels.shape[:2] == (height, width)
    np.testing.assert_allclose([width, height], 110 * ax.figure.get_size_inches(), atol=1)
    assert pixels.std() > 0
    with pytest.raises(ValueError, match=r"`figure`.*ax.figure"):
        plots.save_to_tensorboard(ax, tmp_path)
    with pytest.raises(ValueError, match=r"`step`"):
        plots.save_to_tensorboard(ax.figure, tmp_path, step=-1)


@pytest.mark.parametrize(("kind", "every"), [("arrays", 2), ("dataset", 3)])
def test_callback_writes_every_other_epoch(tmp_path, monkeypatch, kind, every):
    y, _, x = gaussians(0.2, 200)
    data = (x, y, np.ones(200)) if kind == "arrays" else None
    data = data or tf.data.Dataset.from_tensor_slices((x, y)).batch(50)
    drawn = []
    monkeypatch.setattr(Figure, "suptitle", lambda self, text, **_: drawn.append(text))
    callback = plots.TensorBoardReport(data, tmp_path, every=every, name="page", title="run")
    model = dense(1)
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(x, y, epochs=3, callbacks=[callback], verbose=0)
    found = pictures(tmp_path)
    steps = [k for k in range(3) if (k + 1) % every == 0]
    assert sorted(found) == steps
    assert {tag for tag, *_ in found.values()} == {"page"}
    assert [text.split(":")[0] for text in drawn] == [f"run, epoch {k + 1}" for k in steps]
    assert not plt.get_fignums()
    assert len(list(tmp_path.glob("events*"))) == 1


def test_callback_refuses_before_the_first_step(tmp_path):
    y, _, x = gaussians(0.2, 50)
    with pytest.raises(ValueError, match=r"dataset that ends"):
        plots.TensorBoardReport(endless(), tmp_path)
    with pytest.raises(ValueError, match=r"`validation_data`"):
        plots.TensorBoardReport(x, tmp_path)
    with pytest.raises(ValueError, match=r"`every`"):
        plots.TensorBoardReport((x, y), tmp_path, every=0)
    model = Shown()
    model.compile("sgd", "mse")
    steps = []
    counter = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda *_: steps.append(1))
    callback = plots.TensorBoardReport((x, y), tmp_path)
    with pytest.raises(ValueError, match=r"`from_logits`"):
        model.fit(x, y, callbacks=[callback, counter], verbose=0)
    assert not steps


@pytest.mark.parametrize("log", [None, True, False])
def test_reliability_of_one_prediction_for_all(log):
    """As of a model that says its prior: edges of a histogram may not fall together."""
    y = np.random.default_rng(0).random(300) < 0.02
    for p in np.geomspace(1e-7, 0.9, 40):
        for spread in (0.0, 1e-16):
            ax = plots.reliability(y, p * (1 + spread * np.arange(300)), log=log)
            heights, edges, _ = next(
                patch.get_data() for patch in ax.patches if hasattr(patch, "get_data")
            )
            assert (np.diff(edges) > 0).all()
            assert np.count_nonzero(heights) >= 1
            plt.close(ax.figure)


def test_class_names_may_be_an_array():
    ax = plots.class_balance({0: 5, 1: 5}, class_names=np.array(["no", "yes"]))
    assert {"no", "yes"} <= {text.get_text() for text in ax.get_yticklabels()}
    plt.close(ax.figure)


def test_bands_of_weights_that_undo_what_was_kept_cover():
    rng = np.random.default_rng(0)
    inside, bins = 0, 0
    for _ in range(40):
        p = rng.beta(2, 18, 20_000)
        y = rng.random(20_000) < p  # Calibrated.
        kept = ~y | (rng.random(20_000) < 0.2)
        weight = np.where(y, 5.0, 1.0)[kept]
        scores = read_scores(
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
    scores = read_scores(y, p, sample_weight=None, from_logits=False, class_id=None)
    for mass in ("rows", "positives"):
        found = equal_mass_bins(scores, mass=mass, num_bins=10, confidence=0.95)
        np.testing.assert_allclose(found.predicted, [1e-4, 0.6])
        np.testing.assert_allclose(found.observed, [0.0, 0.2])
