"""How frequent classes are."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from plots.drawn import legend_of, models, widths, xy

import tfimbalance as tfi
from tfimbalance import plots


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
        ({"class_names": "ab"}, r"`class_names`: expected a name for each class"),
        ({"class_names": ...}, r"`class_names`: expected a name for each class"),
    ],
)
def test_class_balance_refuses(more, message):
    with pytest.raises(ValueError, match=message):
        plots.class_balance({0: 9, 1: 1}, **more)
    with pytest.raises(ValueError, match=r"all of class 0"):
        plots.class_balance([0, 0, 0])
    assert not plt.get_fignums()


def test_class_names_may_be_an_array():
    ax = plots.class_balance({0: 5, 1: 5}, class_names=np.array(["no", "yes"]))
    assert {"no", "yes"} <= {text.get_text() for text in ax.get_yticklabels()}
    plt.close(ax.figure)
