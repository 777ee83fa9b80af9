"""Keras metrics that stay right when positives are rare."""

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
