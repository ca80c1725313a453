"""A value is always one JSON text: plain data as it is, everything else as `{"$": tag, ...}`.

The front door of the `codec_*` modules. They are Python 3.8 with the standard library only, because they are shipped
into containers under their own names; a library is touched only when a value of its kind is met.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from json.encoder import encode_basestring as _quote
from typing import Any, NamedTuple

from twingraph.core.codec_base import (
    INLINE_LIMIT,
    MAX_DEPTH,
    MAX_DIGITS,
    NESTED,
    UNREADABLE,
    CodecError,
    dumps,
    dumps_sorted,
    fetch,
    hash_text,
    hash_tree,
    loads,
    ref_hashes,
    unreadable,
)
from twingraph.core.codec_lists import Elements, element, length, list_blob, list_lines
from twingraph.core.codec_views import plain, preview
from twingraph.core.hashing import blake2b

__all__ = [
    "INLINE_LIMIT", "CodecError", "Elements", "Encoded", "compact", "compacting", "decode", "element", "encode",
    "hash_text", "join_dict", "join_list", "length", "plain", "preview", "refs", "stored_size",
]  # fmt: skip

_LONG_NUMBER = re.compile(f"[0-9]{{{MAX_DIGITS + 1}}}")
_SCALARS = frozenset((str, int, float, bool, type(None)))
_TEXT_OR_NONE = frozenset((str,))


class Encoded(NamedTuple):
    """A value's text, its content hash, and its size in bytes with everything it refers to."""

    text: str
    hash: str
    size: int


def _is_plain(value: Any) -> int:
    """0: not plain JSON; 1: plain; 2: plain with a dict, whose keys the hash wants sorted. Each container once."""
    level, seen, found, depth = [value], set(), 1, 0
    while level:
        below: list[Any] = []
        for item in level:
            if type(item) is dict:
                if "$" in item or (item and set(map(type, item)) != _TEXT_OR_NONE):
                    return 0
                if len(item) > 1:
                    found = 2
                parts: Any = item.values()
            else:
                parts = item
            kinds = set(map(type, parts))
            if kinds <= _SCALARS:
                continue
            if not kinds <= _PLAIN:
                return 0
            for part in parts:
                if type(part) in _CONTAINERS and id(part) not in seen:
                    seen.add(id(part))
                    below.append(part)
        level = below
        depth += 1
        if depth > MAX_DEPTH:
            return 0
    return found


_CONTAINERS = frozenset((list, dict))
_PLAIN = _SCALARS | _CONTAINERS


def encode(
    value: Any,
    *,
    blobs: Any = None,
    pickle: bool = False,
    key: bytes | None = None,
    path: str = "",
    named: Callable[[type], str] | None = None,
    special: dict[type, Callable[[Any], Any]] | None = None,
) -> Encoded:
    """The value as text; `path` is how errors call it. Large parts go to `blobs`, without it all stays in the text.

    `named(cls)` is asked what a class is called ("module:qualname") where the value will be read. `special` gives the
    tree that stands for instances of a class; a text with such a tree in it is not moved to `blobs` and has no hash.
    """
    kind = type(value)
    sort = 1 if kind in _SCALARS else _is_plain(value) if kind is dict or kind is list else 0
    if sort:
        try:
            text = _quote(value) if kind is str else dumps(value)
            data = text.encode("utf-8")
            if len(data) < MAX_DIGITS or not _LONG_NUMBER.search(text):
                hashed = data if sort == 1 else dumps_sorted(value).encode("utf-8")
                digest = blake2b(hashed, digest_size=32).hexdigest()
                if len(data) < INLINE_LIMIT or blobs is None:
                    return Encoded(text, digest, len(data))
                return _moved(value, data, digest, blobs, 0)
        except (ValueError, RecursionError):  # not finite, lone surrogates, huge, too deep, cyclic
            pass
    return _encode_tagged(value, blobs, pickle, key, path, named, special)


def _encode_tagged(
    value: Any,
    blobs: Any,
    pickle: bool,
    key: bytes | None,
    path: str,
    named: Callable[[type], str] | None,
    special: dict[type, Callable[[Any], Any]] | None,
) -> Encoded:
    from twingraph.core.codec_encode import Encoder  # plain data never pays for it

    encoder = Encoder(blobs, pickle, key, path, named, special)
    try:
        tree = encoder.tree(value)
        if encoder.specials:
            return Encoded(dumps(tree), "", encoder.stored)
        data = dumps(tree).encode("utf-8")
        digest = hash_tree(tree)
    except RecursionError as error:
        raise CodecError(f"{encoder.where()[:200]}: nested too deeply") from error
    if len(data) < INLINE_LIMIT or blobs is None:
        return Encoded(data.decode("utf-8"), digest, len(data) + encoder.stored)
    return _moved(tree, data, digest, blobs, encoder.stored)


def _moved(tree: Any, data: bytes, digest: str, blobs: Any, stored: int) -> Encoded:
    """A text that is too large to travel: into the store, a reference in its place."""
    is_tuple = type(tree) is dict and tree.get("$") == "tuple"
    items = tree["v"] if is_tuple else tree
    is_list = type(items) is list
    if is_list:
        data = list_blob([dumps(item) for item in items])
    text = reference(digest, str(blobs.put(data)), len(data), len(items) if is_list else None, is_tuple)
    return Encoded(text, digest, len(text) + len(data) + stored)


def reference(digest: str, blob: str, size: int, items: int | None, is_tuple: bool) -> str:
    """What stands for a text that was moved; `items` of a list or a tuple."""
    ref = {"$": "ref", "rung": "json", "hash": blob, "size": size, "value": digest}
    if items is not None:
        ref.update(rung="list", n=items)
        if is_tuple:
            ref["as"] = "tuple"
    return dumps(ref)


def compact(text: str, blobs: Any) -> str:
    """The text as it may travel: itself, or a reference once it has grown too large by being composed."""
    if len(text) < INLINE_LIMIT // 4:  # no character takes more than four bytes
        return text
    data = text.encode("utf-8", "surrogatepass")
    if len(data) < INLINE_LIMIT:
        return text
    try:
        tree = loads(text)
        return _moved(tree, data, hash_tree(tree), blobs, 0).text
    except UNREADABLE as error:
        raise unreadable(error) from error


def compacting(text: str, blobs: Any) -> Generator[None, None, str]:
    """The same by and by, for those who must not keep others waiting."""
    if len(text) < INLINE_LIMIT and (
        len(text) < INLINE_LIMIT // 4 or len(text.encode("utf-8", "surrogatepass")) < INLINE_LIMIT
    ):
        return text
    from twingraph.core.codec_long import ODD, moving  # few values are that long

    try:
        moved = yield from moving(text, blobs)
    except ODD:
        return compact(text, blobs)
    return reference(*moved)


def decode(
    text: str,
    *,
    blobs: Any = None,
    classes: Callable[[str, str], Any] | None = None,
    key: bytes | None = None,
    pickle: bool = False,
    mmap: bool = True,
) -> Any:
    """The value again. Set `pickle` only where user code may run; `classes(module, qualname)` is asked first."""
    try:
        if '"$"' not in text:
            return loads(text)
        from twingraph.core.codec_decode import Decoder

        return Decoder(blobs, classes, key, pickle, mmap).loads(text)
    except UNREADABLE as error:
        raise unreadable(error) from error


def refs(text: str, *, blobs: Any = None) -> Iterator[str]:
    """Hashes of the blobs a text refers to; with `blobs` also those that a moved text refers to in its turn."""
    if '"$":"ref"' not in text:
        return
    try:
        yield from _refs(text, blobs)
    except UNREADABLE as error:
        raise unreadable(error) from error


def stored_size(text: str) -> int:
    """The size in bytes of a text with the blobs that it refers to."""
    refs = ref_hashes(loads(text)) if '"$":"ref"' in text else ()
    return len(text.encode("utf-8")) + sum(int(ref["size"]) for ref in refs)


def _refs(text: str, blobs: Any) -> Iterator[str]:
    todo = [text]
    while todo:
        for ref in ref_hashes(loads(todo.pop())):
            yield ref["hash"]
            if blobs is not None and ref["rung"] in NESTED:
                data = fetch(blobs, ref["hash"])
                lines = list_lines(data) if ref["rung"] == "list" else [data.decode("utf-8")]
                todo.extend(line for line in lines if '"$":"ref"' in line)


def join_list(texts: Sequence[str]) -> str:
    """The text of the list whose elements have these texts."""
    return "[" + ",".join(texts) + "]"


def join_dict(pairs: Iterable[tuple[str, str]]) -> str:
    """The text of the dict with these keys, given the texts of its values."""
    last = dict(pairs)
    if "$" in last:
        return '{"$":"dict","v":[' + ",".join("[" + _quote(key) + "," + text + "]" for key, text in last.items()) + "]}"
    return "{" + ",".join(_quote(key) + ":" + text for key, text in last.items()) + "}"
