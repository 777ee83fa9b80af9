"""Numbers as tables print them."""

from __future__ import annotations

from collections.abc import Iterable


def table(lines: Iterable[Iterable[str]]) -> str:
    """Return lines of cells, the header first, in columns that are justified on the right."""
    cells = [list(line) for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.rjust, line, widths)) for line in cells)


def decimal(value: float, places: int | None = None) -> str:
    """Write a probability as tables do: ``.05``."""
    if places is None:
        return f"{value:.2g}".removeprefix("0")
    rounded = f"{value:.{places}f}"
    return f"{value:.1e}" if float(rounded) == 0 and value else rounded.removeprefix("0")
