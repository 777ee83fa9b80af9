"""What all curves have in common."""

import ast
import inspect
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from plots.drawn import CURVES, each, gaussians, legend_of, models, sigmoid, xy

from tfimbalance import plots


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


@pytest.mark.parametrize(
    ("draw", "shape"),
    [  # One reader takes them for all curves.
        (plots.precision_recall, list),
        (plots.reliability, lambda a: np.asarray(a)[:, None]),
        (plots.cumulative_gain, lambda a: tf.constant(np.asarray(a))),
        (plots.lift, pd.Series),
        (plots.threshold_curves, lambda a: np.asarray(a, "float32")),
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


TWO = {"y_true": [0, 1], "y_pred": [0.1, 0.2]}
BAD = [
    ({"y_pred": [0.1, np.nan]}, r"`y_pred`: expected finite .*nan in row 1"),
    ({"y_pred": [0.1, 2.5]}, r"`y_pred`.*\[0, 1\].*2.5 in row 1.*from_logits=True"),
    ({"y_pred": [np.inf, 0.5], "from_logits": True}, r"finite predictions.*inf in row 0"),
    ({"y_true": [0, 0]}, r"`y_true`: expected rows of both classes.*2 rows, all negative"),
    ({"y_true": [1, 1]}, r"2 rows, all positive"),
    ({"y_true": [0, 1, 1]}, r"`y_true`: expected labels of 2 rows.*Received: shape \(3,\)"),
    ({"y_true": [0, 2]}, r"`y_true`: expected class ids below num_classes=2"),
    ({"y_true": [-1, 1]}, r"`y_true`.*-1/\+1"),
    ({"y_true": ["a", "b"]}, r"`y_true`.*LabelEncoder"),
    ({"y_pred": ["a", "b"]}, r"`y_pred`: expected an array of predictions"),
    ({"y_pred": ["0.1", "0.2"]}, r"`y_pred`: expected an array of predictions"),
    ({"y_pred": [1j, 0.5], "from_logits": True}, r"`y_pred`: expected an array of predictions"),
    ({"y_pred": []}, r"`y_pred`: expected at least one prediction"),
    ({"y_pred": np.zeros((2, 1, 1))}, r"`y_true`.*shape \(2, 1\), as many as `y_pred`"),
    ({"y_pred": np.eye(2)}, r"`class_id`: expected one of the 2 classes.*class_id=1"),
    ({"y_pred": np.eye(2), "class_id": 2}, r"`class_id`.*0 to 1"),
    ({"class_id": 1}, r"`class_id`: expected None"),
    ({"y_true": np.eye(3), "y_pred": np.zeros((3, 2)), "class_id": 1}, r"`y_true`.*or \(3, 2\)"),
    (
        {"y_true": [[1, 1], [0, 1]], "y_pred": np.eye(2), "class_id": 0, "from_logits": True},
        r"one-hot rows with a single 1.*2 ones in row 0",
    ),
    ({"sample_weight": [1.0]}, r"`sample_weight`: expected one number a row, shape \(2,\)"),
    ({"sample_weight": [1.0, -1.0]}, r"`sample_weight`.*-1 in row 1"),
    ({"sample_weight": [0.0, 0.0]}, r"both classes.*0 rows"),
    ({"from_logits": None}, r"`from_logits`: expected True or False"),
]


# One reader checks for all curves: each bad value goes to one of them, in turns.
@pytest.mark.parametrize(
    ("draw", "more", "message"), [(CURVES[k % 5], *bad) for k, bad in enumerate(BAD)]
)
def test_refuses(draw, more, message):
    with pytest.raises(ValueError, match=message):
        draw(**{**TWO, **more})
    assert not plt.get_fignums()  # Nothing is left behind.


@each
def test_each_refuses_what_is_no_axes(draw):
    with pytest.raises(ValueError, match=r"`ax`: expected one matplotlib Axes"):
        draw(**TWO, ax="here")
    assert not plt.get_fignums()


@pytest.mark.slow
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
