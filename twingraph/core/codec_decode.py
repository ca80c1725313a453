"""From a tagged JSON tree back to the value. Inner objects are rebuilt before outer ones. Python 3.8 syntax."""

from __future__ import annotations

import builtins
import importlib
import io
import sys
from binascii import a2b_base64
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twingraph.core import codec_tables as tables
from twingraph.core.codec_base import FACTORIES, PATHS, CodecError, fetch, make_loads
from twingraph.core.codec_lists import list_lines
from twingraph.core.hashing import signature

if TYPE_CHECKING:  # Python 3.8 cannot subscript it
    Classes = Callable[[str, str], Any]


class Decoder:
    """One decoding: where blobs come from, who knows classes, and whether user code may run."""

    def __init__(self, blobs: Any, classes: Classes | None, key: bytes | None, pickle: bool, mmap: bool) -> None:
        self.blobs = blobs
        self.classes = classes
        self.key = key
        self.pickle = pickle
        self.mmap = mmap
        self.loads = make_loads(self.hook)

    def hook(self, tree: dict[str, Any]) -> Any:
        tag = tree.get("$")
        if tag is None:
            return tree
        build = _BUILD.get(tag)
        if build is None:
            raise CodecError(f"unknown tag {tag!r}: the value was written by a newer version")
        try:
            return build(self, tree)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CodecError(f"a value tagged {tag!r} cannot be read back: {type(error).__name__}: {error}") from error

    def find(self, name: str, what: str) -> Any:
        """The class of that name, or None. `classes` raises LookupError for one that must not be sought further."""
        module, _, qualname = name.partition(":")
        try:
            found = self.classes(module, qualname) if self.classes is not None else None
        except LookupError:
            return None
        if found is None and self.pickle and module not in sys.modules:
            try:
                importlib.import_module(module)
            except Exception as error:  # importing user code may raise anything
                raise CodecError(f"{what} {name} cannot be imported: {error}") from error
        if found is None:
            found = sys.modules.get(module)
            for part in qualname.split("."):
                found = getattr(found, part, None)
        return found

    def need(self, name: str, what: str, mark: str) -> Any:
        found = self.find(name, what)
        if not isinstance(found, type) or not hasattr(found, mark):
            raise CodecError(
                f"{what} {name} cannot be found here; define it at the top level of a module that the reader can import"
            )
        return found

    def source(self, tree: dict[str, Any]) -> tuple[bytes | None, str | None]:
        """A leaf's data: in memory, or the path of a file to be mapped."""
        if tree["$"] != "ref":
            return a2b_base64(tree["v"]), None
        path = self.blobs.path(tree["hash"]) if self.mmap and self.blobs is not None else None
        return (None, str(path)) if path is not None else (fetch(self.blobs, tree["hash"]), None)

    def ref(self, tree: dict[str, Any]) -> Any:
        rung = tree["rung"]
        if rung == "json":
            return self.loads(fetch(self.blobs, tree["hash"]).decode("utf-8"))
        if rung == "list":
            items = [self.loads(line) for line in list_lines(fetch(self.blobs, tree["hash"]))]
            return tuple(items) if tree.get("as") == "tuple" else items
        if rung == "pickle":
            return self.unpickle(tree)
        if rung in ("bytes", "bytearray"):
            data = fetch(self.blobs, tree["hash"])
            return bytearray(data) if rung == "bytearray" else data
        return _BUILD[rung](self, tree) if rung in ("npy", "arrow") else self.hook({"$": rung})

    def unpickle(self, tree: dict[str, Any]) -> Any:
        name = tree["type"]
        if not self.pickle:
            raise CodecError(f"{name} is pickled, and pickles are opened only where user code runs")
        if not self.key:
            raise CodecError(f"{name} is pickled, and no key to check its signature was given")
        expected = signature(self.key, "pickle", tree["hash"], tree["py"], name)
        if not _equal(expected, str(tree["sig"])):
            raise CodecError(f"{name} is pickled and its signature is not of this home; it is not opened")
        version = "{}.{}".format(*sys.version_info[:2])
        if tree["py"] != version:
            raise CodecError(
                "{} was pickled by Python {} and this is Python {}; return plain data, a dataclass, an array or a "
                "table between different Pythons".format(name, tree["py"], version)
            )
        try:
            return _unpickler(fetch(self.blobs, tree["hash"]), self.classes).load()
        except Exception as error:  # user code runs here
            raise CodecError(f"{name} cannot be unpickled: {type(error).__name__}: {error}") from error


def _equal(one: str, other: str) -> bool:
    from hmac import compare_digest

    return compare_digest(one, other)


def _unpickler(data: bytes, classes: Classes | None) -> Any:
    import pickle

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found = classes(module, name) if classes is not None else None
            return super().find_class(module, name) if found is None else found

        def persistent_load(self, name: str) -> Any:
            module, _, path = name.partition(":")
            return self.find_class(module, path)

    return Unpickler(io.BytesIO(data))


def _enum(dec: Decoder, tree: dict[str, Any]) -> Any:
    cls = dec.need(tree["class"], "enum", "__members__")
    try:
        return cls.__members__[tree["name"]] if tree["name"] in cls.__members__ else cls(tree["v"])
    except ValueError as error:
        raise CodecError("enum {} has no member {}".format(tree["class"], tree["name"])) from error


def _dataclass(dec: Decoder, tree: dict[str, Any]) -> Any:
    value = object.__new__(dec.need(tree["class"], "dataclass", "__dataclass_fields__"))
    for name, item in tree["v"].items():  # without __init__: it was valid when it was written
        object.__setattr__(value, name, item)
    return value


_made: dict[tuple[str, ...], Any] = {}


def _namedtuple(dec: Decoder, tree: dict[str, Any]) -> Any:
    name, fields = tree["class"], tree["v"]
    try:
        cls = dec.find(name, "NamedTuple")
    except CodecError:
        cls = None
    if not isinstance(cls, type) or getattr(cls, "_fields", None) != tuple(fields):
        key = (name, *fields)  # mostly made inside a function: nobody can import it, so one of its shape stands in
        if key not in _made:
            module, _, qualname = name.partition(":")
            _made[key] = namedtuple(qualname.rpartition(".")[2], list(fields), module=module)
        cls = _made[key]
    return tuple.__new__(cls, tuple(fields.values()))


def _model(dec: Decoder, tree: dict[str, Any]) -> Any:
    cls = dec.need(tree["class"], "pydantic model", "model_fields")
    value = cls.__new__(cls)
    state = {"__dict__": tree["v"], "__pydantic_fields_set__": set(tree["set"])}
    extra = tree.get("extra") or ({} if cls.model_config.get("extra") == "allow" else None)
    private = tree.get("private") or ({} if cls.__private_attributes__ else None)
    state.update(__pydantic_extra__=extra, __pydantic_private__=private)
    value.__setstate__(state)  # pydantic's own way back from a pickle: no validation
    return value


def _datetime(dec: Decoder, tree: dict[str, Any]) -> Any:
    import datetime

    value = getattr(datetime, tree["$"]).fromisoformat(tree["v"])
    if "tz" in tree:
        value = value.replace(tzinfo=tree["tz"])
    return value.replace(fold=1) if tree.get("fold") else value


def _timezone(dec: Decoder, tree: dict[str, Any]) -> Any:
    import datetime

    offset = datetime.timedelta(*tree["v"])
    return datetime.timezone(offset) if tree["name"] is None else datetime.timezone(offset, tree["name"])


def _zoneinfo(dec: Decoder, tree: dict[str, Any]) -> Any:
    try:
        return tables.need("zoneinfo" if sys.version_info >= (3, 9) else "backports.zoneinfo").ZoneInfo(tree["v"])
    except KeyError as error:
        raise CodecError("time zone {} is unknown here: pip install tzdata".format(tree["v"])) from error


def _path(dec: Decoder, tree: dict[str, Any]) -> Any:
    import pathlib

    if tree["kind"] not in PATHS:
        raise ValueError(tree["kind"])
    kind = getattr(pathlib, tree["kind"])
    concrete = tree["kind"] in ("PosixPath", "WindowsPath")  # of the other system: the path of this one
    return (pathlib.Path if concrete else kind)(tree["v"])


def _from(module: str, name: str) -> Callable[[Decoder, dict[str, Any]], Any]:
    return lambda dec, tree: getattr(importlib.import_module(module), name)(tree["v"])


def _defaultdict(dec: Decoder, tree: dict[str, Any]) -> Any:
    name = tree["factory"]
    if name is not None and name not in FACTORIES:  # the text may be forged: never name just any builtin
        raise ValueError(name)
    factory = getattr(builtins, name) if name else None
    return defaultdict(factory, tree["v"])


def _counter(dec: Decoder, tree: dict[str, Any]) -> Any:
    counter: Any = Counter()
    dict.update(counter, tree["v"])
    return counter


def _timedelta(dec: Decoder, tree: dict[str, Any]) -> Any:
    import datetime

    return datetime.timedelta(*tree["v"])


def _date(dec: Decoder, tree: dict[str, Any]) -> Any:
    import datetime

    return datetime.date.fromisoformat(tree["v"])


_BUILD: dict[str, Callable[[Decoder, dict[str, Any]], Any]] = {
    "tuple": lambda dec, tree: tuple(tree["v"]),
    "dict": lambda dec, tree: {key: item for key, item in tree["v"]},  # noqa: C416 - pairs are lists
    "set": lambda dec, tree: set(tree["v"]),
    "frozenset": lambda dec, tree: frozenset(tree["v"]),
    "int": lambda dec, tree: int(tree["v"], 16),
    "float": lambda dec, tree: float(tree["v"]),
    "str": lambda dec, tree: a2b_base64(tree["v"]).decode("utf-8", "surrogatepass"),
    "bytes": lambda dec, tree: a2b_base64(tree["v"]),
    "bytearray": lambda dec, tree: bytearray(a2b_base64(tree["v"])),
    "complex": lambda dec, tree: complex(*tree["v"]),
    "range": lambda dec, tree: range(*tree["v"]),
    "slice": lambda dec, tree: slice(*tree["v"]),
    "ellipsis": lambda dec, tree: ...,
    "datetime": _datetime,
    "time": _datetime,
    "date": _date,
    "timedelta": _timedelta,
    "timezone": _timezone,
    "zoneinfo": _zoneinfo,
    "decimal": _from("decimal", "Decimal"),
    "fraction": _from("fractions", "Fraction"),
    "uuid": _from("uuid", "UUID"),
    "path": _path,
    "ordereddict": lambda dec, tree: OrderedDict(tree["v"]),
    "defaultdict": _defaultdict,
    "counter": _counter,
    "deque": lambda dec, tree: deque(tree["v"], tree["maxlen"]),
    "enum": _enum,
    "dataclass": _dataclass,
    "namedtuple": _namedtuple,
    "model": _model,
    "npscalar": lambda dec, tree: tables.read_scalar(tree, a2b_base64(tree["v"])),
    "npy": lambda dec, tree: tables.read_npy(*dec.source(tree)),
    "arrow": lambda dec, tree: tables.read_arrow(tree, *dec.source(tree)),
    "ref": lambda dec, tree: dec.ref(tree),
}
