"""What the suite of real sets recommends, for given counts and a budget."""

from __future__ import annotations

from typing import Any

from tfimbalance._checks import check_integer
from tfimbalance.statistics import ClassStatistics

# Balanced batches rank better where training ends before rows were seen twice (`benchmarks/suite`),
# but not once each positive was seen again and again: after 12 times plain training led, after 2 it
# was far behind (`examples/out_of_core.py`).
_FEW_PASSES, _FEW_TIMES = 2, 5
_SHARE = 0.1
# Positives among validation rows from which a slope and a bias of their own help.
ENOUGH_POSITIVES = 150


def recommended(
    statistics: ClassStatistics,
    steps: int | None,
    batch_size: int,
    rows: int | None,
    of_steps: bool,
) -> tuple[dict[str, Any], list[str]]:
    """Return the arguments of the plan, and the reasons as sentences.

    ``rows`` are those of a pass, of which the statistics may count fewer (unknown labels) or more
    (steps of sequences, ``of_steps``); None: as many as the statistics count.
    """
    batch_size = check_integer("batch_size", batch_size, minimum=1)
    reasons = [
        "Cross-entropy at the natural rate, and the initial bias: compile(model), or "
        "prepare(model) with a loss of your own. Over 31 real sets no re-balancing ranked better "
        "in the end, or had a better log loss."
    ]
    arguments: dict[str, Any] = {}
    if steps is not None:
        steps = check_integer("steps", steps, minimum=1)
        rows = statistics.num_samples if rows is None else rows
        arguments, of_budget = _for_budget(statistics, steps, batch_size, rows, of_steps)
        reasons += of_budget
    if statistics.num_classes > 2 and not statistics.multi_label:
        reasons.append(
            "Where each class counts the same, decide by calibration.adjust_logits(logits, "
            "statistics): it costs no training."
        )
    reasons += [
        "Stop on val_corrected_normalized_entropy (callbacks) if probabilities are served, on "
        "average precision if only the order is.",
        f"With {ENOUGH_POSITIVES} validation rows of the rarest class or more, serve calibrated("
        "model, rows): a slope and a bias mend what training is too sure of.",
        "A known cost is the threshold's: ThresholdTuner(rows, objective='cost', costs=...).",
    ]
    return arguments, reasons


def _for_budget(
    statistics: ClassStatistics, steps: int, batch_size: int, rows: int, of_steps: bool
) -> tuple[dict[str, Any], list[str]]:
    """Return the arguments that so many steps speak for, and why."""
    passes = steps * batch_size / rows
    often = _few_digits(passes)
    seen = f"{steps:,} steps of {batch_size} rows are {often} passes over {rows:,} rows"
    # A row of several labels, or of steps, cannot be sampled by the class of one of them.
    of_two = statistics.num_classes == 2 and not statistics.multi_label and not of_steps
    rare = of_two and statistics.priors[1] < _SHARE
    if passes >= _FEW_PASSES:
        enough = f"{seen}: enough to learn from the positives as they come."
        return {}, [enough] if rare else []
    if not rare:
        reason = (
            "few, but other shares were measured only for two classes of which class 1 is below "
            f"{_SHARE:.0%}."
        )
        return {}, [f"{seen}: {reason}"]
    times = steps * batch_size * _SHARE / statistics.counts[1]
    shown = f"batches of {_SHARE:.0%} positives show each of them {_few_digits(times)} times"
    if times > _FEW_TIMES:
        return {}, [f"{seen}: few, but {shown}, and they would be learnt by heart."]
    reason = (
        f"{seen}: {shown}, not {often}, and their offset leaves the probabilities "
        "alone: compile(model), dataset(x, y)."
    )
    return {"class_shares": {1: _SHARE}, "offset": True}, [reason]


def _few_digits(number: float) -> str:
    return f"{number:.2g}" if number < 10 else f"{number:,.0f}"
