"""When the remedy for a module that is not there is told, and when the module has a fault of its own."""

from __future__ import annotations

from typing import Any

import pytest

from twingraph.executors.project import not_there

FILE = "/gone/kit/steps.py"


def entry(mode: str) -> dict[str, Any]:
    return {"mode": mode, "module": "kit.steps", "file": FILE}


@pytest.mark.parametrize("mode", ["image", "import"])
@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("no", name="kit"),
        ModuleNotFoundError("no", name="kit.steps"),
        FileNotFoundError(2, "no", FILE),
    ],
)
def test_the_module_itself_is_missing(mode: str, error: Exception) -> None:
    told = not_there(entry(mode), error)
    assert told is not None
    assert "no module kit.steps" in str(told)


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("no", name="kit.other"),
        ModuleNotFoundError("no", name="ki"),
        ModuleNotFoundError("said by somebody"),
        FileNotFoundError(2, "no", "/no/such"),
        FileNotFoundError("said by somebody"),
    ],
)
def test_the_module_misses_something_else(error: Exception) -> None:
    assert not_there(entry("import"), error) is None


def test_of_a_project_that_travelled_every_module_was_there() -> None:
    assert not_there(entry("project"), ModuleNotFoundError("no", name="kit.steps")) is None
