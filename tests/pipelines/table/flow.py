"""Loops, fans, early ends and recursion."""

from __future__ import annotations

from tests.pipelines.case import Case
from tests.pipelines.effects import effect
from twingraph import component, gather, pipeline


@component
def add(a: int, b: int) -> int:
    effect("add", a, b)
    return a + b


@component
def double(x: int) -> int:
    effect("double", x)
    return 2 * x


@component
def numbers(n: int) -> list[int]:
    effect("numbers", n)
    return list(range(n))


@component
def total(values: list[int]) -> int:
    effect("total", values)
    return sum(values)


@component
def nothing() -> None:
    effect("nothing")


@component
def parts(text: str) -> list[str]:
    effect("parts", text)
    middle = len(text) // 2
    return [text[:middle], text[middle:]] if len(text) > 1 else []


@pipeline
def one_call() -> int:
    return add(1, b=2)


@pipeline
def no_call(x: int) -> int:
    return x + 1


@pipeline
def gives_nothing() -> None:
    nothing()


@pipeline
def chain(x: int) -> int:
    for _ in range(5):
        x = double(x)
    return x


@pipeline
def until(limit: int) -> int:
    value = add(0, 1)
    while value < limit:
        value = double(value)
    return value


@pipeline
def while_else_break() -> list[int]:
    seen: list[int] = []
    x = 1
    while x < 50:
        x = double(x)
        if x == 4:
            continue
        if x > 20:
            break
        seen.append(x)
    else:
        seen.append(-1)
    for y in numbers(3):
        if y > 7:
            break
    else:
        seen.append(add(0, 100))
    return seen


@pipeline
def fan(n: int) -> int:
    return total([double(x) for x in numbers(n)])


@pipeline
def empty_fan() -> list[int]:
    doubled = [double(x) for x in numbers(0)]
    return [total(doubled), len(doubled)]


@pipeline
def nested_fan(n: int) -> int:
    rows = []
    for x in numbers(n):
        rows.append(total([add(x, y) for y in numbers(2)]))
    return total(rows)


@pipeline
def diamond(x: int) -> int:
    top = double(x)
    left, right = add(top, 1), add(top, 2)
    return add(left, right)


@pipeline
def early_return(x: int) -> str:
    found = double(x)
    if found > 10:
        return "large"
    double(found)
    return "small"


@pipeline
def branches(x: int) -> int:
    if double(x) == 4:
        y = add(x, 1)
    elif x:
        y = add(x, 2)
    else:
        y = add(x, 3)
    return y


@pipeline
def truth_and_order() -> list[bool]:
    a, b = double(1), double(2)
    return [a < b, a == 2, not a, bool(a and b), a in (2, 4), bool(nothing()), a < 2 or b > 3]


@pipeline
def gathered() -> int:
    results = gather(*[double(x) for x in range(3)])
    return sum(results)


@pipeline
def factorial(n: int) -> int:
    if n < 2:
        return 1
    below = factorial(add(n, -1))
    return n * below


@pipeline
def split(text: str) -> list[str]:
    """Recursion whose depth a component decides."""
    pieces = parts(text)
    if not pieces:
        return [text]
    return [leaf for piece in pieces for leaf in split(piece)]


@pipeline
def accumulate() -> int:
    result = 0
    for x in numbers(4):
        result += double(x)
    return result


@pipeline
def a_long_loop() -> int:
    value = 0
    for step in range(30):
        value = add(value, step)
        if value > 60:
            break
    return value


CASES = (
    Case(one_call),
    Case(no_call, {"x": 1}),
    Case(gives_nothing),
    Case(chain, {"x": 1}),
    Case(until, {"limit": 20}),
    Case(while_else_break),
    Case(fan, {"n": 4}),
    Case(empty_fan),
    Case(nested_fan, {"n": 3}),
    Case(diamond, {"x": 3}),
    Case(early_return, {"x": 6}),
    Case(branches, {"x": 3}),
    Case(truth_and_order),
    Case(gathered),
    Case(factorial, {"n": 4}),
    Case(split, {"text": "abc"}),
    Case(accumulate),
    Case(a_long_loop),
)
