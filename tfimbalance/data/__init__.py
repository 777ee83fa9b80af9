"""Balanced `tf.data` datasets for ``model.fit``."""

from tfimbalance.data._order.sampling import ClassSampling
from tfimbalance.data.augmentation import augment
from tfimbalance.data.balanced import balanced_batches
from tfimbalance.data.mixup import smote_mixup
from tfimbalance.data.negatives import with_negatives
from tfimbalance.data.resampling import resampled_batches
from tfimbalance.data.sampling import class_sampling
from tfimbalance.data.smote import smote_batches
from tfimbalance.data.streaming import balanced_stream
from tfimbalance.data.undersampling import weighted_undersampling
from tfimbalance.data.uniform_items import mixed_negatives

__all__ = [
    "ClassSampling",
    "augment",
    "balanced_batches",
    "balanced_stream",
    "class_sampling",
    "mixed_negatives",
    "resampled_batches",
    "smote_batches",
    "smote_mixup",
    "weighted_undersampling",
    "with_negatives",
]
