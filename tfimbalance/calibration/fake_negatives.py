"""Outputs of a model whose clicks entered as negatives first -> probabilities."""

from __future__ import annotations

import warnings
from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance._tensors import Tensor, concrete, tiny
from tfimbalance.calibration._base import CalibrationLayer, is_softmax


@keras.saving.register_keras_serializable("tfimbalance")
class FakeNegativeCalibration(CalibrationLayer):
    """Turn what a model learned from fake negatives into probabilities.

    Use it where a model is trained without waiting for feedback: each impression enters as a
    negative at once, and each click enters once more, as a positive, when it comes. A click is then
    two rows, and the model learns ``b = p / (1 + p)``. Do not use it if the click replaces its
    fake negative, or if the loss was weighted to undo this already.

        p = b / (1 - b),   log p = logit b                                                   [1]

    A logit that the model returns is thus the log probability itself, and ranks as ``p`` does.
    Above ``b = 1/2`` there is no such p, and 1 is returned.

    Args:
        from_logits: whether logits come (and leave), instead of probabilities.
        activation: ``"sigmoid"`` for several outputs, each of which stands for itself. One output
            needs none.
        **kwargs: as `keras.layers.Layer`.

    Shapes:
        inputs: ``(batch, ..., 1)``, ``(batch,)``, or with ``activation="sigmoid"``
            ``(batch, ..., num_labels)``. Returns the same shape.

    Raises:
        ValueError: for the outputs of a softmax.

    Warns:
        UserWarning: for ``b > 1/2``. A compiled step (``model.predict``) cannot warn.

    Example:
        >>> import tfimbalance as tfi
        >>> layer = tfi.calibration.FakeNegativeCalibration()
        >>> layer.call([[0.2], [0.5]]).round(4).tolist()
        [[0.25], [1.0]]

    References:
        [1] Ktena et al., Addressing Delayed Feedback for Continuous Training with Neural Networks
        in CTR Prediction, RecSys 2019, arXiv 1907.06558.
    """

    def __init__(
        self, *, from_logits: bool = False, activation: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(from_logits=from_logits, activation=activation, **kwargs)
        if self.activation == "softmax":
            raise _of_classes('"softmax"')

    def change(self, z: Tensor) -> Tensor:
        """Return ``logit p``, which is ``log b - log(1 - 2 b)``."""
        if is_softmax(z.shape, self.activation):
            raise _of_classes(f"None, beside outputs of shape {tuple(z.shape)}")
        given = concrete(z)
        if given is not None and (capped := int((given > 0).sum())):
            warnings.warn(
                f"FakeNegativeCalibration: {capped:,} of {given.size:,} predictions are above 1/2, "
                "and become 1. Where every click entered as a negative too, none is: check that "
                "this is how the model was trained, and that it is calibrated.",
                stacklevel=2,
            )
        # 1 - 2 b is tanh(-z / 2), which keeps its digits near b = 1/2.
        rest = ops.tanh(-z / 2.0)
        floor = tiny(z)
        return ops.log_sigmoid(z) - ops.log(ops.where(rest > floor, rest, floor))


def _of_classes(received: str) -> ValueError:
    return bad_value(
        "activation",
        expected="one output, or several that stand for themselves",
        received=received,
        remedy='Of labels: activation="sigmoid". Of a softmax of two, the second logit less the '
        "first is that of one output.",
    )
