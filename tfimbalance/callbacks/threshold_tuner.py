"""The threshold at which a model's probabilities become decisions."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np

from tfimbalance._checks import bad_value, some_classes
from tfimbalance._evaluation.cuts import Cuts
from tfimbalance._evaluation.ending import check_no_threshold
from tfimbalance._evaluation.rows import Evaluated
from tfimbalance.calibration import calibrated_model
from tfimbalance.callbacks._objectives import choose, expected_best, objective_of
from tfimbalance.callbacks.validation import ValidationCallback
from tfimbalance.layers import Threshold


class ThresholdTuner(ValidationCallback):
    """Find the threshold at which decisions are best, on validation rows at their natural rate.

    Use it where a model is good and its decisions at 1/2 are not: for rare events hardly a
    probability reaches 1/2, and that is no reason to re-balance anything. Then serve
    ``tuner.wrap(model)``, which returns 0 and 1 and carries the threshold in its file.

        f1, fbeta            best F, with recall ``beta`` times as important as precision
        cost                 least mean cost, ``costs[said][true]``
        balanced_accuracy    best mean of both recalls
        matthews_correlation best correlation of what is said and what is true
        precision_at_recall  most precision with a recall of at least ``recall``
        recall_at_precision  most recall with a precision of at least ``precision``; where none
                             reaches it, nothing is flagged
        recall_at_flagged    most recall with at most ``share`` of the rows flagged (alert budget)

    The best threshold of a sample wanders, so that of the first five is the one which calibrated
    probabilities expect to be best: half of F, a ratio of costs, the base rate [1, 2]. Where these
    rows show the scores not to be calibrated, a line [3] or a curve in their logits comes first.
    Where the best one of these rows is better by three standard errors, it moves towards that one.

    Args:
        validation_data: a `Validation`, or rows as it takes them. Predictions are held, 40 bytes a
            row. Several outputs that stand for themselves have a threshold each.
        objective: one of the above.
        beta: of ``"fbeta"``.
        costs: of ``"cost"``: a row for what is said, a column for the truth. If a miss costs ten
            false alarms, ``[[0, 10], [1, 0]]``.
        precision, recall, share: of ``"recall_at_precision"``, ``"precision_at_recall"`` and
            ``"recall_at_flagged"``, in (0, 1].

    Attributes:
        threshold: a probability, or one a label: of the last epoch, or of the last model that was
            tuned or wrapped; None before.
        value: of the objective there; NaN for a label of which the rows have no positive (or
            negative): its threshold is the one that its probabilities alone expect to be best.

    Logs:
        ``val_threshold`` (of the first ten labels ``val_threshold_<k>``; of a second tuner
        ``val_<objective>_threshold``) and ``val_tuned_<objective>`` (the mean over labels), such as
        ``val_tuned_recall_at_flagged_0.02``. `keras.callbacks.EarlyStopping` behind it can monitor
        that (``mode="max"``; ``"min"`` for the cost). Of an output: ``val_<output>_...``.

    Raises:
        ValueError: for an unknown objective, arguments that it does not use or that it lacks,
            validation data without labels, positives or negatives, or a softmax of several classes
            (decide by the largest, or by costs: `tfimbalance.layers.MinimumCost`).

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
        >>> round(tuner.threshold, 2), tuner.value
        (0.34, 1.0)
        >>> tuner.wrap(model).predict(x, verbose=0)[:, 0].tolist()
        [0, 0, 1, 1]

    References:
        [1] Lipton, Elkan and Naryanaswamy, Optimal Thresholding of Classifiers to Maximize F1
        Measure, ECML 2014, arXiv 1402.1892.
        [2] Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001.
        [3] Platt, Probabilistic Outputs for Support Vector Machines, 1999.
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
        recall: float | None = None,
        share: float | None = None,
    ) -> None:
        super().__init__(validation_data)
        self._objective = objective_of(
            objective,
            {
                "beta": beta,
                "costs": costs,
                "precision": precision,
                "recall": recall,
                "share": share,
            },
        )
        self.threshold: Any = None
        self.value: Any = None
        self._unseen: set[int] = set()

    def check(self, rows: Evaluated) -> None:
        """Refuse a softmax of several classes."""
        if rows.is_softmax:
            raise bad_value(
                "multi_label",
                expected="True for several outputs that stand for themselves",
                received=f"False for {rows.given.shape[1]} outputs",
                remedy="Validation(..., multi_label=True). A softmax of several classes decides by "
                "the largest probability, or by costs: layers.MinimumCost.",
            )

    def finish(self, epoch: int, logs: dict[str, Any] | None) -> None:
        """Find the threshold for the model as it is now."""
        self._tune(self.gathered())
        values = {f"tuned_{self._objective.name}": float(np.nanmean(self.value))}
        if np.ndim(self.threshold) == 0:
            values["threshold"] = self.threshold
        else:
            first = self.threshold[: self._MOST_LOGGED].tolist()
            values |= {f"threshold_{k}": threshold for k, threshold in enumerate(first)}
        self.validation.log(logs, self._objective.name, values)

    def tune(self, model: keras.Model) -> Any:
        """Find the threshold of a model, corrected as in training, or already; return it."""
        return self._tune(self.validation.read(self._served(model)))

    def _tune(self, rows: Evaluated) -> Any:
        self.check(rows)
        one = not self.validation.multi_label
        if not len(rows.weight):
            raise bad_value(
                "validation_data",
                expected="rows that count",
                received="none: all are left out",
                remedy="Look at their labels, weights and masks.",
            )
        found = [self._chosen(rows, k) for k in range(rows.given.shape[1])]
        thresholds, values = (np.array(column) for column in zip(*found, strict=True))
        unseen = np.flatnonzero(np.isnan(values))
        if len(unseen) == len(values):
            wanted, seen = "with and without some label", "alike in all of them"
            if one:
                wanted = "of both classes that weigh something"
                seen = f"all {int(rows.targets.any())}"
            raise bad_value(
                "validation_data",
                expected=f"rows {wanted}",
                received=f"{len(rows.weight)} rows{',' * one} {seen}",
                remedy="Hold out more rows, or stratify the split.",
            )
        self._warn_of_unseen(rows, unseen)
        self.threshold = float(thresholds[0]) if one else thresholds
        self.value = float(values[0]) if one else values
        return self.threshold

    def wrap(self, model: keras.Model, *, threshold: Any = None) -> keras.Model:
        """Return the model with its correction and threshold behind it: it returns 0 and 1, int32.

        The threshold is found once more, for the model as it is: `EarlyStopping` may have restored
        the weights of an earlier epoch. The result shares the weights of ``model``, and saves,
        loads (after ``import tfimbalance``) and exports as any Keras model.

        Args:
            model: the trained model; one that is corrected already, such as that of
                `Rebalance.calibrated`, stays as it is. Or one of the same outputs and other inputs,
                such as an inference model that takes raw features; that one needs a ``threshold``.
            threshold: a known one, or one a label, such as ``tuner.threshold``. None: find it.
        """
        served = self._served(model)
        if threshold is None:
            self._tune(self._read(served))
            threshold = self.threshold
        output = self.validation.output
        name = None if output is None else f"{output}_threshold"
        layer = Threshold(np.asarray(threshold).tolist(), name=name)
        return calibrated_model(served, layer, output=output, from_logits=False)

    def _served(self, model: keras.Model) -> keras.Model:
        """Return the model to serve; a threshold belongs to the probabilities it was found on."""
        check_no_threshold(model, self.validation.output)
        return self.validation.to_judge(model)

    def _read(self, model: keras.Model) -> Evaluated:
        """Predict the validation rows, and say what to do if the model does not take them."""
        try:
            return self.validation.read(model)
        except Exception as error:  # Whatever Keras raises, or a layer of the user's.
            if str(error).startswith("`"):  # Our own says already what to do.
                raise
            raise bad_value(
                "model",
                expected="a model that takes the validation rows, to find its threshold on them",
                received=f"{model.name!r}, which does not: {str(error).strip().splitlines()[0]}",
                remedy="Give an inference model of other inputs the threshold that is known: "
                "wrap(model, threshold=tuner.threshold).",
            ) from error

    def _chosen(self, rows: Evaluated, label: int) -> tuple[float, float]:
        """Return a threshold and the value there; NaN where the label is always or never there."""
        one = rows.one_class(label)
        if one.positive.any() and not one.positive.all():
            cuts = Cuts.of(one.positive, one.probability, one.weight)
            threshold, value = choose(self._objective, cuts)
            return threshold, self._objective.sign * value
        # Its probabilities are those of all rows, whether the label is known or not.
        one = rows.one_class(label, of_known=False)
        cuts = Cuts.of(one.positive, one.probability, one.weight)
        return expected_best(self._objective, cuts), np.nan

    def _warn_of_unseen(self, rows: Evaluated, unseen: Any) -> None:
        """Say, once a label, which ones have no threshold of these rows."""
        unseen = [int(k) for k in unseen if int(k) not in self._unseen]
        self._unseen.update(unseen)
        if not unseen:
            return
        labels = some_classes(unseen, word="label")
        said = f"rows that are all alike for {labels}. Theirs are those that their"
        if len(unseen) == 1:
            positive = rows.one_class(unseen[0]).positive
            found = (
                f"{len(positive)} rows, all {int(positive.any())}" if len(positive) else "no row"
            )
            said = f"{found} for {labels}. Its threshold is the one that its"
        warnings.warn(
            f"ThresholdTuner: {said} own probabilities expect to be best. Hold out more rows, or "
            "give one yourself: wrap(model, threshold=[...]).",
            stacklevel=3,
        )
