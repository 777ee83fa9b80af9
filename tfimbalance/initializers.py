"""The output bias that starts a model at the base rate."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance.offsets import is_per_label, log_odds, log_priors

Tensor = Any


@keras.saving.register_keras_serializable("tfimbalance")
class InitialBias(keras.initializers.Initializer):
    """What `initial_bias` returns: log priors of classes, or log odds of labels.

    Args:
        values: nats, one a class or label, or one number for all labels.
        per_label: whether each unit is a label of its own.

    Example:
        >>> from tfimbalance.initializers import InitialBias
        >>> [float(b) for b in InitialBias([0.0, 1.0], per_label=False)((1,))]
        [1.0]
    """

    def __init__(self, values: float | list[float], *, per_label: bool) -> None:
        self.values = values
        self.per_label = bool(per_label)

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
        """Return the bias of a layer with ``shape[0]`` units."""
        shape, values = tuple(shape), np.asarray(self.values, dtype=np.float64)
        if not self.per_label and shape == (1,) and values.size == 2:
            values = values[1:] - values[:1]
        if len(shape) != 1 or (values.ndim and values.shape != shape):
            size = "any number of" if not values.ndim else str(values.size)
            raise bad_value(
                "bias_initializer",
                expected=f"an output layer of {size} units"
                + (" (or of one unit)" if not self.per_label and values.size == 2 else ""),
                received=f"a bias of shape {shape}",
                remedy="It belongs to the last layer: Dense(num_classes, bias_initializer=...).",
            )
        return ops.convert_to_tensor(np.broadcast_to(values, shape), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {"values": self.values, "per_label": self.per_label}


def initial_bias(priors: Any) -> InitialBias:
    """Start a model at the base rate: the initial bias of its last layer.

    Use it as ``Dense(1, bias_initializer=tfi.initial_bias(stats))`` whenever positives are rare and
    the loss is a cross-entropy or a focal loss: the first epochs are then not spent on learning the
    base rate [1, section 3.3]. After class weights or balanced batches give the priors that result
    from them. Not beside logit adjustment, which puts the prior into the loss.

    Args:
        priors: `ClassStatistics` (multi-label ones too), counts or probabilities, one a class; or
            one number, the prior of every label (of sigmoids: a softmax does not see a bias that
            its units share).

    Returns:
        A Keras initializer, for a layer of one unit a class (log priors), of one unit beside two
        classes (log odds of class 1), or of one unit a label (log odds of each).

    Raises:
        ValueError: for a class of prior 0 (named) or a prior outside (0, 1); and, where the layer
            is built, for another number of units.

    Example:
        >>> import tfimbalance as tfi
        >>> bias = tfi.initial_bias(tfi.ClassStatistics([99, 1]))
        >>> [round(float(b), 4) for b in bias((1,))]
        [-4.5951]
        >>> [round(float(b), 4) for b in bias((2,))]
        [-0.0101, -4.6052]

    References:
        [1] Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, arXiv 1708.02002.
    """
    per_label = is_per_label(priors)
    values = (log_odds if per_label else log_priors)(priors, argument="priors")
    return InitialBias(values.tolist(), per_label=per_label)
