"""Several networks, trained side by side by one `fit` and served as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance._evaluation.ending import check_from_logits
from tfimbalance._tensors import Tensor
from tfimbalance.layers._wrapper import Wrapper, unwrapped
from tfimbalance.layers.mean_probability import MeanProbability


@keras.saving.register_keras_serializable("tfimbalance")
class EnsembleModel(Wrapper):
    """A few networks that one ``fit`` trains side by side, served as their mean probability.

    Use it where a better ranking and better probabilities are worth two or four times the cost of
    a step: networks that differ in nothing but their initial weights make different mistakes [1].
    Each member is trained as it would be alone, on the same batches. Serve ``model``, not this.

        loss = mean over members of loss(y, member(x));    output = mean over members of p

    Args:
        members: built models of one architecture, each with weights of its own; or `OffsetModel` of
            such. Call the function that builds one several times.
        activation: as `MeanProbability`.
        from_logits: whether they return logits. None: as their last layer shows.
        **kwargs: as `keras.Model`.

    Shapes:
        inputs: as a member's. Returns what a member returns; while training a list of that, one
        entry a member.

    Raises:
        ValueError: for fewer than two members, models that are not built, have several outputs,
            other shapes or the same name, or share weights.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> def build():
        ...     return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> trained = tfi.layers.EnsembleModel([build(), build()])
        >>> trained.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
        >>> history = trained.fit(np.ones((8, 2)), np.ones(8), verbose=0)
        >>> trained.model.predict(np.ones((3, 2)), verbose=0).shape  # Save and serve this.
        (3, 1)

    References:
        [1] Lakshminarayanan, Pritzel and Blundell, Simple and Scalable Predictive Uncertainty
        Estimation using Deep Ensembles, NeurIPS 2017, arXiv 1612.01474.
    """

    def __init__(
        self,
        members: Sequence[keras.Model],
        *,
        activation: str | None = None,
        from_logits: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        members = list(members) if isinstance(members, (list, tuple)) else [members]
        served = _to_serve(members)
        logits = {check_from_logits(model, from_logits) for model in served}
        if len(logits) > 1:
            raise bad_value(
                "members",
                expected="members of one architecture",
                received="some that return logits, and some that return probabilities",
            )
        self.members = members
        self.activation, self.from_logits = activation, from_logits
        self.mean = MeanProbability(from_logits=logits.pop(), activation=activation)
        self.adds_offset = any(getattr(member, "adds_offset", False) for member in members)
        one = isinstance(served[0], keras.Sequential)
        inputs = served[0].inputs[0] if one else served[0].input
        mean = self.mean([model(inputs) for model in served])
        # Past Keras' tracking: these weights are the members', and are not saved twice.
        object.__setattr__(self, "model", keras.Model(inputs, mean))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the mean probability; while training, the output of each member."""
        outputs = [member(inputs, training=training) for member in self.members]
        return outputs if training else self.mean(outputs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Return the mean of the members' losses, with the gradient that each would have alone."""
        given = {"x": x, "y": y, "sample_weight": sample_weight, "training": training}
        if not isinstance(y_pred, (list, tuple)):
            return super().compute_loss(y_pred=y_pred, **given)
        found = [super(EnsembleModel, self).compute_loss(y_pred=p, **given) for p in y_pred]
        more = len(found) - 1
        # Each of them brings what regularises all members: on replicas, each its part of that.
        extra = sum(self._aggregate_additional_loss(loss) for loss in self.losses)
        total = sum(found) - more * extra
        return total + ops.stop_gradient(sum(found) / len(found) - total)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the metrics of the mean probability."""
        y_pred = self.mean(list(y_pred)) if isinstance(y_pred, (list, tuple)) else y_pred
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, the members among them."""
        members = [keras.saving.serialize_keras_object(member) for member in self.members]
        own = {"activation": self.activation, "from_logits": self.from_logits}
        config: dict[str, Any] = super().get_config()
        return {**config, "members": members, **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> EnsembleModel:
        """Return what `get_config` describes."""
        read = keras.saving.deserialize_keras_object
        members = [read(member, custom_objects) for member in config.pop("members")]
        return cls(members, **config)


def _to_serve(members: list[Any]) -> list[keras.Model]:
    """Return the models to serve, or raise."""
    if len(members) < 2:
        received = f"{len(members)} of {[type(member).__name__ for member in members]}"
        raise bad_value("members", expected="two models or more", received=received)
    served = [unwrapped(member) for member in members]
    for model in served:
        outputs = getattr(model, "outputs", None)
        if not isinstance(model, keras.Model) or not outputs or len(outputs) > 1:
            raise bad_value(
                "members",
                expected="built models of one output: Sequential with an Input, or functional",
                received=f"a {type(model).__name__}"
                + (f" of {len(outputs)} outputs" if outputs else ""),
            )
    shapes = [f"{model.input_shape} to {model.output_shape}" for model in served]
    if len(set(shapes)) > 1:
        raise bad_value("members", expected="members of one shape", received=", ".join(shapes))
    weights = [id(weight) for model in served for weight in model.weights]
    if len(set(weights)) < len(weights):
        raise bad_value(
            "members",
            expected="models with weights of their own",
            received="some that share weights",
            remedy="Call the function that builds one once for each.",
        )
    names = [model.name for model in served]
    if len(set(names)) < len(names):
        raise bad_value(
            "members",
            expected="models with names of their own",
            received=str(names),
            remedy="Leave `name` out where they are built, or number it.",
        )
    if len({isinstance(member, Wrapper) for member in members}) > 1:
        raise bad_value(
            "members",
            expected="all of them with an offset, or none",
            received=str([type(member).__name__ for member in members]),
        )
    return served
