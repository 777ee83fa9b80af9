"""Pictures for people with rare events: each draws on a Matplotlib axes and returns it."""

from tfimbalance.plots.balance import class_balance
from tfimbalance.plots.gain import cumulative_gain, lift
from tfimbalance.plots.popularity import popularity_dial, recall_by_popularity
from tfimbalance.plots.precision import precision_recall
from tfimbalance.plots.reliability import reliability
from tfimbalance.plots.report import report
from tfimbalance.plots.tensorboard import TensorBoardReport, save_to_tensorboard
from tfimbalance.plots.threshold import threshold_curves

__all__ = [
    "TensorBoardReport",
    "class_balance",
    "cumulative_gain",
    "lift",
    "popularity_dial",
    "precision_recall",
    "recall_by_popularity",
    "reliability",
    "report",
    "save_to_tensorboard",
    "threshold_curves",
]
