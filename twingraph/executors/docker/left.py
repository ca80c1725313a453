"""What earlier attempts of a node have left on an engine.

A container belongs to the attempt that it is named for. Who goes on with one that another attempt began names it anew,
which the engine does for one of all who ask, and from then on whoever had it before reaches it no more: signals and
removals go by name. So one that comes back after a while neither ends nor removes what others have gone on with.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import replace

from twingraph.executors.base import Task
from twingraph.executors.docker.client import Container, Engine, EngineError
from twingraph.executors.docker.request import name_of, token_of, work_of


class SupersededError(Exception):
    """A later attempt of the node has been here: nobody waits for this one any more."""


def attempt_of(name: str) -> int:
    """The attempt to which a container of this name belongs."""
    number = name.rpartition("-")[2].partition(".")[0]
    return int(number) if number.isdecimal() else 0


def is_of_work(found: Container, task: Task, key: bytes) -> bool:
    return found.state in ("running", "exited") and found.labels.get("twingraph.work") == work_of(task, key)


def left_behind(engine: Engine, task: Task, home: str, key: bytes, own: Collection[str]) -> Container | None:
    """The container of an earlier attempt whose process ended before it could hear its end. Others are removed, those
    of this very process too (`own`), which it ended without being heard. SupersededError: there is a later one.
    """
    labels = {"twingraph.home": home, "twingraph.execution": task.execution, "twingraph.node": task.node}
    found = engine.find(labels)
    if any(attempt_of(one.name) > task.attempt for one in found):
        raise SupersededError
    found.sort(key=lambda one: attempt_of(one.name), reverse=True)
    chosen = next((one for one in found if one.name not in own and is_of_work(one, task, key)), None)
    for one in found:
        if one is not chosen:
            engine.remove(one.name)
    return chosen


def taken_over(engine: Engine, found: Container, name: str) -> str | None:
    """Its new name; None: it is gone, or somebody else was first."""
    if found.name == name:  # of the same attempt, by another process
        name = f"{name}.{secrets.token_hex(3)}"
    try:
        engine.rename(found.id, name)
    except EngineError as error:
        if error.kind not in ("missing", "conflict"):
            raise
        return None
    return name


def attempts_of(found: Container) -> tuple[int, int]:
    """The one that began it, and the last that went on with it."""
    return int(found.labels["twingraph.attempt"]), attempt_of(found.name)


def token_of_work(found: Container, task: Task, home: str) -> str:
    """By which its runner's words are known: that of the name under which it was begun."""
    return token_of(name_of(replace(task, attempt=attempts_of(found)[0]), home))
