"""Balanced `tf.data` datasets for ``model.fit``."""

from tfimbalance.data.balanced import balanced_batches

__all__ = ["balanced_batches"]
