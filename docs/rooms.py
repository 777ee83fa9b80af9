"""Pages of the API reference, one a room, written from what each room's ``__all__`` names.

A new room or name needs no line here: it is found, and `tests/test_docs.py` says if it is not.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType

import tfimbalance

# What subclasses write, and callbacks of ours call: CONTRIBUTING.md is their place.
FOR_AUTHORS = {
    *("nats", "elements", "valid", "faded", "changed", "class_weight"),  # losses
    *("change", "scores", "probabilities"),  # corrections
    *("curve", "worst", "score"),  # metrics
    *("starts", "take", "finish", "gathered"),  # callbacks
    *("of", "begin", "pass_over", "end", "log"),  # validation
}
INTRODUCTIONS = Path(__file__).parent / "api" / "introductions"


def rooms() -> list[ModuleType]:
    """Return the modules that say what is public, the package itself first."""
    names = [f"tfimbalance.{found.name}" for found in pkgutil.iter_modules(tfimbalance.__path__)]
    modules = [importlib.import_module(name) for name in names if "._" not in name]
    return [tfimbalance, *(module for module in modules if hasattr(module, "__all__"))]


@cache  # Each name in backticks is looked up in them.
def entries() -> dict[str, list[str]]:
    """Return the full names on each page. What two rooms name stands under the shorter name."""
    pages: dict[str, list[str]] = {}
    seen: set[int] = set()
    for room in rooms():
        page = pages.setdefault(room.__name__.rpartition(".")[2], [])
        for name in room.__all__:
            thing = getattr(room, name)
            if not inspect.ismodule(thing) and id(thing) not in seen:
                seen.add(id(thing))
                page.append(f"{room.__name__}.{name}")
    return pages


def page(name: str, things: list[str]) -> str:
    """Return the MyST text of a room's page."""
    module = "tfimbalance" if name == "tfimbalance" else f"tfimbalance.{name}"
    introduction = INTRODUCTIONS / f"{name}.md"
    text = introduction.read_text() if introduction.exists() else ""
    text = text.replace("](../../", "](../")  # The page is a folder above its introduction.
    lines = [f".. currentmodule:: {module}", "", ".. autosummary::", "   :nosignatures:", ""]
    lines += [f"   {thing.removeprefix(module + '.')}" for thing in things]
    for thing in things:
        lines += ["", *_entry(thing)]
    reference = "\n".join(lines)
    summary = inspect.getdoc(importlib.import_module(module)) or ""
    parts = [f"# {module}", summary, text, "## Reference", f"```{{eval-rst}}\n{reference}\n```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def write(folder: Path) -> None:
    """Write the pages, those that changed alone: Sphinx reads again what is newer."""
    for name, things in entries().items():
        path, text = folder / f"{name}.md", page(name, things)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _entry(name: str) -> list[str]:
    module, _, attribute = name.rpartition(".")
    thing = getattr(importlib.import_module(module), attribute)
    if not inspect.isclass(thing):
        return [f".. autofunction:: {name}"]
    members = _members(thing)
    return [f".. autoclass:: {name}", *([f"   :members: {', '.join(members)}"] if members else [])]


def _members(cls: type) -> list[str]:
    """Return what users call: ours, with a docstring, and neither Keras' nor for authors."""
    names = {name: None for parent in cls.__mro__ for name in vars(parent) if name[0] != "_"}
    return [name for name in names if name not in FOR_AUTHORS and _is_ours(cls, name)]


def _is_ours(cls: type, name: str) -> bool:
    owners = [parent for parent in cls.__mro__ if name in vars(parent)]
    thing = inspect.getattr_static(cls, name)
    is_code = callable(thing) or isinstance(thing, (property, classmethod, staticmethod))
    # What a class overrides is a hook of its base.
    ours = owners[0].__module__.startswith("tfimbalance")
    once = len(owners) == 1 or (ours and name in {"assign", "movable"})
    return is_code and ours and once and bool(inspect.getdoc(thing))
