"""Values that a run gives, with the secrets hidden that it was given. Python 3.8 syntax.

Plain data, and all that is made of it, is hidden piece by piece, however deep and also when it is moved into the blob
store; bytes too. An array, a table or a pickle that holds a secret is refused: there is no text in it to be replaced.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import Any, Dict

from twingraph.core.codec import Encoded, encode
from twingraph.core.codec_base import INLINE_LIMIT, CodecError, dumps, hash_tree, loads
from twingraph.core.codec_lists import list_blob, list_lines
from twingraph.core.hashing import content_hash
from twingraph.executors.mask import HIDDEN, Mask

# Of these the value stays one of its kind with a text in it hidden; of any other nothing is left but the mask.
_HOLDERS = ("tuple", "set", "frozenset", "dict", "ordereddict", "counter", "defaultdict", "deque", "path")
_RECORDS = ("dataclass", "namedtuple", "model")
_BYTES = ("bytes", "bytearray", "str")
_OPAQUE = ("npy", "arrow")


class MaskedEncoder:
    """`encode` for the runs that were given secrets."""

    def __init__(self, mask: Mask, blobs: Any, key: bytes | None) -> None:
        self._mask = mask
        self._blobs = blobs
        self._key = key

    def __call__(self, value: Any, path: str) -> Encoded:
        """CodecError where a secret cannot be hidden."""
        kept = _Withheld(self._mask, self._blobs)
        pickle = self._key is not None
        encoded = encode(value, blobs=kept, key=self._key, pickle=pickle, path=path)
        if not kept.blobs and not self._mask.json.found(encoded.text) and not self._may_hide(encoded.text):
            return encoded
        tree = _Hiding(self._mask, kept, path or "value").tree(loads(encoded.text))
        return _again(tree, kept)

    def _may_hide(self, text: str) -> bool:
        """Whether something stands there that is no text itself."""
        return any(f'"$":"{tag}"' in text for tag in (*_BYTES, *_OPAQUE))


def _again(tree: Any, blobs: Any) -> Encoded:
    """What `encode` makes of a tree; a large one is moved into the store."""
    data = dumps(tree).encode("utf-8")
    digest = hash_tree(tree)
    if len(data) < INLINE_LIMIT or (type(tree) is dict and tree.get("$") == "ref"):
        return Encoded(data.decode("utf-8"), digest, len(data) + blobs.stored)
    is_tuple = type(tree) is dict and tree.get("$") == "tuple"
    items = tree["v"] if is_tuple else tree
    ref: Dict[str, Any] = {"$": "ref", "rung": "json", "hash": "", "size": 0, "value": digest}  # noqa: UP006
    if type(items) is list:
        data = list_blob([dumps(item) for item in items])
        ref.update(rung="list", n=len(items))
        if is_tuple:
            ref["as"] = "tuple"
    ref.update(hash=str(blobs.store(data)), size=len(data))
    text = dumps(ref)
    return Encoded(text, digest, len(text) + len(data) + blobs.stored)


class _Withheld:
    """A blob store that keeps back what holds a secret."""

    def __init__(self, mask: Mask, blobs: Any) -> None:
        self._mask = mask
        self._real = blobs
        self.blobs: Dict[str, bytes] = {}  # noqa: UP006
        self.stored = 0

    def put(self, data: Any) -> str:
        whole = bytes(data)
        text = whole.decode("latin-1")
        if self._mask.raw.found(text) or (b'"$":"' in whole and b'"v":"' in whole):
            digest = str(content_hash(whole))
            self.blobs[digest] = whole
            return digest
        return self.store(whole)

    def store(self, data: bytes) -> str:
        self.stored += len(data)
        return str(self._real.put(data))

    def writer(self) -> Any:
        return _Watched(self._mask, self._real.writer())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Watched:
    """A blob being written, refused as soon as a secret is in it."""

    def __init__(self, mask: Mask, real: Any) -> None:
        self._matcher = mask.binary
        self._longest = max(map(len, mask.binary.patterns), default=1)
        self._real = real
        self._tail = ""

    def write(self, data: Any) -> Any:
        text = self._tail + bytes(data).decode("latin-1")
        if self._matcher.found(text):
            raise CodecError(_REFUSED.format("the value"))
        self._tail = text[max(0, len(text) - self._longest + 1) :]
        return self._real.write(data)

    def __enter__(self) -> _Watched:
        self._real.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._real.__exit__(*error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


_REFUSED = (
    "{} holds the value of a secret where it cannot be hidden (in an array, a table or a pickled object); "
    "leave it out of what the component returns"
)


class _Hiding:
    """One tree with everything hidden in it."""

    def __init__(self, mask: Mask, kept: _Withheld, path: str) -> None:
        self._mask = mask
        self._kept = kept
        self._path = path

    def tree(self, tree: Any) -> Any:
        kind = type(tree)
        if kind is str:
            return self._mask(tree)
        if kind is list:
            return [self.tree(item) for item in tree]
        if kind is dict:
            return self._tagged(tree) if "$" in tree else self._dict(tree)
        if kind is int or kind is float:
            return HIDDEN if repr(tree) in self._mask.values else tree
        return tree

    def _dict(self, tree: Dict[str, Any]) -> Dict[str, Any]:  # noqa: UP006
        return dict(zip(hidden_names(self._mask, tree), map(self.tree, tree.values())))

    def _tagged(self, tree: Dict[str, Any]) -> Any:  # noqa: UP006
        tag = tree["$"]
        if tag == "ref":
            data = self._kept.blobs.get(tree["hash"])
            return tree if data is None else self._referred(tree, data)
        if tag in _BYTES:
            data = self._mask.hide_bytes(a2b_base64(tree["v"]))
            return dict(tree, v=b2a_base64(data, newline=False).decode("ascii"))
        if tag in _OPAQUE:
            if self._mask.binary.found(a2b_base64(tree["v"]).decode("latin-1")):
                raise CodecError(_REFUSED.format(self._path))
            return tree
        if tag in _HOLDERS:
            return dict(tree, v=self.tree(tree["v"]))
        if tag in _RECORDS:
            parts = {name: self._fields(tree[name]) for name in ("v", "extra", "private") if name in tree}
            return dict(tree, **parts)
        return HIDDEN if self._mask.json.found(dumps(tree)) else tree

    def _fields(self, fields: Any) -> Any:
        """Names of fields are the code's and no secret."""
        if type(fields) is not dict or "$" in fields:
            return self.tree(fields)
        return {name: self.tree(part) for name, part in fields.items()}

    def _referred(self, ref: Dict[str, Any], data: bytes) -> Any:  # noqa: UP006
        """What would have gone into the store."""
        rung = ref["rung"]
        if rung == "json":
            return self.tree(loads(data.decode("utf-8")))
        if rung == "list":
            items = [self.tree(loads(line)) for line in list_lines(data)]
            return {"$": "tuple", "v": items} if ref.get("as") == "tuple" else items
        if rung in ("bytes", "bytearray"):
            hidden = self._mask.hide_bytes(data)
            if len(hidden) < INLINE_LIMIT:
                return {"$": rung, "v": b2a_base64(hidden, newline=False).decode("ascii")}
            return dict(ref, hash=self._kept.store(hidden), size=len(hidden))
        matcher = self._mask.raw if rung == "pickle" else self._mask.binary
        if matcher.found(data.decode("latin-1")):
            raise CodecError(_REFUSED.format(self._path))
        self._kept.store(data)
        return ref


def hidden_names(mask: Mask, names: Any) -> Any:
    """Names with secrets hidden, each still different from the others."""
    found: Dict[str, None] = {}  # noqa: UP006
    for name in names:
        hidden, count = mask(name), 1
        while hidden in found:
            count += 1
            hidden = f"{mask(name)}-{count}"
        found[hidden] = None
    return list(found)
