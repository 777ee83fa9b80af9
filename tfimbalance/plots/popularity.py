"""What recommendations give to the head and to the tail, and what the dial between them costs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from tfimbalance._checks import bad_value
from tfimbalance.plots._style import axes_for, curve, legend, name_of, percent, reference
from tfimbalance.retrieval._report import EvaluationReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def recall_by_popularity(
    report: EvaluationReport,
    *,
    k: int | None = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the recall of each band of items, from the most popular to the rarest.

    How to read it: each band has an equal share of the training positives, and its number of items
    under it. A model that recommends what is popular falls from left to right; the broken line is
    popularity itself. Bands without held-out positives have no dot.

    Use it to see whom a model serves, and draw several models onto one ``ax``.

    Args:
        report: what `tfimbalance.retrieval.evaluate` returns, with ``counts``.
        k: one of the report's; None: the largest.
        label: name of the model.
        ax: axes to draw on, which are returned; None makes one.

    Raises:
        ValueError: for a report without counts, another k, or what is no report.
        ImportError: without Matplotlib.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> scores = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
        >>> report = tfi.retrieval.evaluate(scores, None, [0, 2], k=1, counts=[4, 4, 4])
        >>> ax = tfi.plots.recall_by_popularity(report)
        >>> [tick.get_text().split() for tick in ax.get_xticklabels()]
        [['head', '1', 'item'], ['middle', '1', 'item'], ['tail', '1', 'item']]
    """
    model, popular = _rows_of(report, k)
    names = [band["band"] for band in report.bands]
    place = np.arange(len(names), dtype=float)
    title, ylabel = "Recall from head to tail", f"recall@{model['k']}"
    ax = axes_for(ax, title=title, xlabel="items", ylabel=ylabel)
    of_model, of_popular = ([row[f"recall_{name}"] for name in names] for row in (model, popular))
    text = name_of(label, f"recall {percent(model['recall'])}")
    curve(ax, place, np.array(of_model), label=text, marker="o", markersize=5)
    text = f"popularity: recall {percent(popular['recall'])}"
    reference(ax, "popularity", place, of_popular, label=text, marker=".")
    ticks = [
        f"{band['band']}\n{band['items']:,} item{'s' * (band['items'] != 1)}"
        for band in report.bands
    ]
    ax.set_xticks(place, ticks, fontsize=9 if len(names) <= 5 else 7)
    ax.set_xlim(-0.3, len(names) - 0.7)
    ax.set_ylim(-0.02, 1.03)
    legend(ax)
    return ax


def popularity_dial(
    reports: Iterable[EvaluationReport],
    *,
    k: int | None = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what recall in the tail costs in recall, along the dial ``tau``.

    How to read it: a dot is one ``tau`` with which the same scores are served. To the right the
    tail gains, and downwards all queries lose. Dots to the left of and below another one are not
    worth serving.

    Use it on held-out positives of a model that is trained, to choose the ``tau`` to serve.

    Args:
        reports: of `tfimbalance.retrieval.evaluate` with ``counts`` and several ``tau``, the same
            model each. They are joined in order of ``tau``.
        k: one of the reports'; None: the largest, which has to be the same in all of them.
        label: name of the model.
        ax: axes to draw on, which are returned; None makes one.

    Raises:
        ValueError: for reports without counts or of other bands or positives, another k, a ``tau``
            that comes twice, or what are no reports.
        ImportError: without Matplotlib.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> scores, counts = np.array([[3.0, 2.9, 1.0], [3.0, 2.5, 2.9]]), [9, 2, 1]
        >>> reports = [
        ...     tfi.retrieval.evaluate(scores, None, [0, 2], k=1, counts=counts, tau=tau)
        ...     for tau in (0.0, 0.2)
        ... ]
        >>> ax = tfi.plots.popularity_dial(reports)
        >>> [text.get_text() for text in ax.texts]
        ['0', '0.2']
    """
    given = list(reports) if np.iterable(reports) else [reports]
    if not given:
        raise bad_value("reports", expected="at least one report", received="none")
    rows = [_rows_of(report, k, argument="reports") for report in given]
    ordered = sorted(zip((report.tau for report in given), rows), key=lambda pair: pair[0])
    taus = [tau for tau, _ in ordered]
    first = given[0]
    sizes = sorted({row["k"] for row, _ in rows})
    if len(sizes) > 1:
        expected = "one of the lengths that all reports have"
        raise bad_value("k", expected=expected, received=f"None, of reports up to {sizes}")
    if len(set(taus)) < len(taus) or any(report.bands != first.bands for report in given):
        raise bad_value(
            "reports",
            expected="reports of one model, each with another `tau`, on the same positives",
            received=f"tau of {', '.join(f'{tau:g}' for tau in taus)}, of bands "
            f"{[len(report.bands) for report in given]}",
            remedy="Another model is another call: popularity_dial(others, ax=ax).",
        )
    last = first.bands[-1]["band"]
    size = sizes[0]
    ax = axes_for(
        ax,
        title="What the tail costs",
        xlabel=f"recall@{size}, {last} ({first.bands[-1]['items']:,} items)",
        ylabel=f"recall@{size}",
    )
    x, y = (
        np.array([row[name] for _, (row, _) in ordered]) for name in (f"recall_{last}", "recall")
    )
    line = curve(ax, x, y, label=name_of(label, "served with tau"), marker="o", markersize=5)
    for tau, *at in zip(taus, x.tolist(), y.tolist()):
        style: dict[str, Any] = {"fontsize": 8, "color": line.get_color()}
        ax.annotate(f"{tau:g}", (at[0], at[1]), xytext=(4, 4), textcoords="offset points", **style)
    popular = rows[0][1]
    place = [popular[f"recall_{last}"]], [popular["recall"]]
    reference(ax, "popularity", *place, label="popularity", marker="s", linestyle="none")
    legend(ax)
    return ax


def _rows_of(
    report: EvaluationReport, k: int | None, *, argument: str = "report"
) -> list[dict[str, Any]]:
    """Return the rows of the model and of popularity."""
    if not isinstance(report, EvaluationReport) or not report.bands:
        kind = type(report).__name__
        raise bad_value(
            argument,
            expected="what evaluate(..., counts=...) returns",
            received="a report without counts" if kind == "EvaluationReport" else f"a {kind}",
            remedy="Bands of popularity are those of the training positives of each item.",
        )
    lengths = sorted({row["k"] for row in report.rows})
    if k is not None and k not in lengths:
        raise bad_value("k", expected=f"one of {lengths}, as the report", received=repr(k))
    wanted = lengths[-1] if k is None else k
    return [row for row in report.rows if row["k"] == wanted]
