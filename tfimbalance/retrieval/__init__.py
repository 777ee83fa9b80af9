"""Recommenders: losses of retrieval models, and what they need to know about items."""

from tfimbalance.retrieval.evaluation import evaluate
from tfimbalance.retrieval.gbce import gbce_weight
from tfimbalance.retrieval.item_frequency import ItemFrequency
from tfimbalance.retrieval.mixed import mixed_log_q
from tfimbalance.retrieval.sampled_softmax import SampledSoftmaxLoss, sampled_softmax_loss
from tfimbalance.retrieval.two_tower import TwoTower

__all__ = [
    "ItemFrequency",
    "SampledSoftmaxLoss",
    "TwoTower",
    "evaluate",
    "gbce_weight",
    "mixed_log_q",
    "sampled_softmax_loss",
]
