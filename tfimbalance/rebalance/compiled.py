"""What a compiled loss does to the odds, in the arguments of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfimbalance._checks import FloatArray, bad_value, per_class
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
    from tfimbalance.rebalance.plan import Rebalance

_PLAIN = ("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy")
_WEIGHED = (CategoricalFocalLoss, SparseCategoricalFocalLoss, LogitAdjustedLoss)


def plan_arguments(loss: Any) -> dict[str, Any] | None:
    """Return ``focal_gamma``, ``tau``, ``priors`` and ``class_weight`` of a loss, if it has any.

    None for a loss that no plan has: what it does to the odds is not a factor and a focal fade.
    """
    loss = instance_of(loss)
    if getattr(loss, "label_smoothing", 0):
        return None
    if isinstance(loss, ClassWeighted):
        inner = plan_arguments(loss.loss)
        return None if inner is None else _weighed(inner, loss.class_weight)
    if isinstance(loss, (BinaryFocalLoss, WeightedBinaryCrossentropy)):
        found = {"focal_gamma": getattr(loss, "gamma", 0.0)}
        alpha = getattr(loss, "alpha", None)
        found = _weighed(found, None if alpha is None else [1.0 - alpha, alpha])
        positives = loss.pos_weight
        if positives is not None:
            found = _weighed(found, positives if np.ndim(positives) else [1.0, positives])
        return _weighed(found, loss.class_weight)
    if isinstance(loss, BalancedSoftmaxLoss):
        return _weighed({"tau": 1.0, "priors": loss.priors}, loss.class_weight)
    if isinstance(loss, (*_WEIGHED, BinaryLogitAdjustedLoss)):
        found = {"focal_gamma": loss.gamma}
        if hasattr(loss, "tau") and float(loss.tau):
            found.update(tau=float(loss.tau), priors=loss.priors)
        return _weighed(found, loss.class_weight)
    if isinstance(loss, keras.losses.BinaryFocalCrossentropy):
        weights = [1.0 - loss.alpha, loss.alpha] if loss.apply_class_balancing else None
        return _weighed({"focal_gamma": loss.gamma}, weights)
    if isinstance(loss, keras.losses.CategoricalFocalCrossentropy):
        return _weighed({"focal_gamma": loss.gamma}, loss.alpha if np.ndim(loss.alpha) else None)
    return {} if loss_name(loss).rsplit(".", 1)[-1] in _PLAIN else None


def arguments_of_model(
    model: keras.Model, output: str | None, class_weight: Any
) -> tuple[dict[str, Any], Any]:
    """Return arguments of the plan that a model was trained by, and the priors of its loss.

    ``class_weight`` is what `fit` was given.
    """
    if not getattr(model, "compiled", False):
        raise bad_value("model", expected="a compiled model", received="one that is not compiled")
    losses = compiled_losses(model, output)
    if len(losses) > 1:
        raise bad_value(
            "output", expected=f"one of {sorted(losses)}", received="None beside several losses"
        )
    (loss,) = losses.values()
    found = plan_arguments(loss)
    if found is None:
        raise bad_value(
            "model",
            expected="a model compiled with cross-entropy, a focal or a logit-adjusted loss, "
            "without label smoothing",
            received=loss_name(loss),
            remedy="Invert any other loss: tfi.calibration.LossCalibration(loss).",
        )
    found["ignore_class"] = getattr(loss, "ignore_class", None)
    priors = found.pop("priors", None)
    return _weighed(found, class_weight), priors


def same_priors(priors: Any, sampled: FloatArray) -> bool:
    """Tell whether priors of a loss are those of what is sampled."""
    given = np.asarray(priors, np.float64)
    if not given.ndim:
        given = np.array([1.0 - given, given])
    elif (given > 1.0).any():
        given = given / given.sum()
    return given.shape == sampled.shape and np.allclose(given, sampled, rtol=1e-3)


def check_priors(priors: Any, plan: Rebalance) -> Rebalance:
    """Return the plan, or raise unless logit adjustment, if any, is for what it samples."""
    sampled = plan.sampled_priors
    if priors is not None and not same_priors(priors, sampled):
        raise bad_value(
            "labels",
            expected=f"labels sampled at the priors of the loss, {priors}",
            received=f"shares of {np.round(sampled, 4).tolist()}",
            remedy="Pass the class_shares of the batches, or the labels that the loss was made of.",
        )
    return plan


def _weighed(found: dict[str, Any], weights: Any) -> dict[str, Any]:
    """Multiply the class weights by others: ``{class: weight}``, a variable or numbers."""
    if weights is None:
        return found
    is_variable = hasattr(weights, "assign")
    given = np.asarray(weights) if is_variable else per_class("class_weight", weights)
    return {**found, "class_weight": (given * found.get("class_weight", 1.0)).tolist()}
