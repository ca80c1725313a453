"""Large lists: one element's text per line and an index behind them, so that an element is read alone.

Layout: the lines, then n + 1 offsets (8 bytes each, little-endian; element i lies between offsets i and i + 1, the
last byte being its newline), then n, then the mark.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from itertools import accumulate
from struct import pack, unpack_from
from typing import Any

from twingraph.core.codec_base import UNREADABLE, CodecError, dumps, fetch, loads, unreadable

_MARK = b"TGLIST1\n"


def list_blob(texts: Sequence[str]) -> bytes:
    lines = [text.encode("utf-8") + b"\n" for text in texts]
    return b"".join([*lines, *list_end(list(map(len, lines)), len(lines) or 1)])


def list_end(lengths: Sequence[int], at_once: int) -> Iterator[bytes]:
    """What stands behind the lines of these lengths, in pieces of so many offsets."""
    position = 0
    yield pack("<Q", position)
    for start in range(0, len(lengths), at_once):
        offsets = list(accumulate(lengths[start : start + at_once], initial=position))[1:]
        position = offsets[-1]
        yield pack(f"<{len(offsets)}Q", *offsets)
    yield pack("<Q", len(lengths))
    yield _MARK


def _count(data: Any) -> int:
    if len(data) < 24 or data[-8:] != _MARK:
        raise CodecError("the blob of a large list is not one")
    return int(unpack_from("<Q", data, len(data) - 16)[0])


def _line(data: Any, count: int, index: int) -> str:
    start, end = unpack_from("<2Q", data, len(data) - 16 - 8 * (count + 1 - index))
    return bytes(data[start : end - 1]).decode("utf-8")


def list_lines(data: Any) -> Iterator[str]:
    count = _count(data)
    if len(data) < 8 * count + 24:  # believed, it would be counted to, whatever it is
        raise CodecError("the blob of a large list is not whole")
    return _lines(data, count)


def _lines(data: Any, count: int) -> Iterator[str]:
    try:
        for index in range(count):
            yield _line(data, count, index)
    except UNREADABLE as error:
        raise unreadable(error) from error


def _sequence(tree: Any) -> list[Any]:
    if type(tree) is dict and tree.get("$") == "tuple":
        tree = tree["v"]
    if type(tree) is not list:
        raise CodecError("only a list or a tuple has elements that can be read alone")
    return tree


def length(text: str) -> int:
    """How many elements a list, a tuple or a reference to one has; reads no blob."""
    try:
        return _length(text)
    except UNREADABLE as error:
        raise unreadable(error) from error


def _length(text: str) -> int:
    tree = loads(text)
    if type(tree) is dict and tree.get("$") == "ref" and tree["rung"] == "list":
        return int(tree["n"])
    return len(_sequence(tree))


def element(text: str, index: int, *, blobs: Any = None) -> str:
    """The text of one element; of a large list only that element is read, from a map of the file. IndexError when the
    list has no such element."""
    return Elements(text, blobs)[index]


class Elements:
    """The elements of one list, for whoever asks for many of them: a large list stays in its file, which is mapped."""

    def __init__(self, text: str, blobs: Any = None) -> None:
        self._items: list[Any] | None = None
        self._data: Any = None
        try:
            self._open(loads(text), blobs)
        except UNREADABLE as error:
            raise unreadable(error) from error

    def __getitem__(self, index: int) -> str:
        try:
            if self._items is not None:
                return dumps(self._items[index])
            return _line(self._data, self._count, range(self._count)[index])
        except UNREADABLE as error:
            raise unreadable(error) from error

    def _open(self, tree: Any, blobs: Any) -> None:
        if type(tree) is not dict or tree.get("$") != "ref" or tree["rung"] != "list":
            self._items = _sequence(tree)
            return
        path = blobs.path(tree["hash"]) if blobs is not None else None
        if path is None:
            self._data = fetch(blobs, tree["hash"])
        else:
            with open(path, "rb") as file:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._count = _count(self._data)
