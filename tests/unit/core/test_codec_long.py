"""A long text that is hashed and moved by and by comes to what it comes to at once."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Generator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.core.test_codec import JSON, KEY, VALUES
from twingraph.core import codec, codec_long
from twingraph.core.codec import CodecError, Encoded, compact, compacting, encode, hash_text
from twingraph.store.blobs.memory import MemoryBlobs

Made = TypeVar("Made")


def drained(steps: Generator[None, None, Made]) -> tuple[Made, int]:
    """What comes of it, and in how many steps."""
    for number in itertools.count():
        try:
            next(steps)
        except StopIteration as end:
            return end.value, number
    raise AssertionError


@pytest.fixture(params=[1, 30])
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Short texts are as long ones when little of them is seen."""
    monkeypatch.setattr(codec_long, "WINDOW", request.param)
    monkeypatch.setattr(codec_long, "PARTS", min(request.param, 3))
    monkeypatch.setattr(codec_long, "PIECE", request.param)
    monkeypatch.setattr(codec, "INLINE_LIMIT", 0)
    return int(request.param)


def outcome(act: Callable[[], str]) -> str:
    try:
        return act()
    except (CodecError, ValueError, LookupError, TypeError) as error:
        return repr(error)


def same(text: str) -> None:
    """By and by as at once, or refused in the same words."""
    at_once, by_and_by = MemoryBlobs(), MemoryBlobs()
    assert outcome(lambda: drained(codec_long.hashing(text))[0]) == outcome(lambda: hash_text(text))
    moved = outcome(lambda: compact(text, at_once))
    assert outcome(lambda: drained(compacting(text, by_and_by))[0]) == moved
    if moved.startswith('{"$":"ref"'):
        blob = json.loads(moved)["hash"]
        assert by_and_by.read(blob) == at_once.read(blob)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON)
def test_plain_data(window: int, value: object) -> None:
    same(encode(value).text)


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_values_of_all_kinds(window: int, number: int) -> None:
    blobs, value = MemoryBlobs(), VALUES[number]
    for whole in (value, [value, 1, value], (value,), {"b": [value], "a": value}, {1: value, 0: [value, value]}):
        same(encode(whole, blobs=blobs, pickle=True, key=KEY).text)


ODD = [
    *("[1, 2]", "[1,2] ", " [1,2]", "[1,]", "[1", "[", "[[[", '{"a":1,}', '{"a"}', '{"a":', '{"a":1', "{1:2}", "[1.]"),
    *("[NaN]", "[1e400]", "[-Infinity,1]", '["\\ud800"]', "[1]]", '{"a":1}}', "truefalse", "[tru]", "[1e5,1E5,-0]"),
    *('{"b":1,"a":2,"b":3}', '{"v":[],"$":"tuple"}', '{"$":"tuple","v":[1],"w":2}', '{"$":"tuple","v":"abc"}'),
    *('{"$":"dict","v":[[]]}', '{"$":"dict","v":[[1,2,3],[0]]}', '{"$":"dict","v":[[1,2]],"w":0}', '{"$":1}'),
    *('{"$":"dict","v":[[[2,{"b":1,"a":2}],1],[[1],2]]}', '{"$":"ref"}', '{"a":{"$":"ref","rung":"json","hash":"h"}}'),
    *('{"$":"set","v":[1,2]}', '{"a":{"$":"bytes","v":"AAAA"}}', '["\\u00e9"]', '[{"a":1},{"b":[1,{"c":2}]}]'),
    "[" * 50 + "]" * 50,
    "[" * 100_000 + "]" * 100_000,
    "[" + "1" * 5_000 + "]",
]


@pytest.mark.parametrize("number", range(len(ODD)))
def test_what_nobody_of_us_wrote(window: int, number: int) -> None:
    same(ODD[number])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet='[]{}",:$v1e.-a \\', max_size=30))
def test_whatever_it_is(window: int, text: str) -> None:
    same(text)


MANY = 20_000
LONG = {
    "numbers": list(range(MANY)),
    "dicts": [{"b": number, "a": str(number)} for number in range(MANY)],
    "nested": {"x": [[number, [number]] for number in range(MANY)], "a": None},
    "names": {str(random.Random(number).random()): number for number in range(MANY)},
    "keys": {MANY - number: (number,) for number in range(MANY)},
    "tuple": tuple(range(MANY)),
}


@pytest.mark.parametrize("kind", LONG)
def test_a_long_text_is_looked_at_in_many_steps(kind: str) -> None:
    blobs = MemoryBlobs()
    text, moved = encode(LONG[kind]).text, encode(LONG[kind], blobs=blobs)
    found, steps = drained(compacting(text, blobs))
    assert (found, hash_text(text)) == (moved.text, moved.hash)
    assert steps > len(text) // codec_long.WINDOW
    digest, steps = drained(codec_long.hashing(text))
    assert digest == moved.hash
    assert steps > len(text) // codec_long.WINDOW
    assert isinstance(moved, Encoded)
