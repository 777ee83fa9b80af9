"""Keras callbacks for ``model.fit``."""

from tfimbalance.callbacks.class_report import ClassReport
from tfimbalance.callbacks.class_weight import ClassWeight
from tfimbalance.callbacks.corrected_validation import CorrectedValidation
from tfimbalance.callbacks.dataset_epochs import DatasetEpochs
from tfimbalance.callbacks.loss_schedule import LossSchedule
from tfimbalance.callbacks.natural_rate import NaturalRate
from tfimbalance.callbacks.retrieval_report import RetrievalReport
from tfimbalance.callbacks.threshold_tuner import ThresholdTuner
from tfimbalance.callbacks.validation import Validation

__all__ = [
    "ClassReport",
    "ClassWeight",
    "CorrectedValidation",
    "DatasetEpochs",
    "LossSchedule",
    "NaturalRate",
    "RetrievalReport",
    "ThresholdTuner",
    "Validation",
]
