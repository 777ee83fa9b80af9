"""Imbalance-aware losses for ``model.compile``."""

from tfimbalance.losses.asymmetric import AsymmetricLoss
from tfimbalance.losses.categorical_focal import (
    CategoricalFocalLoss,
    SparseCategoricalFocalLoss,
    categorical_focal_loss,
    sparse_categorical_focal_loss,
)
from tfimbalance.losses.class_weighted import ClassWeighted
from tfimbalance.losses.focal import BinaryFocalLoss, binary_focal_loss
from tfimbalance.losses.ldam import LDAMLoss
from tfimbalance.losses.logit_adjusted import (
    BalancedSoftmaxLoss,
    BinaryLogitAdjustedLoss,
    LogitAdjustedLoss,
)
from tfimbalance.losses.pairwise import PairwiseAUCLoss
from tfimbalance.losses.registry import get, register
from tfimbalance.losses.vector_scaling import VectorScalingLoss
from tfimbalance.losses.weighted_crossentropy import (
    WeightedBinaryCrossentropy,
    weighted_binary_crossentropy,
)

# One line a loss that needs no arguments: the name is then known to `get` and to `compile`.
register(
    asymmetric_loss=AsymmetricLoss,
    binary_focal_loss=BinaryFocalLoss,
    categorical_focal_loss=CategoricalFocalLoss,
    pairwise_auc_loss=PairwiseAUCLoss,
    sparse_categorical_focal_loss=SparseCategoricalFocalLoss,
    weighted_binary_crossentropy=WeightedBinaryCrossentropy,
)

__all__ = [
    "AsymmetricLoss",
    "BalancedSoftmaxLoss",
    "BinaryFocalLoss",
    "BinaryLogitAdjustedLoss",
    "CategoricalFocalLoss",
    "ClassWeighted",
    "LDAMLoss",
    "LogitAdjustedLoss",
    "PairwiseAUCLoss",
    "SparseCategoricalFocalLoss",
    "VectorScalingLoss",
    "WeightedBinaryCrossentropy",
    "binary_focal_loss",
    "categorical_focal_loss",
    "get",
    "sparse_categorical_focal_loss",
    "weighted_binary_crossentropy",
]
