"""Each example runs as a reader would run it, and says what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
EXPECTED = {
    "hello": "HELLO, WORLD!",
    "etl": "GB 20.00\nIS 42.00\nbest: IS",
    "fan_out": "385",
    "retry": "What is six times seven? Attempt 3 says: 42.",
    "branch": "[9.5 kg: call the truck]",
    "crawl": "/ /cups /green /slow /tea",
    "approval": "sent: A letter about tea, approved by Ada\nnobody answered",
    "pipeline": "2 of 3 towns are warm: Oslo and Bodø",
}


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(EXPECTED)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_it_runs_and_says_what_it_promises(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / f"{name}.py")]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip().endswith(EXPECTED[name])
