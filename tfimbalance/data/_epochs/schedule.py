"""How many batches an epoch has, and which of them this worker takes."""

from __future__ import annotations

from tfimbalance._checks import bad_value, check_integer


def check_shards(num_shards: int, shard_index: int) -> tuple[int, int]:
    """Check which part of the batches a worker takes."""
    num_shards = check_integer("num_shards", num_shards, minimum=1)
    if check_integer("shard_index", shard_index, minimum=0) >= num_shards:
        raise bad_value(
            "shard_index", expected=f"below num_shards={num_shards}", received=shard_index
        )
    return num_shards, int(shard_index)
