"""Long texts by and by: hashed, and moved into the store, in short steps, with the results that it has at once.

A text is read through a window: what ends in it is read at once, what does not is taken apart. Nothing of it stays in
memory as a tree. What is written in another way than ours, or is odd, is left to be read at once. Python 3.8 syntax.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from json import JSONDecoder
from json.scanner import make_scanner
from operator import itemgetter
from typing import Any, NamedTuple

from twingraph.core.codec import join_list
from twingraph.core.codec_base import LEAVES, UNREADABLE, canonical, dumps, dumps_sorted, hash_text
from twingraph.core.codec_lists import list_end
from twingraph.core.hashing import hasher

# So many characters are read without a pause, so many parts are joined, and so many bytes are written.
WINDOW = 8_000
PARTS = 1_000
PIECE = 1 << 18

_PAIRS = '{"$":"dict","v":['
_TUPLE = '{"$":"tuple","v":['
_SPECIAL = frozenset(("dict", "ref", *LEAVES))  # tags of what is hashed in a way of its own

_scan: Callable[[str, int], tuple[Any, int]] = make_scanner(JSONDecoder())  # type: ignore[arg-type]


class Odd(Exception):  # noqa: N818 - nothing went wrong
    """It has to be read at once."""


ODD = (Odd, IndexError, *UNREADABLE)


class Parts(NamedTuple):
    """Of a list: each part as `dumps` writes it, and as it is hashed; `keys` of a list of pairs, as they are sorted."""

    texts: list[str]
    hashed: list[str]
    keys: list[str]


class Moved(NamedTuple):
    """What stands in the store for a text that was moved there; `items` of a list or a tuple, else None."""

    digest: str
    blob: str
    size: int
    items: int | None
    is_tuple: bool


def hashing(text: str) -> Generator[None, None, str]:
    """`hash_text` by and by."""
    if len(text) <= WINDOW:
        return hash_text(text)
    try:
        return (yield from digest_of(_Reading(text).last()))
    except ODD:
        return hash_text(text)


def moving(text: str, blobs: Any) -> Generator[None, None, Moved]:
    """Put a text into the store: a list line by line, so that its items can be read alone. Raises one of ODD for what
    is to be moved at once."""
    reading = _Reading(text)
    parts = None
    if text.startswith("["):
        parts = yield from reading.parts()
        reading.ends()
        digest = yield from digest_of(listed(parts.hashed))
    elif text.startswith(_TUPLE):
        reading.at = len(_TUPLE) - 1
        parts = yield from reading.parts()
        reading.skip("}")
        reading.ends()
        digest = yield from digest_of(listed(parts.hashed, _TUPLE[:-1], "}"))
    else:
        digest = yield from digest_of(reading.last())
    with blobs.writer() as writer:
        for piece in _pieces(text) if parts is None else list_pieces(parts.texts):
            writer.write(piece)
            yield
        blob, size = str(writer.commit()), int(writer.size)
    return Moved(digest, blob, size, None if parts is None else len(parts.texts), not text.startswith("["))


def list_pieces(texts: Sequence[str]) -> Iterator[bytes]:
    """`list_blob`, piece by piece."""
    lengths: list[int] = []
    for some in _groups(texts):
        lines = [text.encode("utf-8") + b"\n" for text in some]
        lengths += map(len, lines)
        yield b"".join(lines)
    yield from list_end(lengths, PARTS)


def _groups(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Some at a time; of long ones few."""
    start = size = 0
    for end, text in enumerate(texts, 1):
        size += len(text)
        if size > PIECE or end - start == PARTS or end == len(texts):
            yield texts[start:end]
            start, size = end, 0


def _pieces(text: str) -> Iterator[bytes]:
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE].encode("utf-8")


def digest_of(canonical: Iterable[str | None]) -> Generator[None, None, str]:
    """The hash of what these make up together; None is a pause."""
    found = hasher()
    for piece in canonical:
        if piece is None:
            yield
        for start in range(0, len(piece or ""), PIECE):
            assert piece is not None
            found.update(piece[start : start + PIECE].encode("utf-8"))
            if len(piece) > PIECE:
                yield
    return str(found.hexdigest())


def listed(parts: Sequence[str], opening: str = "", closing: str = "") -> Iterator[str | None]:
    """A list with these parts, joined by and by."""
    yield opening + "["
    comma = ""
    for some in _groups(parts):
        yield comma + ",".join(some)
        yield None
        comma = ","
    yield "]" + closing


def sorting(parts: Sequence[Any], key: Callable[[Any], Any] | None = None) -> Generator[None, None, list[Any]]:
    """`sorted` by and by."""
    runs = []
    for start in range(0, len(parts), PARTS):
        runs.append(sorted(parts[start : start + PARTS], key=key))
        yield
    if len(runs) < 2:
        return runs[0] if runs else []
    found = []
    for number, part in enumerate(merge(*runs, key=key), 1):
        found.append(part)
        if not number % PARTS:
            yield
    return found


class _Reading:
    """One text, from the front to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    def skip(self, signs: str) -> None:
        if not self._text.startswith(signs, self.at):
            raise Odd
        self.at += len(signs)

    def ends(self) -> None:
        if self.at != len(self._text):
            raise Odd

    def last(self) -> Iterator[str | None]:
        """The whole text as it is hashed; None is a pause."""
        if self._text.startswith("["):
            parts = yield from self.parts()
            yield from listed(parts.hashed)
        else:
            yield (yield from self._value())[1]
        self.ends()

    def parts(self, *, pairs: bool = False) -> Generator[None, None, Parts]:
        """Those of the list that begins here."""
        self.skip("[")
        found = Parts([], [], [])
        if self._text[self.at] == "]":
            self.at += 1
            return found
        over = False
        while not over:
            values, window, over = self._values()
            if values:
                _add(found, values, window, pairs)
            elif pairs:
                pair = yield from self.parts()
                found.texts.append(join_list(pair.texts))
                found.hashed.append(join_list(pair.hashed))
                found.keys.append(pair.hashed[0])
                over = self._goes_on("]")
            else:
                text, hashed = yield from self._value()
                found.texts.append(text)
                found.hashed.append(hashed)
                over = self._goes_on("]")
            yield
        return found

    def _values(self) -> tuple[list[Any], str, bool]:
        """The parts that end in the window, their text, and whether the list does."""
        window, done, over = self._text[self.at : self.at + WINDOW], 0, False
        values: list[Any] = []
        try:
            while not over:
                value, end = _scan(window, done)
                sign = window[end]
                if sign != "," and sign != "]":  # a number that is cut in two
                    break
                values.append(value)
                done, over = end + 1, sign == "]"
        except (StopIteration, ValueError, IndexError):  # one that ends later
            pass
        self.at += done
        return values, window[:done], over

    def _value(self) -> Generator[None, None, tuple[str, str]]:
        """What stands here and ends in no window: as `dumps` writes it, and as it is hashed."""
        sign = self._text[self.at]
        if sign == "[":
            parts = yield from self.parts()
            return join_list(parts.texts), join_list(parts.hashed)
        if sign == "{":
            return (yield from self._dict())
        text = dumps(self._one())  # one long text
        return text, text

    def _one(self) -> Any:
        try:
            value, self.at = _scan(self._text, self.at)
        except StopIteration:
            raise Odd from None
        return value

    def _dict(self) -> Generator[None, None, tuple[str, str]]:
        if self._text.startswith(_PAIRS, self.at):
            return (yield from self._sorted_pairs())
        self.skip("{")
        texts: dict[str, str] = {}
        hashed: dict[str, str] = {}
        over = False
        while not over:
            named, window, over = self._named()
            for name, value in named:
                if name == "$" and (texts or type(value) is not str or value in _SPECIAL):
                    raise Odd
                texts[name] = hashed[name] = dumps(value)
                if "{" in window:
                    hashed[name] = dumps_sorted(canonical(value))
            if not named:
                name = self._name()
                texts[name], hashed[name] = yield from self._value()
                over = self._goes_on("}")
            yield
        order = yield from sorting(list(hashed))
        return (yield from _object(texts, texts)), (yield from _object(order, hashed))

    def _named(self) -> tuple[list[tuple[str, Any]], str, bool]:
        """The named parts that end in the window, their text, and whether the dict does."""
        window, done, over = self._text[self.at : self.at + WINDOW], 0, False
        named: list[tuple[str, Any]] = []
        try:
            while not over:
                name, end = _scan(window, done)
                if type(name) is not str or window[end] != ":":
                    raise Odd
                value, end = _scan(window, end + 1)
                sign = window[end]
                if sign != "," and sign != "}":
                    break
                named.append((name, value))
                done, over = end + 1, sign == "}"
        except (StopIteration, ValueError, IndexError):
            pass
        self.at += done
        return named, window[:done], over

    def _name(self) -> str:
        if self._text[self.at] != '"':
            raise Odd
        name = str(self._one())
        self.skip(":")
        if name == "$":
            raise Odd
        return name

    def _sorted_pairs(self) -> Generator[None, None, tuple[str, str]]:
        """A dict with keys that are no texts: pairs, hashed in the order of their keys."""
        self.at += len(_PAIRS) - 1
        parts = yield from self.parts(pairs=True)
        self.skip("}")
        order = yield from sorting(list(zip(parts.keys, parts.hashed)), key=itemgetter(0))
        opening = _PAIRS[:-1]
        return opening + join_list(parts.texts) + "}", opening + join_list([pair[1] for pair in order]) + "}"

    def _goes_on(self, closing: str) -> bool:
        """Whether what we are in ends here; else its next part begins."""
        sign = self._text[self.at]
        self.at += 1
        if sign != "," and sign != closing:
            raise Odd
        return sign == closing


def _add(found: Parts, values: list[Any], window: str, pairs: bool) -> None:
    if "{" not in window and "[" not in window and '"' not in window:
        texts = dumps(values)[1:-1].split(",")
    else:
        texts = list(map(dumps, values))
    trees = [canonical(value) for value in values] if "{" in window else values
    found.texts.extend(texts)
    found.hashed.extend(map(dumps_sorted, trees) if "{" in window else texts)
    if pairs:
        found.keys.extend(dumps_sorted(tree[0]) for tree in trees)


def _object(names: Iterable[str], texts: Mapping[str, str]) -> Generator[None, None, str]:
    parts: list[str] = []
    for name in names:
        parts.append(f"{dumps(name)}:{texts[name]}")
        if not len(parts) % PARTS:
            yield
    return "{" + ",".join(parts) + "}"
