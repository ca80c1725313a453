"""Who calls an async pipeline where no loop runs: for its value, or for `asyncio.run`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from twingraph.sdk.given_to_loop import is_given_to_a_loop


def asked(*_: Any) -> Any:
    frame = sys._getframe(1)
    found = is_given_to_a_loop(frame)

    async def answer() -> bool:
        return found

    return answer() if found else found


def test_an_argument_of_a_runner_is_meant_as_a_coroutine() -> None:
    assert asyncio.run(asked())
    assert asyncio.run(
        asked(
            1,
        )
    )
    with asyncio.Runner() as runner:
        assert runner.run(asked(2))


def test_any_other_call_is_meant_as_its_value() -> None:
    assert asked() is False
    assert str(asked()) == "False"
    assert [asked(), asked()] == [False, False]


def test_without_a_source_it_is_the_value() -> None:
    space: dict[str, Any] = {"asked": asked, "run": lambda value: value}
    exec("told = run(asked())", space)
    assert space["told"] is False
