"""What every codec module shares: the error, the limit, JSON at its fastest, the canonical form. Python 3.8 syntax."""

from __future__ import annotations

import json
from binascii import a2b_base64
from collections.abc import Callable, Iterator
from json import encoder as _json_encoder
from json import scanner as _json_scanner
from struct import error as _struct_error
from typing import TYPE_CHECKING, Any

from twingraph.core.hashing import content_hash

if TYPE_CHECKING:
    from twingraph.core.errors import CodecError as CodecError
else:
    try:
        from twingraph.core.errors import CodecError
    except Exception:  # shipped alone, or on a Python that twingraph itself does not support

        class CodecError(Exception):
            """A value cannot be stored, or what was stored cannot be read back."""


# What a text that nobody of us wrote may lead to on its way back.
UNREADABLE = (
    ArithmeticError,
    AttributeError,
    ImportError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
    _struct_error,
)

INLINE_LIMIT = 65536
MAX_DEPTH = 100  # equal on every Python and far from its own limit, so that what one writes another can read
MAX_DIGITS = 4300  # Python 3.11 and newer read no longer integer from text
PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
FACTORIES = ("list", "dict", "set", "tuple", "int", "float", "str", "bool", "frozenset", "bytes")
LEAVES = ("bytes", "bytearray", "npy", "arrow")
NESTED = ("json", "list")  # rungs whose blob is itself made of JSON texts


def _unknown(value: Any) -> Any:
    raise TypeError(type(value).__name__)


def make_dumps(*, sort_keys: bool = False, allow_nan: bool = False) -> Callable[[Any], str]:
    """A C encoder made once: `json.dumps` builds a new one for each call, which costs more than a small value."""
    make = getattr(_json_encoder, "c_make_encoder", None)
    if make is None:
        return json.JSONEncoder(
            separators=(",", ":"), ensure_ascii=False, allow_nan=allow_nan, sort_keys=sort_keys, check_circular=False
        ).encode
    quote = _json_encoder.encode_basestring
    encode = make(None, _unknown, quote, None, ":", ",", sort_keys, False, allow_nan)
    join = "".join

    def dumps(value: Any) -> str:
        return join(encode(value, 0))

    return dumps


dumps = make_dumps()
dumps_sorted = make_dumps(sort_keys=True)


def make_loads(hook: Callable[[dict[str, Any]], Any] | None) -> Callable[[str], Any]:
    """A parser made once per hook; the hook sees inner objects before outer ones."""
    context: Any = json.JSONDecoder(object_hook=hook)
    scan: Any = _json_scanner.make_scanner(context)

    def loads(text: str) -> Any:
        try:
            value, end = scan(text, 0)
        except (StopIteration, json.JSONDecodeError) as error:
            raise CodecError(f"not the text of a value: {text[:60]!r}") from error
        except RecursionError as error:
            raise CodecError("the text is nested too deeply to be read here") from error
        if end != len(text):
            raise CodecError(f"text goes on after the value: {text[end : end + 60]!r}")
        return value

    return loads


loads = make_loads(None)


def text_of(line: bytes) -> str:
    """What we wrote to ourselves. Variables and paths may hold bytes that are no UTF-8; each is half a character."""
    return line[:-1].decode("utf-8", "surrogatepass")


def is_whole(text: str) -> bool:
    """Half a character, a lone surrogate, is in no UTF-8: it can be written down nowhere as it is."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True


def canonical(tree: Any) -> Any:
    """The tree whose sorted text is hashed: pairs of dicts sorted, large leaves and moved texts by their hash."""
    if type(tree) is list:
        return [canonical(item) for item in tree]
    if type(tree) is not dict:
        return tree
    tag = tree.get("$")
    if tag == "dict":
        pairs = [canonical(pair) for pair in tree["v"]]
        return {"$": "dict", "v": sorted(pairs, key=lambda pair: dumps_sorted(pair[0]))}
    if tag == "ref" and tree["rung"] in NESTED:
        return {"$": "ref", "value": tree["value"]}
    if tag in LEAVES and len(tree["v"]) > INLINE_LIMIT:
        data = a2b_base64(tree["v"])
        if len(data) >= INLINE_LIMIT:
            return leaf_ref(tree, content_hash(data), len(data))
    return {key: canonical(item) for key, item in tree.items()}


def leaf_ref(leaf: dict[str, Any], digest: str, size: int) -> dict[str, Any]:
    """The reference that stands for an inline leaf: same properties, the data by its hash."""
    ref = {"$": "ref", "rung": leaf["$"], "hash": digest, "size": size}
    ref.update((key, item) for key, item in leaf.items() if key not in ("$", "v"))
    return ref


def hash_tree(tree: Any) -> str:
    """Content hash of a value given as its JSON tree."""
    if type(tree) is dict and tree.get("$") == "ref" and tree["rung"] in NESTED:
        return str(tree["value"])
    return content_hash(dumps_sorted(canonical(tree)).encode("utf-8"))


def hash_text(text: str) -> str:
    """Content hash of a value given as its text; equal to the hash that `encode` gave."""
    return hash_tree(loads(text))


def ref_hashes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every reference inside a tree."""
    todo = [tree]
    while todo:
        item = todo.pop()
        if type(item) is list:
            todo.extend(item)
        elif type(item) is dict:
            if item.get("$") == "ref":
                yield item
            todo.extend(item.values())


def fetch(blobs: Any, digest: str) -> bytes:
    """The bytes of a blob, or an error that says what is missing."""
    if blobs is None:
        raise CodecError(f"the value refers to blob {digest} and no blob store was given")
    return bytes(blobs.read(digest))


def unreadable(error: Exception) -> CodecError:
    """For what a damaged or forged text led to."""
    return CodecError(f"a stored value cannot be read back: {type(error).__name__}: {error}"[:500])
