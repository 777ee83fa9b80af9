"""What a compiled loss does to the odds, in the arguments of a plan."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfimbalance._checks import FloatArray, bad_value, check_count, per_class
from tfimbalance.callbacks._driven import compiled_losses, instance_of, loss_name
from tfimbalance.losses import (
    BalancedSoftmaxLoss,
    BinaryFocalLoss,
    BinaryLogitAdjustedLoss,
    CategoricalFocalLoss,
    ClassWeighted,
    LogitAdjustedLoss,
    SparseCategoricalFocalLoss,
    WeightedBinaryCrossentropy,
)

if TYPE_CHECKING:
    from tfimbalance.rebalance.combination import Combination

_PLAIN = (
    keras.losses.binary_crossentropy,
    keras.losses.categorical_crossentropy,
    keras.losses.sparse_categorical_crossentropy,
)
# Functions of Keras, and the classes whose defaults are theirs.
_FOCAL = {
    keras.losses.binary_focal_crossentropy: keras.losses.BinaryFocalCrossentropy,
    keras.losses.categorical_focal_crossentropy: keras.losses.CategoricalFocalCrossentropy,
}
_OURS = (
    BinaryFocalLoss,
    BinaryLogitAdjustedLoss,
    CategoricalFocalLoss,
    LogitAdjustedLoss,
    SparseCategoricalFocalLoss,
    WeightedBinaryCrossentropy,
)


def plan_arguments(loss: Any, plan: Combination) -> dict[str, Any] | None:
    """Return ``focal_gamma``, ``tau``, ``priors`` and ``class_weight`` of a loss, if it has any.

    None for a loss that no plan has: what it does to the odds is not a factor and a focal fade.
    """
    loss = instance_of(loss)
    if inspect.isfunction(loss) and loss in _FOCAL:
        loss = _FOCAL[loss]()
    if getattr(loss, "label_smoothing", 0):
        return None
    found: dict[str, Any] = {"focal_gamma": getattr(loss, "gamma", 0.0)}
    weights = [getattr(loss, "class_weight", None)]
    if isinstance(loss, ClassWeighted):
        inner = plan_arguments(loss.loss, plan)
        if inner is None:
            return None
        found = inner
    elif isinstance(loss, BalancedSoftmaxLoss):
        found.update(tau=1.0, priors=loss.priors)
    elif isinstance(loss, _OURS):
        if float(getattr(loss, "tau", 0.0)):
            found.update(tau=float(loss.tau), priors=loss.priors)
        alpha = getattr(loss, "alpha", None)
        weights += [None if alpha is None else [1.0 - alpha, alpha]]
        found = _times(found, getattr(loss, "pos_weight", None), plan)
    elif isinstance(loss, keras.losses.BinaryFocalCrossentropy):
        weights += [[1.0 - loss.alpha, loss.alpha] if loss.apply_class_balancing else None]
    elif isinstance(loss, keras.losses.CategoricalFocalCrossentropy):
        weights += [loss.alpha if np.ndim(loss.alpha) else None]
    elif getattr(loss, "fn", loss) not in _PLAIN:
        return None
    for given in weights:
        found = weighed(found, given, plan)
    return found


def arguments_of_model(
    model: keras.Model, output: str | None, class_weight: Any, plan: Combination
) -> dict[str, Any]:
    """Return arguments of the plan that a model was trained by.

    ``class_weight`` is what `fit` was given, and ``plan`` one of the same data without a loss.
    """
    if not getattr(model, "compiled", False):
        raise bad_value("model", expected="a compiled model", received="one that is not compiled")
    losses = compiled_losses(model, output)
    if len(losses) > 1:
        raise bad_value(
            "output", expected=f"one of {sorted(losses)}", received="None beside several losses"
        )
    (loss,) = losses.values()
    found = plan_arguments(loss, plan)
    if found is None:
        raise bad_value(
            "model",
            expected="a model compiled with cross-entropy, a focal or a logit-adjusted loss, "
            "without label smoothing",
            received=loss_name(loss),
            remedy="Invert any other loss: tfi.calibration.LossCalibration(loss).",
        )
    priors = found.pop("priors", None)
    if priors is not None and not same_priors(priors, plan.sampled_priors):
        raise bad_value(
            "labels",
            expected=f"labels sampled at the priors of the loss, {priors}",
            received=f"shares of {np.round(plan.sampled_priors, 4).tolist()}",
            remedy="Pass the class_shares of the batches, or the labels that the loss was made of.",
        )
    found["ignore_class"] = getattr(loss, "ignore_class", None)
    return weighed(found, class_weight, plan)


def same_priors(priors: Any, sampled: FloatArray) -> bool:
    """Tell whether priors of a loss are those of what is sampled."""
    given = np.asarray(priors, np.float64)
    if not given.ndim:
        given = np.array([1.0 - given, given])
    elif (given > 1.0).any():
        given = given / given.sum()
    return given.shape == sampled.shape and np.allclose(given, sampled, rtol=1e-3)


def weighed(found: dict[str, Any], weights: Any, plan: Combination) -> dict[str, Any]:
    """Multiply the class weights by others: ``{class: weight}``, a variable or numbers."""
    if weights is None:
        return found
    is_variable = hasattr(weights, "assign")
    given = np.asarray(weights) if is_variable else per_class("class_weight", weights)
    if plan.activation == "sigmoid":
        # Two are those of 0 and 1, any other number one a label, for its ones.
        return _times(found, given[1] / given[0] if len(given) == 2 else given, plan)
    before = np.asarray(found.get("class_weight", 1.0))
    return {**found, "class_weight": (given * before).tolist()}


def _times(found: dict[str, Any], ratio: Any, plan: Combination) -> dict[str, Any]:
    """Multiply the weights of positives over those of negatives: a number, or one a label."""
    if ratio is None:
        return found
    labels = plan.statistics.num_classes if plan.statistics.multi_label else 1
    given = np.asarray(ratio, np.float64)
    if given.size > 1:
        check_count("class_weight", given.size, labels, "weights")
    given = np.broadcast_to(given, labels)
    if not plan.statistics.multi_label:
        given = np.array([1.0, given[0]])
    return {**found, "class_weight": (given * found.get("class_weight", 1.0)).tolist()}
