"""Validation rows, predicted once an epoch for everything that reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from tfimbalance._checks import bad_value, check_flag, check_integer, checked_ignore_class
from tfimbalance._evaluation.ending import check_from_logits
from tfimbalance._evaluation.labels import UNKNOWN
from tfimbalance._evaluation.predictions import Predictor, check_rows, head, of_output
from tfimbalance._evaluation.rows import Evaluated
from tfimbalance._labels import is_dataset
from tfimbalance.calibration import calibrated_model
from tfimbalance.calibration._corrected import correction_of
from tfimbalance.callbacks.natural_rate import MOST_ERRORS, NaturalRate, resampled
from tfimbalance.data import class_sampling
from tfimbalance.layers import OffsetModel

Correct = Callable[[keras.Model], keras.Model]


class Validation:
    """Validation rows at their natural rate, and the model that is judged on them.

    Use it where several callbacks (`ThresholdTuner`, `ClassReport`, `CorrectedValidation`,
    `tfimbalance.plots.TensorBoardReport`) look at the same rows: they are predicted once an epoch
    for all of them. `tfimbalance.Rebalance.validation` makes it with the correction of a plan.
    Masked steps of sequences, labels of ``ignore_class`` and rows (or steps) of weight 0 do not
    count.

    The first of them in the list of callbacks predicts: weights that a callback between them
    changes show in the next epoch.

    Args:
        data: ``(x, y)``, ``(x, y, sample_weight)`` or a finite dataset of batches of them, at the
            natural rate. Before the first step, arrays are checked; of a dataset, and of arrays
            whose steps the model masks, the first batch.
        correct: a function of the model that returns the corrected one, such as
            `tfimbalance.Rebalance.corrected`; None: the model as it is.
        priors: `ClassStatistics`, counts or probabilities of the natural rate, to warn if ``data``
            is not at it; or None.
        output: which of several named outputs is judged. Its name prefixes the logs, as Keras'.
        from_logits: whether the model returns logits. None: as its end shows.
        multi_label: whether several outputs stand for themselves.
        ignore_class: class id of labels that do not count, -1 or 255 in masks; of several labels a
            row, what stands for one that is not known.
        batch_size: rows of arrays that are predicted at once.

    Raises:
        ValueError: for data without labels, of single rows or without end.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> x, y = np.zeros((100, 2)), np.repeat([0, 1], [95, 5])
        >>> validation = tfi.callbacks.Validation((x, y))
        >>> tuner = tfi.callbacks.ThresholdTuner(validation)
        >>> report = tfi.callbacks.ClassReport(validation)
    """

    def __init__(
        self,
        data: Any,
        *,
        correct: Correct | None = None,
        priors: Any = None,
        output: str | None = None,
        from_logits: bool | None = None,
        multi_label: bool = False,
        ignore_class: int | None = None,
        batch_size: int = 1024,
    ) -> None:
        check_rows(data, argument="validation_data", output=output)
        self.data = data
        self.correct = correct
        self.priors = priors
        self.output = output
        self.from_logits = from_logits
        self.multi_label = check_flag("multi_label", multi_label)
        self.ignore_class = checked_ignore_class(ignore_class)
        self.batch_size = check_integer("batch_size", batch_size, minimum=1)
        self._natural = None if priors is None else NaturalRate(priors)
        if self._natural is not None and self._natural.multi_label:
            self._natural.ignore_class = UNKNOWN  # As labels are read here.
        self._readers: list[ValidationCallback] = []
        self._predictor: Predictor | None = None
        self._first: Any = None
        self._model: keras.Model | None = None
        self._epoch: int | None = None
        self._has_looked = False
        self.steps, self.is_natural = 1, True  # Known once rows were read.

    @classmethod
    def of(cls, validation_data: Any) -> Validation:
        """Return what is one already, and make one of rows."""
        return validation_data if isinstance(validation_data, cls) else cls(validation_data)

    def __deepcopy__(self, memo: dict[int, Any]) -> Validation:
        # Rows are shared: a tf.data.Dataset cannot be copied, and arrays need not be.
        names = ("correct", "priors", "output", "from_logits", "multi_label", "ignore_class")
        arguments = {name: getattr(self, name) for name in (*names, "batch_size")}
        memo[id(self)] = copied = type(self)(self.data, **arguments)
        return copied

    def begin(self, model: keras.Model, reader: ValidationCallback) -> None:
        """Join a reader before training; the first one corrects the model and checks the rows.

        A reader that has joined already, another model, or an epoch that has been passed over: the
        fit before was cut off.
        """
        interrupted = reader in self._readers or model is not self._model or self._epoch is not None
        if self._predictor is None or interrupted:
            self.end()
            self._predictor, self._model = Predictor(self.served(model)), model
            self._first = self._check_rows(self._predictor)
            self.steps = _steps(self._predictor)
        reader.check(self._first)
        self._readers.append(reader)

    def pass_over(self, epoch: int) -> None:
        """Predict the rows for all readers, unless that is done in this epoch."""
        if epoch == self._epoch:
            return
        if self._predictor is None:
            raise bad_value(
                "validation",
                expected="a Validation that serves one fit at a time",
                received="one that another fit has begun and ended meanwhile",
                remedy="Give each fit one of its own: copy.deepcopy(validation).",
            )
        readers = [reader for reader in self._readers if reader.starts(epoch)]
        labels = []
        for rows in self._rows(self._predictor, self.data):
            for reader in readers:
                reader.take(rows)
            labels += [rows.labels] * (not self._has_looked and self._natural is not None)
        self._look(labels, self._predictor)
        self._epoch = epoch

    def end(self) -> None:
        """Forget a model and its readers, so that another fit starts afresh."""
        self._readers, self._predictor, self._model = [], None, None
        self._epoch, self._has_looked = None, False

    def read(self, served: keras.Model) -> Evaluated:
        """Return all rows, predicted by a model that returns probabilities."""
        predictor = Predictor(served)
        batches = list(self._rows(predictor, self.data))
        self._look([rows.labels for rows in batches], predictor)
        return Evaluated.together(batches)

    def served(self, model: keras.Model) -> keras.Model:
        """Return the corrected model, or the one to serve made to end in probabilities."""
        if self.correct is not None:
            return self.correct(model)
        model = model.model if isinstance(model, OffsetModel) else model
        activation = "sigmoid" if self.multi_label else None
        if activation is None and not getattr(model, "inputs", None):
            # How many outputs a subclassed model has shows when it predicts.
            rows = head(self.data)
            first = next(Predictor(model).batches(rows, argument="data", output=self.output))
            one = first.y_pred.ndim < 2 or first.y_pred.shape[-1] == 1
            activation = "sigmoid" if one else "softmax"
        logits = check_from_logits(model, self.from_logits, self.output)
        return calibrated_model(
            model, [], output=self.output, from_logits=logits, activation=activation
        )

    def to_judge(self, model: keras.Model) -> keras.Model:
        """Return what `served` does; a model that is corrected already stays as it is."""
        if self.correct is not None and correction_of(model, self.output) is not None:
            return model
        return self.served(model)

    def log(self, logs: dict[str, Any] | None, owner: str, values: dict[str, Any]) -> None:
        """Add values to logs as ``val_<name>``, of an output as ``val_<output>_<name>``."""
        log_values(logs, owner, values, "val_" if self.output is None else f"val_{self.output}_")

    def _rows(self, predictor: Predictor, data: Any) -> Iterator[Evaluated]:
        which: dict[str, Any] = {"argument": "validation_data", "output": self.output}
        for batch in predictor.batches(data, batch_size=self.batch_size, **which):
            yield Evaluated.read(*batch[:3], mask=batch.mask, **self._kind)

    def _check_rows(self, predictor: Predictor) -> Evaluated:
        """Read what is known before training: labels of arrays, the first batch of a dataset."""
        first = next(self._rows(predictor, head(self.data)))
        if is_dataset(self.data) or predictor.has_masks:
            # Which steps of arrays count shows when they are predicted.
            if resampled(self.data) is not None:
                self._look([], predictor)
            return first
        _, y, weight = (*self.data, None)[:3]
        y, weight = (of_output(part, self.output, predictor.names) for part in (y, weight))
        rows = len(keras.tree.flatten(self.data[0])[0])
        shape = (rows, *predictor.row_shape)
        self._look([Evaluated.check(y, weight, shape=shape, **self._kind)], predictor)
        return first

    @property
    def _kind(self) -> dict[str, Any]:
        activation = "sigmoid" if self.multi_label else None
        return {"ignore_class": self.ignore_class, "activation": activation}

    def _look(self, labels: list[Any], predictor: Predictor) -> None:
        """Warn, once, if the rows are not at the natural rate."""
        if self._has_looked:
            return
        self._has_looked = True
        drawn, errors = resampled(self.data), 0.0
        if self._natural is not None:
            found = self.data if drawn is not None else np.concatenate(labels)
            errors = self._natural.check(found, steps=_steps(predictor))
        elif drawn is not None:
            errors = NaturalRate(class_sampling(self.data).read).check(self.data)
        self.is_natural = errors <= MOST_ERRORS


def _steps(predictor: Predictor) -> int:
    """Return how many predictions a row has: the pixels of a mask, the steps of a sequence."""
    return max(int(np.prod(predictor.row_shape[:-1])), 1)


def log_values(
    logs: dict[str, Any] | None, owner: str, values: dict[str, Any], prefix: str
) -> None:
    """Add values to logs under names of their own."""
    if logs is None:
        return
    for name, value in values.items():
        # A key that is there is somebody else's: the owner's name then comes before this one.
        keys = [f"{prefix}{name}", f"{prefix}{owner}_{name}"]
        keys += [f"{prefix}{owner}_{name}_{n}" for n in range(2, len(logs) + 3)]
        logs[next(key for key in keys if key not in logs)] = value


class ValidationCallback(keras.callbacks.Callback):
    """Base of the callbacks that take validation rows as they pass (or gather them), then log."""

    def __init__(self, validation_data: Any) -> None:
        super().__init__()
        self.validation = Validation.of(validation_data)
        self._taken: list[Evaluated] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Correct the model (the result follows its weights), and check model and rows."""
        self.validation.begin(self.model, self)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Read the rows, or find them read, and report."""
        self.validation.pass_over(epoch)
        self.finish(epoch, logs)

    def on_train_end(self, logs: Any = None) -> None:
        """Forget the model: another fit starts afresh."""
        self.validation.end()

    def check(self, rows: Evaluated) -> None:
        """Look at some rows before the first step, and refuse what will not do."""

    def starts(self, epoch: int) -> bool:
        """Begin a pass, and say whether rows are wanted."""
        self._taken = []
        return True

    def take(self, rows: Evaluated) -> None:
        """Take the rows of a batch."""
        self._taken.append(rows)

    def gathered(self) -> Evaluated:
        """Return the rows of the pass, and hold them no longer."""
        batches, self._taken = self._taken, []
        return Evaluated.together(batches)

    def finish(self, epoch: int, logs: dict[str, Any] | None) -> None:
        """Report on the rows that were taken."""
        raise NotImplementedError
