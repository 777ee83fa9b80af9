"""Recall and precision of each class, epoch by epoch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfimbalance._checks import FloatArray, check_count, check_integer, check_number, named_classes
from tfimbalance._evaluation.rows import Evaluated
from tfimbalance._tables import table
from tfimbalance.callbacks.validation import ValidationCallback


class ClassReport(ValidationCallback):
    """Report recall and precision of each class at the end of each epoch.

    Use it to see which classes are learned, and which are given up: accuracy hides both. `measure`
    reports on a model that is trained, or calibrated, with thresholds that were found. Rare
    classes come last in the table, which is printed; logs go to History and, if this callback
    stands before it, to `keras.callbacks.TensorBoard`.

    Args:
        validation_data: a `Validation`, or rows as it takes them. Only counts of them are held.
        class_names: one a class; by default their ids.
        threshold: probability from which one output (or a label) counts as positive: a number, or
            one a label. In a softmax the largest decides. Rare events seldom reach 1/2 once a
            plan has corrected them: `ThresholdTuner` finds where to cut.
        every: epochs from one printed table to the next, the first epoch's first; 0 prints none.
        max_logged: classes that go to the logs, the rarest first.

    Attributes:
        rows: of the last epoch: a dictionary a class with ``class``, ``rows`` (their weight),
            ``recall`` and ``precision``; NaN where a class has no row, or none is said to be.

    Logs:
        ``val_recall_<class>``, ``val_precision_<class>``, and over all classes
        ``val_balanced_accuracy`` and ``val_worst_recall``; of an output ``val_<output>_...``. If a
        metric has such a key, ``val_class_report_<name>``.

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
        every: int = 1,
        max_logged: int = 20,
    ) -> None:
        super().__init__(validation_data)
        self.class_names = None if class_names is None else list(class_names)
        given = np.atleast_1d(np.asarray(threshold))
        numbers = [check_number("threshold", value, minimum=0.0, maximum=1.0) for value in given]
        self.threshold = np.array(numbers)
        self.every = check_integer("every", every, minimum=0)
        self.max_logged = check_integer("max_logged", max_logged, minimum=0)
        self.rows: list[dict[str, Any]] = []
        self._counts: Any = 0.0

    def check(self, rows: Evaluated) -> None:
        """Refuse names or thresholds of another number of classes."""
        named_classes(self.class_names, self._counted(rows).shape[1])

    def starts(self, epoch: int) -> bool:
        """Begin to count."""
        self._counts = 0.0
        return True

    def take(self, rows: Evaluated) -> None:
        """Count."""
        self._counts = self._counts + self._counted(rows)

    def finish(self, epoch: int, logs: dict[str, Any] | None) -> None:
        """Log and print."""
        self._report(self._counts)
        self.validation.log(logs, "class_report", self._values())
        if self.every and epoch % self.every == 0:
            sys.stdout.write(f"{self}\n")

    def measure(self, model: keras.Model) -> list[dict[str, Any]]:
        """Report on a trained model, corrected as in training, or already; return `rows`.

        ``print(report)`` shows the table.
        """
        read = self.validation.read(self.validation.to_judge(model))
        self._report(self._counted(read))
        return self.rows

    def __str__(self) -> str:
        names = ("class", "rows", "recall", "precision")
        return table([names, *([_shown(name, row[name]) for name in names] for row in self.rows)])

    def _counted(self, rows: Evaluated) -> FloatArray:
        """Return the weight of the rows of each class, of those said to be, and of the hits."""
        p, width = rows.probability, rows.given.shape[1]
        if len(self.threshold) != 1:
            check_count("threshold", len(self.threshold), width, "numbers", why="one a label")
        if width > 1 and not rows.is_softmax:
            said = p >= self.threshold
            parts = (rows.targets, said, rows.targets & said)
            return np.stack([(rows.weights * part).sum(axis=0) for part in parts])
        if rows.is_softmax:
            ids, decided = rows.labels, p.argmax(axis=1)
        else:
            ids, decided = (part[:, 0].astype(int) for part in (rows.labels, p >= self.threshold))
        found = ((ids, rows.weight), (decided, rows.weight), (ids, rows.weight * (ids == decided)))
        return np.stack([np.bincount(k, weights=w, minlength=max(width, 2)) for k, w in found])

    def _report(self, counts: FloatArray) -> None:
        names = named_classes(self.class_names, counts.shape[1])
        with np.errstate(invalid="ignore"):
            recall, precision = counts[2] / counts[0], counts[2] / counts[1]
        columns = {"rows": counts[0], "recall": recall, "precision": precision}
        self.rows = [
            {"class": names[k], **{name: float(column[k]) for name, column in columns.items()}}
            for k in np.argsort(-counts[0], kind="stable")
        ]

    def _values(self) -> dict[str, float]:
        recalls = np.array([row["recall"] for row in self.rows])
        seen = recalls[~np.isnan(recalls)]
        values = {
            "balanced_accuracy": float(seen.mean()) if seen.size else float("nan"),
            "worst_recall": float(seen.min(initial=1.0)) if seen.size else float("nan"),
        }
        for row in self.rows[::-1][: self.max_logged]:
            values[f"recall_{row['class']}"] = row["recall"]
            values[f"precision_{row['class']}"] = row["precision"]
        return values


def _shown(name: str, value: Any) -> str:
    if name == "class":
        return str(value)
    if name == "rows":
        return f"{value:,.6g}"
    return "-" if np.isnan(value) else f"{value:.3f}".removeprefix("0")
