"""Recall and precision of each class, epoch by epoch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfimbalance._checks import (
    FloatArray,
    bad_value,
    check_integer,
    check_number,
    check_same_length,
)
from tfimbalance._evaluation.predictions import Predicted, check_rows, head, predicted_batches
from tfimbalance._labels import as_array, class_ids, zero_one
from tfimbalance.callbacks.natural_rate import check_natural
from tfimbalance.callbacks.validation import Correct, as_columns, served_model


class ClassReport(keras.callbacks.Callback):
    """Report recall and precision of each class at the end of each epoch.

    Use it to see which classes are learned, and which are given up: accuracy hides both. Rare
    classes come last in the table, which is printed; logs go to History and, if this callback
    stands before it, to `keras.callbacks.TensorBoard`.

    Args:
        validation_data: ``(x, y)``, ``(x, y, sample_weight)`` or a finite dataset of batches of
            them, at the natural rate. Read once an epoch; nothing of it is held but counts.
        class_names: one a class; by default their ids.
        threshold: from which probability on one output (or a label) counts as positive: a number,
            or one a label. Classes of a softmax are decided by the largest.
        correct: a function of the model that returns the corrected one, such as
            `tfimbalance.Rebalance.corrected`; None: the model as it is.
        priors: `ClassStatistics`, counts or probabilities of the natural rate, to warn if
            ``validation_data`` is not; or None.
        multi_label: whether several outputs stand for themselves.
        output: which of several named outputs is reported.
        from_logits: whether the model returns logits. None: as its end shows.
        every: epochs from one printed table to the next; 0 prints none.
        max_logged: classes that go to the logs, the rarest first.
        batch_size: rows of arrays that are predicted at once.

    Attributes:
        rows: of the last epoch: a dictionary a class with ``class``, ``rows`` (their weight),
            ``recall`` and ``precision``; NaN where a class has no row, or none is said to be.

    Logs:
        ``val_recall_<class>``, ``val_precision_<class>``, and over all classes
        ``val_balanced_accuracy`` and ``val_worst_recall``.

    Raises:
        ValueError: for validation data without labels, of single rows or without end, or another
            number of names than classes.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> x, y = np.eye(3, dtype="float32"), np.array([0, 1, 1])
        >>> report = tfi.callbacks.ClassReport((x, y), class_names=["a", "b", "c"])
        >>> layer = keras.layers.Dense(3, "softmax", kernel_initializer="identity")
        >>> model = keras.Sequential([keras.Input((3,)), layer])
        >>> model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
        >>> _ = model.fit(x, y, callbacks=[report], verbose=0)
        class  rows  recall  precision
            b     2    .500      1.000
            a     1   1.000      1.000
            c     0       -       .000
    """

    def __init__(
        self,
        validation_data: Any,
        *,
        class_names: Sequence[str] | None = None,
        threshold: Any = 0.5,
        correct: Correct | None = None,
        priors: Any = None,
        multi_label: bool = False,
        output: str | None = None,
        from_logits: bool | None = None,
        every: int = 1,
        max_logged: int = 20,
        batch_size: int = 1024,
    ) -> None:
        super().__init__()
        check_rows(validation_data, argument="validation_data", output=output)
        self.validation_data = validation_data
        self.class_names = None if class_names is None else [str(name) for name in class_names]
        self.threshold = np.array(
            [
                check_number("threshold", value, minimum=0.0, maximum=1.0)
                for value in np.atleast_1d(np.asarray(threshold))
            ]
        )
        self.correct = correct
        self.priors = priors
        self.multi_label = bool(multi_label)
        self.output = output
        self.from_logits = from_logits
        self.every = check_integer("every", every, minimum=0)
        self.max_logged = check_integer("max_logged", max_logged, minimum=0)
        self.batch_size = batch_size
        self.rows: list[dict[str, Any]] = []
        self._served: keras.Model | None = None
        self._looked = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Correct the model (the result follows its weights), and try both out on a few rows."""
        self._served = served_model(
            self.model,
            self.correct,
            output=self.output,
            from_logits=self.from_logits,
            multi_label=self.multi_label,
        )
        for rows in predicted_batches(
            self._served, head(self.validation_data), output=self.output, batch_size=self.batch_size
        ):
            counts, _ = self._counted(rows)
            self._names(counts.shape[1])

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Count, log and print."""
        counts: FloatArray | None = None
        batches = predicted_batches(
            self._served, self.validation_data, output=self.output, batch_size=self.batch_size
        )
        labels = []
        for rows in batches:
            found, truth = self._counted(rows)
            counts = found if counts is None else counts + found
            if not self._looked and self.priors is not None:
                labels.append(truth)
        if counts is None:
            raise bad_value(
                "validation_data", expected="at least one batch", received="an empty dataset"
            )
        if not self._looked:
            self._looked = True
            every_label = np.concatenate(labels) if labels else None
            check_natural(every_label, self.validation_data, self.priors)
        self._report(counts)
        if logs is not None:
            logs.update(self._logs())
        if self.every and epoch % self.every == 0:
            sys.stdout.write(f"{self}\n")

    def __str__(self) -> str:
        names = ("class", "rows", "recall", "precision")
        table = [names, *(tuple(_shown(name, row[name]) for name in names) for row in self.rows)]
        widths = [max(len(line[i]) for line in table) for i in range(len(names))]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
            for line in table
        )

    def _counted(self, rows: Predicted) -> tuple[FloatArray, Any]:
        """Return the weight of the rows of each class, of those said to be, and of the hits."""
        p = as_columns(rows.y_pred)
        width = p.shape[1]
        if len(self.threshold) not in (1, width):
            raise bad_value(
                "threshold",
                expected=f"a number, or one for each of {width} labels",
                received=f"{len(self.threshold)} numbers",
            )
        weight = rows.sample_weight
        each = np.ones(len(p)) if weight is None else np.asarray(weight, np.float64)
        labels = as_array(rows.y_true)
        if labels.ndim > 1 and labels.ndim == rows.y_pred.ndim - 1:
            labels = labels.ravel()  # Sequences of ids.
        if self.multi_label:
            truth = zero_one(labels.reshape(p.shape), kind="multi-label", remedy="Threshold them.")
            said = p >= self.threshold
            parts = (truth, said, truth & said)
            return np.stack([(each[:, None] * part).sum(axis=0) for part in parts]), truth
        ids, _ = class_ids(labels, num_classes=max(width, 2))
        ids = ids.ravel()
        check_same_length("y", len(ids), reference="predictions", expected=len(p))
        if width == 1:
            decided = (p[:, 0] >= self.threshold[0]).astype(np.int64)
        else:
            decided = p.argmax(axis=1)
        size = max(width, 2)
        of_truth, of_said, hits = (
            np.bincount(k, weights=w, minlength=size)
            for k, w in ((ids, each), (decided, each), (ids, each * (ids == decided)))
        )
        return np.stack([of_truth, of_said, hits]), ids

    def _report(self, counts: FloatArray) -> None:
        names = self._names(counts.shape[1])
        with np.errstate(invalid="ignore"):
            recall, precision = counts[2] / counts[0], counts[2] / counts[1]
        self.rows = [
            {
                "class": names[k],
                "rows": float(counts[0, k]),
                "recall": float(recall[k]),
                "precision": float(precision[k]),
            }
            for k in np.argsort(-counts[0], kind="stable")
        ]

    def _names(self, size: int) -> list[str]:
        names = self.class_names or [str(k) for k in range(size)]
        if len(names) != size:
            raise bad_value(
                "class_names", expected=f"{size} names, one a class", received=f"{len(names)}"
            )
        return names

    def _logs(self) -> dict[str, float]:
        recalls = np.array([row["recall"] for row in self.rows])
        logs = {
            "val_balanced_accuracy": float(np.nanmean(recalls)),
            "val_worst_recall": float(np.nanmin(recalls)),
        }
        for row in self.rows[::-1][: self.max_logged]:
            logs[f"val_recall_{row['class']}"] = row["recall"]
            logs[f"val_precision_{row['class']}"] = row["precision"]
        return logs


def _shown(name: str, value: Any) -> str:
    if name == "class":
        return str(value)
    if name == "rows":
        return f"{value:,.6g}"
    return "-" if np.isnan(value) else f"{value:.3f}".removeprefix("0")
