"""A number of the loss that moves from epoch to epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfimbalance._checks import bad_value, check_number
from tfimbalance.callbacks._driven import DrivingCallback, loss_name


class LossSchedule(DrivingCallback):
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
        the argument's name, with ``output`` ``<output>_<argument>``: the number that it had in an
        epoch. Validation losses of different numbers do not compare: choose a checkpoint by a
        metric.

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
        super().__init__(argument, output=output, verbose=verbose)
        if not isinstance(argument, str):
            raise bad_value("argument", expected="the name of an argument", received=repr(argument))
        if not callable(schedule):
            raise bad_value(
                "schedule",
                expected="a function of the epoch",
                received=repr(schedule),
                remedy="For example lambda epoch: min(1.0, epoch / 10).",
            )
        self.schedule = schedule

    def value(self, epoch: int) -> float:
        """Return the number that holds in an epoch."""
        try:
            number = self.schedule(epoch)
        except TypeError as error:
            raise bad_value(
                "schedule",
                expected="a function of the epoch alone",
                received=f"one that raises for schedule({epoch}): {error}",
            ) from error
        return check_number(f"schedule({epoch})", number)

    def shown(self) -> dict[str, float]:
        """Return the number by the argument's name."""
        return {self.argument: self._current}

    def missing(self, losses: dict[str, Any]) -> ValueError:
        """Return the error that says which arguments can be moved."""
        movable = {name: list(getattr(loss, "movable", ())) for name, loss in losses.items()}
        return bad_value(
            "argument",
            expected=f"one that a compiled loss can move: {movable}",
            received=f"{self.argument!r}, and the losses "
            f"{[loss_name(loss) for loss in losses.values()]}",
            remedy="Compile with such a loss, for example LogitAdjustedLoss(stats, tau=0.0).",
        )
