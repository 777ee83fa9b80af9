"""The API's pages, and links; `python -m sphinx -W docs docs/_build` checks the rest."""

import importlib.util
import inspect
import re
from pathlib import Path

import pytest

import tfimbalance as tfi

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
ROOMS = [tfi, tfi.rebalance, *(getattr(tfi, n) for n in tfi.__all__)]
ROOMS = [room for room in ROOMS if inspect.ismodule(room)]


@pytest.fixture(scope="module")
def entries():
    spec = importlib.util.spec_from_file_location("rooms", DOCS / "rooms.py")
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


def test_two_links_lead_from_readme_to_every_guide_and_concept():
    """Also where Markdown is read as it is, without the lists that Sphinx makes."""
    first = _linked(ROOT / "README.md")
    second = {page for one in first if one.suffix == ".md" for page in _linked(one)}
    pages = {page for room in ("guides", "concepts") for page in (DOCS / room).glob("*.md")}
    assert len(pages) > 20
    assert pages <= first | second, pages - first - second


# All but the home of the site, which links to pages of the API that are made with it.
FOLDERS = ("guides", "concepts", "coming_from", "results", "api/introductions")
PAGES = [page for folder in FOLDERS for page in sorted((DOCS / folder).glob("*.md"))]
PAGES += [DOCS / f"{name}.md" for name in ("start", "choose", "limits", "faq", "api/index")]


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *PAGES], ids=lambda page: str(page.relative_to(ROOT))
)
def test_links_lead_to_files_and_headings_of_the_repository(page):
    for path, heading in _links(page):
        assert path.exists(), path
        if heading:
            assert heading in _anchors(path), f"{path}#{heading}"


def _links(page):
    """Return the files that a page of Markdown links to, and the headings in them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    found = re.findall(r"\]\((?!https?:)([^)\s]+)\)", text) + re.findall(r'href="([^"]+)"', text)
    parts = (link.partition("#") for link in found)
    return [((page.parent / path).resolve() if path else page, at) for path, _, at in parts]


def _linked(page):
    return {path for path, _ in _links(page)}


def _anchors(page):
    """Return the anchors of the headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _thing(name):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)
