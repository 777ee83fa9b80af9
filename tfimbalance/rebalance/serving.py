"""What undoes a plan behind a trained model."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import FloatArray, bad_value, check_count, some_classes
from tfimbalance._evaluation.ending import check_from_logits
from tfimbalance._evaluation.labels import UNKNOWN
from tfimbalance.calibration import (
    PriorCorrection,
    VectorScaling,
    calibrated_model,
)
from tfimbalance.calibration._corrected import SLOPE, correction_of
from tfimbalance.callbacks import Validation
from tfimbalance.layers import OffsetModel
from tfimbalance.offsets import natural_priors, positive_priors
from tfimbalance.rebalance._outputs import check_outputs
from tfimbalance.rebalance.recommended import ENOUGH_POSITIVES

if TYPE_CHECKING:
    from tfimbalance.rebalance.plan import Rebalance

# What the names of corrections begin with.
_UNDO = "undo_"


def correction_layers(
    plan: Rebalance, from_logits: bool, target_priors: Any, prefix: str
) -> list[keras.layers.Layer]:
    """Return what undoes each strategy, the last one first; see `Rebalance.layers`."""
    kind: dict[str, Any] = {"from_logits": from_logits, "activation": plan.activation}
    layers: list[keras.layers.Layer] = []
    before = now = plan.odds.log(plan.effective_priors)
    names: list[str] = []

    def flush(after: FloatArray) -> None:
        # Offsets that follow one another are one layer, from the prior before them to that after.
        trained, wanted = (plan.odds.priors(log_odds) for log_odds in (before, after))
        if np.abs(np.log(trained / wanted)).max() >= 1e-9:
            if plan.activation == "sigmoid" and not plan.statistics.multi_label:
                trained, wanted = trained[1], wanted[1]
            name = f"{prefix}{_UNDO}{'_and_'.join(names) or 'prior'}".replace(" ", "_")
            layers.append(PriorCorrection(trained.tolist(), wanted.tolist(), name=name, **kind))
        names.clear()

    for strategy in reversed(plan.strategies):
        change = strategy.undo()
        if isinstance(change, keras.layers.Layer):
            flush(now)
            before = now
            name = f"{prefix}{_UNDO}{strategy.name}".replace(" ", "_")
            config = {**change.get_config(), **kind, "name": name}
            layers.append(type(change).from_config(config))
        elif change is not None:
            now = now + change
            names.append(strategy.name)
    flush(plan.odds.log(_target(plan, target_priors)))
    return layers


def corrected_model(
    plan: Rebalance,
    model: keras.Model,
    target_priors: Any,
    output: str | None,
    from_logits: bool | None,
) -> keras.Model:
    """Return the model to serve; see `Rebalance.corrected`."""
    model = model.model if isinstance(model, OffsetModel) else model
    logits = check_from_logits(model, from_logits, output)
    check_outputs(plan, model, output)
    prefix = "" if output is None else f"{output}_"
    found = correction_of(model, output)
    if found is not None:
        raise bad_value(
            "model",
            expected="the model as it was trained",
            received=f"one that is corrected already, by its layer {found.name!r}",
            remedy="Correct the trained model once; for another target_priors, again from it.",
        )
    layers = correction_layers(plan, logits, target_priors, prefix)
    return calibrated_model(
        model, layers, output=output, from_logits=logits, activation=plan.activation
    )


def with_slope(plan: Rebalance, served: keras.Model, rows: Validation) -> keras.Model:
    """Return a corrected model with a slope and a bias behind it; see `Rebalance.calibrated`."""
    read = rows.read(served)
    known, of_class = read.known, read.targets.sum(axis=0)
    size = len(read.weight) if known is None else known.sum(axis=0)
    fewest = np.minimum(of_class, size - of_class)
    enough = fewest >= ENOUGH_POSITIVES
    several = plan.statistics.multi_label
    if not enough.all():
        _warn_of_few(np.flatnonzero(~enough), int(fewest.min()), len(read.weight), several)
        if not several or not enough.any():
            return served
    name = SLOPE if rows.output is None else f"{rows.output}_{SLOPE}"
    layer = VectorScaling(activation=plan.activation, name=name)
    how: dict[str, Any] = {
        "sample_weight": read.weight,
        "ignore_class": None if known is None else UNKNOWN,
    }
    if enough.all():
        layer.fit(read.labels, read.given, **how)
    else:  # Of labels, each stands for itself.
        some = VectorScaling(activation=plan.activation)
        some.fit(read.labels[:, enough], read.given[:, enough], **how)
        scale, bias = np.ones(len(enough)), np.zeros(len(enough))
        scale[enough], bias[enough] = np.asarray(some.scale), np.asarray(some.bias)
        layer = VectorScaling(scale, bias=bias, activation=plan.activation, name=name)
    return calibrated_model(served, layer, output=rows.output, from_logits=False)


def _warn_of_few(few: NDArray[np.int64], fewest: int, rows: int, several: bool) -> None:
    if several:
        found = f"{some_classes(few, word='label')} have" if len(few) > 1 else f"label {few[0]} has"
        found += f" fewer than {ENOUGH_POSITIVES} validation rows with it or without it"
        rest = "Such labels are left as corrected"
    else:
        found = f"{fewest} of {rows:,} validation rows are of the rarest class, fewer than "
        found += str(ENOUGH_POSITIVES)
        rest = "The corrected model is returned without"
    enough = f" (about {-(-ENOUGH_POSITIVES * rows // fewest):,} have enough)" if fewest else ""
    warnings.warn(
        f"calibrated: {found}, and a slope and a bias fitted to them would be noise. {rest}. Hold "
        f"out more rows{enough}, or fit a calibration to predictions of "
        "cross-validation: tfi.calibration.VectorScaling; TemperatureScaling, one number for all "
        "outputs, needs fewer.",
        stacklevel=4,
    )


def _target(plan: Rebalance, target_priors: Any) -> FloatArray:
    """Return deployment priors as one for each class or label."""
    if target_priors is None:
        return plan.priors
    size = plan.statistics.num_classes
    read = positive_priors if plan.statistics.multi_label else natural_priors
    target = read(target_priors, argument="target_priors")
    if target.ndim == 0:
        return np.full(size, target)  # One number for all labels.
    check_count("target_priors", len(target), size, "priors")
    return target
