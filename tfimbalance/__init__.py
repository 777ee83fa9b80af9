"""Imbalance-aware losses, balanced datasets and callbacks for Keras 3 and TensorFlow."""

from tfimbalance import callbacks, data, losses
from tfimbalance.statistics import ClassStatistics, class_statistics
from tfimbalance.weights import class_weights

__version__ = "0.1.0"

__all__ = ["ClassStatistics", "callbacks", "class_statistics", "class_weights", "data", "losses"]
