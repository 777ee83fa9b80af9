import re
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
pytestmark = pytest.mark.slow

BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[-1][:40])
def test_example_runs_as_it_stands(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(block.splitlines()) <= 20
    exec(compile(block, "README.md", "exec"), {})


def test_readme_has_examples_and_pictures_that_exist():
    assert len(BLOCKS) >= 4
    for path in re.findall(r"\]\((?!http)([\w./]+)\)", README):
        assert (Path(__file__).parent.parent / path).exists(), path
