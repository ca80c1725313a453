"""Classes for records: dataclasses with slots that cost next to nothing to declare.

A dataclass writes and compiles its methods when it is declared. That takes up to a millisecond, and a short run has
some sixty: a sixth of its time. Here the methods that need no speed are the same functions for all, and `__init__` is
written when a class makes its first record. `dataclasses.fields`, `replace` and `asdict` take them as any dataclass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from reprlib import recursive_repr
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def recordclass(cls: type[T], /) -> type[T]: ...


@overload
@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def recordclass(*, frozen: bool = True, kw_only: bool = True, slots: bool = True) -> Callable[[type[T]], type[T]]: ...


def recordclass(cls: type[T] | None = None, /, *, frozen: bool = True, kw_only: bool = True, slots: bool = True) -> Any:
    """Frozen, keyword-only and with slots, unless said otherwise."""

    def declared(plain: type[T]) -> type[T]:
        return _declared(plain, frozen=frozen, kw_only=kw_only, slots=slots)

    return declared if cls is None else declared(cls)


def _declared(plain: type[T], *, frozen: bool, kw_only: bool, slots: bool) -> type[T]:
    plain.__doc__ = plain.__doc__ or plain.__name__  # else a text is made of its signature
    cls = dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(plain)
    compared = [one.name for one in fields(cls) if one.compare]  # type: ignore[arg-type]  # it is one since a line
    added: dict[str, Any] = {
        "__init__": _first_init(cls, frozen=frozen),
        "__signature__": _SIGNATURE,
        "__repr__": _repr,
        "__eq__": _eq,
        "__compared__": attrgetter(*compared) if compared else lambda _record: (),
    }
    if frozen:
        added |= {"__hash__": _hash, "__setattr__": _refuse, "__delattr__": _refuse}
        if slots:
            added["__setstate__"] = _set_state
    elif "__eq__" not in plain.__dict__:
        added["__hash__"] = None
    for name, value in added.items():
        if name not in plain.__dict__ or (name == "__hash__" and plain.__dict__[name] is None):
            setattr(cls, name, value)
    return cls


def _first_init(cls: type, *, frozen: bool) -> Callable[..., None]:
    def write() -> Callable[..., None]:
        init = cls.__init__ = _written_init(cls, frozen=frozen)  # type: ignore[misc]
        return init

    def write_and_call(self: Any, *args: Any, **kwargs: Any) -> None:
        write()(self, *args, **kwargs)

    write_and_call.write = write  # type: ignore[attr-defined]
    return write_and_call


class _Signature:
    """What `inspect` and `help` show of a class, also before it has made a record."""

    def __get__(self, _record: object, cls: type) -> Any:
        import inspect  # a short run needs none of it

        write = getattr(cls.__init__, "write", None)  # type: ignore[misc]
        signature = inspect.signature(write() if write else cls.__init__)  # type: ignore[misc]
        return signature.replace(parameters=list(signature.parameters.values())[1:])


_SIGNATURE = _Signature()


def _written_init(cls: type, *, frozen: bool) -> Callable[..., None]:
    """As a person would write it, so that a call is as quick and a wrong one gets the same TypeError."""
    names: dict[str, Any] = {"MISSING": MISSING, "put": object.__setattr__}
    parameters: list[str] = []
    keywords: list[str] = []
    lines: list[str] = []
    for one in fields(cls):
        name, text = one.name, one.name
        if one.default_factory is not MISSING:
            names[f"make_{name}"] = one.default_factory
            text, given = f"make_{name}() if {name} is MISSING else {name}", f"{name}=MISSING"
        elif one.default is not MISSING:
            names[f"default_{name}"] = one.default
            given = f"{name}=default_{name}"
        else:
            given = name
        (keywords if one.kw_only else parameters).append(given)
        lines.append(f"put(self, {name!r}, {text})" if frozen else f"self.{name} = {text}")
    head = ", ".join(["self", *parameters, *(["*", *keywords] if keywords else [])])
    exec(f"def __init__({head}):\n " + "\n ".join(lines or ["pass"]), names)
    init: Callable[..., None] = names["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


@recursive_repr()
def _repr(self: Any) -> str:
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self.__compared__(self) == self.__compared__(other)


def _hash(self: Any) -> int:
    return hash(self.__compared__(self))


def _refuse(self: Any, name: str, *_value: Any) -> None:
    raise FrozenInstanceError(f"cannot change {name!r} of {type(self).__name__}: make another with dataclasses.replace")


def _set_state(self: Any, state: tuple[None, dict[str, Any]]) -> None:
    """Of a copy, or from a pickle."""
    for name, value in state[1].items():
        object.__setattr__(self, name, value)
