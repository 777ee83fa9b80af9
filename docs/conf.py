"""The site: `python -m sphinx -W docs docs/_build`, without a network."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import docstrings
import rooms

import tfimbalance

project = "tfimbalance"
copyright = "the authors of tfimbalance, Apache-2.0"
release = version = tfimbalance.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "jupyter_execute", "api/introductions"]
# Names in single backticks are looked up; what is not public stays code.
default_role = "py:obj"

autosummary_generate = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
napoleon_numpy_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_use_ivar = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# Guides run when they have changed; `-D nb_execution_mode=off` leaves their results out.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / ".jupyter_cache")
nb_execution_raise_on_error = True
nb_execution_timeout = 300  # Seconds a cell, on a machine that is busy.
nb_output_stderr = "remove"
nb_merge_streams = True

html_theme = "pydata_sphinx_theme"
html_title = "tfimbalance"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_context = {"default_mode": "auto"}
# Pages without neighbours have no column for them.
ALONE = ("start", "choose", "limits", "faq", "contributing", "changelog")
html_sidebars: dict[str, list[str]] = {page: [] for page in ALONE}
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True


def setup(app):
    """Write the API's pages, and read docstrings as the authors of this package write them."""
    rooms.write(HERE / "api")
    app.connect("autodoc-process-docstring", docstrings.prepare, priority=400)
    app.connect("missing-reference", docstrings.find)
