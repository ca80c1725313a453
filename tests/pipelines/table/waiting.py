"""Time, chance and the world outside: sleeps, signals, side effects."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from tests.pipelines.case import Case
from tests.pipelines.effects import effect
from twingraph import component, now, pipeline, random, side_effect, sleep, uuid4, wait_for_signal


@component
def note(text: Any) -> str:
    effect("note", text)
    return f"<{text}>"


@component
def fail(text: str) -> str:
    effect("fail", text)
    raise ValueError(text)


@pipeline
def sleeps() -> list[str]:
    a = note("before")
    sleep(0.01)
    b = note("after")
    return [a, b]


@pipeline
def sleeps_in_a_loop() -> int:
    done = 0
    for x in range(3):
        sleep(0.001 * x)
        done += len(note(x))
    return done


@pipeline
def sleeps_no_time() -> str:
    sleep(0)
    return note("at once")


@pipeline
def signal_before() -> Any:
    return note(wait_for_signal("go"))


@pipeline
def signal_during() -> list[Any]:
    first = note("asked")
    answer: Any = wait_for_signal("approval")
    if answer["ok"]:
        return [first, note(answer["by"])]
    return [first]


@pipeline
def signals_in_order() -> list[Any]:
    return [wait_for_signal("number") for _ in range(3)]


@pipeline
def signal_without_value() -> bool:
    return wait_for_signal("go") is None


@pipeline
def signal_that_never_comes() -> str:
    try:
        wait_for_signal("never", timeout=0.01)
    except TimeoutError:
        return note("gave up")
    return "came"


@pipeline
def signal_in_time() -> Any:
    try:
        return wait_for_signal("go", timeout=1000)
    except TimeoutError:
        return "late"


@pipeline
def asks(name: str) -> Any:
    return wait_for_signal(name)


@pipeline
def signal_that_a_component_names() -> Any:
    return wait_for_signal(note("name"))


@pipeline
def signals_in_pipelines() -> list[Any]:
    return [asks("left"), asks("right")]


def _outside(text: str, times: int = 1) -> str:
    effect("outside", text)
    return text * times


def _outside_fails() -> None:
    effect("outside fails")
    raise OSError(5, "no way")


@pipeline
def effects_of_the_body() -> list[Any]:
    first = side_effect(_outside, "x", times=3)
    return [first, note(first), side_effect(lambda: [1, 2])]


@pipeline
def effect_that_fails() -> list[Any]:
    try:
        side_effect(_outside_fails)
    except OSError as error:
        return [error.errno, note("handled")]
    return []


@pipeline
def effect_whose_failure_leaves() -> None:
    side_effect(_outside_fails)


@pipeline
def kinds_of_chance() -> list[Any]:
    a, b = uuid4(), uuid4()
    drawn = [random(), random.random()]
    return [isinstance(a, UUID), a != b, drawn[0] != drawn[1], all(0 <= x < 1 for x in drawn), a.version]


@pipeline
def chance_is_handed_on() -> bool:
    a = uuid4()
    n = random.randint(1, 10**9)
    return note(a) == f"<{a}>" and note(n) == f"<{n}>"


@pipeline
def draws() -> UUID:
    return uuid4()


@pipeline
def chance_in_pipelines() -> list[bool]:
    a, b, c = draws(), draws(), uuid4()
    return [a != b, a != c, b != c]


@pipeline
def time_passes() -> list[Any]:
    before = now()
    sleep(0.001)
    after = now()
    return [isinstance(before, datetime), after > before, (after - before).total_seconds() < 3600]


@pipeline
def sleep_in_a_try() -> list[str]:
    log = []
    try:
        sleep(0.001)
        fail("then")
    except ValueError as error:
        log.append(str(error.args[0]))
    finally:
        sleep(0.001)
        log.append(note("end"))
    return log


CASES = (
    Case(sleeps),
    Case(sleeps_in_a_loop),
    Case(sleeps_no_time),
    Case(signal_before, signals=(("go", 7),)),
    Case(signal_during, answers=(("approval", {"ok": True, "by": "ann"}),)),
    Case(signals_in_order, signals=(("number", 1), ("other", 0), ("number", 2)), answers=(("number", 3),)),
    Case(signal_without_value, signals=(("go", None),)),
    Case(signal_that_never_comes),
    Case(signal_in_time, signals=(("go", "soon"),)),
    Case(signal_that_a_component_names, signals=(("<name>", "N"),)),
    Case(signals_in_pipelines, signals=(("right", "R"), ("left", "L"))),
    Case(effects_of_the_body),
    Case(effect_that_fails),
    Case(effect_whose_failure_leaves),
    Case(kinds_of_chance),
    Case(chance_is_handed_on, twin=lambda: True),
    Case(chance_in_pipelines),
    Case(time_passes),
    Case(sleep_in_a_try),
)
