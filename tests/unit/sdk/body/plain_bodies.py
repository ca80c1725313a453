"""Small bodies that must come out of a rewriting as plain Python would have them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from tests.unit.sdk.body.world import Failure, Other, World

BODIES: list[Any] = []
GLOBAL = 5
CHANGED = 0


def body(function: Any) -> Any:
    BODIES.append(function)
    return function


def doubled(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def twice(*args: Any) -> Any:
        return function(*args) + function(*args)

    return twice


@contextlib.contextmanager
def noted(w: World, name: str = "with") -> Iterator[World]:
    w.note(f"{name} in")
    try:
        yield w
    except BaseException as error:
        w.note((name, type(error).__name__))
        raise
    finally:
        w.note(f"{name} out")


class Async:
    def __init__(self, w: World) -> None:
        self.w = w

    async def __aenter__(self) -> World:
        return self.w

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> bool:
        self.w.note(kind and kind.__name__)
        return kind is Other


async def counted(w: World, n: int) -> AsyncIterator[int]:
    for number in range(n):
        yield number


@body
def assigned(w: World) -> Any:
    x = "before"
    try:
        x = w.fail(1)
        w.note("not here")
    except Failure:
        w.note("met")
    return x


@body
def unbound_stays_unbound(w: World) -> Any:
    try:
        y = w.fail(1)
    except Failure:
        try:
            return y
        except UnboundLocalError:
            return "unbound"


@body
def expression(w: World) -> Any:
    try:
        w.fail()
        w.note("after")
    except Failure as error:
        return error.args
    else:
        w.note("else")


@body
def returned(w: World) -> Any:
    try:
        return w.fail(1)
    except Failure:
        return "met"


@body
def returned_inside(w: World) -> Any:
    try:
        return [w.call(1), (w.fail(2), 3)]
    except Failure:
        return "met"


@body
def returned_early(w: World) -> Any:
    try:
        for number in [1, 2, 3]:
            x = w.call(number)
            if x + 0 == 2:
                return x
    finally:
        w.note("finally")


@body
def augmented(w: World) -> Any:
    x = 1
    try:
        x += w.call(2)
        x += w.fail(3)
    except Failure:
        x += 10
    return x


@body
def annotated(w: World) -> Any:
    x: int = 0
    try:
        x: int = w.fail(3)  # type: ignore[no-redef]
    except Failure:
        return x


@body
def named(w: World) -> Any:
    x = 0
    try:
        if (x := w.call(3)) and (x := w.fail(4)):
            w.note("not here")
    except Failure:
        return x + 1


@body
def named_in_comprehension(w: World) -> Any:
    last = None
    try:
        values = [last := w.call(n) for n in range(3)]
        w.note(values)
    except Failure:
        w.note("met")
    return last


@body
def deleted(w: World) -> Any:
    d = {1: 1, 2: 2}
    try:
        del d[w.call(1) + 0]
        del d[w.fail(2) + 0]
    except Failure:
        return d


@body
def target_calls(w: World) -> Any:
    d: dict[str, Any] = {}

    def key() -> str:
        w.fail()
        return "key"

    try:
        d[key()] = 1
        w.note("not here")
    except Failure:
        return len(d)


@body
def asserted(w: World) -> Any:
    try:
        assert w.call(1)
        assert w.fail(0), "message"
    except Failure:
        return "met"


@body
def appended(w: World) -> Any:
    got: list[Any] = []
    for number in range(3):
        try:
            got.append(w.fail(number) if number == 1 else w.call(number))
            got.extend(item for item in [w.call(number), *[w.call(1)]])
        except Failure:
            got.append(None)
    try:
        got.extend([w.call(1), w.fail(2)])
    except Failure:
        return got


@body
def keyed(w: World) -> Any:
    d: dict[Any, Any] = {}
    try:
        d[w.plain(w.call(1)) : w.fail(2)] = 3
    except (Failure, TypeError) as error:
        return [d, type(error).__name__]


@body
def raised(w: World) -> Any:
    try:
        raise ValueError(w.fail())
    except (Failure, ValueError) as error:
        return type(error).__name__


@body
def earlier_failure_first(w: World) -> Any:
    try:
        print([w.fail(1), 1 // int(w.notes == [1])])
    except (Failure, ZeroDivisionError) as error:
        return type(error).__name__


@body
def loops(w: World) -> Any:
    got = []
    for number in range(4):
        try:
            if number == 1:
                continue
            x = w.fail(number) if number == 2 else w.call(number)
            got.append(x)
            if number == 3:
                break
        except Failure:
            got.append("met")
        finally:
            w.note(number)
    else:
        w.note("else")
    return got


@body
def deep_inside(w: World) -> Any:
    try:
        for number in [1, 2]:
            while True:
                if number == 2:
                    with noted(w):
                        x = w.fail(number)
                        w.note("not here")
                break
            w.note(number)
    except Failure as error:
        return error.args
    return x


@body
def headers(w: World) -> Any:
    try:
        for number in w.call([1, 2]):
            w.note(number)
        while w.fail(False):
            w.note("not here")
    except Failure:
        return "met"


@body
def while_test(w: World) -> Any:
    n = 0
    try:
        while w.call(n) < 3:
            n += 1
    except Failure:
        w.note("no")
    return n


@body
def same(w: World) -> Any:
    x = w.call(None)
    y = w.call(5)
    return [x is None, x is not None, None is x, y is not x is not None, y is None]


@body
def same_in_places(w: World) -> Any:
    x = w.call(None)
    return [[n for n in [x] if n is None] == [None], (lambda v: v is None)(x), f"{x is None}", {1: x is None}]


@body
def matched(w: World) -> Any:
    found: list[Any] = []
    for value in [w.call(1), w.call(None), w.call([1, 2]), w.call({"a": 3}), w.call("s"), w.call(True)]:
        match value:
            case None:
                found.append("none")
            case True:
                found.append("true")
            case int(n) if w.call(n):
                found.append(("int", n))
            case [first, *rest]:
                found.append((first, rest))
            case {"a": inner}:
                found.append(inner)
            case str():
                found.append("str")
    return found


@body
def matched_pair(w: World) -> Any:
    match w.call(1), w.call(None):
        case 1, None:
            return "pair"
        case _:
            return "other"


@body
def matched_parts(w: World) -> Any:
    found: list[Any] = []
    more = {"c": 3}
    match {"a": w.call({"b": [1, 2]}), **more}:
        case {"a": {"b": [1, last]}, **rest}:
            found.append((last, rest))
    match [{"a": (w.call([1]), w.call(None))}, *w.call([2])]:
        case [{"a": ([one], None)}, two]:
            found.append((one, two))
    return found


@body
def nested_function(w: World) -> Any:
    def inner(n: int = 2) -> Any:
        try:
            return w.fail(n)
        except Failure as error:
            return error.args

    return [inner(), inner(3)]


@body
def nested_decorated(w: World) -> Any:
    @doubled
    def inner() -> Any:
        try:
            return w.call([1])
        except Failure:
            return [2]

    return inner()


@body
def nested_generator(w: World) -> Any:
    def numbers() -> Iterator[Any]:
        try:
            yield w.call(1)
            yield w.fail(2)
        except Failure:
            yield 3

    return list(numbers())


@body
def nested_class(w: World) -> Any:
    class Inner:
        value = w.call(3)
        try:
            other = value
        except ValueError:
            other = 0

        def __hidden(self) -> Any:
            try:
                return w.fail(1)
            except Failure:
                return "met"

        def shown(self) -> Any:
            return self.__hidden()

    return [Inner().shown(), Inner.value, Inner.other, [n for n in vars(Inner) if "tg" in n]]


@body
def names(w: World) -> Any:
    global CHANGED
    count = 0

    def up() -> None:
        nonlocal count
        try:
            count += w.call(1)
        except Failure:
            count = -1

    up()
    CHANGED = GLOBAL
    return [count, CHANGED]


@body
def star_arguments(w: World, *args: int, key: Any = None, **more: Any) -> Any:
    try:
        return [w.call(1), args, key is None, more]
    except Failure:
        return None


@body
def imports(w: World) -> Any:
    try:
        import json

        return json.loads(w.call("[1]") + "")
    except Failure:
        return None


@body
async def awaited(w: World) -> Any:
    x = 0
    try:
        x = await w.acall(1)
        x = w.fail(2)
    except Failure:
        w.note("met")
    return x


@body
async def async_for(w: World) -> Any:
    got = []
    try:
        async for number in counted(w, 3):
            x = w.call(number) if number < 2 else w.fail(2)
            got.append(x)
    except Failure:
        got.append("met")
    finally:
        w.note("finally")
    return got


@body
async def async_return(w: World) -> Any:
    try:
        return [n async for n in counted(w, 2)] + [w.fail(1)]
    except Failure:
        return "met"


@body
async def async_nested(w: World) -> Any:
    def plain() -> Any:
        try:
            return w.fail(1)
        except Failure:
            return 1

    async def inner() -> Any:
        try:
            return w.fail(1)
        except Failure:
            return 2

    return [plain(), await inner()]
