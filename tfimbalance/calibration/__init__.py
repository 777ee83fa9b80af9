"""Probabilities that hold after re-balancing: corrections as functions and as Keras layers."""

from tfimbalance.calibration.calibrated_model import calibrated_model
from tfimbalance.calibration.focal import FocalCalibration, focal_calibration
from tfimbalance.calibration.isotonic import IsotonicCalibration, isotonic_calibration
from tfimbalance.calibration.loss_inversion import LossCalibration, posterior_from_loss
from tfimbalance.calibration.prior_correction import PriorCorrection, prior_correction
from tfimbalance.calibration.prior_estimation import estimate_priors
from tfimbalance.calibration.temperature import TemperatureScaling, temperature_scaling
from tfimbalance.calibration.vector_scaling import VectorScaling, vector_scaling

__all__ = [
    "FocalCalibration",
    "IsotonicCalibration",
    "LossCalibration",
    "PriorCorrection",
    "TemperatureScaling",
    "VectorScaling",
    "calibrated_model",
    "estimate_priors",
    "focal_calibration",
    "isotonic_calibration",
    "posterior_from_loss",
    "prior_correction",
    "temperature_scaling",
    "vector_scaling",
]
