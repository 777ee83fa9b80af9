"""Which replica this is. The one file of the room that knows of TensorFlow, and loads it late."""

from __future__ import annotations

from typing import Any

import keras


def replica() -> tuple[Any, int]:
    """Return the id of this replica and how many there are, or ``(0, 1)`` where there are none.

    Only `tf.distribute` keeps a state for each replica and adds them up when it is read; on JAX and
    PyTorch a metric sees one state.
    """
    if keras.backend.backend() != "tensorflow":
        return 0, 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None:
        return 0, 1
    return context.replica_id_in_sync_group, context.num_replicas_in_sync
