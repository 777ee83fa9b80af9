"""The site's API pages; `python -m sphinx -W docs docs/_build` checks the rest."""

import importlib.util
import inspect
from pathlib import Path

import pytest

import tfimbalance as tfi

ROOMS = [tfi, tfi.rebalance, *(getattr(tfi, n) for n in tfi.__all__)]
ROOMS = [room for room in ROOMS if inspect.ismodule(room)]


@pytest.fixture(scope="module")
def entries():
    path = Path(__file__).parent.parent / "docs" / "rooms.py"
    spec = importlib.util.spec_from_file_location("rooms", path)
    rooms = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rooms)
    pages = [rooms.page(name, things) for name, things in rooms.entries().items()]
    lines = [line.split(":: ") for page in pages for line in page.splitlines() if ":: " in line]
    return [name for directive, name in lines if directive in (".. autoclass", ".. autofunction")]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__name__)
def test_every_public_name_is_on_an_api_page(entries, room):
    documented = [_thing(name) for name in entries]
    for name in room.__all__:
        thing = getattr(room, name)
        assert inspect.ismodule(thing) or any(thing is other for other in documented), name


def test_no_name_is_there_twice(entries):
    assert len(set(entries)) == len(entries)


def _thing(name):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)
