"""One run: whatever a component is, gives or raises becomes an answer."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import InitVar, dataclass, field
from typing import Any, ClassVar, NamedTuple

import pydantic
import pytest

from twingraph import PermanentError
from twingraph.core.codec import Encoded, decode, encode
from twingraph.executors.runner import MAX_OUTPUTS, Answer, Work, run_node


class Pair(NamedTuple):
    x: int
    y: int = 2


Old = namedtuple("Old", ["a"])
Empty = namedtuple("Empty", [])


@dataclass
class Record:
    a: int
    b: ClassVar[int] = 5
    c: InitVar[int] = 6
    d: list[int] = field(default_factory=list)


class Model(pydantic.BaseModel):
    a: int
    b: str = "x"


def run(target: Any, config: Any = None, **arguments: Any) -> Answer:
    texts = [(name, json.dumps(value)) for name, value in arguments.items()]
    return run_node(Work(lambda: target, texts, decode, store, config))


def store(value: Any, path: str) -> Encoded:
    return encode(value, path=path)


def local() -> Any:
    class Here(NamedTuple):
        z: int

    return Here(1)


def generator() -> Iterator[int]:
    yield 1
    yield 2


async def coroutine() -> int:
    return 3


async def async_generator() -> AsyncIterator[int]:
    yield 4


class Awaitable:
    async def inner(self) -> dict[str, int]:
        return {"k": 1}

    def __call__(self) -> Any:
        return self.inner()


@pytest.mark.parametrize(
    ("target", "shape", "outputs"),
    [
        (lambda: None, "plain", {"output": None}),
        (lambda: 1.5, "plain", {"output": 1.5}),
        (lambda: [1, 2], "plain", {"output": [1, 2]}),
        (lambda: {"a": 1, "b": None}, "dict", {"a": 1, "b": None}),
        (dict, "plain", {"output": {}}),
        (lambda: dict.fromkeys(map(str, range(MAX_OUTPUTS + 1)), 0), "plain", {"output": ...}),
        (lambda: Pair(1), f"namedtuple:{__name__}:Pair", {"x": 1, "y": 2}),
        (lambda: Old(3), f"namedtuple:{__name__}:Old", {"a": 3}),
        (local, f"namedtuple:{__name__}:local.<locals>.Here", {"z": 1}),
        (lambda: Record(1), f"dataclass:{__name__}:Record", {"a": 1, "d": []}),
        (lambda: Model(a=1), f"model:{__name__}:Model", {"a": 1, "b": "x"}),
        (generator, "plain", {"output": [1, 2]}),
        (coroutine, "plain", {"output": 3}),
        (async_generator, "plain", {"output": [4]}),
        (Awaitable(), "dict", {"k": 1}),
    ],
)
def test_a_result_becomes_outputs(target: Callable[[], Any], shape: str, outputs: dict[str, Any]) -> None:
    answer = run(target)
    assert (answer.status, answer.shape) == ("completed", shape), answer.error
    assert [name for name, _, _ in answer.outputs] == list(outputs)
    for text, expected in zip(answer.texts, outputs.values(), strict=True):
        assert expected is ... or json.loads(text) == expected


def test_a_dict_of_other_keys_and_an_empty_namedtuple_are_one_output() -> None:
    for value in ({1: 2}, dict.fromkeys(["a\udcff", "a\udcfe"]), Empty()):
        answer = run(lambda value=value: value)
        assert (answer.shape, [name for name, _, _ in answer.outputs]) == ("plain", ["output"])


class Component:
    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def validate_inputs(self, **inputs: Any) -> bool:
        return inputs.get("x") != 0

    def execute(self, x: int) -> dict[str, Any]:
        return {"x": x, **self.config}


@pytest.mark.parametrize(("config", "expected"), [(None, ["x"]), ({"k": 5}, ["x", "k"])])
def test_a_component_class_is_made_with_its_config(config: Any, expected: list[str]) -> None:
    answer = run(Component, config, x=1)
    assert [name for name, _, _ in answer.outputs] == expected


def failure(target: Any, **arguments: Any) -> dict[str, Any]:
    answer = run(target, **arguments)
    assert answer.status == "failed"
    assert answer.error is not None
    json.dumps(answer.error, ensure_ascii=False).encode()
    return answer.error


def test_refused_inputs_are_an_error() -> None:
    assert "validate_inputs refused" in failure(Component, x=0)["message"]


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class HostileError(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


def raising(error: BaseException) -> Callable[[], Any]:
    def target() -> Any:
        raise error

    return target


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ValueError("no"), "ValueError", "no"),
        (KeyError("k"), "KeyError", "'k'"),
        (SystemExit(3), "SystemExit", "sys.exit(3)"),
        (KeyboardInterrupt(), "KeyboardInterrupt", ""),
        (GeneratorExit(), "GeneratorExit", ""),
        (UnprintableError(), "UnprintableError", "could not be made: RuntimeError"),
        (HostileError(), "HostileError", "could not be made: KeyboardInterrupt"),
        (ValueError("\ud800"), "ValueError", "?"),
        (ValueError("x" * 100_000), "ValueError", "x" * 1000),
        (ExceptionGroup("two", [ValueError("one"), TypeError("other")]), "ExceptionGroup", "two (2 sub-exceptions)"),
        (StopIteration(1), "StopIteration", "1"),
    ],
)
def test_an_exception_is_described(error: BaseException, kind: str, words: str) -> None:
    described = failure(raising(error))
    assert (described["code"], described["error_type"]) == ("user_error", kind)
    assert words in described["message"]
    assert len(described["message"]) <= 20_000


def test_the_traceback_shows_causes_and_groups_but_none_of_our_frames() -> None:
    def target() -> None:
        try:
            raise ExceptionGroup("all", [ValueError("one")])
        except ExceptionGroup as group:
            raise TypeError("after") from group

    traceback = failure(target)["traceback"]
    assert "ValueError: one" in traceback
    assert "TypeError: after" in traceback
    assert "executors/runner.py" not in traceback


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(("a", 1), '{"args":["a",1]}'), ((), '{"args":[]}'), ((object(),), None), (("x" * 20_000,), None)],
)
def test_arguments_of_an_exception_travel_when_they_can(arguments: tuple[Any, ...], text: str | None) -> None:
    assert failure(raising(ValueError(*arguments)))["exception"] == text


def test_attributes_of_an_exception_travel_unless_one_cannot() -> None:
    told = ValueError("a")
    told.status = 3  # type: ignore[attr-defined]
    assert failure(raising(told))["exception"] == '{"args":["a"],"state":{"status":3}}'
    told.status = object()  # type: ignore[attr-defined]
    assert failure(raising(told))["exception"] == '{"args":["a"]}'


def test_a_permanent_error_says_so() -> None:
    class MineError(PermanentError):
        pass

    assert failure(raising(MineError("never")))["permanent"]
    assert not failure(raising(ValueError("maybe")))["permanent"]


def test_what_cannot_be_stored_is_named() -> None:
    described = failure(lambda: {"a": [lambda: 1]})
    assert (described["code"], described["permanent"]) == ("invalid_output", True)
    assert "a[0]" in described["message"]


def test_what_cannot_be_read_or_found_is_told() -> None:
    def missing() -> Any:
        raise KeyError("gone")

    answer = run_node(Work(missing, [], decode, store))
    assert answer.error is not None
    assert answer.error["error_type"] == "KeyError"
    answer = run_node(Work(lambda: len, [("x", '{"$":"unheard of"}')], decode, store))
    assert answer.error is not None
    assert answer.error["code"] == "invalid_input"


def test_thousands_of_names_are_as_many_outputs() -> None:
    answer = run(lambda: dict.fromkeys(map(str, range(2_000)), 1))
    assert (answer.shape, len(answer.outputs)) == ("dict", 2_000)


def test_the_traceback_of_an_async_component_begins_with_its_own_lines() -> None:
    async def target() -> None:
        raise ValueError("one")

    traceback = failure(target)["traceback"]
    assert "asyncio" not in traceback
    assert "in target" in traceback
