"""Exceptions in every place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.pipelines.case import Case
from tests.pipelines.effects import effect
from twingraph import component, gather, pipeline


class Refused(Exception):
    """Has arguments and attributes of its own."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(what, code)
        self.what = what
        self.code = code


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


@component
def refuse(what: str, code: int) -> int:
    effect("refuse", what)
    raise Refused(what, code)


@component
def several() -> int:
    effect("several")
    raise ExceptionGroup("both", [ValueError("one"), TypeError("two")])


@component
def chained() -> int:
    effect("chained")
    try:
        return int("x")
    except ValueError as error:
        raise RuntimeError("not a number") from error


@pipeline
def in_the_first_call() -> int:
    return work(fail("first"))


@pipeline
def in_the_middle_of_a_fan() -> list[int]:
    return [picky(x) for x in range(5)]


@pipeline
def in_the_last_call() -> int:
    a = work(1)
    b = work(a)
    return fail(f"after {b}")


@pipeline
def in_a_gather() -> list[int]:
    return list(gather(work(1), fail("one of three"), work(3)))


@pipeline
def raised_by_the_body(x: int) -> int:
    if work(x) > 5:
        raise Refused("too large", 7)
    return x


@pipeline
def raised_with_a_result_in_it() -> int:
    count = work(2)
    raise ValueError(f"{count} are too many", 3)


@pipeline
def raised_with_results_inside() -> int:
    raise Refused(work(2), [work(3), {"by": work(4)}])  # type: ignore[arg-type]


@pipeline
def raised_with_a_failure_inside() -> int:
    raise KeyError(work(1), fail("before it could be raised"))


def _thrice(function: Callable[[int], int]) -> Callable[[], int]:
    def trying() -> int:
        for attempt in range(3):
            with suppress(KeyError):  # a helper's `with` does not wait, its `try` does
                try:
                    return function(attempt)
                except ValueError:
                    continue
        return -1

    return trying


@pipeline
def tried_again_by_a_decorator() -> int:
    @_thrice
    def step(attempt: int) -> int:
        return fail("too early") if attempt < 2 else work(attempt)

    return step()


@component
def opens() -> str:
    effect("opens")
    raise FileNotFoundError(2, "No such file or directory", "data.csv")


@pipeline
def a_missing_file() -> list[object]:
    try:
        opens()
    except OSError as error:
        return [error.errno, error.strerror, error.filename, error.args, str(error)]
    return []


@pipeline
def caught_at_once() -> str:
    try:
        fail("caught")
    except ValueError as error:
        return f"caught {error.args[0]}"
    return "missed"


@pipeline
def caught_by_a_base_class() -> str:
    try:
        picky(2)
    except LookupError as error:
        return f"{isinstance(error, KeyError)} {error.args}"
    return "missed"


@pipeline
def caught_by_a_tuple() -> int:
    try:
        return work(fail("x"))
    except (KeyError, ValueError):
        return work(2)


@pipeline
def not_caught_by_another_class() -> int:
    try:
        return fail("wrong net")
    except KeyError:
        return 0


@pipeline
def custom_class_with_attributes() -> list[object]:
    try:
        return [refuse("door", 403)]
    except Refused as error:
        return [error.what, error.code, list(error.args)]


@pipeline
def custom_class_leaves() -> int:
    return refuse("gate", 404)


@pipeline
def raised_again() -> int:
    try:
        return fail("again")
    except ValueError:
        work(1)
        raise


@pipeline
def raised_from() -> int:
    try:
        return fail("below")
    except ValueError as error:
        raise RuntimeError("above") from error


@pipeline
def raised_from_in_a_component() -> str:
    try:
        chained()
    except RuntimeError as error:
        return str(error.args[0])
    return "missed"


@pipeline
def in_an_except() -> int:
    try:
        return fail("outer")
    except ValueError:
        return fail("inner")


@pipeline
def fallbacks() -> int:
    for attempt in range(3):
        try:
            return work(attempt) if attempt == 2 else fail(f"try {attempt}")
        except ValueError:
            continue
    return -1


@pipeline
def some_of_a_fan() -> list[object]:
    results: list[object] = []
    for x in range(4):
        try:
            results.append(picky(x))
        except KeyError as error:
            results.append(error.args[1])
    return results


@pipeline
def a_group_caught_whole() -> list[str]:
    try:
        several()
    except ExceptionGroup as group:
        return [group.message, *sorted(type(error).__name__ for error in group.exceptions)]
    return []


@pipeline
def a_group_caught_in_parts() -> list[str]:
    seen = []
    try:
        several()
    except* ValueError as group:
        seen.append(f"values {len(group.exceptions)}")
    except* TypeError as group:
        seen.append(f"types {len(group.exceptions)}")
    return seen


def _guarded(x: int) -> int:
    try:
        return picky(x)
    except KeyError:
        return -1


@pipeline
def in_a_helper() -> list[int]:
    return [_guarded(x) for x in range(4)]


def _bare(message: str) -> int:
    return fail(message)


@pipeline
def through_a_helper() -> int:
    return _bare("deep") + work(1)


@pipeline
def in_a_nested_function() -> int:
    def inner(x: int) -> int:
        try:
            return picky(x)
        except KeyError:
            return work(x)

    return inner(2) + inner(3)


@pipeline
def never_used() -> int:
    """A failed handle that nobody used fails the execution."""
    fail("forgotten")
    return work(1)


@pipeline
def inner_fails(x: int) -> int:
    work(x)
    return fail(f"inside {x}")


@pipeline
def a_pipeline_in_a_try() -> str:
    try:
        inner_fails(1)
    except ValueError as error:
        return f"outside: {error.args[0]}"
    return "missed"


@pipeline
def a_pipeline_that_fails() -> int:
    return work(inner_fails(2))


@pipeline
def a_wrong_argument() -> str:
    try:
        work(1, 2)  # type: ignore[call-arg]
    except TypeError:
        return "refused"
    return "accepted"


@pipeline
def an_assertion(x: int) -> int:
    assert work(x) == 10, "not ten"
    return x


@pipeline
def zero_division() -> float:
    return 1 / work(0)


@pipeline
def a_raising_generator_in_the_body() -> list[int]:
    def source() -> object:
        yield work(1)
        yield fail("second")

    return [x + 1 for x in source()]  # type: ignore[attr-defined]


@pipeline
def the_text_of_an_error() -> list[str]:
    seen = []
    calls: list[Any] = [lambda: fail("plain words"), lambda: picky(2), lambda: refuse("door", 1)]
    for call in calls:
        try:
            call()
        except Exception as error:
            seen += [str(error), f"{error}", repr(error.args)]
    return seen


@pipeline
def kept_and_raised_later() -> int:
    kept: Exception | None = None
    for x in range(3):
        try:
            work(picky(x + 1))
        except KeyError as error:
            kept = error
    if kept is not None and work(5) == 50:
        raise kept
    return 0


@pipeline
def raised_by_name() -> int:
    try:
        return fail("named")
    except ValueError as error:
        raise error


@pipeline
def until_it_works() -> list[int]:
    tried = []
    x = 2
    while True:
        try:
            tried.append(picky(x))
        except KeyError:
            x += 1
            continue
        else:
            break
        finally:
            tried.append(-x)
    return tried


@pipeline
def in_the_key_of_a_sort() -> str:
    try:
        sorted([3, 2, 1], key=lambda x: picky(x) + 0)
    except KeyError as error:
        return f"unsorted {error.args[1]}"
    return "sorted"


@pipeline
def one_group_of_many() -> str:
    errors: list[Exception] = []
    for x in (1, 2, 3):
        try:
            picky(x)
            fail(f"at {x}")
        except (KeyError, ValueError) as error:
            errors.append(error)
    raise ExceptionGroup("all of them", errors)


CASES = (
    Case(the_text_of_an_error),
    Case(kept_and_raised_later),
    Case(raised_by_name),
    Case(until_it_works),
    Case(in_the_key_of_a_sort),
    Case(one_group_of_many),
    Case(in_the_first_call),
    Case(in_the_middle_of_a_fan, eager=True),
    Case(in_the_last_call),
    Case(in_a_gather, eager=True),
    Case(raised_by_the_body, {"x": 1}),
    Case(raised_with_a_result_in_it),
    Case(raised_with_results_inside),
    Case(raised_with_a_failure_inside),
    Case(tried_again_by_a_decorator),
    Case(a_missing_file),
    Case(caught_at_once),
    Case(caught_by_a_base_class),
    Case(caught_by_a_tuple),
    Case(not_caught_by_another_class),
    Case(custom_class_with_attributes),
    Case(custom_class_leaves),
    Case(raised_again),
    Case(raised_from),
    Case(raised_from_in_a_component),
    Case(in_an_except),
    Case(fallbacks),
    Case(some_of_a_fan),
    Case(a_group_caught_whole),
    Case(a_group_caught_in_parts),
    Case(in_a_helper),
    Case(through_a_helper, eager=True),
    Case(in_a_nested_function),
    Case(never_used, eager=True),
    Case(a_pipeline_in_a_try, eager=True),
    Case(a_pipeline_that_fails, eager=True),
    Case(a_wrong_argument),
    Case(an_assertion, {"x": 2}),
    Case(zero_division),
    Case(a_raising_generator_in_the_body),
)
