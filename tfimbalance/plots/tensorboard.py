"""Pictures in TensorBoard, written without the tensorboard package."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tfimbalance._checks import bad_value, check_integer
from tfimbalance._evaluation.rows import Evaluated
from tfimbalance.callbacks.validation import ValidationCallback
from tfimbalance.plots._page import SIZE, Options, draw
from tfimbalance.plots._style import pyplot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# tensorboard.plugins.image.metadata.PLUGIN_NAME, and the kind of data that it reads.
_PLUGIN = "images"


def save_to_tensorboard(
    figure: Figure, log_dir: Any, *, name: str = "report", step: int = 0
) -> None:
    """Write a figure for TensorBoard's *Images* tab.

    Use it for a picture made by hand; `TensorBoardReport` writes one in each epoch. The package
    tensorboard is needed to look at it, not to write it. The figure stays open: ``plt.close`` it.

    Args:
        figure: a Matplotlib figure; that of axes is ``ax.figure``.
        log_dir: directory of the run, a string or a path. Each call adds a file to it.
        name: tag of the picture.
        step: epoch or step that it belongs to.

    Raises:
        ValueError: for anything but a figure, or a negative step.
        ImportError: without Matplotlib.

    Example:
        >>> import tempfile
        >>> import tensorflow as tf
        >>> from tfimbalance import plots
        >>> ax = plots.class_balance({0: 950, 1: 50})
        >>> with tempfile.TemporaryDirectory() as log_dir:
        ...     plots.save_to_tensorboard(ax.figure, log_dir, name="balance", step=3)
        ...     len(tf.io.gfile.glob(f"{log_dir}/events*"))
        1
    """
    import tensorflow as tf

    check_integer("step", step, minimum=0)
    if not hasattr(figure, "savefig"):
        raise bad_value(
            "figure",
            expected="a Matplotlib figure",
            received=f"a {type(figure).__name__}",
            remedy="Of axes: ax.figure.",
        )
    writer = tf.summary.create_file_writer(str(log_dir))
    _write(writer, figure, name, step)
    writer.close()


def _write(writer: Any, figure: Figure, name: str, step: int) -> None:
    import tensorflow as tf

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    png = buffer.getvalue()
    # A PNG begins with its signature and the header chunk, in which its size stands.
    width, height = struct.unpack(">II", png[16:24])
    # tf.summary.image needs the tensorboard package, which only writes this: the layout of the
    # image plugin is the size, as text, and then the encoded pictures.
    metadata = tf.compat.v1.SummaryMetadata(display_name=name)
    metadata.plugin_data.plugin_name = _PLUGIN
    metadata.data_class = 3  # DATA_CLASS_BLOB_SEQUENCE in TensorFlow's summary.proto.
    content = tf.constant([str(width).encode(), str(height).encode(), png])
    # Keras' own callback may have left a condition that skips this step.
    with writer.as_default(), tf.summary.record_if(True):
        tf.summary.write(name, content, step=step, metadata=metadata)
    writer.flush()


class TensorBoardReport(ValidationCallback):
    """Write the page of `report` to TensorBoard while training.

    Use it to watch calibration and ranking move; the *Images* tab has a slider for the epochs.

    Args:
        validation_data: a `tfimbalance.callbacks.Validation`, or rows as it takes them. The page is
            of probabilities, those of the corrected model if it has a correction.
        log_dir: directory of the run; that of ``keras.callbacks.TensorBoard`` will do.
        every: epochs from one page to the next, the first epoch's first; 0 writes none.
        name: tag of the pictures.
        before, after, threshold, class_names, class_id: as `report`.
        title: as `report`; the epoch is added.

    Raises:
        ValueError: as `tfimbalance.callbacks.Validation`, and, before the first step, for names, a
            class or a threshold that do not go with the model.
        ImportError: without Matplotlib.

    Example:
        >>> import numpy as np
        >>> from tfimbalance import plots
        >>> x, y = np.zeros((100, 3)), np.repeat([0, 1], [90, 10])
        >>> callback = plots.TensorBoardReport((x, y), "logs/run", every=5)
    """

    def __init__(
        self,
        validation_data: Any,
        log_dir: Any,
        *,
        every: int = 1,
        name: str = "report",
        before: Any = None,
        after: Any = None,
        class_id: int | None = None,
        threshold: float | None = None,
        class_names: Sequence[str] | None = None,
        title: str | None = None,
    ) -> None:
        super().__init__(validation_data)
        pyplot()
        self.log_dir = str(log_dir)
        self.every = check_integer("every", every, minimum=0)
        self.name = name
        self.title = title
        self._options = Options(before, after, class_id, threshold, class_names, title or "")
        self._writer: Any = None

    def check(self, rows: Evaluated) -> None:
        """Refuse options that do not go with the model."""
        self._options.check(rows)

    def starts(self, epoch: int) -> bool:
        """Gather rows in each ``every``-th epoch."""
        return super().starts(epoch) and self._is_due(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draw and write the page, in every ``every``-th epoch."""
        if self._is_due(epoch):
            super().on_epoch_end(epoch, logs)

    def _is_due(self, epoch: int) -> bool:
        return bool(self.every) and epoch % self.every == 0

    def finish(self, epoch: int, logs: dict[str, Any] | None) -> None:
        """Draw and write the page."""
        import tensorflow as tf
        from matplotlib.figure import Figure

        rows = self.gathered()
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(self.log_dir)
        # Not pyplot's: no window opens, and nothing keeps the figure alive afterwards.
        figure = Figure(figsize=SIZE, layout="constrained")
        title = f"{self.title or self.model.name}, epoch {epoch + 1}"
        try:
            draw(figure, rows, replace(self._options, title=title))
        except ValueError as error:  # A picture is no reason to end training.
            warnings.warn(f"TensorBoardReport: no page of epoch {epoch + 1}. {error}", stacklevel=2)
            return
        _write(self._writer, figure, self.name, epoch)

    def on_train_end(self, logs: Any = None) -> None:
        """Close the file."""
        super().on_train_end(logs)
        if self._writer is not None:
            self._writer.close()
            self._writer = None
