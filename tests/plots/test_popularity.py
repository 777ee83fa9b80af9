"""Recall by popularity and the dial are numbers of the reports."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from plots.drawn import legend_of, models, references, xy

from tfimbalance import plots
from tfimbalance.retrieval import evaluate

RNG = np.random.default_rng(0)
COUNTS = np.floor(300 / np.arange(1, 61)).astype(int)
SCORES = RNG.normal(size=(50, 60)) + np.log(COUNTS)
POSITIVES = [RNG.choice(60, 6, replace=False, p=COUNTS / COUNTS.sum()) for _ in range(50)]


def judged(tau=0.0, bands=3, **more):
    given = {"k": (5, 20), "counts": COUNTS, **more}
    return evaluate(SCORES, None, POSITIVES, tau=tau, bands=bands, **given)


@pytest.mark.parametrize(("bands", "k"), [(3, None), (7, 5)])
def test_recall_is_that_of_each_band(bands, k):
    report = judged(bands=bands)
    numbers = report.as_dict()
    names = [band["band"] for band in report.bands]
    ax = plots.recall_by_popularity(report, k=k)
    at = k or 20
    wanted = [numbers[f"recall@{at}_{name}"] for name in names]
    np.testing.assert_array_equal(xy(models(ax)[0]), [range(bands), wanted])
    wanted = [numbers[f"popularity_recall@{at}_{name}"] for name in names]
    np.testing.assert_array_equal(xy(references(ax, "popularity")[0])[1], wanted)
    assert ax.get_ylabel() == f"recall@{at}"
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    for tick, name, band in zip(ticks, names, report.bands, strict=True):
        assert tick.startswith(f"{name}\n{band['items']} item")
    # Another model lies on top, beside the same popularity.
    plots.recall_by_popularity(judged(0.5, bands), k=k, label="tau .5", ax=ax)
    assert len(models(ax)) == 2
    assert len(references(ax, "popularity")) == 1
    assert [text.split(":")[0] for text in legend_of(ax)][1:] == ["tau .5", "popularity"]
    ax.figure.draw_without_rendering()


def test_the_dial_is_recall_in_the_tail_and_of_all():
    taus = [1.0, 0.0, 0.5]
    reports = [judged(tau) for tau in taus]
    ax = plots.popularity_dial((report for report in reports), label="model")
    numbers = [reports[place].as_dict() for place in np.argsort(taus)]
    wanted = [[n[name] for n in numbers] for name in ("recall@20_tail", "recall@20")]
    np.testing.assert_array_equal(xy(models(ax)[0]), wanted)
    assert [text.get_text() for text in ax.texts] == ["0", "0.5", "1"]
    wanted = [[numbers[0][f"popularity_{name}"]] for name in ("recall@20_tail", "recall@20")]
    np.testing.assert_array_equal(xy(references(ax, "popularity")[0]), wanted)
    assert legend_of(ax) == ["model: served with tau", "popularity"]
    assert plots.popularity_dial(reports, k=5, ax=ax) is ax
    assert len(models(ax)) == 2
    ax.figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.recall_by_popularity({}), r"`report`: expected what evaluate.*a dict"),
        (lambda: plots.recall_by_popularity(judged(counts=None)), r"`report`.*without counts"),
        (lambda: plots.recall_by_popularity(judged(), k=6), r"`k`: expected one of \[5, 20\]"),
        (lambda: plots.recall_by_popularity(judged(), ax="here"), r"`ax`: expected one"),
        (lambda: plots.popularity_dial([]), r"`reports`: expected at least one"),
        (lambda: plots.popularity_dial(3), r"`reports`: expected what evaluate.*a int"),
        (lambda: plots.popularity_dial([judged(), judged()]), r"`reports`.*tau of 0, 0"),
        (lambda: plots.popularity_dial([judged(), judged(1.0, 5)]), r"`reports`.*\[3, 5\]"),
        (lambda: plots.popularity_dial([judged(), judged(1.0, k=5)]), r"`k`.*up to \[5, 20\]"),
    ],
)
def test_refuses(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
    assert not plt.get_fignums()
