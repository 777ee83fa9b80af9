"""Print the example of README as a script that says where the package comes from."""

import re
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(text):
    """The code of Markdown."""
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


CHECK = """
import sys
assert sys.argv[1] in tfimbalance.__file__, tfimbalance.__file__
assert abs(served.predict(x, verbose=0).mean() / y.mean() - 1) < 0.1
"""

if __name__ == "__main__":
    (example,) = blocks(README)
    print(f"import tfimbalance\n{example}{CHECK}")
