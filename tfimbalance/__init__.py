"""Imbalance-aware losses, balanced datasets and callbacks for Keras 3 and TensorFlow."""

from tfimbalance import calibration, callbacks, data, layers, losses, metrics, plots
from tfimbalance.initializers import initial_bias
from tfimbalance.offsets import adjust_logits, prior_shift
from tfimbalance.rebalance import Rebalance
from tfimbalance.statistics import ClassStatistics, class_statistics
from tfimbalance.weights import class_weights

__version__ = "0.1.0"

__all__ = [
    "ClassStatistics",
    "Rebalance",
    "adjust_logits",
    "calibration",
    "callbacks",
    "class_statistics",
    "class_weights",
    "data",
    "initial_bias",
    "layers",
    "losses",
    "metrics",
    "plots",
    "prior_shift",
]
