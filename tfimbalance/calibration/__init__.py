"""Probabilities that hold after re-balancing: corrections as functions and as Keras layers."""

from tfimbalance.calibration.calibrated_model import calibrated_model
from tfimbalance.calibration.fake_negatives import FakeNegativeCalibration
from tfimbalance.calibration.focal import FocalCalibration, focal_calibration
from tfimbalance.calibration.isotonic import IsotonicCalibration
from tfimbalance.calibration.loss_inversion import LossCalibration
from tfimbalance.calibration.prior_correction import PriorCorrection, prior_correction
from tfimbalance.calibration.prior_estimation import estimate_priors
from tfimbalance.calibration.temperature import TemperatureScaling
from tfimbalance.calibration.vector_scaling import VectorScaling
from tfimbalance.offsets import adjust_logits, prior_shift

__all__ = [
    "FakeNegativeCalibration",
    "FocalCalibration",
    "IsotonicCalibration",
    "LossCalibration",
    "PriorCorrection",
    "TemperatureScaling",
    "VectorScaling",
    "adjust_logits",
    "calibrated_model",
    "estimate_priors",
    "focal_calibration",
    "prior_correction",
    "prior_shift",
]
