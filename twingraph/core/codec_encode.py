"""From any value to its tagged JSON tree. The slow, exact way: plain data never comes here. Python 3.8 syntax."""

from __future__ import annotations

import io
import sys
from binascii import b2a_base64
from collections.abc import Callable
from typing import Any

from twingraph.core import codec_tables as tables
from twingraph.core.codec_base import (
    FACTORIES,
    INLINE_LIMIT,
    MAX_DEPTH,
    MAX_DIGITS,
    PATHS,
    CodecError,
    canonical,
    dumps_sorted,
    leaf_ref,
)
from twingraph.core.hashing import content_hash, signature

_HUGE = 10**MAX_DIGITS
_PICKLED_STATE = ("__getstate__", "__setstate__", "__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__")


def class_name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


class Encoder:
    """One encoding: knows where in the value it is, which containers are open, and how much went into blobs."""

    def __init__(
        self,
        blobs: Any,
        pickle: bool,
        key: bytes | None,
        path: str,
        named: Callable[[type], str] | None = None,
        special: dict[type, Callable[[Any], Any]] | None = None,
    ) -> None:
        self.blobs = blobs
        self.named = named or class_name  # what a class is called where the value will be read
        self.pickle = pickle
        self.key = key
        self.path = [path] if path else []
        self.open: set[int] = set()
        self.stored = 0
        self.special = special or {}  # what stands for instances of a class, given as a tree
        self.specials = 0

    def where(self) -> str:
        return "".join(self.path).lstrip(".") or "value"

    def child(self, value: Any, step: str) -> Any:
        self.path.append(step)
        tree = self.tree(value)
        self.path.pop()
        return tree

    def items(self, values: Any) -> list[Any]:
        return [self.child(item, f"[{index}]") for index, item in enumerate(values)]

    def fields(self, pairs: Any) -> dict[str, Any]:
        return {name: self.child(item, step(name)) for name, item in pairs}

    def tree(self, value: Any) -> Any:
        kind = type(value)
        if kind is bool or value is None:
            return value
        if kind is str:
            return _text(value)
        if kind is int:
            return value if -_HUGE < value < _HUGE else {"$": "int", "v": hex(value)}
        if kind is float:
            return value if value - value == 0.0 else {"$": "float", "v": repr(value)}
        if kind in self.special:
            self.specials += 1
            return self.special[kind](value)
        if id(value) in self.open:
            raise CodecError(f"{self.where()}: the value contains itself; a value must be a tree")
        if len(self.open) >= MAX_DEPTH:
            raise CodecError(
                f"{self.where()[:200]}: nested deeper than {MAX_DEPTH} levels; pass a flat list of rows instead"
            )
        self.open.add(id(value))
        found = (_EXACT.get(kind) or _NAMED.get(class_name(kind)) or _by_shape(kind))(self, value)
        self.open.discard(id(value))
        return found

    def leaf(self, tag: str, data: Any, **properties: Any) -> Any:
        """Bytes-like data: inline when small or when there is no store to put it into."""
        size = len(data)
        if size < INLINE_LIMIT or self.blobs is None:
            return dict({"$": tag, "v": b2a_base64(data, newline=False).decode("ascii")}, **properties)
        self.stored += size
        return leaf_ref(dict({"$": tag}, **properties), str(self.blobs.put(data)), size)

    def streamed(self, tag: str, write: Callable[[Any], Any], **properties: Any) -> Any:
        """Large data that `write` pours into a file-like object: straight to the store, hashed on the way."""
        with self.blobs.writer() as writer:
            write(writer)
            digest = str(writer.commit())
            size = int(writer.size)
        self.stored += size
        return leaf_ref(dict({"$": tag}, **properties), digest, size)

    def pickled(self, value: Any) -> Any:
        """The last rung: always a reference, signed, readable by the same Python minor."""
        name = class_name(type(value))
        if name == "builtins:coroutine":
            called = value.__qualname__
            raise CodecError(
                f"{self.where()}: a coroutine that nobody has awaited; write `await` before the call of {called}"
            )
        remedy = "return plain data, a dataclass, an array or a table, or open the resource inside the component"
        if not self.pickle:
            raise CodecError(f"{self.where()}: {name} can only be pickled, and pickle is forbidden here; {remedy}")
        if self.blobs is None or not self.key:
            raise CodecError(f"{self.where()}: {name} can only be pickled, which needs a blob store and a key")
        try:
            data = _pickled(value, None if self.named is class_name else self.named)
        except Exception as error:  # a user's __reduce__ may raise anything
            raise CodecError(f"{self.where()}: {name} cannot be pickled ({error}); {remedy}") from error
        digest = content_hash(data)
        version = "{}.{}".format(*sys.version_info[:2])
        signed = signature(self.key, "pickle", digest, version, name)
        self.stored += len(data)
        self.blobs.put(data)
        ref = {"$": "ref", "rung": "pickle", "hash": digest, "size": len(data)}
        return dict(ref, py=version, type=name, sig=signed)


def _pickled(value: Any, named: Callable[[type], str] | None) -> bytes:
    import pickle

    if named is None:
        return pickle.dumps(value, protocol=5)
    give = named

    class Pickler(pickle.Pickler):
        """Classes that are called otherwise where they are read go by that name."""

        def persistent_id(self, part: Any) -> str | None:
            if not isinstance(part, type) or part.__module__ == "builtins":
                return None
            name = give(part)
            return None if name == class_name(part) else name

    stream = io.BytesIO()
    Pickler(stream, protocol=5).dump(value)
    return stream.getvalue()


def step(key: Any) -> str:
    return f".{key}" if type(key) is str and key.isidentifier() else f"[{key!r:.60}]"


def _text(value: str) -> Any:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:  # lone surrogates exist in no UTF-8 and would pair up in JSON
        return {"$": "str", "v": b2a_base64(value.encode("utf-8", "surrogatepass"), newline=False).decode("ascii")}
    return value


def _dict(enc: Encoder, value: dict[Any, Any]) -> Any:
    plain = "$" not in value
    for key in value:
        if type(key) is not str or type(_text(key)) is not str:
            plain = False
    if plain:
        return {key: enc.child(item, step(key)) for key, item in value.items()}
    return {"$": "dict", "v": _pairs(enc, value)}


def _pairs(enc: Encoder, value: Any) -> list[Any]:
    return [[enc.child(key, f"[key {key!r:.60}]"), enc.child(item, step(key))] for key, item in value.items()]


def _set(tag: str) -> Callable[[Encoder, Any], Any]:
    def encode(enc: Encoder, value: Any) -> Any:
        members = [enc.child(item, f"{{{item!r:.60}}}") for item in value]
        return {"$": tag, "v": sorted(members, key=lambda member: dumps_sorted(canonical(member)))}

    return encode


def _defaultdict(enc: Encoder, value: Any) -> Any:
    factory = value.default_factory
    name = None if factory is None else getattr(factory, "__name__", "")
    if name is not None and (name not in FACTORIES or getattr(factory, "__module__", "") != "builtins"):
        return enc.pickled(value)
    return {"$": "defaultdict", "factory": name, "v": _dict(enc, value)}


def _datetime(enc: Encoder, value: Any) -> Any:
    tree = {"$": type(value).__name__, "v": value.isoformat()}
    if value.fold:
        tree["fold"] = 1
    zone = value.tzinfo
    if zone is not None and not (class_name(type(zone)) == "datetime:timezone" and len(zone.__getinitargs__()) == 1):
        tree["tz"] = enc.child(zone, ".tzinfo")
    return tree


def _timezone(enc: Encoder, value: Any) -> Any:
    offset, *name = value.__getinitargs__()
    return {"$": "timezone", "v": _timedelta(enc, offset)["v"], "name": name[0] if name else None}


def _timedelta(enc: Encoder, value: Any) -> Any:
    return {"$": "timedelta", "v": [value.days, value.seconds, value.microseconds]}


def _zoneinfo(enc: Encoder, value: Any) -> Any:
    return enc.pickled(value) if value.key is None else {"$": "zoneinfo", "v": value.key}


def _written(tag: str) -> Callable[[Encoder, Any], Any]:
    return lambda enc, value: {"$": tag, "v": str(value)}


def _enum(enc: Encoder, value: Any) -> Any:
    return {"$": "enum", "class": enc.named(type(value)), "name": value.name, "v": enc.child(value.value, ".value")}


def _dataclass(enc: Encoder, value: Any) -> Any:
    names = list(value.__dataclass_fields__)
    names += [name for name in getattr(value, "__dict__", ()) if name not in value.__dataclass_fields__]
    if any(not name.isidentifier() for name in names):
        return enc.pickled(value)
    present = [(name, getattr(value, name)) for name in names if _holds(value, name)]
    return {"$": "dataclass", "class": enc.named(type(value)), "v": enc.fields(present)}


def _holds(value: Any, name: str) -> bool:
    """Own attribute of the instance; pseudo-fields (ClassVar, InitVar) and class defaults are not its state."""
    if name in getattr(value, "__dict__", ()):
        return True
    slot = next((base.__dict__[name] for base in type(value).__mro__ if name in base.__dict__), None)
    return type(slot).__name__ == "member_descriptor" and hasattr(value, name)


def _namedtuple(enc: Encoder, value: Any) -> Any:
    if getattr(value, "__dict__", None):  # a subclass may carry more than its fields
        return enc.pickled(value)
    pairs = [[name, enc.child(tuple.__getitem__(value, index), step(name))] for index, name in enumerate(value._fields)]
    return {"$": "namedtuple", "class": enc.named(type(value)), "v": dict(pairs)}


def _model(enc: Encoder, value: Any) -> Any:
    tree = {"$": "model", "class": enc.named(type(value)), "v": _dict(enc, value.__dict__)}
    tree["set"] = sorted(value.__pydantic_fields_set__)
    for name in ("extra", "private"):
        more = getattr(value, f"__pydantic_{name}__", None)
        if more:
            tree[name] = enc.child(more, ".model_" + name)
    return tree


def _by_shape(kind: type) -> Callable[[Encoder, Any], Any]:
    """How a class that no table names is encoded; a class that says itself how it is pickled is believed."""
    if any(base.__module__ == "enum" and base.__name__ == "Enum" for base in kind.__mro__):
        return _enum
    fields = getattr(kind, "_fields", None)
    if issubclass(kind, tuple) and type(fields) is tuple and hasattr(kind, "_make") and not _own_pickling(kind):
        return _namedtuple
    builtin = any(base.__module__ == "builtins" and base is not object for base in kind.__mro__)
    if "__dataclass_fields__" in kind.__dict__ and not builtin and not _own_pickling(kind):
        return _dataclass
    if "pydantic" in sys.modules and isinstance(getattr(kind, "__pydantic_fields__", None), dict) and not builtin:
        return _model if hasattr(kind, "model_dump") and not _own_pickling(kind) else Encoder.pickled
    return tables.encoder_of(kind) or Encoder.pickled


def _own_pickling(kind: type) -> bool:
    for base in kind.__mro__:
        if base is object or base is tuple or base.__module__.startswith("pydantic"):
            continue
        for name in _PICKLED_STATE:
            # what typing.NamedTuple and dataclass(slots=True) generate says nothing of the author's intent
            method = base.__dict__.get(name)
            if method is not None and getattr(method, "__module__", None) not in (None, "dataclasses", "collections"):
                if name == "__getnewargs__" and hasattr(base, "_fields") and base.__bases__ == (tuple,):
                    continue
                return True
    return False


_EXACT: dict[type, Callable[[Encoder, Any], Any]] = {
    list: lambda enc, value: enc.items(value),
    dict: _dict,
    tuple: lambda enc, value: {"$": "tuple", "v": enc.items(value)},
    set: _set("set"),
    frozenset: _set("frozenset"),
    bytes: lambda enc, value: enc.leaf("bytes", value),
    bytearray: lambda enc, value: enc.leaf("bytearray", value),
    complex: lambda enc, value: {"$": "complex", "v": [enc.tree(value.real), enc.tree(value.imag)]},
    range: lambda enc, value: {"$": "range", "v": enc.items((value.start, value.stop, value.step))},
    slice: lambda enc, value: {"$": "slice", "v": enc.items((value.start, value.stop, value.step))},
    type(Ellipsis): lambda enc, value: {"$": "ellipsis"},
}


def _path(enc: Encoder, value: Any) -> Any:
    return {"$": "path", "kind": type(value).__name__, "v": _text(str(value))}


# By name, so that none of these modules is imported for a value that does not need it.
_NAMED: dict[str, Callable[[Encoder, Any], Any]] = {
    "datetime:datetime": _datetime,
    "datetime:time": _datetime,
    "datetime:date": lambda enc, value: {"$": "date", "v": value.isoformat()},
    "datetime:timedelta": _timedelta,
    "datetime:timezone": _timezone,
    "zoneinfo:ZoneInfo": _zoneinfo,
    "backports.zoneinfo:ZoneInfo": _zoneinfo,
    "decimal:Decimal": _written("decimal"),
    "fractions:Fraction": _written("fraction"),
    "uuid:UUID": _written("uuid"),
    "collections:OrderedDict": lambda enc, value: {"$": "ordereddict", "v": _pairs(enc, value)},
    "collections:Counter": lambda enc, value: {"$": "counter", "v": _dict(enc, value)},
    "collections:defaultdict": _defaultdict,
    "collections:deque": lambda enc, value: {"$": "deque", "maxlen": value.maxlen, "v": enc.items(value)},
}
for _module in ("pathlib", "pathlib._local"):
    for _kind in PATHS:
        _NAMED[f"{_module}:{_kind}"] = _path
