"""Imbalance-aware losses, balanced datasets and callbacks for Keras 3 and TensorFlow."""

from tfimbalance import (
    calibration,
    callbacks,
    data,
    initializers,
    layers,
    losses,
    metrics,
    plots,
    retrieval,
)
from tfimbalance.rebalance import Rebalance
from tfimbalance.statistics import ClassStatistics, class_statistics
from tfimbalance.weights import class_weights

__version__ = "0.2.0"

__all__ = [
    "ClassStatistics",
    "Rebalance",
    "calibration",
    "callbacks",
    "class_statistics",
    "class_weights",
    "data",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "plots",
    "retrieval",
]
