"""What recorded code takes is read from its text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twingraph.engine.recorded_code import parameters_of, types_of

TEXT = """
def plain(a, b=2, *, c): ...
async def later(x): ...
def open_ended(a, **more): ...
class Kept:
    def execute(self, path, *, deep=False): ...
class Bare: ...
"""


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("plain", ("a", "b", "c")),
        ("later", ("x",)),
        ("open_ended", None),
        ("Kept", ("path", "deep")),
        ("Bare", None),
        ("gone", None),
    ],
)
def test_the_names_of_the_parameters(tmp_path: Path, name: str, taken: tuple[str, ...] | None) -> None:
    entries = {"m:it": {"module": "m", "name": name}}
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps({"modules": {"m": {"text": TEXT}}, "entries": entries}))
    assert parameters_of(str(bundle), "m:it") == taken


def test_what_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "rotten.json").write_text("{")
    assert parameters_of(str(tmp_path / "rotten.json"), "m:it") is None
    assert parameters_of(str(tmp_path / "gone.json"), "m:it") is None


TYPED = """
from typing import Any
from elsewhere import str
def it(n: int, m: "int", o: dict[int, Any] | None = None, p: str = "", q: run() = 1, r=2, *, t: list[list[int]]): ...
def twice(n: int): ...
if later:
    def twice(n: bool): ...
"""


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("it", {"n": int, "o": dict[int, Any] | None, "t": list[list[int]]}),
        ("twice", {}),  # only running it would tell which
        ("gone", {}),
    ],
)
def test_types_that_are_known_without_running_anything(tmp_path: Path, name: str, types: dict[str, Any]) -> None:
    bundle = tmp_path / "bundle.json"
    entries = {"m:it": {"module": "m", "name": name}}
    bundle.write_text(json.dumps({"modules": {"m": {"text": TYPED}}, "entries": entries}))
    assert types_of(str(bundle), "m:it") == types
