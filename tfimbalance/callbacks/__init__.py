"""Keras callbacks for ``model.fit``."""

from tfimbalance.callbacks.class_weight import ClassWeight
from tfimbalance.callbacks.corrected_validation import CorrectedValidation
from tfimbalance.callbacks.dataset_epochs import DatasetEpochs
from tfimbalance.callbacks.loss_schedule import LossSchedule
from tfimbalance.callbacks.natural_rate import NaturalRate

__all__ = ["ClassWeight", "CorrectedValidation", "DatasetEpochs", "LossSchedule", "NaturalRate"]
