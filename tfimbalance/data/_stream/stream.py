"""Chunks of rows, what is kept between them, and the batches that come out."""

from __future__ import annotations

import math
import secrets
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfimbalance._checks import bad_value
from tfimbalance.data._epochs.pipeline import Pipeline
from tfimbalance.data._order.arrays import GraphOps
from tfimbalance.data._order.sampling import ClassSampling
from tfimbalance.data._order.shuffle import mixed_rows
from tfimbalance.data._order.words import seed_word, words
from tfimbalance.data._rows.calls import call, plain, weak
from tfimbalance.data._rows.offset import ShareOffset
from tfimbalance.data._rows.tensors import no_rows, stacked, taken
from tfimbalance.data._stream.plan import COMING, LAST, OWED, Choice, Memory, StreamPlan
from tfimbalance.data._stream.source import StreamSource
from tfimbalance.statistics import ClassStatistics

# Share of the rows (or of `max_warmup`, where their number is unknown) that is worth a warning.
_MOST_LOST = 0.05


class _State(NamedTuple):
    """What is kept between chunks: what the plan knows, and the tensors of rows."""

    memory: Memory
    rows: tuple[Any, ...]


@dataclass(frozen=True)
class _Seen:
    """Rows of each class that were read and handed out, and how many were lost."""

    read: Any
    drawn: Any
    lost: int = 0

    def __add__(self, other: _Seen) -> _Seen:
        lost = self.lost + other.lost
        return _Seen(self.read + other.read, self.drawn + other.drawn, lost)


class Stream(Pipeline):
    """Balanced batches of one pass after the other over the chunks of a source."""

    knows_classes = False  # Before it is read.

    def __init__(
        self,
        plan: StreamPlan,
        reader: StreamSource,
        steps: int | None,
        initial_epoch: int,
        seed: int,
        patience: int,
        offset: ShareOffset | None = None,
    ) -> None:
        super().__init__(steps, initial_epoch)
        self._offset = offset
        if reader.is_endless:
            self.cardinality = tf.data.INFINITE_CARDINALITY
        self._plan, self._reader, self._seed = plan, reader, seed
        self._stackable = all(
            isinstance(s, tf.TensorSpec) and 0 not in (s.shape.as_list() or [])
            for s in tf.nest.flatten(reader.spec)
        )
        self._patience = patience
        # What iterators that ended have seen, and the others.
        nothing = np.zeros(plan.num_classes, np.int64)
        self._finished = _Seen(nothing, nothing)
        self._seen: dict[int, _Seen] = {}

    def epoch_dataset(self, epoch: tf.Tensor) -> tf.data.Dataset:
        # Each iterator has a number of its own, under which it notes what it has read.
        tokens = tf.data.Dataset.range(1).map(call(self._new_token, tf.int64))
        return tokens.flat_map(plain(lambda token: self._batches(epoch, token)))

    def stateless(self) -> tf.data.Dataset:
        """Return the batches of the next epoch, without a call into Python."""
        return self._batches(self.epoch, None)

    def _batches(self, epoch: int | tf.Tensor, token: tf.Tensor | None) -> tf.data.Dataset:
        reader, plan = self._reader, self._plan

        def with_classes(*element: Any) -> Any:
            return tf.constant(COMING), reader.classes(element), element

        spec = reader.spec
        chunks = reader.chunks(epoch).map(plain(with_classes))
        if not reader.is_endless:
            # What is owed at the end comes in parts, so that memory stays bounded.
            parts = math.ceil(self._patience / reader.rows_per_chunk) + 1
            phases = tf.data.Dataset.from_tensor_slices([*[OWED] * parts, LAST])
            nothing = no_rows((tf.TensorSpec([None], tf.int64), spec))
            chunks = chunks.concatenate(phases.map(plain(lambda phase: (phase, *nothing))))
        number = GraphOps.unsigned(tf.reshape(epoch, [1]))
        word = words(GraphOps, np.uint64(seed_word(self._seed)), number)

        def step(state: _State, chunk: Any) -> Any:
            memory, (phase, classes, element) = state.memory, chunk
            chosen = words(GraphOps, word, GraphOps.unsigned(tf.reduce_sum(memory.read)[None]))
            offset = tf.cast(GraphOps.shift(chosen[0], 11), tf.float64) * 2.0**-53
            if reader.shuffle_size:
                order = mixed_rows(tf.size(classes, tf.int64), reader.shuffle_size, chosen)
                classes = tf.gather(classes, order)
                element = tf.nest.map_structure(lambda part: taken(part, order), element)
            memory, choice = plan.choose(memory, classes, offset, phase)
            if reader.said_rows is not None:
                memory = memory._replace(read=reader.counted(memory.read, phase == LAST))
            if token is not None:
                seen = [epoch, token, memory.read, memory.drawn, memory.lost, phase == LAST]
                noted = tf.numpy_function(weak(self._note), seen, tf.int32, stateful=False)
                # A sum, not a control dependency: that would be optimised away.
                handed_out = choice.handed_out + tf.ensure_shape(noted, [])
                choice = Choice(handed_out, choice.kept)
            before = tf.nest.pack_sequence_as(spec, state.rows, expand_composites=True)
            pool = [
                stacked(old, new)
                for old, new in zip(tf.nest.flatten(before), tf.nest.flatten(element), strict=True)
            ]
            kept = tf.nest.flatten([taken(p, choice.kept) for p in pool], expand_composites=True)
            out = tf.nest.pack_sequence_as(spec, [taken(p, choice.handed_out) for p in pool])
            return _State(memory, tuple(kept)), (tf.size(choice.handed_out), out)

        empty = tf.nest.flatten(no_rows(spec), expand_composites=True)
        return self._cut(chunks.scan(_State(plan.start(), tuple(empty)), plain(step)))

    def _cut(self, scanned: tf.data.Dataset) -> tf.data.Dataset:
        size, offset = self._plan.batch_size, self._offset

        def stack(rows: Any, element: Any) -> Any:
            return tf.nest.map_structure(
                lambda part: tf.reshape(part, [rows // size, size, *part.shape[1:]]), element
            )

        def cut(rows: Any, element: Any) -> tf.data.Dataset:
            def batch(number: Any) -> Any:
                index = number * size + tf.range(size, dtype=tf.int64)
                return tf.nest.map_structure(lambda part: taken(part, index), element)

            return tf.data.Dataset.range(tf.cast(rows // size, tf.int64)).map(plain(batch))

        if self._stackable:
            batches = scanned.map(plain(stack)).prefetch(1).unbatch()
        else:
            batches = scanned.flat_map(plain(cut)).prefetch(1)
        if offset is None:
            return batches
        # Batch by batch: for many classes an offset is larger than a row.
        return batches.map(plain(lambda *batch: offset.beside(batch, size)))

    def _new_token(self, index: Any) -> Any:
        return index * 0 + secrets.randbits(62)

    def _note(self, epoch: Any, token: Any, read: Any, drawn: Any, lost: Any, last: Any) -> Any:
        """Note what an iterator has read so far, and its end."""
        has_begun = int(token) in self._seen and self._seen[int(token)].drawn.any()
        self._seen[int(token)] = _Seen(read.copy(), drawn.copy(), int(lost))
        worth_a_warning = _MOST_LOST * (self._reader.num_rows or self._patience)
        if drawn.any() and not has_begun and lost > worth_a_warning:
            warnings.warn(
                f"balanced_stream: {lost:,} of the first {read.sum():,} rows went by unused, until "
                "every class had come. Shuffle the source, or the files that it is read from, so "
                "that all classes come from the start; or raise buffer_size.",
                stacklevel=2,
            )
        if last:
            self._finished += self._seen.pop(int(token))
            if self.steps is None:
                self.end_epoch(epoch, np.int64(0))
        return np.int32(0)

    def class_sampling(self) -> ClassSampling:
        """Return what iterators have read and handed out so far."""
        seen = sum(self._seen.values(), self._finished)
        if not seen.read.any():
            raise bad_value(
                "dataset",
                expected="a stream of which batches have been read",
                received="one that is unread",
                remedy="Ask after fit.",
            )
        read, drawn = ClassStatistics(seen.read), ClassStatistics(seen.drawn)
        return ClassSampling(read, drawn, lost=seen.lost)
