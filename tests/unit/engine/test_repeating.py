"""Which bodies begin a replay with the calls that they made before, without being compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twingraph.engine.repeating import may_repeat

TIMED = "import time\ndef flow():\n    return one(time.time())\n"


@pytest.mark.parametrize("text", [{"modules": {"flow": {"text": TIMED}}}, {"entries": {"f": {"factory": TIMED}}}])
def test_one_that_looks_at_a_clock_is_compared(text: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "bodies.json"
    path.write_text(json.dumps(text))
    assert not may_repeat(str(path))
    path.write_text(json.dumps(text).replace("time.time()", "2"))
    assert may_repeat(str(path))


@pytest.mark.parametrize(
    ("entry", "may"),
    [
        ({"mode": "slice", "modules": {"flow": "def flow():\n    return two(one(1))\n"}}, True),
        ({"mode": "slice", "modules": {"flow": "def flow():\n    return one(random())\n"}}, False),
        ({"mode": "import", "modules": {}}, False),
    ],
)
def test_only_what_is_read_and_says_the_same_each_time(entry: dict[str, object], may: bool, tmp_path: Path) -> None:
    path = tmp_path / "bodies.json"
    for separators in ((",", ":"), (", ", ": ")):
        path.write_text(json.dumps({"entries": {"flow:flow": entry}}, separators=separators))
        assert may_repeat(str(path)) is may


def test_a_text_that_is_gone_says_nothing(tmp_path: Path) -> None:
    assert not may_repeat(str(tmp_path / "gone"))
