"""The code of README and of the site; guides are run by the build of the site."""

import functools
import re
from pathlib import Path

import keras
import pytest
from readme import README, blocks

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
# Without the API's pages, which are made of their introductions.
FILES = [file for file in sorted((ROOT / "docs").rglob("*.md")) if file.parent.name != "api"]
PAGES = [file.read_text() for file in FILES]
# Once each: README and a page may show the same.
BLOCKS = [*dict.fromkeys(blocks("".join([README, *PAGES])))]


def in_large_batches(method):
    @functools.wraps(method)
    def with_arrays(model, x, *arguments, **options):
        if not hasattr(x, "element_spec") and options.get("batch_size") is None:
            options["batch_size"] = 256
        return method(model, x, *arguments, **options)

    return with_arrays


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[-1][:40])
def test_example_runs_as_it_stands(block, tmp_path, monkeypatch):
    """But where it leaves the size of batches to Keras: those of 32 rows take minutes in all."""
    monkeypatch.chdir(tmp_path)
    for name in ("fit", "predict", "evaluate"):
        monkeypatch.setattr(keras.Model, name, in_large_batches(getattr(keras.Model, name)))
    assert len(block.splitlines()) <= 20
    exec(compile(block, "README.md", "exec"), {})


def test_readme_has_examples_and_pictures_that_exist():
    assert "```python" in README
    assert len(BLOCKS) >= 10
    for path in re.findall(r"\]\((?!http)([\w./]+)\)", README):
        assert (ROOT / path).exists(), path
