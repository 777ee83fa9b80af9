"""The output bias that starts a model at the base rate."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import bad_value, check_flag
from tfimbalance._config import config_of
from tfimbalance._tensors import Tensor
from tfimbalance.offsets import as_list, is_per_label, log_odds, log_priors, positive_priors

__all__ = ["PriorBias"]


@keras.saving.register_keras_serializable("tfimbalance")
class PriorBias(keras.initializers.Initializer):
    """Start a model at the base rate: the initial bias of its last layer.

    Use it as ``Dense(1, bias_initializer=tfi.initializers.PriorBias(stats))`` whenever positives
    are rare and the loss is a cross-entropy or a focal loss: the first epochs are then not spent on
    learning the base rate [1, section 3.3]. After class weights or balanced batches give the priors
    that result from them. Not beside logit adjustment, which puts the prior into the loss.

    Args:
        priors: `ClassStatistics` (multi-label ones too), counts or probabilities, one a class; or
            one number, the prior of every label (of sigmoids: a softmax does not see a bias that
            its units share).
        per_label: whether priors are those of labels, one a label. None: as they show.

    Shapes:
        Returns ``(units,)`` for a layer of one unit a class (log priors), of one unit beside two
        classes (log odds of class 1), or of one unit a label (log odds of each).

    Raises:
        ValueError: for a class of prior 0 (named) or a prior outside (0, 1); and, where the layer
            is built, for another number of units.

    Example:
        >>> import tfimbalance as tfi
        >>> bias = tfi.initializers.PriorBias(tfi.ClassStatistics([99, 1]))
        >>> [round(float(b), 4) for b in bias((1,))]
        [-4.5951]
        >>> [round(float(b), 4) for b in bias((2,))]
        [-0.0101, -4.6052]

    References:
        [1] Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, arXiv 1708.02002.
    """

    def __init__(self, priors: Any, *, per_label: bool | None = None) -> None:
        self.per_label = (
            is_per_label(priors) if per_label is None else check_flag("per_label", per_label)
        )
        self._values = (log_odds if self.per_label else log_priors)(priors)
        self.priors = positive_priors(priors).tolist() if self.per_label else as_list(priors)

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
        """Return the bias of a layer with ``shape[0]`` units."""
        shape, values = tuple(shape), self._values
        if not self.per_label and shape == (1,) and values.size == 2:
            values = values[1:] - values[:1]
        if len(shape) != 1 or (values.ndim and values.shape != shape):
            size = "any number of" if not values.ndim else str(values.size)
            raise bad_value(
                "bias_initializer",
                expected=f"an output layer of {size} units"
                + (" (or of one unit)" if not self.per_label and values.size == 2 else ""),
                received=f"a bias of shape {shape}",
                remedy="It belongs to the last layer: Dense(num_classes, bias_initializer=...). "
                "Several labels a row are counted with class_statistics(labels, multi_label=True).",
            )
        return ops.convert_to_tensor(np.broadcast_to(values, shape), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return config_of(self)
