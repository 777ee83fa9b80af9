import dataclasses
import inspect

import keras
import processes
import pytest

import tfimbalance as tfi

ROOMS = [
    tfi,
    tfi.losses,
    tfi.data,
    tfi.callbacks,
    tfi.initializers,
    tfi.layers,
    tfi.calibration,
    tfi.metrics,
    tfi.plots,
    tfi.retrieval,
]
PUBLIC = [
    (f"{room.__name__}.{name}", getattr(room, name))
    for room in ROOMS
    for name in room.__all__
    if not inspect.ismodule(getattr(room, name))
]
each = pytest.mark.parametrize("thing", [t for _, t in PUBLIC], ids=[n for n, _ in PUBLIC])


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__name__)
def test_all_is_sorted_and_complete(room):
    assert sorted(room.__all__) == list(room.__all__)
    for name in room.__all__:
        assert getattr(room, name) is not None


@each
def test_is_documented_with_an_example_that_runs(thing):
    assert ">>>" in thing.__doc__  # Doctests run with the tests.


@each
def test_arguments_after_the_first_are_keyword_only(thing):
    parameters = list(inspect.signature(thing).parameters.values())
    if dataclasses.is_dataclass(thing):
        return  # A record of its fields.
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    required = len([p for p in positional if p.default is p.empty])
    names = [p.name for p in positional]
    keras_order = names[:1] == ["y_true"] or names == ["model", "x", "y"]
    assert len(positional) <= max(1, required) or keras_order
    assert required <= 3


@pytest.mark.slow
def test_import_adds_little_to_keras(tmp_path):
    """No plotting, no data frames, no learning libraries: they cost seconds."""
    dear = {"sklearn", "imblearn", "pandas", "matplotlib", "rich", "scipy"}
    path = tmp_path / "modules"
    job = processes.modules_after_import
    processes.finish(processes.start(tmp_path / "log", job, dear, path))
    added = {*path.read_text().split()}
    assert "tfimbalance" in added
    assert not added & dear


def test_registered_names_belong_to_us():
    ours = [n for n in keras.saving.get_custom_objects() if n.startswith("tfimbalance>")]
    assert len(ours) >= 5
