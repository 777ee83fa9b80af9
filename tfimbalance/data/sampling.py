"""What a dataset of this package read and handed out."""

from __future__ import annotations

import tensorflow as tf

from tfimbalance._checks import bad_value
from tfimbalance.data._epochs.pipeline import owners
from tfimbalance.data._order.sampling import ClassSampling


def class_sampling(dataset: tf.data.Dataset) -> ClassSampling:
    """Return how many rows of each class a dataset of this package read and handed out.

    For arrays that is known beforehand: one epoch (for `weighted_undersampling`, what a pass is
    expected to keep, or 10, 100, ... passes if fewer than 50 rows of a class are). For
    `balanced_stream` it is what was made so far, in all epochs, some batches ahead of those that
    `fit` has taken. `ClassSampling` says what to add to the logits.

    Args:
        dataset: from this package, or made from one by ``map``, ``prefetch`` and the like.

    Raises:
        ValueError: for another dataset, or one of which nothing has been read.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> y = np.repeat([0, 1], [990, 10])
        >>> dataset = tfi.data.balanced_batches(np.arange(1000), y, batch_size=100)
        >>> tfi.data.class_sampling(dataset.prefetch(1)).drawn.counts.tolist()
        [500, 500]
    """
    if isinstance(dataset, tf.data.Dataset):
        for owner in owners(dataset):
            if hasattr(owner, "class_sampling"):
                sampling: ClassSampling = owner.class_sampling()
                return sampling
    raise bad_value(
        "dataset",
        expected="one of this package that changes how often classes come, or made from it",
        received=f"{dataset!r}",
        remedy="If it went through a tf.data service or was made with in_graph=True, count what "
        "arrives: class_statistics(dataset).",
    )
