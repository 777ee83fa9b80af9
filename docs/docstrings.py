"""Our docstrings, made ready for Sphinx: what a terminal shows well, a page should show well.

They are Google's, with sections of our own, such as `Shapes`; formulas are indented, references
numbered, and a name in backticks is that of a public object, wherever it lives.
"""

from __future__ import annotations

import re
from typing import Any

import rooms
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

_SECTION = re.compile(r"^([A-Z][a-z]+|Call arguments):$")
_OWN = {"Call arguments", "Shapes", "Logs", "References"}
_NUMBERED = re.compile(r"^(\[\d+\]) ")
_NAMED = re.compile(r"^([A-Za-z_`][\w`, *]*): (?=\S)")


def prepare(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Rewrite a docstring in place, before napoleon reads it."""
    result: list[str] = []
    section = ""
    for number, line in enumerate(lines):
        is_title = _SECTION.match(line)
        if line and not line.startswith(" "):
            section = is_title[1] if is_title else ""
        before = lines[number - 1] if number else ""
        if is_title and section in _OWN:
            result += [f".. rubric:: {section}", ""]
        elif section in _OWN:
            result += _item(line.removeprefix("    "))
        elif not section and line.startswith("    ") and not before.strip():
            # Indented text outside of a section is a formula, unless it belongs to a list.
            result += [*([] if _in_list(lines[:number]) else [".. code-block:: text", ""]), line]
        else:
            result.append(line)
    lines[:] = result


def _item(line: str) -> list[str]:
    """Return a line of one of our sections: names and numbers begin a paragraph of their own."""
    if _NUMBERED.match(line):
        return ["", line]
    named = _NAMED.match(line)
    if named:
        return ["", f"**{named[1].replace('*', '')}**: {line[named.end() :]}"]
    return [line.strip()]


def _in_list(before: list[str]) -> bool:
    last = next((line for line in reversed(before) if line and not line.startswith(" ")), "")
    return last.startswith("- ")


def find(app: Sphinx, env: Any, node: Any, contnode: nodes.Element) -> nodes.Node | None:
    """Resolve the name of a public object, such as `AUC` or `metrics.AUC`, from any page."""
    objects = env.get_domain("py").objects
    end = "." + node.get("reftarget", "").removeprefix("tfi.")
    public = (name for names in rooms.entries().values() for name in names)
    found = [name for name in public if name.endswith(end) and name in objects]
    if len(found) != 1:
        return None
    entry = objects[found[0]]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode)
