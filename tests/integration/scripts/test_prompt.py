"""Pipelines that are typed at the prompt of Python 3.13, which keeps the source of each statement."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TYPED = (
    "from twingraph import component, pipeline\n",
    "K = 4\n",
    "@component\ndef add(n):\n    return n + K\n",
    "@pipeline\ndef total(n=3):\n    return add(n)\n",
    "print(total(), total.submit().result())\n",
)
# What 3.13.0 does: `__main__` is the author's, and has the name of the prompt's own program for its file.
PROMPT = """
import linecache, sys
main = sys.modules["__main__"]
main.__file__ = sys.argv[1]
for number, text in enumerate(eval(sys.argv[2])):
    name = f"<python-input-{number}>"
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    exec(compile(text, name, "exec"), vars(main))
"""


def test_what_is_typed_runs_and_names_no_file(tmp_path: Path) -> None:
    program = tmp_path / "_pyrepl" / "__main__.py"
    program.parent.mkdir()
    program.write_text("import code\n")
    home = {"TWINGRAPH_HOME": str(tmp_path / "home"), "PYTHONPATH": str(Path(__file__).parents[3])}

    def python(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, **home},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    done = python("-c", PROMPT, str(program), repr(TYPED))
    assert (done.returncode, done.stdout) == (0, "7 7\n"), done.stderr
    assert "_pyrepl" not in python("-m", "twingraph", "executions", "--json").stdout
