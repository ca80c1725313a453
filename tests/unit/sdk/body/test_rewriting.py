"""A rewritten body gives what plain Python gives, on the same lines, and is otherwise the same function."""

from __future__ import annotations

import subprocess
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.sdk.body.plain_tries import BODIES
from tests.unit.sdk.body.world import World, later, plainly
from twingraph.sdk.body.needs import codes_of, needs_rewriting
from twingraph.sdk.body.rewriting import rewritten as _rewritten
from twingraph.sdk.body.rewriting import whole_body_in_one_try


def rewritten(function: Any, hooks: World | None = None) -> Any:
    return _rewritten(function, hooks)


TABLE = pytest.mark.parametrize("function", BODIES, ids=lambda function: function.__name__)


@TABLE
def test_outcome_is_that_of_plain_python(function: types.FunctionType) -> None:
    assert later(function) == plainly(function)


@TABLE
def test_lines_are_those_of_the_file(function: types.FunctionType) -> None:
    world = World(later=False)
    made = rewritten(function, world)
    assert made is not None
    assert _lines(made, world) == _lines(function, World(later=False))
    assert made.__code__.co_firstlineno == function.__code__.co_firstlineno


@TABLE
def test_what_is_known_of_a_function_stays(function: types.FunctionType) -> None:
    made = rewritten(function)
    assert made is not None
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__", "__dict__"):
        assert getattr(made, name) == getattr(function, name)
    assert made.__annotations__ is function.__annotations__
    assert made.__globals__ is function.__globals__
    assert _qualnames(made.__code__) == _qualnames(function.__code__)


def _qualnames(code: types.CodeType) -> list[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return [code.co_qualname, *(name for constant in inner for name in _qualnames(constant))]


def _lines(function: types.FunctionType, world: World) -> list[int]:
    """Those that run, without the words that open a `try` or `with` (there it waits once more), each once in a row."""
    with open(function.__code__.co_filename) as file:
        opening = {
            number
            for number, line in enumerate(file, 1)
            if line.split() and line.split()[0].rstrip(":") in ("try", "with", "async")
        }
    lines: list[int] = []

    def trace(frame: types.FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename != function.__code__.co_filename:
            return None
        if event == "line" and frame.f_lineno not in opening and lines[-1:] != [frame.f_lineno]:
            lines.append(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        value = function(world)
        if isinstance(value, types.CoroutineType):
            _finished(value)
    except Exception:
        pass
    finally:
        sys.settrace(before)
    return lines


def _finished(coroutine: types.CoroutineType[Any, Any, Any]) -> None:
    try:
        while True:
            coroutine.send(None)
    except StopIteration:
        pass


def _broken(w: World) -> Any:
    try:
        with w.plain(w):  # not a context manager
            w.note(1)
    finally:
        w.note(2)


def _wrong_sum(w: World) -> Any:
    try:
        x = [w.call(1)]
        return (
            w.call(2),
            x.missing  # type: ignore[attr-defined]
            + 1,
        )
    except KeyError:
        return None


@pytest.mark.parametrize("function", [_broken, _wrong_sum])
def test_tracebacks_show_the_same_place(function: Callable[[World], Any]) -> None:
    assert isinstance(function, types.FunctionType)
    world = World(later=False)
    made = rewritten(function, world)
    assert made is not None
    assert made is not function
    assert _place(made, world) == _place(function, World(later=False))


def _place(function: Callable[[World], Any], world: World) -> tuple[Any, ...]:
    with pytest.raises((AttributeError, TypeError)) as caught:
        function(world)
    last = traceback.extract_tb(caught.tb)[-1]
    return last.lineno, last.colno, last.end_lineno, last.end_colno, last.name, last.line


def test_the_very_cells_stay() -> None:
    count = 0

    def body(w: World, step: int = 1, *, more: int = 2) -> Any:
        nonlocal count
        try:
            count += w.call(step)
        except KeyError:
            count = more
        return count

    body.note = "kept"  # type: ignore[attr-defined]
    world = World(later=True)
    made = rewritten(body, world)
    assert made is not None
    assert made is not body
    made(world)
    assert count == 1
    assert body(World(later=False)) == 2
    assert made.__closure__ is not None
    assert body.__closure__ is not None
    assert {id(cell) for cell in body.__closure__} < {id(cell) for cell in made.__closure__}
    assert made.note == "kept"


def test_nothing_to_wait_for_gives_the_same_function() -> None:
    def body(w: World) -> Any:
        values = [w.call(n) for n in range(3)]
        try:
            pass
        except ValueError:
            return 1
        return values

    assert rewritten(body) is body


def test_a_lambda_and_a_method_of_a_class_with_super() -> None:
    class Base:
        def hello(self, w: World) -> Any:
            return w.call(1)

    class Child(Base):
        __hidden = 4

        def hello(self, w: World) -> Any:
            try:
                return [super().hello(w), self.__hidden, __class__.__name__, Child.__name__]  # type: ignore[name-defined]
            except KeyError:
                return None

    world = World(later=True)
    hello = rewritten(Child.hello, world)
    assert hello is not None
    assert hello(Child(), world) == [1, 4, "Child", "Child"]
    two = (lambda x: x == 1, lambda x: x is None)
    second = rewritten(two[1], world)
    assert rewritten(two[0], world) is two[0]
    assert second is not None
    assert second(world.call(None)) is True


class Own:
    """Of the module, not of a function."""

    def hello(self, w: World) -> Any:
        try:
            return w.call([Own.__name__])
        except KeyError:
            return None


def test_a_method_that_names_its_class() -> None:
    world = World(later=True)
    hello = rewritten(Own.hello, world)
    assert hello is not None
    assert hello(Own(), world) == ["Own"]


def component(function: Any) -> Any:
    return function


def test_components_defined_in_a_body_stay_as_they_are() -> None:
    def body(w: World) -> Any:
        @component
        def inner(x: Any) -> Any:
            try:
                return int(x) is None
            except ValueError:
                return 0

        try:
            return w.call(inner.__code__.co_freevars)
        except KeyError:
            return None

    world = World(later=False)
    made = rewritten(body, world)
    assert made is not None
    assert made(world) == ()


def test_without_source_there_is_nothing_to_rewrite() -> None:
    space: dict[str, Any] = {}
    exec("def body(w):\n try:\n  return w.call(1)\n except ValueError: pass\n", space)
    assert rewritten(space["body"]) is None


def test_a_text_that_has_changed_since_is_not_taken(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "changing.py"
    file.write_text("def body(w):\n try:\n  return w.call(1)\n except ValueError: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    import changing  # type: ignore[import-not-found]

    file.write_text("def body(w):\n try:\n  return w.call(2)\n except ValueError: pass\n")
    assert rewritten(changing.body) is None
    del sys.modules["changing"]


PROGRAM = """
from twingraph.sdk.body.rewriting import rewritten
def body(f):
    try:
        return f(1)
    except ValueError:
        return 2
made = rewritten(body)
print(made is not body and made(int))
"""


@pytest.mark.parametrize("way", ["-c", "-"])
def test_programs_that_lie_in_no_module(way: str, tmp_path: Any) -> None:
    (tmp_path / "program").write_text(PROGRAM)
    with open(tmp_path / "program") as file:
        command = [sys.executable, way] + ([PROGRAM] if way == "-c" else [])
        run = subprocess.run(command, stdin=file, capture_output=True, text=True, timeout=60)
    assert (run.stdout.strip(), run.stderr) == ("1", "")


def test_outside_of_bodies_a_rewritten_function_is_the_plain_one() -> None:
    for function in BODIES:
        made = rewritten(function)
        assert made is not None
        assert plainly(made) == plainly(function)


@pytest.mark.only_where(sys.version_info >= (3, 12), "type parameters are new in 3.12")
def test_type_parameters(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "def body[T: int](w, x: T = 1) -> T:\n"
        "    type Row = list[T]\n"
        "    try:\n"
        "        return [w.call(x), T.__name__, f'{w.call('a') is None}']\n"
        "    except ValueError:\n"
        "        return None\n"
        "class Box[U]:\n"
        "    def body(self, w):\n"
        "        try:\n"
        "            return w.call(U.__name__)\n"
        "        except ValueError:\n"
        "            return None\n"
    )
    (tmp_path / "generics.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    import generics  # type: ignore[import-not-found]

    assert later(generics.body) == plainly(generics.body) == ("returned", [1, "T", "False"], [])
    made = rewritten(generics.Box.body, World(later=False))
    assert made is not None
    assert made(None, World(later=False)) == "U"
    assert rewritten(generics.body).__type_params__ == generics.body.__type_params__
    del sys.modules["generics"]


def test_a_whole_body_in_one_try_is_told() -> None:
    told: Any = whole_body_in_one_try

    def all_of_it(w: World) -> Any:
        """Everything in one."""
        n = 3
        try:
            a = w.call(n)
            return w.call(a)
        except ValueError:
            return None

    def a_part(w: World) -> Any:
        a = w.call(1)
        try:
            return w.call(a)
        except ValueError:
            return None

    assert told(all_of_it) == all_of_it.__code__.co_firstlineno + 3
    assert told(a_part) is None


@pytest.mark.parametrize("text", ["type(x)", "callable(x)", "'%s' % x", "x is None", "[type(y) for y in x]"])
def test_what_looks_behind_a_handle_needs_rewriting(text: str) -> None:
    space: dict[str, types.FunctionType] = {}
    exec(f"def asks(x): return {text}\ndef asks_not(x): return isinstance(x, int), x == 1, x % 2", space)
    assert needs_rewriting(codes_of(space["asks"].__code__))
    assert not needs_rewriting(codes_of(space["asks_not"].__code__))
