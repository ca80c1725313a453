"""What is done when something has failed: `finally`, `else`, `with`, and the way out of many frames."""

from __future__ import annotations

from contextlib import suppress

from tests.pipelines.case import Case
from tests.pipelines.effects import effect
from twingraph import component, pipeline


@component
def work(x: int) -> int:
    effect("work", x)
    return x * 10


@component
def fail(message: str) -> int:
    effect("fail", message)
    raise ValueError(message)


@component
def picky(x: int) -> int:
    effect("picky", x)
    if x == 2:
        raise KeyError("two", x)
    return x


@pipeline
def in_a_finally() -> int:
    try:
        work(1)
    finally:
        fail("at the end")
    return 1


@pipeline
def in_an_else() -> str:
    try:
        value = work(1)
    except ValueError:
        return "caught by its own except"
    else:
        value = fail("else")
    return f"{value}"


@pipeline
def an_else_around() -> str:
    try:
        try:
            work(1)
        except ValueError:
            return "inner"
        else:
            fail("else")
    except ValueError:
        return "outer"
    return "none"


@pipeline
def cleaned_up() -> list[str]:
    steps = []
    try:
        try:
            steps.append("try")
            fail("x")
            steps.append("not reached")
        finally:
            steps.append(f"finally {work(1)}")
    except ValueError:
        steps.append("except")
    else:
        steps.append("else")
    return steps


@pipeline
def a_return_in_finally() -> int:
    try:
        return fail("lost")
    finally:
        return work(3)  # as odd as it is, it is Python


@pipeline
def suppressed() -> int:
    with suppress(ValueError):
        fail("nobody minds")
    return work(4)


@pipeline
def all_in_one_try() -> str:
    try:
        first = work(1)
        values = [picky(x) for x in range(4)]
        return f"{first} {values}"
    except KeyError as error:
        return f"sorry: {error.args[0]}"
    finally:
        work(9)


@pipeline
def clean_up_after_the_body(x: int) -> int:
    """What a `finally` calls is done before the failure leaves, whoever raised it."""
    try:
        if work(x) == 10:
            raise RuntimeError("by the body")
        return x
    finally:
        work(7)


class Lock:
    """Its `__exit__` calls a component."""

    def __enter__(self) -> int:
        return work(1)

    def __exit__(self, *_: object) -> None:
        work(8)


def _undo(x: int) -> None:
    work(x)


@pipeline
def clean_up_in_a_helper_and_an_exit() -> int:
    with Lock() as held:
        try:
            fail("inside the lock")
        except ValueError as error:
            _undo(5)
            undone = f"undone, {held} held"  # waits for the lock's own call, which a failure would cancel
            raise RuntimeError(undone) from error
    return 0


@pipeline
def a_clean_up_that_fails() -> int:
    try:
        return fail("first")
    finally:
        picky(2)


@pipeline
def leaving_a_loop_in_a_finally() -> list[int]:
    seen = []
    for x in range(4):
        try:
            if work(x) >= 20:
                break
            seen.append(picky(x))
        finally:
            seen.append(100 + work(x))
    return seen


@pipeline
def down(n: int) -> int:
    if n == 0:
        return fail("at the bottom")
    try:
        return down(n - 1)
    finally:
        work(n)


@pipeline
def from_far_below() -> str:
    try:
        down(3)
    except ValueError as error:
        return str(error)
    return "nothing"


CASES = (
    Case(leaving_a_loop_in_a_finally),
    Case(from_far_below),
    Case(in_a_finally),
    Case(in_an_else),
    Case(an_else_around),
    Case(cleaned_up),
    Case(a_return_in_finally),
    Case(suppressed),
    Case(all_in_one_try, eager=True),
    Case(clean_up_after_the_body, {"x": 1}),
    Case(clean_up_in_a_helper_and_an_exit),
    Case(a_clean_up_that_fails),
)
