"""`StreamPlan.choose`, chunk by chunk, against lists of rows."""

from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfimbalance.data._order.arrays import NumPyOps
from tfimbalance.data._stream.plan import COMING, LAST, OWED, StreamPlan


class Rows:
    """The rows of a group: those that wait for a batch, spare ones, and rounds of used ones."""

    def __init__(self):
        self.waiting, self.spare = [], []
        self.used = []  # As they were first handed out.
        self.rest, self.done = [], []  # Of this round: those to come, and those that came.

    def take(self, new, due, ahead, offset, room):
        """Return the rows of batches that take ``due`` rows, and of which ``ahead`` more wait."""
        number = min(max(due + ahead - len(self.waiting), 0), len(new))
        chosen = {int((turn + offset) * len(new) / number) for turn in range(number)}
        accepted = [row for place, row in enumerate(new) if place in chosen]
        thinned = [row for place, row in enumerate(new) if place not in chosen]
        fresh = [*self.waiting, *accepted]
        taken, self.waiting = fresh[:due], fresh[due:]
        old = self.spare[: due - len(taken)]
        self.spare = [*self.spare[len(old) :], *thinned]
        begun = [*old, *taken]
        # All of them come before one comes twice.
        turns = [*taken, *old, *self.rest, *self.done]
        rounds, turn = divmod(due, len(turns)) if due > len(turns) else (0, due)
        if rounds and turn <= len(begun):
            self.rest, self.done = begun[turn:], [*self.used, *begun[:turn]]
        else:
            for _ in range(turn - len(begun)):
                if not self.rest:
                    self.rest, self.done = self.done, []
                self.done.append(self.rest.pop(0))
            # What is new to it joins a round in its end.
            self.rest += begun
        self.used += begun
        self._forget(room)
        return turns * rounds + turns[:turn]

    def _forget(self, room):
        """Leave out the oldest: used rows first, then spare ones."""
        for rows in (self.used, self.spare, self.waiting):
            while rows and len(self.used + self.spare + self.waiting) > room:
                gone = rows.pop(0)
                for part in (self.rest, self.done):
                    if gone in part:
                        part.remove(gone)


@st.composite
def streams(draw):
    groups = draw(st.integers(1, 3))
    parts = draw(st.lists(st.integers(1, 6), min_size=groups, max_size=groups))
    of_chunk = st.integers(0, groups - 1)
    # Many rows, and then few: spare ones are left, and come before used ones.
    chunks = st.sampled_from([0, 2, 40]).flatmap(
        lambda rows: st.lists(of_chunk, min_size=rows, max_size=rows)
    )
    return {
        "shares": [Fraction(part, sum(parts)) for part in parts],
        # All classes come in the first chunk.
        "chunks": [[*range(groups)], *draw(st.lists(chunks, min_size=2, max_size=8))],
        "batch_size": draw(st.integers(groups, 12)),
        "rate": draw(st.sampled_from([Fraction(1, 3), Fraction(1), Fraction(17, 10)])),
        "kept": draw(st.sampled_from([1, 7, 1000])),
        "offset": draw(st.sampled_from([0.0, 0.37, 0.99])),
    }


@pytest.mark.slow
@settings(max_examples=20)
@given(streams())
@example(  # Spare rows, then used ones, and where those go on.
    {
        "shares": [Fraction(1, 2)] * 2,
        "chunks": [[0, 1], [1] * 10 + [0] * 2, [0] * 16, [0] * 16],
        "batch_size": 4,
        "rate": Fraction(1),
        "kept": 1000,
        "offset": 0.37,
    }
)
def test_rows_wait_are_spare_or_take_turns_as_lists_of_them_do(stream):
    shares, size, offset = stream["shares"], stream["batch_size"], stream["offset"]
    groups = len(shares)
    plan = StreamPlan(list(range(groups)), shares, size, stream["rate"], stream["kept"], 1000, 1000)
    models = [Rows() for _ in range(groups)]
    room = [max(stream["kept"], -(-share * size // 1)) for share in shares]
    memory, came = plan.start(), 0
    kept = kept_classes = np.zeros(0, int)
    phases = [*[COMING] * len(stream["chunks"]), OWED, LAST]
    for phase, chunk in zip(phases, [*stream["chunks"], [], []], strict=True):
        ids = came + np.arange(len(chunk))
        came += len(chunk)
        first = int(memory.batch)
        memory, choice = plan.choose(
            memory, tf.constant(chunk, tf.int64), tf.constant(offset, tf.float64), phase
        )
        pool = np.concatenate([kept, ids])
        of_pool = np.concatenate([kept_classes, np.array(chunk, int)])
        out, kept = pool[choice.handed_out], pool[choice.kept]
        classes = of_pool[choice.handed_out]
        kept_classes = of_pool[choice.kept]
        np.testing.assert_array_equal(memory.classes, kept_classes)
        last = int(memory.batch)
        assert len(out) == (last - first) * size
        earned = Fraction(int(memory.credit), size * stream["rate"].denominator)
        before, after = (plan._slots.before(NumPyOps, last + number) for number in (0, 1))
        for group, model in enumerate(models):
            own = out[classes == group]
            ahead = -(-int(after[group] - before[group]) * min(earned, 1) // 1)
            new = ids[np.array(chunk, int) == group].tolist()
            expected = model.take(new, len(own), ahead, offset, room[group])
            assert sorted(own) == sorted(expected)
            held = [*model.used, *model.spare, *model.waiting]
            np.testing.assert_array_equal(kept[kept_classes == group], held)
            assert len(held) <= room[group]
