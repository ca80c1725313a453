"""A value comes back as it went in, has one hash everywhere, and is refused with its path when it cannot."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import typing
import uuid
import zoneinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twingraph.core import codec, errors
from twingraph.core.codec import CodecError, decode, encode, hash_text
from twingraph.store.blobs.memory import MemoryBlobs

KEY = b"a key for tests"


@dataclasses.dataclass
class Point:
    x: int
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    x: tuple[int, ...]


class Colour(enum.Enum):
    RED = 1


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Pair(typing.NamedTuple):
    a: int
    b: object = None


class MyInt(int):
    pass


class MyDict(dict[str, int]):
    pass


class MyStr(str):
    __slots__ = ()


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
VALUES: list[object] = [
    None, True, 0, 1.0, -0.0, "", "\0\n\u2028é😀", [], {}, [1, 1.0, True], (), (1, [2, ()]), {"$": 1}, {1: 2, "1": 3},
    {(1, 2): {"$": "ref"}}, {"\udc00": 1}, "\ud83d" + "\ude00", 10**4299, -(10**4300), b"", b"x" * 70000,
    bytearray(b"y"), bytearray(b"y" * 70000), 1 + 2j, range(1, 9, 2), slice(1, None), ..., {1, "a", (2,)},
    frozenset({frozenset({1})}), Point(1, ["t"]), Slotted((1,)), Colour.RED, Right.READ | Right.WRITE, Pair(1, Pair(2)),
    collections.OrderedDict(b=1, a=2), collections.Counter("aab"), collections.defaultdict(list, {1: [2]}),
    collections.deque([1, 2], maxlen=3), datetime.date(2024, 2, 29), datetime.timedelta(-1, 3, 4),
    datetime.datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC), datetime.time(1, 2, fold=1),
    datetime.datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
    datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1), "mine")),
    decimal.Decimal("1.10"), fractions.Fraction(1, 3), uuid.UUID(int=7), pathlib.Path("a/b"),
    pathlib.PureWindowsPath("c:\\x"), tuple(range(30000)), ["z" * 70000], {str(n): (n,) for n in range(9000)},
    MyInt(3), MyDict(a=1), MyStr("s"), len, Point,
]  # fmt: skip


def back(value: object) -> typing.Any:
    blobs = MemoryBlobs()
    encoded = encode(value, blobs=blobs, pickle=True, key=KEY)
    assert hash_text(encoded.text) == encoded.hash
    return decode(encoded.text, blobs=blobs, pickle=True, key=KEY)


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_comes_back_equal_and_of_the_same_type(number: int) -> None:
    value = VALUES[number]
    found = back(value)
    assert found == value
    assert type(found) is type(value)
    if not isinstance(value, int):
        assert isinstance(value, set | frozenset) or repr(found) == repr(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.text(st.characters(codec=None)) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("$") | st.integers(), inner)
    | st.lists(inner).map(tuple),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_any_nesting_comes_back(value: object) -> None:
    encoded = encode(value)
    assert repr(decode(encoded.text)) == repr(value)
    assert hash_text(encoded.text) == encoded.hash
    json.dumps(codec.plain(encoded.text), allow_nan=False)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.text() | st.integers() | st.just("$"), JSON), st.randoms())
def test_order_of_keys_is_kept_but_not_hashed(value: dict[object, object], random: typing.Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    other = {key: value[key] for key in keys}
    assert encode(other).hash == encode(value).hash
    assert list(decode(encode(other).text)) == keys


def test_types_have_different_hashes() -> None:
    assert len({encode(value).hash for value in (1, 1.0, True, "1", [1], (1,), {1}, None)}) == 8


def test_not_finite_floats() -> None:
    assert math.isnan(back(float("nan")))
    assert back([float("inf"), -float("inf")]) == [math.inf, -math.inf]
    assert codec.plain(encode([float("nan"), math.inf]).text) == ["NaN", "Infinity"]


def test_hash_is_the_same_with_and_without_a_store() -> None:
    value = {"data": b"x" * 70000, "rows": list(range(40000))}
    assert encode(value).hash == encode(value, blobs=MemoryBlobs()).hash


def test_large_text_moves_and_its_elements_are_read_alone() -> None:
    blobs = MemoryBlobs()
    text = encode([(n, "x\n") for n in range(9000)], blobs=blobs).text
    assert len(text) < 300
    assert codec.length(text) == 9000
    assert decode(codec.element(text, -1, blobs=blobs)) == (8999, "x\n")
    assert list(codec.refs(text)) == [json.loads(text)["hash"]]
    with pytest.raises(IndexError):
        codec.element(text, 9000, blobs=blobs)


def test_refs_follows_moved_texts() -> None:
    blobs = MemoryBlobs()
    text = encode([bytes([n]) * 70000 for n in range(3)] + ["x" * 70000], blobs=blobs).text
    assert set(codec.refs(text, blobs=blobs)) == {info.hash for info in blobs.list()}


def test_parts_are_joined_as_the_whole_would_be() -> None:
    parts = [(1, 2), {"$": 3}, "a"]
    texts = [encode(part).text for part in parts]
    assert codec.join_list(texts) == encode(parts).text
    for keys in (["a", "b", "c"], ["$", 'q"', "é"]):
        assert decode(codec.join_dict(zip(keys, texts, strict=True))) == dict(zip(keys, parts, strict=True))


def test_errors_name_the_path() -> None:
    rows: list[object] = [1, {"conn": threading.Lock()}]
    with pytest.raises(CodecError, match=r"outputs\.rows\[1\]\.conn: _thread:lock cannot be pickled"):
        encode({"rows": rows}, path="outputs", blobs=MemoryBlobs(), pickle=True, key=KEY)
    rows.append(rows)
    with pytest.raises(CodecError, match=r"rows\[1\]\.conn: .*forbidden"):
        encode({"rows": rows})
    assert CodecError is errors.CodecError


def test_cycles_and_depth_are_refused() -> None:
    cycle: dict[str, object] = {}
    cycle["me"] = [cycle]
    with pytest.raises(CodecError, match=r"me\[0\]: the value contains itself"):
        encode(cycle)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(CodecError, match="deeper than 100"):
        encode(deep)


def test_shared_parts_come_back_equal() -> None:
    part = [1]
    assert back([part, part]) == [[1], [1]]


def test_pickles_are_signed_and_opened_only_when_allowed() -> None:
    blobs = MemoryBlobs()
    text = encode(len, blobs=blobs, pickle=True, key=KEY).text
    assert codec.plain(text)["rung"] == "pickle"
    assert list(codec.refs(text)) == [info.hash for info in blobs.list()]  # however small, it never stands in a message
    with pytest.raises(CodecError, match="needs a blob store"):
        encode(len, pickle=True, key=KEY)
    for wrong in ({"pickle": False, "key": KEY}, {"pickle": True}, {"pickle": True, "key": b"other"}):
        with pytest.raises(CodecError):
            decode(text, blobs=blobs, **wrong)
    other = text.replace(f'"py":"{sys.version_info[0]}.{sys.version_info[1]}"', '"py":"3.8"')
    with pytest.raises(CodecError, match="signature"):
        decode(other, blobs=blobs, pickle=True, key=KEY)


FORGED = '{"$":"defaultdict","factory":"eval","v":{}}'


def test_a_damaged_text_is_a_codec_error() -> None:
    for text in ("", "[1", "1 2", '{"$":"tuple"}', '{"$":"new"}', '{"$":"uuid","v":"?"}', FORGED):
        with pytest.raises(CodecError):
            decode(text)


def test_a_class_nobody_finds() -> None:
    text = encode(Point(1)).text.replace(":Point", ":Gone")
    with pytest.raises(CodecError, match="Gone cannot be found"):
        decode(text)
    assert codec.plain(text) == {"x": 1, "tags": []}
    assert decode(text, classes=lambda module, name: Point) == Point(1)


def test_a_local_named_tuple_keeps_its_shape() -> None:
    Local = collections.namedtuple("Local", "a b")  # noqa: PYI024, N806, RUF100
    Local.__qualname__ = "f.<locals>.Local"
    found = decode(encode(Local(1, (2,))).text)
    assert (found.a, found.b, found._fields) == (1, (2,), ("a", "b"))


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (1, "1"), ((1, "a"), "(1, 'a')"), ({"a": [1]}, "{'a': [1]}"), (Point(1), "Point(x=1, tags=[])"),
        (Colour.RED, "Colour.RED"), (b"abc", "bytes (3 bytes)"), (decimal.Decimal("1.5"), "1.5"),
    ],
)  # fmt: skip
def test_preview(value: object, line: str) -> None:
    assert codec.preview(encode(value).text) == line
    assert len(codec.preview(encode(list(range(1000))).text, 40)) <= 40
    assert codec.preview(encode(list(range(1000))).text, 40).endswith("… 1000 items]")


PROBE = """
import datetime, decimal
from twingraph.core.codec import encode, decode, hash_text
v = {"b": {3, "a", (1, 2.5)}, "a": [1e22, 0.1, -0.0, 10**4400, "é\\ud800"], 1: b"x", "$": datetime.datetime(2020, 1, 2),
     "d": decimal.Decimal("1.0"), "big": b"x" * 70000, "f": frozenset(["x", "y", "z"]), "text": "x" * 70000}
e = encode(v)
assert decode(e.text) == v and hash_text(e.text) == e.hash
print(e.hash, encode({"a": 1.5, "b": [True, None]}).hash)
"""


def _pythons() -> list[str]:
    roots = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")) / "versions"
    found = {}
    for minor in range(8, 14):
        for path in [*map(str, roots.glob(f"3.{minor}.*/bin/python")), shutil.which(f"python3.{minor}")]:
            # a version manager's shim is on the PATH even for a version that is not switched on
            if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
                found[minor] = path
                break
    return [*found.values(), sys.executable, sys.executable]


def test_one_hash_on_every_python_and_hash_seed(tmp_path: pathlib.Path) -> None:
    core = tmp_path / "twingraph" / "core"
    core.mkdir(parents=True)
    (tmp_path / "twingraph" / "__init__.py").touch()
    (core / "__init__.py").touch()
    source = pathlib.Path(codec.__file__).parent
    for file in [source / "hashing.py", *source.glob("codec*.py")]:
        shutil.copy(file, core)
    outputs = set()
    for seed, python in enumerate(_pythons()):
        env = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONHASHSEED": str(seed)}
        done = subprocess.run([python, "-c", PROBE], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        outputs.add(done.stdout)
    assert len(outputs) == 1


@pytest.mark.parametrize("count", [3, 30_000, 100_000])
def test_a_list_opened_once_gives_each_element(count: int) -> None:
    blobs = MemoryBlobs()
    opened = codec.Elements(codec.encode(list(range(count)), blobs=blobs).text, blobs)
    assert [opened[index] for index in (0, count // 2, -1)] == ["0", str(count // 2), str(count - 1)]
    with pytest.raises(IndexError):
        opened[count]
