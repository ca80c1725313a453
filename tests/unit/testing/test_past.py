"""Past runs as fixtures: what a saved one says of itself, and what is said of a file that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twingraph.core.errors import NotFoundError, ValidationError
from twingraph.testing import saved_run

SAVED: dict[str, Any] = {
    "format": 1,
    "execution": "exec-1",
    "node": "charge[2]",
    "component": "charge",
    "entry": "shop:charge",
    "status": "completed",
    "given": {"amount": 3, "names": ["n" * 200]},
    "result": {"value": 6},
    "error": None,
    "options": None,
    "blobs": {},
}
FAILED = {
    **SAVED,
    "status": "failed",
    "result": None,
    "error": {"code": "user_error", "error_type": "ValueError", "message": "too much"},
}


def write(path: Path, document: object) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document), "utf-8")
    return path


def test_it_says_what_ran_with_what_and_what_came_of_it(tmp_path: Path) -> None:
    said = repr(saved_run(write(tmp_path / "run.json", SAVED)))
    assert said.startswith("<PastRun charge[2] of exec-1: charge(amount=3, names=[")
    assert said.endswith("…) → 6>")
    assert len(said) < 150


def test_of_a_failed_one_it_says_how_it_failed(tmp_path: Path) -> None:
    assert repr(saved_run(write(tmp_path / "run.json", FAILED))).endswith(") failed: ValueError: too much>")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("", "is no saved run, as it is not JSON"),
        ("{", "is no saved run, as it is not JSON"),
        ("[" * 100_000, "is no saved run, as it is not JSON"),
        ([1], "is no saved run;"),
        ({"a": 1}, "is no saved run;"),
        ({**SAVED, "format": 7}, "has the format 7, and this version of TwinGraph reads 1"),
        ({**SAVED, "blobs": {"00": "eA=="}}, "the blob 00 in it is another one"),
        ({**SAVED, "blobs": {"00": "!"}}, "is damaged"),
        ({**SAVED, "given": 3}, "is damaged"),
        ({**SAVED, "result": 3}, "is damaged"),
        ({**SAVED, "error": {"what": 1}}, "is damaged"),
    ],
)
def test_a_file_that_is_none_is_told_with_its_name_and_what_writes_one(
    tmp_path: Path, document: object, said: str
) -> None:
    file = write(tmp_path / "other.json", document)
    with pytest.raises(ValidationError) as told:
        saved_run(file)
    assert said in str(told.value)
    assert str(file) in str(told.value)
    assert "past_run(execution, node).save(path)" in str(told.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.json cannot be read"):
        saved_run(tmp_path / "none.json")


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(bytes(range(128, 256)))
    with pytest.raises(ValidationError, match="is no saved run"):
        saved_run(tmp_path / "bytes.json")
