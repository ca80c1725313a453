"""Pipelines and components with settings: error handlers, retries, limits."""

from __future__ import annotations

from typing import Any

from tests.pipelines.case import Case
from tests.pipelines.effects import effect
from twingraph import component, pipeline


@component
def work(x: int) -> int:
    effect("work", x)
    return x + 100


@component
def fail(text: str) -> int:
    effect("fail", text)
    raise ValueError(text)


@component(retry_policy={"max_attempts": 3, "initial_delay": 0.01, "jitter": 0})
def stubborn(text: str) -> int:
    effect("stubborn", text)
    raise KeyError(text)


@component
def mourn(component: str, message: str) -> None:
    effect("mourn", component, message)


@pipeline(max_parallel=1)
def one_at_a_time() -> list[int]:
    return [work(x) for x in range(3)]


@pipeline(error_handler="continue")
def goes_on() -> int:
    """A failed call that nobody used does not matter under `continue`."""
    fail("ignored")
    return work(1)


@pipeline(error_handler="continue")
def goes_on_around_a_failure() -> list[Any]:
    results: list[Any] = []
    for handle in [work(1), work(fail("skips what needs it")), work(3)]:
        try:
            results.append(handle + 0)
        except Exception:
            results.append("none")
    return results


@pipeline(error_handler="continue")
def gives_a_failed_value() -> int:
    return fail("is the result")


@pipeline(error_handler="retry", error_config={})
def tries_again() -> int:
    work(1)
    return stubborn("no")


@pipeline(error_handler="custom", error_config={"handler": "mourn", "continue_on_error": True})
def mourns() -> int:
    fail("gone")
    return work(2)


@pipeline(error_handler="custom", error_config={"handler": "mourn"})
def mourns_and_fails() -> int:
    return fail("gone for good")


@pipeline
def retries_in_a_try() -> str:
    try:
        stubborn("three times")
    except KeyError as error:
        return str(error.args[0])
    return "none"


@pipeline(name="a name of its own", schedule="0 */6 * * *", timeout=50, notifications={"on_failure": []})
def declared_fully(x: int = 3) -> int:
    return work(x)


@pipeline(max_parallel=2, timeout=100, error_handler="continue")
def bounded(x: int) -> int:
    fail("inside")
    return work(x)


@pipeline
def bounds_of_a_part() -> list[int]:
    return [bounded(1), work(2)]


CASES = (
    Case(one_at_a_time),
    Case(goes_on, twin=lambda: 101),
    Case(goes_on_around_a_failure, twin=lambda: [101, "none", 103]),
    Case(gives_a_failed_value),
    Case(tries_again, eager=True),
    Case(mourns, twin=lambda: 102),
    Case(mourns_and_fails, eager=True),
    Case(retries_in_a_try, eager=True),
    Case(declared_fully),
    Case(bounds_of_a_part, twin=lambda: [101, 102]),
)
