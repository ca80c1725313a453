"""A list whose items are encoded one by one, as they come. Python 3.8 syntax."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twingraph.core.codec import Encoded, join_list, reference
from twingraph.core.codec_base import INLINE_LIMIT, NESTED, canonical, dumps_sorted, fetch, loads
from twingraph.core.codec_lists import list_blob, list_lines
from twingraph.core.hashing import hasher

__all__ = ["Joined"]


class Joined:
    """What `encode` would have made of the whole list: same hash, and no item encoded twice.

    An item that was moved into the store stays there and the list refers to it; the hash is that of the list with the
    item in it, so that it says nothing about how the list came to be.
    """

    def __init__(self, blobs: Any = None) -> None:
        self.texts: list[str] = []
        self._blobs = blobs
        self._hash = hasher()
        self._stored = 0
        self._size = 1  # of the whole text
        self._moved = False  # an item was: then the list is as well, since its text alone would give another hash

    def add(self, text: str, size: int) -> None:
        """The next item: its text, and its size with everything it refers to."""
        data = text.encode("utf-8")
        self._hash.update(b"," if self.texts else b"[")
        self._hash.update(data if b"{" not in data else self._canonical(text))
        self._stored += size - len(data)
        self._size += len(data) + 1
        self.texts.append(text)

    def _canonical(self, text: str) -> bytes:
        tree = loads(text)
        if type(tree) is dict and tree.get("$") == "ref" and tree["rung"] in NESTED:
            self._moved = True
            tree = _brought_back(tree, self._blobs)
        return dumps_sorted(canonical(tree)).encode("utf-8")

    def encoded(self) -> Encoded:
        """The list of all that was added. To be called once."""
        digest = self._digest()
        if self._stays():
            return self._inline(digest)
        data = list_blob(self.texts)
        return self._moved_to(str(self._blobs.put(data)), len(data), digest)

    def encoding(self) -> Generator[None, None, Encoded]:
        """The same by and by."""
        from twingraph.core.codec_long import list_pieces

        digest = self._digest()
        if self._stays():
            return self._inline(digest)
        with self._blobs.writer() as writer:
            for piece in list_pieces(self.texts):
                writer.write(piece)
                yield
            return self._moved_to(str(writer.commit()), int(writer.size), digest)

    def _digest(self) -> str:
        self._hash.update(b"]" if self.texts else b"[]")
        return str(self._hash.hexdigest())

    def _stays(self) -> bool:
        return self._blobs is None or (self._size < INLINE_LIMIT and not self._moved)

    def _inline(self, digest: str) -> Encoded:
        text = join_list(self.texts)
        return Encoded(text, digest, len(text.encode("utf-8")) + self._stored)

    def _moved_to(self, blob: str, size: int, digest: str) -> Encoded:
        text = reference(digest, blob, size, len(self.texts), False)
        return Encoded(text, digest, len(text) + size + self._stored)


def _brought_back(ref: Any, blobs: Any) -> Any:
    """The tree that was moved into the store."""
    data = fetch(blobs, ref["hash"])
    if ref["rung"] == "json":
        return loads(data.decode("utf-8"))
    items = [loads(line) for line in list_lines(data)]
    return {"$": "tuple", "v": items} if ref.get("as") == "tuple" else items
