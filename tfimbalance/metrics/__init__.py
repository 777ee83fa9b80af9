"""Keras metrics that stay right when positives are rare."""

from tfimbalance._names import name_in_keras
from tfimbalance.metrics.auc import AUC
from tfimbalance.metrics.average_precision import AveragePrecision
from tfimbalance.metrics.balanced_accuracy import BalancedAccuracy
from tfimbalance.metrics.brier_score import BrierScore
from tfimbalance.metrics.calibration_ratio import CalibrationRatio
from tfimbalance.metrics.expected_calibration_error import ExpectedCalibrationError
from tfimbalance.metrics.geometric_mean import GeometricMean
from tfimbalance.metrics.group_auc import GroupAUC
from tfimbalance.metrics.matthews_correlation import MatthewsCorrelation
from tfimbalance.metrics.normalized_entropy import NormalizedEntropy
from tfimbalance.metrics.operating_points import Lift, RecallAtFlagged, RecallAtPrecision
from tfimbalance.metrics.per_class_recall import PerClassRecall
from tfimbalance.metrics.recall_by_frequency import ManyMediumFewRecall

# Those that need no arguments: the name is then known to `compile`.
name_in_keras(
    "metrics",
    average_precision=AveragePrecision,
    balanced_accuracy=BalancedAccuracy,
    brier_score=BrierScore,
    calibration_ratio=CalibrationRatio,
    expected_calibration_error=ExpectedCalibrationError,
    geometric_mean=GeometricMean,
    matthews_correlation=MatthewsCorrelation,
)

__all__ = [
    "AUC",
    "AveragePrecision",
    "BalancedAccuracy",
    "BrierScore",
    "CalibrationRatio",
    "ExpectedCalibrationError",
    "GeometricMean",
    "GroupAUC",
    "Lift",
    "ManyMediumFewRecall",
    "MatthewsCorrelation",
    "NormalizedEntropy",
    "PerClassRecall",
    "RecallAtFlagged",
    "RecallAtPrecision",
]
