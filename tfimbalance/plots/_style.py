"""How every picture looks: axes, colours, reference lines drawn once, scales that can be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import FloatArray, bad_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Okabe and Ito's colours, told apart with any colour vision; dark ones first.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

# Below this share of positives, linear axes show little but the corner at 0.
RARE = 0.1

_CURVE = "tfimbalance:curve"
_REFERENCE = {"color": "0.35", "linewidth": 0.9, "zorder": 1.5}
_MOST_POINTS = 4000
_FEW_DECADES = 40.0
# Models that rank alike have the same curves: broken lines let the ones below show.
_LINES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1, 2)))


def pyplot() -> Any:
    """Import Matplotlib, which is an extra, only when something is drawn."""
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError(
            "tfimbalance.plots draws with Matplotlib, which is not installed. "
            'Install it with: pip install "tfimbalance[plots]".'
        ) from error
    return plt


def axes_for(
    ax: Axes | None,
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    loc: Literal["left", "center"] = "center",
) -> Axes:
    """Return the axes to draw on, named: those given, or new ones with colours of their own."""
    plt = pyplot()
    if ax is None:
        ax = plt.figure(figsize=(5.0, 3.6), layout="constrained").add_subplot()
        set_colors(ax)
    elif not (hasattr(ax, "plot") and hasattr(ax, "get_lines")):
        raise bad_value(
            "ax",
            expected="one matplotlib Axes",
            received=f"a {type(ax).__name__}",
            remedy="Of several made by plt.subplots, choose one: axes[0].",
        )
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if not ax.get_title() and not ax.get_title(loc="left"):
        ax.set_title(title, fontsize="medium", loc=loc)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    ax.set_axisbelow(True)
    return ax


def by_frequency(
    ax: Axes | None, frequency: NDArray[Any], *, title: str, plural: str, ylabel: str
) -> tuple[Axes, FloatArray, NDArray[np.intp]]:
    """Return axes of a long tail, the ranks on its x axis, and the classes that have them."""
    xlabel = f"{plural}, from the most frequent to the rarest"
    ax = axes_for(ax, title=title, xlabel=xlabel, ylabel=ylabel)
    ax.set_xlim(0.5, len(frequency) + 0.5)
    return ax, np.arange(1.0, len(frequency) + 1), np.argsort(-frequency, kind="stable")


def set_colors(ax: Axes) -> None:
    """Give axes colours that do not depend on colour vision."""
    ax.set_prop_cycle(color=list(COLORS))


def is_first(ax: Axes) -> bool:
    """Tell whether no curve of ours is on the axes yet, so that scales are still free."""
    return not any(line.get_gid() == _CURVE for line in ax.get_lines())


def curve(ax: Axes, x: FloatArray, y: FloatArray, **style: Any) -> Line2D:
    """Draw a curve of a model in the next colour of the axes."""
    drawn = sum(line.get_gid() == _CURVE for line in ax.get_lines())
    usual = {"linewidth": 1.7, "linestyle": _LINES[drawn % len(_LINES)]}
    line = ax.plot(x, y, **{**usual, **style})[0]
    line.set_gid(_CURVE)
    return line


def reference(
    ax: Axes, name: str, x: Any, y: Any, *, text: dict[str, Any] | None = None, **style: Any
) -> None:
    """Draw a line to compare with, and its text, unless the axes have it from an earlier model."""
    gid = f"tfimbalance:{name}"
    for line in ax.get_lines():
        if line.get_gid() == gid and _same(line, np.asarray(x), np.asarray(y)):
            return
    ax.plot(x, y, gid=gid, **{"linestyle": "--", **_REFERENCE, **style})
    if text is not None:
        words = {"xytext": (0, 0), "textcoords": "offset points", "fontsize": 8, "color": "0.35"}
        ax.annotate(**{**words, **text})


def _same(line: Line2D, x: FloatArray, y: FloatArray) -> bool:
    drawn = np.asarray(line.get_xdata(orig=True)), np.asarray(line.get_ydata(orig=True))
    return all(a.shape == b.shape and np.allclose(a, b) for a, b in zip(drawn, (x, y)))


def legend(ax: Axes, **options: Any) -> None:
    """Name what is drawn, models first; a nearly opaque ground keeps the text readable."""
    handles, labels = ax.get_legend_handles_labels()
    # Containers of bars have no id.
    last = [getattr(handle, "get_gid", str)() not in (None, "", _CURVE) for handle in handles]
    order = sorted(range(len(handles)), key=last.__getitem__)
    box = ax.legend(
        [handles[k] for k in order],
        [labels[k] for k in order],
        **{
            "fontsize": 8,
            "framealpha": 0.85,
            "edgecolor": "none",
            "borderpad": 0.3,
            "handlelength": 1.6,
            "labelspacing": 0.35,
            **options,
        },
    )
    box.set_zorder(6)


def legend_below(ax: Axes, **options: Any) -> None:
    """Put the legend under the axes, where curves fill all of them."""
    from matplotlib.transforms import ScaledTranslation

    figure: Any = ax.figure
    # Under the axis and its name, whatever the height of the axes.
    down = ScaledTranslation(0, -34 / 72, figure.dpi_scale_trans)
    legend(
        ax,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=ax.transAxes + down,
        borderaxespad=0.0,
        **options,
    )


def name_of(label: str | None, text: str) -> str:
    """Put what was measured behind the name of a model."""
    return text if label is None else f"{label}: {text}"


def widen(ax: Axes, axis: str, low: float, high: float, *, first: bool) -> None:
    """Set the limits of an axis, or widen those that an earlier model needed."""
    get, put = getattr(ax, f"get_{axis}lim"), getattr(ax, f"set_{axis}lim")
    if not first:
        low, high = min(low, get()[0]), max(high, get()[1])
    put(low, high)


def percent(value: float) -> str:
    """Write a share so that a rare one keeps its digits, and its rest: 50%, 0.013%, 99.8%."""
    rounded = 1 - float(f"{1 - value:.1g}") if value > 0.99 else float(f"{value:.2g}")
    return f"{100 * rounded:.10g}%"


def percent_axis(ax: Axes, axis: str, *, log: bool) -> None:
    """Make an axis one of shares, written as percentages, on a log scale or not."""
    number_axis(ax, axis, lambda value: f"{100 * value:.10g}%", log=log)


def number_axis(ax: Axes, axis: str, write: Callable[[float], str], *, log: bool) -> None:
    """Write the numbers of an axis, on a log scale or not."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    if log:
        getattr(ax, f"set_{axis}scale")("log")
    ticks = getattr(ax, f"{axis}axis")
    ticks.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    ticks.set_minor_formatter(NullFormatter())


def class_axis(ax: Axes, names: Sequence[str]) -> None:
    """Make the y axis one of bars, one a class, the first on top."""
    ax.grid(visible=False, axis="y")
    ax.set_yticks(np.arange(len(names)), names, fontsize=9 if len(names) <= 10 else 7)
    ax.set_ylim(len(names) - 0.4, -0.6)


def write_beside(ax: Axes, text: str, x: float, y: float, *, of: int, color: str = "black") -> None:
    """Write the value of one ``of`` so many bars to the right of a place."""
    size = 8 if of <= 12 else 7
    style: dict[str, Any] = {"va": "center", "fontsize": size, "color": color}
    ax.annotate(text, (x, y), xytext=(3, 0), textcoords="offset points", **style)


def mark(ax: Axes, x: Any, y: Any, color: Any, label: str | None = None) -> None:
    """Draw a dot on a curve."""
    ax.plot(x, y, "o", color=color, markeredgecolor="white", markersize=7, zorder=4, label=label)


def label_steps(ax: Axes, axis: str) -> None:
    """Label 2 and 5 as well on a log axis of few decades, once its limits are known."""
    from matplotlib.ticker import LogLocator

    low, high = getattr(ax, f"get_{axis}lim")()
    if high < _FEW_DECADES * low:
        getattr(ax, f"{axis}axis").set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))


def decade_below(value: float) -> float:
    """Return the largest of 1, 2 or 5 times a power of ten that is not above a number."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(power * max(step for step in (1.0, 2.0, 5.0) if step * power <= value * 1.000001))


def use_log(log: bool | None, base_rate: float) -> bool:
    """Decide for log scales by the base rate where the user has not."""
    if log is None:
        return base_rate < RARE
    if not isinstance(log, (bool, np.bool_)):
        raise bad_value("log", expected="True, False or None", received=repr(log))
    return bool(log)


def thinned(*coordinates: FloatArray) -> NDArray[np.intp]:
    """Choose the points of a curve that can be told apart in a picture, its ends included.

    Curves of millions of rows would make files of as many points. Points are kept at even steps
    of the curve's length, in the coordinates in which it is drawn.
    """
    size = len(coordinates[0])
    if size <= _MOST_POINTS:
        return np.arange(size)
    steps = np.zeros(size - 1)
    for values in coordinates:
        steps += np.abs(np.diff(values)) / max(float(np.ptp(values)), 1e-300)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    kept = np.searchsorted(length, np.linspace(0.0, length[-1], _MOST_POINTS))
    return np.unique(np.concatenate([[0], kept, [size - 1]]))
