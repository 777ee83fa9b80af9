"""Interleaved timings: every candidate once a round, so that a slow moment hits all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from rich.progress import Progress


def medians(
    candidates: Mapping[str, Callable[[], object]], rounds: int, progress: Progress | None = None
) -> dict[str, float]:
    """Median seconds of each candidate over ``rounds`` interleaved runs, after one to warm up."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for run in candidates.values():
        run()
    for _ in range(rounds):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
        if progress is not None:
            progress.advance(progress.task_ids[0])
    return {name: statistics.median(seconds) for name, seconds in times.items()}
