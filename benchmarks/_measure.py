"""Interleaved timings, and the memory that a call takes at its peak."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.progress import Progress


def medians(
    candidates: Mapping[str, Callable[[], object]], rounds: int, progress: Progress | None = None
) -> dict[str, float]:
    """Median seconds of each candidate over ``rounds`` interleaved runs, after one to warm up.

    Every candidate runs once a round, so that a slow moment hits all of them.
    """
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


def peak_megabytes(run: Callable[[], object], times: int = 3) -> float:
    """Resident memory at the peak of a few runs, beyond what there was before (Linux).

    Call it once in a fresh process: allocators keep what an earlier run has freed.
    """
    before = peak = _resident_megabytes()
    finished = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not finished.is_set():
            peak = max(peak, _resident_megabytes())
            time.sleep(0.0005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(times):
        run()
    finished.set()
    watcher.join()
    return peak - before


def _resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
