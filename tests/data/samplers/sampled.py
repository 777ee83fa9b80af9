"""Rows, and samplers of every kind, for tests of resampled_batches."""

import numpy as np
import tensorflow as tf
from imblearn import FunctionSampler
from imblearn.combine import SMOTEENN, SMOTETomek
from imblearn.over_sampling import (
    ADASYN,
    SMOTE,
    SMOTEN,
    SMOTENC,
    SVMSMOTE,
    BorderlineSMOTE,
    KMeansSMOTE,
    RandomOverSampler,
)
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling import (
    AllKNN,
    ClusterCentroids,
    EditedNearestNeighbours,
    NearMiss,
    OneSidedSelection,
    RandomUnderSampler,
    TomekLinks,
)
from sklearn.preprocessing import StandardScaler

import tfimbalance as tfi

COUNTS = (100, 20)


Y = np.repeat([0, 1], COUNTS)


ROWS = len(Y)


NUMBERS = np.arange(ROWS)


def features(dtype="float32"):
    """Two classes that overlap a little: what cleans has something to clean."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(ROWS, 3)) + 1.2 * Y[:, None]).astype(dtype)


def mixed():
    """Two columns of measurements, one of codes."""
    x = features()
    x[:, 2] = np.random.default_rng(1).integers(0, 3, ROWS)
    return x


def codes():
    return np.random.default_rng(2).integers(0, 3, (ROWS, 3)).astype("float32")


def batches(x, y=Y, sampler=None, **arguments):
    sampler = RandomOverSampler() if sampler is None else sampler
    return tfi.data.resampled_batches(x, y, sampler, **{"batch_size": 16, **arguments})


def together(epoch):
    """All batches of an epoch, one array for each part of the elements."""
    parts = [tf.nest.flatten(element) for element in epoch]
    return [np.concatenate([np.asarray(part) for part in column]) for column in zip(*parts)]


def numbers(dataset):
    """Row numbers of an epoch of a dataset with ids."""
    return together((ids, y) for (_, ids), y, *_ in dataset)[0]


TRACED = {
    "RandomOverSampler": (RandomOverSampler(), features),
    "shrinkage": (RandomOverSampler(shrinkage=0.5), features),
    "SMOTE": (SMOTE(), features),
    "SMOTENC": (SMOTENC([2]), mixed),
    "SMOTEN": (SMOTEN(), codes),
    "BorderlineSMOTE": (BorderlineSMOTE(), features),
    "SVMSMOTE": (SVMSMOTE(), features),
    "KMeansSMOTE": (KMeansSMOTE(cluster_balance_threshold=0.05), features),
    "ADASYN": (ADASYN(), features),
    "RandomUnderSampler": (RandomUnderSampler(), features),
    "NearMiss": (NearMiss(), features),
    "TomekLinks": (TomekLinks(), features),
    "EditedNearestNeighbours": (EditedNearestNeighbours(), features),
    "AllKNN": (AllKNN(), features),
    "OneSidedSelection": (OneSidedSelection(), features),
    "SMOTEENN": (SMOTEENN(), features),
    "SMOTETomek": (SMOTETomek(), features),
    "SMOTEENN around SMOTENC": (SMOTEENN(smote=SMOTENC([2])), mixed),
    "samplers": (make_pipeline(SMOTE(sampling_strategy=0.5), RandomUnderSampler()), features),
    "selectors": (make_pipeline(TomekLinks(), "passthrough", RandomOverSampler()), features),
    "blind": (make_pipeline(RandomUnderSampler(sampling_strategy=0.5), RandomOverSampler()), codes),
}


UNTRACED = {
    "ClusterCentroids": (ClusterCentroids(), features),
    "ClusterCentroids, hard": (ClusterCentroids(voting="hard"), codes),
    "FunctionSampler": (FunctionSampler(func=lambda x, y: (x[::-1], y[::-1])), features),
    "transformer": (make_pipeline(StandardScaler(), ClusterCentroids()), features),
}
