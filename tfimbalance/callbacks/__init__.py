"""Keras callbacks for ``model.fit``."""

from tfimbalance.callbacks.class_weight import ClassWeight
from tfimbalance.callbacks.dataset_epochs import DatasetEpochs
from tfimbalance.callbacks.loss_schedule import LossSchedule

__all__ = ["ClassWeight", "DatasetEpochs", "LossSchedule"]
