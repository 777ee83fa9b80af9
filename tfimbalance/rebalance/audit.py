"""What each strategy of a plan does to the odds of each class, as numbers and as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfimbalance._tables import decimal, table

if TYPE_CHECKING:
    from tfimbalance.rebalance.plan import Rebalance

_MOST_ROWS = 20


class Audit:
    """The table of a plan's odds factors; ``print`` it, or take its ``rows``.

    Args:
        plan: a `Rebalance`.

    Attributes:
        rows: one dictionary a class: ``class``, ``prior``, a factor for each strategy, ``product``
            and ``effective prior``.

    Example:
        >>> import tfimbalance as tfi
        >>> audit = tfi.Rebalance(tfi.ClassStatistics([99, 1]), class_shares="balanced").audit()
        >>> round(audit.rows[1]["product"], 6)
        99.0
    """

    def __init__(self, plan: Rebalance) -> None:
        priors, multi_label = plan.priors, plan.statistics.multi_label
        top = int(np.argmax(priors))
        self._notes: list[str] = []
        found = {strategy: strategy.factor() for strategy in plan.strategies}
        self._bends = [str(strategy) for strategy, factor in found.items() if factor is None]
        factors = {
            strategy.name: factor if multi_label else factor / factor[top]
            for strategy, factor in found.items()
            if factor is not None
        }
        product = np.prod([np.ones_like(priors), *factors.values()], axis=0)
        columns = {"prior": priors, **factors, "product": product}
        columns["effective prior"] = plan.effective_priors
        if plan.offset:
            shares = ", ".join(decimal(share, 4) for share in plan.sampled_priors[:_MOST_ROWS])
            self._notes = [
                f"Batches hold shares of {shares}, which an offset in training takes up."
            ]
        self._unit = "label" if multi_label else "class"
        self.rows: list[dict[str, Any]] = [
            {self._unit: k, **{name: float(values[k]) for name, values in columns.items()}}
            for k in range(len(priors))
        ]

    def __str__(self) -> str:
        names = list(self.rows[0])
        shown = ([self._shown(name, row[name]) for name in names] for row in self._some())
        lines = [table([names, *shown])]
        if len(self.rows) > _MOST_ROWS:
            lines.append(f"({len(self.rows)} of them; the most and the least frequent are shown)")
        bends = (f"{bend.capitalize()} is no factor: it is inverted first." for bend in self._bends)
        return "\n".join([*lines, *bends, *self._notes])

    def __repr__(self) -> str:
        return str(self)

    def _some(self) -> list[dict[str, Any]]:
        if len(self.rows) <= _MOST_ROWS:
            return self.rows
        by_prior = sorted(self.rows, key=lambda row: -row["prior"])
        return by_prior[: _MOST_ROWS // 2] + by_prior[-_MOST_ROWS // 2 :]

    def _shown(self, name: str, value: float) -> str:
        if name == self._unit:
            return str(value)
        if name in ("prior", "effective prior"):
            return decimal(value, 4)
        return f"x {value:,.1f}" if 0.95 <= value < 1e6 else f"x {value:.2g}"
