"""How many batches an epoch has, in which order, and which of them this worker takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tfimbalance._checks import bad_value, check_integer

_MOST_ROWS = 2**31


@dataclass(frozen=True)
class Schedule:
    """When which batches come: ``steps`` an epoch, 0 while that is not known."""

    batch_size: int
    steps: int
    seed: int
    epoch: int
    num_shards: int
    shard_index: int

    @classmethod
    def of(
        cls,
        batch_size: int,
        steps_per_epoch: int | None,
        seed: int,
        initial_epoch: int,
        num_shards: int,
        shard_index: int,
    ) -> Schedule:
        """Check the arguments that all datasets of arrays have in common."""
        steps = 0
        if steps_per_epoch is not None:
            steps = check_integer("steps_per_epoch", steps_per_epoch, minimum=1)
        schedule = cls(
            check_integer("batch_size", batch_size, minimum=1),
            steps,
            check_integer("seed", seed, minimum=0),
            check_integer("initial_epoch", initial_epoch, minimum=0),
            check_integer("num_shards", num_shards, minimum=1),
            check_integer("shard_index", shard_index, minimum=0),
        )
        if schedule.batch_size >= _MOST_ROWS:
            most = f"fewer than {_MOST_ROWS:,}"
            raise bad_value("batch_size", expected=most, received=batch_size)
        if schedule.shard_index >= schedule.num_shards:
            raise bad_value(
                "shard_index", expected=f"below num_shards={num_shards}", received=shard_index
            )
        return schedule

    def over(self, rows: float) -> Schedule:
        """Return the schedule of one pass over so many rows, where nothing else was asked for."""
        if self.steps:
            return self
        return replace(self, steps=max(1, math.ceil(rows / (self.batch_size * self.num_shards))))
