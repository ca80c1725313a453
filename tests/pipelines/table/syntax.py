"""What Python's syntax can say over results that are still to come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.pipelines.case import Case
from tests.pipelines.effects import effect
from twingraph import component, pipeline


@component
def square(x: int) -> int:
    effect("square", x)
    return x * x


@component
def words(text: str) -> list[str]:
    effect("words", text)
    return text.split()


@component
def pairs() -> list[tuple[str, int]]:
    effect("pairs")
    return [("a", 3), ("b", 1), ("c", 2)]


@component
def table() -> dict[str, Any]:
    effect("table")
    return {"kind": "circle", "radius": 2, "inner": {"deep": [1, 2, 3]}}


@component
def maybe(x: int) -> int | None:
    effect("maybe", x)
    return x if x % 2 else None


@pipeline
def list_comprehension() -> list[int]:
    return [square(x) for x in range(5) if x % 2]


@pipeline
def condition_on_a_result() -> list[int]:
    return [x for x in range(5) if square(x) > 5]


@pipeline
def dict_comprehension() -> dict[str, int]:
    return {name: square(n) for name, n in pairs()}


@pipeline
def set_comprehension() -> list[int]:
    return sorted({square(x) + 0 for x in (-1, 1, 2)})


@pipeline
def nested_comprehension() -> list[list[int]]:
    return [[square(x + y) for y in range(2)] for x in range(2)]


@pipeline
def generator_expression() -> int:
    return sum(square(x) for x in range(4))


@pipeline
def a_map_with_a_lambda() -> list[int]:
    return list(map(lambda x: square(x) + 1, range(3)))  # noqa: C417 - on purpose


@pipeline
def is_none() -> list[bool]:
    a, b = maybe(1), maybe(2)
    return [a is None, b is None, a is not None, b is not None]


@pipeline
def filtered_by_none() -> list[int]:
    found = [maybe(x) for x in range(4)]
    return [x for x in found if x is not None]


@pipeline
def is_instance() -> list[bool]:
    value = table()
    return [isinstance(value, dict), isinstance(value, list), isinstance(square(2), (str, int))]


@pipeline
def match_a_mapping() -> float:
    match table():
        case {"kind": "square", "side": side}:
            return float(side)
        case {"kind": "circle", "radius": int(radius)} if radius > 1:
            return square(radius) * 3
    return 0.0


@pipeline
def match_a_sequence() -> str:
    match words("go north now"):
        case ["go", direction]:
            return direction
        case ["go", direction, *rest]:
            return f"{direction} {len(rest)}"
    return "none"


@pipeline
def match_a_number() -> str:
    match square(3):
        case 4 | 9:
            return "known"
        case _:
            return "unknown"


@pipeline
def f_strings() -> str:
    n = square(12)
    return f"{n:>6}|{n!r}|{n + 1:x}|{words('a b')}"


@pipeline
def sorting() -> list[list[Any]]:
    rows = pairs()
    by_number = sorted(rows, key=lambda row: row[1])
    return [[name for name, _ in by_number], sorted([square(3), square(1), square(2)], reverse=True), [max(rows)]]


@pipeline
def slicing() -> list[Any]:
    found = words("a b c d")
    return [found[1:3], found[-1], found[::2], found[0]]


@pipeline
def unpacking() -> list[Any]:
    first, *rest = words("x y z")
    (name, n), *_ = pairs()
    return [first, rest, name, n, *words("more")]


@pipeline
def walrus() -> list[int]:
    kept = []
    x = 1
    while (y := square(x)) < 20:
        kept.append(y)
        x += 1
    return kept


@pipeline
def ternary() -> str:
    return "even" if square(2) % 2 == 0 else "odd"


@pipeline
def chained_comparison() -> list[bool]:
    n = square(3)
    return [1 < n < 10, 10 < n < 20, 0 <= square(0) <= 0]


@pipeline
def arithmetic() -> list[Any]:
    n = square(3)
    return [n + 1, 10 - n, n * n, n // 2, n % 4, -n, abs(n), 2**n, n / 2, round(n / 2), divmod(n, 4), n & 1, n << 1]


@pipeline
def augmented() -> list[int]:
    n = square(2)
    n += 1
    n *= square(1)
    return [n]


@pipeline
def indexing_deeply() -> list[Any]:
    t = table()
    return [t["inner"]["deep"][1], t.get("missing", 0), "kind" in t, len(t), sorted(t), list(t["inner"].items())]


@pipeline
def looping_over_a_dict() -> list[str]:
    return [f"{key}={value}" for key, value in table().items()]


@pipeline
def zip_and_enumerate() -> list[Any]:
    letters = words("p q")
    return [list(zip(letters, pairs(), strict=False)), list(enumerate(letters)), list(reversed(letters))]


class Door:
    """A context manager of one's own, which sees what left its block."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def __enter__(self) -> Door:
        self.log.append("open")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        self.log.append("shut" if error is None else f"shut by {error.args[0]}")
        return True


@component
def broken(x: int) -> int:
    effect("broken", x)
    raise ValueError(f"broken {x}")


@pipeline
def with_a_class() -> list[str]:
    log: list[str] = []
    with Door(log):
        log.append(f"inside {square(2)}")
    with Door(log):
        broken(1)
        log.append("the call has been made")
    return log


@contextmanager
def note(log: list[str], name: str) -> Iterator[str]:
    log.append(f"+{name}")
    try:
        yield name.upper()
    finally:
        log.append(f"-{name}")


@pipeline
def with_a_generator() -> list[str]:
    log: list[str] = []
    try:
        with note(log, "a") as a, note(log, "b") as b:
            log.append(f"{a}{b}{square(1)}")
            broken(2)
    except ValueError:
        log.append("caught")
    return log


@pipeline
def global_and_star_call() -> int:
    arguments = {"x": 5}
    return square(**arguments) + square(*[6])


@pipeline
def deleted_and_rebound() -> int:
    x = square(2)
    y = x
    del x
    x = square(y)
    return x


@component
def echo_pair(x: int) -> Any:
    effect("echo_pair", x)
    return (x, x + 1)


@component
def given(**named: Any) -> list[str]:
    effect("given", *named)
    return sorted(named)


@pipeline
def real_types() -> list[Any]:
    number, pair = square(2), echo_pair(1)
    kinds = [type(number) is int, type(pair).__name__, callable(number), {int: "whole"}[type(square(3))]]
    return [*kinds, "%s and %s" % pair, "%d" % number]  # noqa: UP031 - people write it


@pipeline
def names_of_ours() -> list[str]:
    return given(self=1, target=2, args=3, kwargs=square(2))


CASES = (
    Case(list_comprehension),
    Case(condition_on_a_result),
    Case(dict_comprehension),
    Case(set_comprehension),
    Case(nested_comprehension),
    Case(generator_expression),
    Case(a_map_with_a_lambda),
    Case(is_none),
    Case(filtered_by_none),
    Case(is_instance),
    Case(match_a_mapping),
    Case(match_a_sequence),
    Case(match_a_number),
    Case(f_strings),
    Case(sorting),
    Case(slicing),
    Case(unpacking),
    Case(walrus),
    Case(ternary),
    Case(chained_comparison),
    Case(arithmetic),
    Case(augmented),
    Case(indexing_deeply),
    Case(looping_over_a_dict),
    Case(zip_and_enumerate),
    Case(with_a_class, twin=lambda: ["open", "inside 4", "shut", "open", "the call has been made", "shut by broken 1"]),
    Case(with_a_generator),
    Case(global_and_star_call),
    Case(deleted_and_rebound),
    Case(real_types),
    Case(names_of_ours),
)
