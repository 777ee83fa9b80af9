"""What calls are given: plausible arguments, and everything that could stand in their place."""

import decimal
import fractions

import numpy as np
import pandas as pd
import tensorflow as tf
from hypothesis import strategies as st

NAN = float("nan")


# No number, no flag, no word that any argument takes.
JUNK = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        2,
        -1,
        3,
        0.5,
        -0.5,
        1.5,
        1e-300,
        5e-324,
        1e300,
        1e30,
        -1e30,
        NAN,
        float("inf"),
        -float("inf"),
        10**400,
        2**31,
        2**63,
        -(2**63),
        "",
        "a",
        "0.5",
        "1",
        "balanced",
        b"1",
        1j,
        [],
        [0.5],
        [[0.5]],
        [1, 2],
        [1, "a"],
        [[1], [1, 2]],
        (0.3, 0.7),
        {},
        {0: 1.0},
        {0: 1.0, 1: 2.0},
        {"0": 1.0, "1": 2.0},
        {0: None, 1: 1.0},
        {1.0: 1, 0.0: 2},
        {True: 1.0, False: 1.0},
        {-1: 1.0, 0: 1.0, 1: 1.0},
        {0: "a", 1: 1.0},
        {0: [1.0], 1: [2.0]},
        [NAN, 1.0],
        [-1.0, 2.0],
        [0.0, 0.0],
        [0.0, 1.0],
        [None, 1.0],
        [float("inf"), 1.0],
        [10**400, 1],
        np.float16(0.5),
        np.float32(0.3),
        np.float64(NAN),
        np.int8(1),
        np.uint64(2),
        np.bool_(True),
        np.str_("a"),
        np.array(0.5),
        np.array([0.5]),
        np.array([1, 2]),
        np.array([[1.0, 2.0]]),
        np.zeros(0),
        np.zeros((0, 2)),
        np.array(["a", "b"]),
        np.array([1.0, None], object),
        np.ma.masked_array([1.0, 2.0], [True, False]),
        np.datetime64("2020-01-01"),
        np.timedelta64(1, "D"),
        np.complex64(1),
        pd.NA,
        pd.NaT,
        pd.Series([1.0, 2.0]),
        pd.Series([1.0, 2.0], index=[1, 0]),
        pd.Series([1.0, NAN]),
        pd.Series(["a", "b"]),
        pd.DataFrame({"a": [1.0]}),
        decimal.Decimal("0.5"),
        decimal.Decimal("NaN"),
        fractions.Fraction(1, 2),
        tf.constant(0.5),
        tf.constant([0.5, 0.5]),
        tf.constant("a"),
        tf.constant([1, 2]),
        range(2),
        {1, 2},
        iter([1, 2]),
        object(),
        len,
        int,
        slice(None),
        ...,
        frozenset([0]),
    ]
)


def mostly(likely, junk=JUNK):
    """Draw something plausible, one time in eight anything else."""
    return st.integers(0, 7).flatmap(lambda k: junk if k == 7 else likely)


def some_of(**likely):
    """Draw keyword arguments, each of them there or not; at most one of them is junk."""

    @st.composite
    def drawn(draw):
        names = [name for name in likely if draw(st.booleans())]
        spoiled = draw(st.sampled_from(names)) if names and draw(st.integers(0, 3)) == 3 else None
        return {name: draw(JUNK if name == spoiled else likely[name]) for name in names}, spoiled

    return drawn()


NUMBERS = st.one_of(
    st.floats(0, 5, width=32),
    st.sampled_from([0.0, 1e-6, 0.5, 1.0, 2.0, 100.0]),
    st.sampled_from([0, 1, 2, np.float32(1.5), np.float64(0.25), np.int64(1)]),
)
UNIT = st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.0, 0.5, 1.0, 1, 0]))
FLAGS = st.booleans()

SHARES = st.one_of(
    st.sampled_from(
        [
            "balanced",
            "natural",
            {1: 0.25},
            {0: 0.5, 1: 0.5},
            [0.5, 0.5],
            [0.2, 0.3, 0.5],
            {0: 1},
            {1: 0.0},
        ]
    ),
    st.lists(UNIT, min_size=2, max_size=3),
)
