"""Keras callbacks for ``model.fit``."""

from tfimbalance.callbacks.class_weight import ClassWeight
from tfimbalance.callbacks.loss_schedule import LossSchedule

__all__ = ["ClassWeight", "LossSchedule"]
