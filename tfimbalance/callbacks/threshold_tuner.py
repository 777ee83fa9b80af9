"""The threshold at which a model's probabilities become decisions."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfimbalance._checks import (
    bad_value,
    check_choice,
    check_number,
    check_same_length,
    check_sample_weight,
    check_share,
)
from tfimbalance._evaluation.cuts import Cuts
from tfimbalance._evaluation.predictions import check_rows, head, predict
from tfimbalance._labels import as_array, zero_one
from tfimbalance.callbacks._objectives import (
    Objective,
    choose,
    cost,
    f_beta,
    recall_at_flagged,
    recall_at_precision,
)
from tfimbalance.callbacks.natural_rate import check_natural
from tfimbalance.callbacks.validation import Correct, as_columns, served_model
from tfimbalance.layers.threshold import Threshold

OBJECTIVES = ("f1", "fbeta", "cost", "recall_at_precision", "recall_at_flagged")


class ThresholdTuner(keras.callbacks.Callback):
    """Find the threshold at which decisions are best, on validation rows at their natural rate.

    Use it where a model is good and its decisions at 1/2 are not: for rare events hardly a
    probability reaches 1/2, and that is no reason to re-balance anything. Then serve
    ``tuner.wrap(model)``, which returns 0 and 1 and carries the threshold in its file.

        f1, fbeta            best F, with recall ``beta`` times as important as precision
        cost                 least mean cost, ``costs[said][true]``
        recall_at_precision  most recall with a precision of at least ``precision``; where none
                             reaches it, nothing is flagged
        recall_at_flagged    most recall with at most ``share`` of the rows flagged (alert budget)

    For F and for costs the best threshold of *calibrated* probabilities is known [1, 2]; it is
    taken unless it is worse than the best one of these rows by three standard errors, because that
    best one wanders from sample to sample.

    Args:
        validation_data: ``(x, y)``, ``(x, y, sample_weight)`` or a finite dataset of batches of
            them, at the natural rate. Read once an epoch; predictions are held, 40 bytes a row.
        objective: one of the above.
        beta: of ``"fbeta"``.
        costs: of ``"cost"``: ``[[c00, c01], [c10, c11]]``, row: what is said, column: the truth.
            ``[[0, 10], [1, 0]]``: a miss costs ten false alarms.
        precision: of ``"recall_at_precision"``, in (0, 1].
        share: of ``"recall_at_flagged"``, in (0, 1].
        correct: a function of the model that returns the corrected one, such as
            `tfimbalance.Rebalance.corrected`; None: the model as it is.
        priors: `ClassStatistics`, counts or probabilities of the natural rate, to warn if
            ``validation_data`` is not; or None.
        multi_label: whether several outputs stand for themselves, with a threshold each.
        output: which of several named outputs decides.
        from_logits: whether the model returns logits. None: as its end shows.
        batch_size: rows of arrays that are predicted at once.

    Attributes:
        threshold: of the last epoch, or of the last model that was tuned or wrapped: a
            probability, or one a label; None before.
        value: of the objective there.

    Logs:
        ``val_threshold`` (of a second tuner ``val_threshold_<objective>``, of labels
        ``val_threshold_<k>``, up to ten) and ``val_tuned_<objective>``
        (of labels their mean), which `keras.callbacks.EarlyStopping` behind it can monitor
        (``mode="max"``; ``"min"`` for the cost).

    Raises:
        ValueError: for an unknown objective, arguments that it does not use or that it lacks,
            validation data without labels, positives or negatives, or a softmax of several classes
            (decide by the largest).

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> x = np.array([[-2.0], [-1.0], [0.0], [1.0]], "float32")
        >>> tuner = tfi.callbacks.ThresholdTuner((x, [0, 0, 1, 1]))
        >>> layer = keras.layers.Dense(1, "sigmoid", kernel_initializer="ones")
        >>> model = keras.Sequential([keras.Input((1,)), layer])
        >>> model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy")
        >>> _ = model.fit(x, np.array([0, 0, 1, 1]), callbacks=[tuner], verbose=0)
        >>> tuner.threshold, tuner.value
        (0.5, 1.0)
        >>> tuner.wrap(model).predict(x, verbose=0)[:, 0].tolist()
        [0, 0, 1, 1]

    References:
        [1] Lipton, Elkan and Naryanaswamy, Optimal Thresholding of Classifiers to Maximize F1
        Measure, ECML 2014, arXiv 1402.1892.
        [2] Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001.
    """

    _MOST_LOGGED = 10

    def __init__(
        self,
        validation_data: Any,
        *,
        objective: str = "f1",
        beta: float | None = None,
        costs: Any = None,
        precision: float | None = None,
        share: float | None = None,
        correct: Correct | None = None,
        priors: Any = None,
        multi_label: bool = False,
        output: str | None = None,
        from_logits: bool | None = None,
        batch_size: int = 1024,
    ) -> None:
        super().__init__()
        check_rows(validation_data, argument="validation_data", output=output)
        self.validation_data = validation_data
        given = {"beta": beta, "costs": costs, "precision": precision, "share": share}
        self._objective = _objective(objective, given)
        self.correct = correct
        self.priors = priors
        self.multi_label = bool(multi_label)
        self.output = output
        self.from_logits = from_logits
        self.batch_size = batch_size
        self.threshold: Any = None
        self.value: Any = None
        self._served: keras.Model | None = None
        self._looked = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Correct the model (the result follows its weights), and try both out on a few rows."""
        self._served = self._probabilities(self.model)
        self._read(self._served, head(self.validation_data))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Find the threshold for the model as it is now."""
        self._tune(self._served)
        if logs is not None:
            name = self._objective.name
            logs[f"val_tuned_{name}"] = float(np.mean(self.value))
            if np.ndim(self.threshold) == 0:
                # Of a second tuner, whose threshold is another one.
                key = f"val_threshold_{name}" if "val_threshold" in logs else "val_threshold"
                logs[key] = self.threshold
            else:
                for k, threshold in enumerate(self.threshold[: self._MOST_LOGGED]):
                    logs[f"val_threshold_{k}"] = float(threshold)

    def tune(self, model: keras.Model) -> Any:
        """Find the threshold of a trained model, corrected as in training; return it."""
        return self._tune(self._probabilities(model))

    def _read(self, served: keras.Model, data: Any) -> tuple[Any, Any, Any]:
        """Return labels, probabilities and weights, checked."""
        rows = predict(
            served,
            data,
            argument="validation_data",
            output=self.output,
            batch_size=self.batch_size,
        )
        p = as_columns(rows.y_pred)
        if p.shape[1] > 1 and not self.multi_label:
            raise bad_value(
                "multi_label",
                expected="True for several outputs that stand for themselves",
                received=f"False for {p.shape[1]} outputs",
                remedy="A softmax of several classes decides by the largest probability.",
            )
        labels = as_array(rows.y_true)
        check_same_length("y", labels.size, reference="predictions", expected=p.size)
        hit = zero_one(
            labels.reshape(p.shape),
            kind="binary",
            remedy="Labels of 0 and 1 are needed: y == the class in question.",
        )
        return hit, p, rows.sample_weight

    def _tune(self, served: keras.Model | None) -> Any:
        assert served is not None  # Made at the start of training.
        hit, p, weight = self._read(served, self.validation_data)
        if not self._looked:
            self._looked = True
            check_natural(hit if self.multi_label else hit[:, 0], self.validation_data, self.priors)
        weight = check_sample_weight(np.ones(len(p)) if weight is None else weight, rows=len(p))
        found = [self._chosen(hit[:, k], p[:, k], weight, k) for k in range(p.shape[1])]
        thresholds, values = (np.array(column) for column in zip(*found, strict=True))
        one = not self.multi_label
        self.threshold = float(thresholds[0]) if one else thresholds
        self.value = float(values[0]) if one else values
        return self.threshold

    def wrap(self, model: keras.Model) -> keras.Model:
        """Return the model with its threshold behind it: it returns 0 and 1, int32.

        The threshold is found once more, for the model as it is: `EarlyStopping` may have restored
        the weights of an earlier epoch.

        It saves, loads (after ``import tfimbalance``) and exports as any Keras model, and shares
        the weights of ``model``. With ``correct``, the correction is in it.
        """
        served = self._probabilities(model)
        self._tune(served)
        layer = Threshold(np.asarray(self.threshold).tolist())
        if self.output is not None:
            decided = {**served.output, self.output: layer(served.output[self.output])}
            return keras.Model(served.input, decided)
        if isinstance(served, keras.Sequential):
            return keras.Sequential([served, layer])
        return keras.Model(served.input, layer(served.output))

    def _probabilities(self, model: keras.Model) -> keras.Model:
        return served_model(
            model,
            self.correct,
            output=self.output,
            from_logits=self.from_logits,
            multi_label=self.multi_label,
            decides=True,
        )

    def _chosen(self, hit: Any, p: Any, weight: Any, label: int) -> tuple[float, float]:
        counted = hit[weight > 0]
        if counted.all() or not counted.any():
            raise bad_value(
                "validation_data",
                expected="rows of both classes that weigh something",
                received=f"{len(counted)} rows, all {int(counted[0])}"
                + (f" for label {label}" if self.multi_label else ""),
                remedy="Hold out more rows, or stratify the split.",
            )
        threshold, value = choose(self._objective, Cuts.of(hit, p, weight))
        return threshold, self._objective.sign * value


def _objective(name: str, given: dict[str, Any]) -> Objective:
    check_choice("objective", name, OBJECTIVES)
    uses = {
        "f1": None,
        "fbeta": "beta",
        "cost": "costs",
        "recall_at_precision": "precision",
        "recall_at_flagged": "share",
    }[name]
    for argument, value in given.items():
        if (value is None) == (argument == uses):
            raise bad_value(
                argument,
                expected=f'{"a value" if argument == uses else "None"} beside objective="{name}"',
                received=repr(value),
            )
    if name == "cost":
        return cost(_checked_costs(given["costs"]))
    if name in ("f1", "fbeta"):
        beta = 1.0 if uses is None else given["beta"]
        return f_beta(check_number("beta", beta, minimum=0.0, exclusive=True))
    value = check_share(str(uses), given[str(uses)])
    return recall_at_precision(value) if uses == "precision" else recall_at_flagged(value)


def _checked_costs(costs: Any) -> Any:
    expected = "[[c00, c01], [c10, c11]] in which mistakes cost more than being right"
    try:
        array = np.asarray(costs, dtype=np.float64)
    except (TypeError, ValueError):
        raise bad_value("costs", expected=expected, received=repr(costs)) from None
    right = array.shape == (2, 2) and np.isfinite(array).all()
    if not right or array[1, 0] <= array[0, 0] or array[0, 1] <= array[1, 1]:
        raise bad_value(
            "costs",
            expected=expected,
            received=repr(costs),
            remedy="Row: what is said. Column: what is true. A miss is costs[0][1].",
        )
    return array
