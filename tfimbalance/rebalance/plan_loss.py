"""A warning for a model that is compiled with another loss than that of its plan."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfimbalance._checks import bad_value
from tfimbalance.callbacks._driven import compiled_losses, loss_name
from tfimbalance.layers import OffsetModel
from tfimbalance.rebalance.compiled import plan_arguments, same_priors, weighed

if TYPE_CHECKING:
    from tfimbalance.rebalance.combination import Combination
    from tfimbalance.rebalance.plan import Rebalance


class PlanLoss(keras.callbacks.Callback):
    """Warn if the compiled loss is not that of the plan: what is undone was then never done."""

    def __init__(self, plan: Rebalance, *, output: str | None = None) -> None:
        super().__init__()
        self._plan, self._output = plan, output

    def on_train_begin(self, logs: Any = None) -> None:
        """Compare, before the first step."""
        check_offset(self._plan, self.model)
        warn_of_other_loss(self._plan, self.model, self._output)


def trained_steps(model: keras.Model) -> int:
    """Return how many steps a model was trained for by its optimizer."""
    optimizer = getattr(model, "optimizer", None)
    return 0 if optimizer is None else int(optimizer.iterations)


def check_offset(plan: Combination, model: keras.Model) -> None:
    """Raise where a model adds an offset of which the plan knows nothing, or the reverse."""
    adds = isinstance(model, OffsetModel)
    if plan.class_shares is None or adds == plan.offset:
        return
    raise bad_value(
        "model",
        expected="an OffsetModel, as the plan trains with an offset"
        if plan.offset
        else "a model without an offset, as the plan corrects for its class_shares afterwards",
        received=f"a {type(model).__name__}",
        remedy="Compile and fit plan.model(model)."
        if plan.offset
        else "Rebalance(..., offset=True) is a plan for it.",
    )


def warn_of_other_loss(
    plan: Rebalance, model: keras.Model, output: str | None, *, fit_may_weigh: bool = False
) -> None:
    """Warn unless one of the compiled losses does what the plan undoes.

    With ``fit_may_weigh``, weights that the loss lacks may have been those of ``fit``.
    """
    if not getattr(model, "compiled", False) or model.loss is None:
        return
    found = list(compiled_losses(model, output).values())
    if any(_fits(plan, plan_arguments(loss, plan), fit_may_weigh) for loss in found):
        return
    names = ", ".join(loss_name(loss) for loss in found)
    warnings.warn(
        f"Rebalance: the model is compiled with {names}, not with the loss of the plan, so "
        "that `corrected` undoes what was not done, or leaves what was. Compile with "
        "loss=plan.loss(from_logits=...), or read the plan off the model: "
        "tfi.Rebalance.from_compiled(model, labels, class_weight=those of fit, if any).",
        stacklevel=3,
    )


def _fits(plan: Rebalance, found: dict[str, Any] | None, fit_may_weigh: bool) -> bool:
    if found is None:
        return False
    same_focus = found.get("focal_gamma", 0.0) == plan.focal_gamma
    same_tau = np.isclose(found.get("tau", 0.0), plan.tau, rtol=1e-5)
    if plan.tau and "priors" in found:
        same_tau = same_tau and same_priors(found["priors"], plan.sampled_priors)
    in_fit = weighed(found, plan._weight_of_fit, plan)
    same_weights = any(_same_odds(plan, part.get("class_weight")) for part in (found, in_fit))
    if fit_may_weigh and "class_weight" not in found:
        same_weights = True
    return bool(same_focus and same_tau and same_weights)


def _same_odds(plan: Rebalance, given: Any) -> bool:
    """Compare class weights, of classes that exclude one another but for a common factor."""
    wanted = np.array(
        [*(plan.class_weight or dict.fromkeys(range(len(plan.priors)), 1.0)).values()]
    )
    found = np.ones(len(wanted)) if given is None else np.asarray(given)
    if not plan.statistics.multi_label:
        wanted, found = wanted / wanted[0], found / found[0]
    return wanted.shape == found.shape and np.allclose(wanted, found, rtol=1e-4)
