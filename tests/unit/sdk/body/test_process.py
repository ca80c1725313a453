"""What a process of bodies makes of what it is told."""

from __future__ import annotations

import json
from typing import Any

from twingraph.core.bodies import Opened
from twingraph.sdk.body.process import serve


class Host:
    """Its bodies need some looks until they have ended."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.looks = 3

    def open(self, opened: Opened) -> None:
        self.told.append(opened.scope)

    def stop(self, execution: str, why: str, scope: str | None) -> None:
        self.told.append(why)

    def live(self) -> int:
        self.looks -= 1
        return self.looks


def test_who_is_to_leave_waits_for_what_its_bodies_still_say_and_hears_no_more() -> None:
    host: Any = Host()
    world: Any = None
    messages: list[list[Any]] = [
        ["open", "e", "scope", "entry", [], None],
        ["stop", "e", "the worker ends", None],
        ["leave"],
        ["open", "e", "too late", "entry", [], None],
    ]
    serve([json.dumps(message).encode() for message in messages], host, world)
    assert host.told == ["scope", "the worker ends"]
    assert host.looks == 0
