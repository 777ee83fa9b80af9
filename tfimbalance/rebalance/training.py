"""What a plan trains with: its batches and its loss."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from tfimbalance._checks import bad_value, check_flag
from tfimbalance._evaluation.ending import check_from_logits, output_names
from tfimbalance._labels import is_dataset
from tfimbalance.callbacks.natural_rate import NaturalRate
from tfimbalance.data import balanced_batches, balanced_stream, class_sampling
from tfimbalance.initializers import PriorBias
from tfimbalance.layers import OffsetModel
from tfimbalance.losses import BinaryFocalLoss, BinaryLogitAdjustedLoss, LogitAdjustedLoss
from tfimbalance.rebalance._outputs import check_outputs
from tfimbalance.rebalance.combination import Combination
from tfimbalance.rebalance.starting import set_bias


class Training(Combination):
    """The dataset, the loss and the model of a plan."""

    def dataset(self, x: Any, y: Any = None, batch_size: int = 256, **kwargs: Any) -> Any:
        """Make the batches of the plan, a `tf.data.Dataset` for ``fit``.

        Args:
            x: rows as `balanced_batches` takes them, or a `tf.data.Dataset` of ``(x, y)`` rows,
                which goes to `balanced_stream`.
            y: labels; None beside a dataset.
            batch_size: rows a batch.
            **kwargs: to those two: ``seed``, ``sample_weight`` and so on. Sample weights that
                differ between classes are class weights of which the plan knows nothing. Rates of
                streams, and of ``in_graph=True``, are not compared with the plan.

        Raises:
            ValueError: as those two, and for multi-label statistics.
        """
        return _dataset(self, x, y, batch_size, **kwargs)

    def loss(self, *, from_logits: bool = False, **kwargs: Any) -> keras.losses.Loss:
        """Make the loss of the plan, class weights included.

        Args:
            from_logits: whether the model returns logits. Prefer that.
            **kwargs: of `keras.losses.Loss`: ``reduction``, ``name``, ``dtype``; and
                ``ignore_class``, by default that of the plan.

        Returns:
            `LogitAdjustedLoss` for a softmax (class ids or one-hot rows), `BinaryLogitAdjustedLoss`
            or `BinaryFocalLoss` for sigmoids; strategies that are not in the plan have strength 0.
        """
        given = {"ignore_class": self.ignore_class, "from_logits": from_logits, **kwargs}
        if self.statistics.num_known is not None and given["ignore_class"] is None:
            raise bad_value(
                "ignore_class",
                expected="what stands for labels that are not known, of which the statistics tell",
                received=None,
                remedy="Say to the plan what was said where they were counted: Rebalance("
                "statistics, ignore_class=-1).",
            )
        return _loss(self, **given)

    def initializer(self) -> PriorBias:
        """Return the initial bias of the last layer, for ``Dense(bias_initializer=...)``.

        A new model then starts at `starting_priors`, and spends no step on learning a base rate.
        """
        labels = self.statistics.multi_label
        return PriorBias(self.starting_priors.tolist(), per_label=labels)

    def prepare(self, model: keras.Model, *, output: str | None = None) -> str:
        """Set the bias of the last layer of a new model in place, as `initializer` would.

        Args:
            model: to be trained; a Sequential that is built, or a functional model. Layers that
                stand side by side at its end, under ``Concatenate``, each get their part.
            output: which of several named outputs.

        Returns:
            What was set, as a sentence.

        Raises:
            ValueError: for a model that is trained already, whose last layer has no bias, or which
                has another number of outputs than the plan.
        """
        return set_bias(model, output, self.initializer())

    def model(self, model: keras.Model) -> keras.Model:
        """Return the model to compile and fit: with ``offset`` an `OffsetModel`, else itself.

        Validate that in ``fit`` with offsets of 0, ``((x, np.zeros((len(x), 1))), y)`` (of a
        softmax, a zero for each class); `callbacks` and `validation` take the rows as they are.
        Serve `corrected`.

        Args:
            model: of logits, one or one a class.
        """
        return OffsetModel(model) if self.offset else model

    def compile(
        self,
        model: keras.Model,
        optimizer: Any = "adam",
        *,
        from_logits: bool | None = None,
        prepare: bool = True,
        **kwargs: Any,
    ) -> keras.Model:
        """Compile a new model for the plan, and return what to fit.

        Says in one line what `prepare`, `model` and ``compile(optimizer, plan.loss(...))`` do. Fit
        what it returns: with ``offset`` that is another model, which takes the offset.

        Args:
            model: of one output, whose bias is set in place.
            optimizer: as `keras.Model.compile`.
            from_logits: whether the model returns logits. Prefer that. None: as its end shows.
            prepare: False leaves the bias as it is: that of a model which was trained before, or
                whose last layer has an `initializer`.
            **kwargs: of `keras.Model.compile`: ``metrics`` (of logits, if those are returned),
                ``jit_compile`` and so on.

        Raises:
            ValueError: as `prepare` and `loss`; for a ``loss``, which the plan has, and for a model
                of several outputs.

        Example:
            >>> import keras
            >>> import tfimbalance as tfi
            >>> plan = tfi.Rebalance({0: 950, 1: 50}, class_shares={1: 0.25}, offset=True)
            >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
            >>> trained = plan.compile(model, keras.optimizers.Adam(0.01))
            >>> type(trained).__name__
            'OffsetModel'
            >>> round(float(model.layers[-1].bias[0]), 3)
            -2.944
        """
        if "loss" in kwargs:
            raise bad_value(
                "loss",
                expected="none, as the plan has one",
                received=repr(kwargs["loss"]),
                remedy="A loss of your own: model.compile(optimizer, loss), after plan.prepare("
                "model). tfi.Rebalance.from_compiled reads what it does.",
            )
        if names := output_names(model):
            raise bad_value(
                "model",
                expected="a model of one output",
                received=f"one of {len(names)} outputs, {', '.join(names)}",
                remedy="Batches cannot have the shares of several outputs: each has a plan of its "
                "own that does not sample, plan.prepare(model, output=...) and model.compile("
                "optimizer, {output: plan.loss(from_logits=True), ...}).",
            )
        logits = check_from_logits(model, from_logits)
        check_outputs(self, model, None)
        loss = self.loss(from_logits=logits)
        trained = self.model(model)
        if check_flag("prepare", prepare):
            self.prepare(model)
        trained.compile(optimizer=optimizer, loss=loss, **kwargs)
        return trained


def _dataset(plan: Combination, x: Any, y: Any, batch_size: int, **kwargs: Any) -> Any:
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
        if "steps_per_epoch" in kwargs:
            raise bad_value(
                "steps_per_epoch",
                expected="none beside a dataset, whose epoch ends with its rows",
                received=kwargs["steps_per_epoch"],
                remedy="Shorter epochs: plan.dataset(rows.repeat()), and fit(steps_per_epoch=...).",
            )
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
    if plan.offset and not kwargs.get("in_graph"):
        _check_budget(plan, len(batches), batch_size)
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


def _check_budget(plan: Combination, steps: int, batch_size: int) -> None:
    """Warn of an epoch that is longer than all the training which a plan was recommended for."""
    rows = steps * batch_size
    if plan.budget is not None and rows > 1.01 * plan.budget:
        warnings.warn(
            f"dataset: an epoch of {steps:,} steps of {batch_size} rows is more than the "
            f"{plan.budget:,} rows that the plan was recommended for; in so many, rare rows are "
            "learnt by heart. Say how long an epoch is, steps_per_epoch=..., or make the plan for "
            "as many steps as are trained.",
            stacklevel=4,
        )


def _loss(plan: Combination, **kwargs: Any) -> keras.losses.Loss:
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
