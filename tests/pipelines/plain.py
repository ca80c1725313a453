"""The table's source as the plain Python program that it would be without TwinGraph.

The rows are loaded a second time, with a stand-in for the package: components and pipelines are the functions that they
were, and what waits or draws does so at once.
"""

from __future__ import annotations

import asyncio
import builtins
import inspect
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import twingraph
from tests.pipelines.case import Case, Outcome
from tests.pipelines.table import MODULES
from twingraph.sdk.body import durable

# What has been sent and not been taken. One plain program runs at a time.
mailbox: list[tuple[str, Any]] = []


def _plain(function: Callable[..., Any] | None = None, **_settings: Any) -> Any:
    return function if function is not None else lambda given: given


def _in_loop() -> bool:
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        return True
    return False


def _listed(values: tuple[Any, ...]) -> list[Any]:
    return list(values[0]) if len(values) == 1 and isinstance(values[0], Iterable) else list(values)


def _wait_any(*values: Any) -> Any:
    return _listed(values)[0]


def _sleep(seconds: float) -> Any:
    return asyncio.sleep(seconds) if _in_loop() else time.sleep(seconds)


def _wait_for_signal(name: str, timeout: float | None = None) -> Any:
    if _in_loop():
        return asyncio.get_running_loop().create_future()  # the rows wait in loops only for what never comes
    for entry in mailbox:
        if entry[0] == name:
            mailbox.remove(entry)
            return entry[1]
    if timeout is None:
        raise AssertionError(f"nobody sent {name!r}")
    raise TimeoutError


def _side_effect(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


STAND_IN: Mapping[str, Any] = {
    "component": _plain,
    "pipeline": _plain,
    "BaseComponent": twingraph.BaseComponent,
    "gather": lambda *values: list(values),
    "wait_any": _wait_any,
    "as_completed": lambda *values: iter(_listed(values)),
    "sleep": _sleep,
    "now": lambda: datetime.now(UTC),
    "random": durable.random,
    "uuid4": uuid.uuid4,
    "side_effect": _side_effect,
    "wait_for_signal": _wait_for_signal,
}


@cache
def _stand_in() -> ModuleType:
    module = ModuleType("twingraph")
    vars(module).update(STAND_IN)
    return module


def _import(name: str, *more: Any) -> Any:
    return _stand_in() if name == "twingraph" else builtins.__import__(name, *more)


@cache
def cases(module: str) -> Mapping[str, Case]:
    """The rows of one module, as plain functions."""
    name = f"tests.pipelines.table.{module}"
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    made = ModuleType(f"plain.{module}")
    made.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import}
    sys.modules[made.__name__] = made  # dataclasses look their module up
    exec(compile(Path(spec.origin).read_text("utf-8"), spec.origin, "exec", dont_inherit=True), made.__dict__)
    return {case.name: case for case in made.CASES}


def everything() -> dict[str, Case]:
    """All rows by `module.name`."""
    return {f"{module}.{name}": case for module in MODULES for name, case in cases(module).items()}


def outcome(case: Case) -> Outcome:
    """How the plain program ends."""
    return Outcome.of(lambda: _run(case))


def _run(case: Case) -> Any:
    mailbox[:] = [*case.signals, *case.answers]
    if case.twin is not None:
        return case.twin()
    given = case.run(**case.inputs)
    return asyncio.run(given) if inspect.iscoroutine(given) else given
