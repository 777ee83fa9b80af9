"""A number of the loss that moves from epoch to epoch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import keras

from tfimbalance._checks import bad_value, check_number
from tfimbalance.callbacks._driven import (
    compile_again,
    compiled_losses,
    loss_name,
    sees_changes,
)
from tfimbalance.losses._base import ImbalanceLoss


class LossSchedule(keras.callbacks.Callback):
    """Move a number of the compiled loss from epoch to epoch: ``tau``, a margin, a scale.

    Use it to learn the features first and correct for rare classes later, without a loss of your
    own. It drives the losses of the model that have such a variable, validation included.

    Args:
        argument: name of the argument: ``"tau"`` of `LogitAdjustedLoss`,
            `BinaryLogitAdjustedLoss` and `VectorScalingLoss`, ``"gamma"`` of the latter,
            ``"max_margin"`` and ``"scale"`` of `LDAMLoss`.
        schedule: a function of the epoch (from 0) that returns the number for it; one of
            `keras.optimizers.schedules` will do.
        output: name of the output whose loss is driven; None drives all that have the argument.
        verbose: 1 prints one line when the number changes.

    Logs:
        the argument's name, at the end of each epoch: the number that it had in it; with
        ``output``, ``<output>_<argument>``. The validation loss is of that number as well: epochs
        of different numbers do not compare, so choose a checkpoint by a metric.

    Raises:
        ValueError: before the first step, for a model without a loss that has such a variable or
            an unknown output; and for a number that the loss does not take.

    Example:
        >>> import tfimbalance as tfi
        >>> callback = tfi.callbacks.LossSchedule("tau", lambda epoch: min(1.0, epoch / 10))
    """

    def __init__(
        self,
        argument: str,
        schedule: Callable[[int], float],
        *,
        output: str | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__()
        if not callable(schedule):
            raise bad_value(
                "schedule",
                expected="a function of the epoch",
                received=repr(schedule),
                remedy="For example lambda epoch: min(1.0, epoch / 10).",
            )
        self.argument = argument
        self.schedule = schedule
        self.output = output
        self.verbose = verbose
        self._driven: dict[str, ImbalanceLoss] = {}
        self._current: float | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Find the losses to drive, and refuse a model that has none."""
        self._current = None
        found = compiled_losses(self.model, self.output)
        self._driven = {
            name: loss
            for name, loss in found.items()
            if isinstance(loss, ImbalanceLoss) and self.argument in loss.movable
        }
        if not self._driven:
            movable = {name: list(getattr(loss, "movable", ())) for name, loss in found.items()}
            raise bad_value(
                "argument",
                expected=f"one that a compiled loss can move: {movable}",
                received=f"{self.argument!r}, and the losses "
                f"{[loss_name(loss) for loss in found.values()]}",
                remedy="Compile with such a loss, for example LogitAdjustedLoss(stats, tau=0.0).",
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the number that holds in this epoch."""
        value = check_number(f"schedule({epoch})", self.schedule(epoch))
        if value == self._current:
            return
        for loss in self._driven.values():
            loss.assign(self.argument, value)
        if not sees_changes():
            compile_again(self.model)
        self._current = value
        if self.verbose:
            targets = ", ".join(sorted(self._driven))
            sys.stdout.write(
                f"\nLossSchedule: from epoch {epoch + 1}, {targets}: {self.argument} {value:g}\n"
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report the number of this epoch to History, TensorBoard and the progress bar."""
        if logs is not None and self._current is not None:
            logs[f"{self.output}_{self.argument}" if self.output else self.argument] = self._current
