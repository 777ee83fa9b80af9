"""Recall of the head, the middle and the tail of a long tail."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import bad_value, check_choice, check_number, per_class
from tfimbalance._tensors import Tensor
from tfimbalance.metrics._base import mean_where
from tfimbalance.metrics._confusion import RecallMetric
from tfimbalance.metrics._rows import MetricRows
from tfimbalance.statistics import ClassStatistics

_NAME = "many_medium_few_recall"
_GROUPS = ("many", "medium", "few")


@keras.saving.register_keras_serializable("tfimbalance")
class ManyMediumFewRecall(RecallMetric):
    """Mean recall of the classes with many, medium and few rows in the training data.

    Use it for long tails, where one accuracy is that of the head. Groups are of classes by
    *training* rows; recalls are those of the data that it is updated with.

        mean over the classes of a group that have rows of  correct_k / rows_k

    Args:
        class_counts: training rows of each class: `ClassStatistics`, ``{class: rows}`` or one
            number a class (with ``multi_label``, positives of each label).
        many: classes with more training rows than this are ``"many"``.
        few: classes with fewer are ``"few"``; the rest is ``"medium"``.
        group: the group whose recall alone is returned, as a scalar. None: a dictionary of all,
            which Keras logs as ``many``, ``medium`` and ``few``, or with a ``name`` as
            ``<name>_many`` and so on. Each of several outputs needs such a name.
        threshold, from_logits, multi_label, ignore_class, name, dtype: as `BalancedAccuracy`. The
            recall of a label is that of its positives.

    Shapes:
        y_true, y_pred, sample_weight: as `AUC`. Returns ``{"many": scalar, "medium":
            scalar, "few": scalar}``, or a scalar with ``group``; NaN where no class has rows.

    Raises:
        ValueError: for ``few > many``, an unknown group, counts of another number of classes than
            ``y_pred``, or what `BalancedAccuracy` raises for.

    Example:
        >>> import tfimbalance as tfi
        >>> metric = tfi.metrics.ManyMediumFewRecall([500, 50, 5], group="few")
        >>> p = [[0.8, 0.1, 0.1], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1]]
        >>> float(metric([0, 2, 2], p))
        0.5

    References:
        [1] Liu et al., Large-Scale Long-Tailed Recognition in an Open World, CVPR 2019,
            arXiv 1904.05160.
    """

    def __init__(
        self,
        class_counts: Any,
        *,
        many: float = 100,
        few: float = 20,
        group: str | None = None,
        threshold: float = 0.5,
        from_logits: bool = False,
        multi_label: bool = False,
        ignore_class: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            threshold=threshold,
            from_logits=from_logits,
            multi_label=multi_label,
            ignore_class=ignore_class,
            name=name,
            dtype=dtype,
        )
        if isinstance(class_counts, ClassStatistics):
            class_counts = class_counts.counts
        counts = per_class("class_counts", class_counts)
        if (counts != np.floor(counts)).any():
            raise bad_value(
                "class_counts",
                expected="one whole number of training rows a class",
                received=repr(class_counts),
                remedy="Shares do not say how many rows there are: tfi.class_statistics(labels).",
            )
        self.class_counts = tuple(counts.tolist())
        self.many = check_number("many", many, minimum=0.0)
        self.few = check_number("few", few, minimum=0.0)
        if self.few > self.many:
            raise bad_value("few", expected=f"at most many={many}", received=repr(few))
        self.group = None if group is None else check_choice("group", group, _GROUPS)
        is_many, is_few = counts > self.many, counts < self.few
        self._members = np.stack([is_many, ~is_many & ~is_few, is_few])

    def _build(self, rows: MetricRows) -> None:
        classes = 2 if rows.kind == "binary" else rows.width
        if classes != len(self.class_counts):
            raise bad_value(
                "class_counts",
                expected=f"{classes} counts, as y_pred has {classes} classes",
                received=f"{len(self.class_counts)} counts",
            )
        super()._build(rows)

    def _group(self, group: str) -> Tensor:
        recalls, actual = self._recalls(), self._actual()
        members = ops.convert_to_tensor(self._members[_GROUPS.index(group)])
        return mean_where(recalls, ops.logical_and(members, actual != 0))

    def result(self) -> Any:
        """Return the recalls over all rows since the last `reset_state`."""
        if self.group is not None:
            return self._as_result(lambda: self._group(str(self.group)))
        prefix = "" if self.name == _NAME else f"{self.name}_"
        return {
            f"{prefix}{group}": self._as_result(lambda g=group: self._group(g)) for group in _GROUPS
        }
