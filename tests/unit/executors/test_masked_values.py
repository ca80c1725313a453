from __future__ import annotations

import base64
import json
from collections import Counter, OrderedDict, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twingraph.core.codec import decode, encode
from twingraph.core.codec_base import CodecError
from twingraph.executors.mask import Mask
from twingraph.executors.masked_values import MaskedEncoder
from twingraph.store.blobs.local import LocalBlobs

SECRET = "hunter2-the-value"
KEY = b"k" * 32
Point = namedtuple("Point", "x y")


@dataclass
class Record:
    name: str
    token: str


class Opaque:
    def __init__(self, token: str) -> None:
        self.token = token


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path)


def hidden(value: Any, blobs: LocalBlobs, *secrets: str) -> Any:
    text, digest, _ = MaskedEncoder(Mask(secrets or [SECRET]), blobs, KEY)(value, "output")
    again = decode(text, blobs=blobs, key=KEY, pickle=True)
    assert digest == encode(again, blobs=blobs, key=KEY, pickle=True).hash
    return again


def kept(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (SECRET, "***"),
        (f"a {SECRET} b", "a *** b"),
        ({"k": [SECRET, 1, None], SECRET: 2}, {"k": ["***", 1, None], "***": 2}),
        ({SECRET: 1, SECRET + SECRET: 2, "***": 3}, {"***": 1, "******": 2, "***-2": 3}),
        ((SECRET, {SECRET}), ("***", {"***"})),
        ({1: SECRET}, {1: "***"}),
        (OrderedDict(a=SECRET), OrderedDict(a="***")),
        (Counter([SECRET]), Counter(["***"])),
        (Point(SECRET, 1), Point("***", 1)),
        (Record("n", SECRET), Record("n", "***")),
        (PurePosixPath("/run") / SECRET, PurePosixPath("/run/***")),
        (SECRET.encode(), b"***"),
        (b"\xff\x00" + SECRET.encode(), b"\xff\x00***"),
        (bytearray(SECRET.encode()), bytearray(b"***")),
        (json.dumps(json.dumps({"a": SECRET})), json.dumps(json.dumps({"a": "***"}))),
        ("nothing", "nothing"),
        (Decimal("1.5"), Decimal("1.5")),
    ],
)
def test_plain_and_tagged_values(value: Any, left: Any, blobs: LocalBlobs) -> None:
    assert hidden(value, blobs) == left


def test_a_number_that_is_a_secret(blobs: LocalBlobs) -> None:
    assert hidden([12345678, 123456789, 1.5], blobs, "12345678") == ["***", 123456789, 1.5]
    assert hidden(Decimal(12345678), blobs, "12345678") == "***"


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ([SECRET, "x"] * 20_000, ["***", "x"] * 20_000),
        ((SECRET, "x") * 20_000, ("***", "x") * 20_000),
        ({"a": [base64.b64encode(SECRET.encode()).decode()] * 9_000}, {"a": ["***"] * 9_000}),
        ((SECRET * 10_000).encode(), b"***" * 10_000),
        ([(SECRET * 10_000).encode()], [b"***" * 10_000]),
        (["fine"] * 40_000, ["fine"] * 40_000),
    ],
)
def test_large_ones_are_hidden_before_they_are_stored(value: Any, left: Any, blobs: LocalBlobs, tmp_path: Path) -> None:
    assert hidden(value, blobs) == left
    assert SECRET.encode() not in kept(tmp_path)


@pytest.mark.parametrize("count", [1, 20_000])
def test_what_cannot_be_hidden_is_refused(count: int, blobs: LocalBlobs, tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")
    values = [Opaque(SECRET), numpy.array([SECRET.encode()] * count), pandas.DataFrame({"a": [SECRET] * count})]
    for value in values:
        with pytest.raises(CodecError, match="holds the value of a secret"):
            hidden(value, blobs)
    assert SECRET.encode() not in kept(tmp_path)
    assert list(hidden(numpy.arange(count), blobs)) == list(range(count))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just(SECRET) | st.just("true"),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.just(SECRET), inner, max_size=4)
    ),
)


@given(JSON, st.sampled_from([SECRET, "true", "null", 'a"b\\', "0000", '":["', "tuple"]))
def test_a_text_stays_one_whatever_the_secret_is(value: Any, secret: str) -> None:
    text = MaskedEncoder(Mask([secret]), None, None)(value, "output").text
    assert [said for said in texts(decode(text)) if secret in said] == []


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts(part)]
    return [text for part in value for text in texts(part)] if isinstance(value, list | tuple | set) else []
