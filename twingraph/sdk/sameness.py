"""Whether two live functions do the same wherever they are shipped: one definition, over equal values.

Functions that one definition makes, in a loop or a factory, bear one name. And one function may do something else at
its next call, because what it closes over has changed; so what is compared is taken down when it is shipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any

from twingraph.sdk.component import Component
from twingraph.sdk.signature import code_of, entry_of, is_pipeline

_PLAIN = frozenset({int, float, complex, bool, str, bytes, type(None)})
_HOOKS = "__twingraph"  # free variables that a body which was rewritten has besides its author's


class _Identical:
    """Any other object is the same only as itself. It is kept, so that its id stays its own."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identical) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def frozen(target: Any) -> Any:
    """What this code is by now: equal, and of equal hash, for what does the same."""
    return _frozen(code_of(target), {})


def closed_over(target: Any) -> Any:
    """The same for functions that close over something; None for all others, which never change."""
    function = code_of(target)
    return _frozen(function, {}) if type(function) is FunctionType and function.__closure__ else None


def place(entry: str, state: Any, known: Mapping[str, Any]) -> str:
    """The entry of this code among others, each with its state: all but the first of a name are numbered."""
    key, count = entry, 1
    while key in known and known[key] != state:
        count += 1
        key = f"{entry}#{count}"
    return key


def name_body(bodies: dict[str, Any], pipeline: Any) -> str:
    """The entry of a pipeline's body among those known, which it joins. Variants of a pipeline have one body."""
    entry, state = entry_of(pipeline), frozen(pipeline)
    while True:
        entry = place(entry.partition("#")[0], state, {key: frozen(one) for key, one in _named(bodies, entry)})
        if frozen(bodies.setdefault(entry, pipeline)) == state:  # else another thread was faster
            return entry


def _named(bodies: Mapping[str, Any], entry: str) -> Iterator[tuple[str, Any]]:
    name = entry.partition("#")[0]
    key, count = name, 1
    while key in bodies:
        yield key, bodies[key]
        count += 1
        key = f"{name}#{count}"


def _frozen(value: Any, around: dict[int, int]) -> Any:
    """`around` numbers what this value is a part of, for functions and lists that hold themselves."""
    kind = type(value)
    if kind in _PLAIN:
        return kind, repr(value)
    if id(value) in around:
        return "around", around[id(value)]
    inside = {**around, id(value): len(around)}
    if kind in (tuple, list):
        return kind, tuple(_frozen(item, inside) for item in value)
    if kind in (set, frozenset):
        return kind, frozenset(_frozen(item, inside) for item in value)
    if kind is dict:
        return kind, tuple((_frozen(key, inside), _frozen(item, inside)) for key, item in value.items())
    if issubclass(kind, Component) or is_pipeline(value):
        return kind, _declared(value), _frozen(value.fn, around)
    if kind is not FunctionType:
        return _Identical(value)
    return value.__module__, value.__code__, tuple(_frozen(part, inside) for part in _made_of(value))


def _made_of(function: FunctionType) -> Iterator[Any]:
    yield function.__defaults__
    yield function.__kwdefaults__
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name.startswith(_HOOKS):
            continue
        try:
            yield cell.cell_contents
        except ValueError:  # not bound yet
            yield None


def _declared(target: Any) -> tuple[Any, ...]:
    made = target.definition
    settings = getattr(made, "settings", None) or getattr(getattr(made, "declared", None), "raw", {})
    return made.name, made.id, repr(dict(settings))
