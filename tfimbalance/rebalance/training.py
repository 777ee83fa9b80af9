"""What a plan trains with: its batches and its loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from tfimbalance._checks import bad_value
from tfimbalance._labels import is_dataset
from tfimbalance.callbacks.natural_rate import NaturalRate
from tfimbalance.data import balanced_batches, balanced_stream, class_sampling
from tfimbalance.losses import BinaryFocalLoss, BinaryLogitAdjustedLoss, LogitAdjustedLoss

if TYPE_CHECKING:
    from tfimbalance.rebalance.plan import Rebalance


def plan_dataset(plan: Rebalance, x: Any, y: Any, batch_size: int, **kwargs: Any) -> Any:
    """Make the batches of a plan; see `Rebalance.dataset`."""
    if plan.statistics.multi_label:
        raise bad_value(
            "labels",
            expected="a plan of classes that exclude one another",
            received="multi-label statistics",
            remedy="A row of several labels has no share: pass the rows to fit as they are.",
        )
    known = {"class_shares", "offset", "per_class_offset", "priors"} & set(kwargs)
    if known:
        name = sorted(known)[0]
        raise bad_value(
            name,
            expected="what the plan says, which is not said again",
            received=repr(kwargs[name]),
            remedy="Rebalance(..., class_shares=..., offset=...) decides.",
        )
    if plan.offset:
        kwargs = {"offset": True, "per_class_offset": plan.activation == "softmax", **kwargs}
    shares = "natural" if plan.class_shares is None else plan.class_shares
    if is_dataset(x) or callable(x):
        if y is not None:
            raise bad_value("y", expected="None beside a dataset", received=type(y).__name__)
        if not isinstance(shares, str):  # A stream does not know what a mapping leaves open.
            shares = plan.sampled_priors.tolist()
        kwargs = {"num_classes": plan.statistics.num_classes, **kwargs}
        if plan.offset:
            kwargs["priors"] = plan.statistics
        return balanced_stream(x, batch_size=batch_size, class_shares=shares, **kwargs)
    shape = tuple(getattr(y, "shape", ()))  # Outputs in a dict or a tuple have none.
    of_steps = len(shape) > 2 or (len(shape) == 2 and shape[1] not in (1, len(plan.priors)))
    if of_steps and kwargs.get("labels") is None:
        raise bad_value(
            "y",
            expected="one label a row, which has a share in the batches",
            received=f"labels of shape {shape}",
            remedy="A mask or a sequence has many classes: pass the rows to fit as they are, with "
            "class_weight or tau in place of class_shares; or say as what each row is sampled, "
            "dataset(..., labels=...).",
        )
    batches = balanced_batches(x, y, batch_size=batch_size, class_shares=shares, **kwargs)
    if not kwargs.get("in_graph"):
        read = class_sampling(batches).read
        if read.num_classes != plan.statistics.num_classes:
            raise bad_value(
                "y",
                expected=f"the {plan.statistics.num_classes} classes of the plan",
                received=f"labels of {read.num_classes} classes, counts {read.counts.tolist()}",
                remedy="Labels are class ids 0, 1, 2, ...; the plan is made of the same ones.",
            )
        NaturalRate(plan.statistics).check(
            read,
            where="the rows of dataset()",
            advice="The plan corrects for the rates that it was made of: make it of the labels of "
            "these rows.",
        )
    return batches


def plan_loss(plan: Rebalance, **kwargs: Any) -> keras.losses.Loss:
    """Make the loss of a plan; see `Rebalance.loss`."""
    unknown = sorted(set(kwargs) - {"from_logits", "reduction", "name", "dtype", "ignore_class"})
    if unknown:
        raise bad_value(
            unknown[0],
            expected="reduction, name, dtype or ignore_class",
            received=f"{unknown[0]}={kwargs[unknown[0]]!r}",
            remedy="What changes the odds belongs to the plan, which undoes it: "
            "Rebalance(..., class_weight=..., tau=..., focal_gamma=...).",
        )
    arguments: dict[str, Any] = {"gamma": 0.0, **kwargs}
    for strategy in plan.strategies:
        arguments.update(strategy.loss_arguments())
    if plan.activation == "softmax":
        return LogitAdjustedLoss(plan.sampled_priors, **{"tau": 0.0, **arguments})
    several = plan.statistics.multi_label
    if "tau" not in arguments:
        if several and "class_weight" in arguments:  # Two would be read as those of 0 and 1.
            arguments["pos_weight"] = arguments.pop("class_weight")
        return BinaryFocalLoss(**arguments)
    if several and plan.statistics.num_classes == 2 and "class_weight" in arguments:
        raise bad_value(
            "class_weight",
            expected="None beside tau for two labels",
            received=f"{plan.class_weight}",
            remedy="They would be read as weights of 0 and 1: adjust the logits alone.",
        )
    prior = plan.sampled_priors if several else plan.sampled_priors[1]
    return BinaryLogitAdjustedLoss(prior, **arguments)
