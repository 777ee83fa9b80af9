"""Layers and models that losses and datasets of this package need."""

from tfimbalance.layers.batch_ensemble import BatchEnsembleDense
from tfimbalance.layers.cosine_classifier import CosineClassifier
from tfimbalance.layers.minimum_cost import MinimumCost
from tfimbalance.layers.offset_model import OffsetModel
from tfimbalance.layers.threshold import Threshold

__all__ = ["BatchEnsembleDense", "CosineClassifier", "MinimumCost", "OffsetModel", "Threshold"]
