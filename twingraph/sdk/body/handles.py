"""What a call gives inside a body: a name for a value that may not be there yet.

Passed on to another call a handle is a reference. Used in any other way it waits, and behaves as the value that the
plain function would have returned.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import Any, Protocol

from twingraph.core.errors import HandleMisused

# Whoever asks from these modules manages awaitables and means the handle, not its value.
_MACHINERY = frozenset({"asyncio", "inspect", "concurrent"})
_PASSED_OVER = frozenset({"abc", "typing", "collections.abc", "_collections_abc"})


class Behind(Protocol):
    """What a handle asks its body. Belongs to the body's thread."""

    def value(self, node: str, output: str | None) -> Any:
        """Wait for it; raises what made the node fail."""

    def value_within(self, node: str, output: str | None, timeout: Any) -> Any: ...

    def declared(self, node: str) -> tuple[str, ...] | None:
        """The names of the node's outputs as far as its component tells."""

    def identity(self, node: str) -> str:
        """The node's id in the execution; of a detached pipeline, the id of its own execution."""

    def items(self, node: str) -> Iterator[Any] | None:
        """What a generator hands over while it runs; None for other components."""

    def awaited(self, node: str, output: str | None) -> Generator[Any, None, Any]: ...

    def items_awaited(self, handle: Handle) -> AsyncIterator[Any]: ...

    def hash_of(self, node: str) -> str: ...

    def repeated(self, node: str, output: str | None) -> str: ...


class Handle:
    __slots__ = ("_tg_behind", "_tg_cell", "_tg_node", "_tg_output")

    _tg_behind: Behind
    _tg_cell: object
    _tg_node: str
    _tg_output: str | None

    def __init__(self, behind: Behind, node: str, output: str | None = None, cell: object = None) -> None:
        """`cell` keeps the node's value alive as long as anybody can ask for it."""
        set_slot = object.__setattr__
        set_slot(self, "_tg_behind", behind)
        set_slot(self, "_tg_cell", cell)
        set_slot(self, "_tg_node", node)
        set_slot(self, "_tg_output", output)

    # -- reserved names ----------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return self._tg_behind.identity(self._tg_node)

    @property
    def outputs(self) -> Outputs:
        return Outputs(self)

    def result(self, timeout: Any = None) -> Any:
        """Wait for the value; TimeoutError when it is not there within `timeout`, seconds or a timedelta."""
        if timeout is not None:
            return self._tg_behind.value_within(self._tg_node, self._tg_output, _plain(timeout))
        return _value(self)

    # -- parts -------------------------------------------------------------------------------------

    def _tg_part(self, name: Any) -> Handle | None:
        """A declared output stays a reference."""
        if self._tg_output is None and type(name) is str and name in (self._tg_behind.declared(self._tg_node) or ()):
            return Handle(self._tg_behind, self._tg_node, name, self._tg_cell)
        return None

    def __getitem__(self, key: Any) -> Any:
        if self._tg_output is None and type(key) is str:
            if key == "outputs":
                return Outputs(self)
            if key == "hash":
                return HashRef(self)
            part = self._tg_part(key)
            if part is not None:
                return part
        value, key = _value(self), _plain(key)
        if type(key) is str and self._tg_output is None and key in _fields_of(value):
            return getattr(value, key)  # a named output, though no declaration told of it
        return value[key]

    def __getattr__(self, name: str) -> Any:
        if name[:2] == "__" and name[-2:] == "__" and _machinery():
            raise AttributeError(name)
        part = self._tg_part(name)
        if part is not None:
            return part
        value = _value(self)
        try:
            return getattr(value, name)
        except AttributeError:
            if isinstance(value, dict) and name in value:
                return value[name]
            raise

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_value(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_value(self), name)

    # -- the value ---------------------------------------------------------------------------------

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return Handle if _machinery() else type(_value(self))

    def __iter__(self) -> Iterator[Any]:
        if self._tg_output in (None, "output"):
            streamed = self._tg_behind.items(self._tg_node)
            if streamed is not None:
                return streamed
        return iter(_value(self))

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._tg_behind.items_awaited(self)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._tg_behind.awaited(self._tg_node, self._tg_output)

    def __hash__(self) -> int:
        if _machinery():
            return id(self)
        raise HandleMisused(
            "a handle cannot be hashed, so it cannot be a key or a member of a set: take its value first, with "
            ".result()"
        )

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise HandleMisused(
            f"the handle of {self.id} cannot be pickled: pass it to a component or return it, and its value goes "
            "along; or take its value first, with .result()"
        )

    def __repr__(self) -> str:
        return self._tg_behind.repeated(self._tg_node, self._tg_output)

    def __str__(self) -> str:
        return str(_value(self))

    def __format__(self, form: str) -> str:
        return format(_value(self), form)

    def __bool__(self) -> bool:
        return bool(_value(self))

    def __contains__(self, item: Any) -> bool:
        return _plain(item) in _value(self)

    def __setitem__(self, key: Any, value: Any) -> None:
        _value(self)[_plain(key)] = value

    def __delitem__(self, key: Any) -> None:
        del _value(self)[_plain(key)]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _value(self)(*args, **kwargs)

    def __fspath__(self) -> Any:
        import os

        return os.fspath(_value(self))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """For numpy, which takes a handle in a list for an object else."""
        return sys.modules["numpy"].array(_value(self), dtype=dtype, copy=copy)

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **more: Any) -> Any:
        """Of numpy's own numbers and arrays, the value's own: a plain number makes no array wider."""
        more = {name: plain_within(part) for name, part in more.items()}
        return getattr(function, method)(*map(_plain, inputs), **more)

    def __round__(self, digits: int | None = None) -> Any:
        return round(_value(self)) if digits is None else round(_value(self), digits)

    def __copy__(self) -> Any:
        import copy

        return copy.copy(_value(self))

    def __deepcopy__(self, memo: Any) -> Any:
        import copy

        return copy.deepcopy(_value(self), memo)

    def __enter__(self) -> Any:
        return _value(self).__enter__()

    def __exit__(self, *raised: Any) -> Any:
        return _value(self).__exit__(*raised)

    def __dir__(self) -> list[str]:
        return dir(_value(self))


class Outputs:
    """`h.outputs`: the named outputs of a node, each a reference. As a value, the dict of them."""

    __slots__ = ("_tg_handle",)

    _tg_handle: Handle

    def __init__(self, handle: Handle) -> None:
        self._tg_handle = handle

    def __getitem__(self, name: str) -> Handle:
        handle = self._tg_handle
        name = _plain(name)
        declared = handle._tg_behind.declared(handle._tg_node)
        if declared is not None and name not in declared:
            raise KeyError(f"{handle.id} has no output {name!r}; it has {', '.join(declared) or 'none'}")
        return Handle(handle._tg_behind, handle._tg_node, name, handle._tg_cell)

    def __getattr__(self, name: str) -> Handle:
        if name[:2] == "__":
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def _tg_named(self) -> dict[str, Any]:
        """All of them as plain values: waits."""
        handle = self._tg_handle
        value = _value(handle)
        if isinstance(value, dict):
            return dict(value)
        fields = _fields_of(value)
        return {name: getattr(value, name) for name in fields} if fields else {"output": value}

    def __iter__(self) -> Iterator[str]:
        return iter(self._tg_named())

    def __len__(self) -> int:
        return len(self._tg_named())

    def __contains__(self, name: Any) -> bool:
        return name in self._tg_named()

    def __eq__(self, other: object) -> bool:
        return self._tg_named() == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._tg_named())

    def keys(self) -> Any:
        return self._tg_named().keys()

    def values(self) -> Any:
        return self._tg_named().values()

    def items(self) -> Any:
        return self._tg_named().items()

    def get(self, name: str, default: Any = None) -> Any:
        return self._tg_named().get(name, default)


class HashRef:
    """`h['hash']`: names the work that a node is, together with its history. As a value it is the text of the hash."""

    __slots__ = ("_tg_handle",)

    _tg_handle: Handle

    def __init__(self, handle: Handle) -> None:
        self._tg_handle = handle

    def __str__(self) -> str:
        handle = self._tg_handle
        return handle._tg_behind.hash_of(handle._tg_node)

    def __repr__(self) -> str:
        return repr(str(self))

    def __eq__(self, other: object) -> bool:
        return str(self) == (str(other) if isinstance(other, HashRef) else other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __len__(self) -> int:
        return len(str(self))

    def __getitem__(self, key: Any) -> str:
        return str(self)[key]

    def __format__(self, form: str) -> str:
        return format(str(self), form)

    def __add__(self, other: Any) -> str:
        return str(self) + str(other)

    def __radd__(self, other: Any) -> str:
        return str(other) + str(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return str, (str(self),)

    def __getattr__(self, name: str) -> Any:
        if name[:2] == "__":
            raise AttributeError(name)
        return getattr(str(self), name)


def _value(handle: Handle) -> Any:
    return handle._tg_behind.value(handle._tg_node, handle._tg_output)


def _plain(value: Any) -> Any:
    """What a handle stands for; everything else as it is."""
    kind = type(value)
    if kind is Handle:
        return _value(value)
    if kind is HashRef:
        return str(value)
    return value._tg_named() if kind is Outputs else value


plain = _plain


def plain_within(value: Any) -> Any:
    """The same for what stands inside of lists, tuples and dicts."""
    kind = type(value)
    if kind is dict:
        return {name: plain_within(part) for name, part in value.items()}
    return kind(map(plain_within, value)) if kind in (list, tuple) else _plain(value)


def _fields_of(value: Any) -> Iterable[str]:
    """The names of the outputs of a named tuple, a dataclass or a model."""
    kind = type(value)
    if issubclass(kind, tuple):
        return getattr(kind, "_fields", ())
    return getattr(kind, "__dataclass_fields__", None) or getattr(kind, "__pydantic_fields__", None) or ()


def handles_in(value: Any) -> Iterator[Handle]:
    """Handles in plain containers, at any depth."""
    kind = type(value)
    if kind is Handle:
        yield value
    elif kind in (list, tuple, set, frozenset):
        for part in value:
            yield from handles_in(part)
    elif kind is dict:
        for part in value.values():
            yield from handles_in(part)


def _machinery() -> bool:
    """Whether the question comes from what manages awaitables."""
    frame = sys._getframe(2)
    name = frame.f_globals.get("__name__", "")
    while name in _PASSED_OVER and frame.f_back is not None:
        frame = frame.f_back
        name = frame.f_globals.get("__name__", "")
    return name.partition(".")[0] in _MACHINERY


asked_by_machinery = _machinery


# -- operators: on both sides, the value's own ---------------------------------------------------------

_BINARY = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "matmul", "lshift", "rshift", "and_", "or_", "xor",
)  # fmt: skip
_COMPARED = ("eq", "ne", "lt", "le", "gt", "ge")
_UNARY = ("neg", "pos", "abs", "invert", "index")
_ASKED: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("__int__", int),
    ("__float__", float),
    ("__complex__", complex),
    ("__len__", len),
    ("__reversed__", reversed),
    ("__next__", next),
    ("__bytes__", bytes),
    ("__trunc__", math.trunc),
    ("__floor__", math.floor),
    ("__ceil__", math.ceil),
)


def _on_the_left(act: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: act(_value(self), _plain(other))


def _on_the_right(act: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: act(_plain(other), _value(self))


def _alone(act: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda self: act(_value(self))


def _dress(kind: Any) -> None:
    for name in _BINARY:
        bare = name.rstrip("_")
        act = getattr(operator, name)
        setattr(kind, f"__{bare}__", _on_the_left(act))
        setattr(kind, f"__r{bare}__", _on_the_right(act))
        setattr(kind, f"__i{bare}__", _on_the_left(getattr(operator, f"i{bare}")))
    for name in ("divmod",):
        setattr(kind, f"__{name}__", _on_the_left(divmod))
        setattr(kind, f"__r{name}__", _on_the_right(divmod))
    kind.__pow__ = lambda self, other, modulus=None: pow(_value(self), _plain(other), _plain(modulus))
    kind.__rpow__ = lambda self, other, modulus=None: pow(_plain(other), _value(self), _plain(modulus))
    kind.__ipow__ = _on_the_left(operator.ipow)
    for name in _COMPARED:
        setattr(kind, f"__{name}__", _on_the_left(getattr(operator, name)))
    for name in _UNARY:
        setattr(kind, f"__{name}__", _alone(getattr(operator, name)))
    for name, ask in _ASKED:
        setattr(kind, name, _alone(ask))


_dress(Handle)
