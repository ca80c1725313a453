"""Builtins that know symbolic values, and a body made to find them.

The body is given a copy of its module's names: what it rebinds there while it is followed is forgotten.
"""

from __future__ import annotations

import builtins
import time
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from twingraph.sdk.body.active import active
from twingraph.sdk.body.symbols import Symbol, as_whole, derived, facts_of, shown


def _known(*values: Any) -> bool:
    return not any(facts_of(value) is not None for value in values)


def _called(name: str, values: Iterable[Any]) -> Symbol:
    """What a function would give for values of which some are symbolic."""
    every = list(values)
    first = next(facts for facts in map(facts_of, every) if facts is not None)
    return derived(first, f"{name}({', '.join(map(shown, every))})", *every)


def _whole(name: str) -> Callable[..., Any]:
    """A builtin that stays symbolic when an argument is."""
    real = getattr(builtins, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        return real(*args, **kwargs) if _known(*args, *kwargs.values()) else _called(name, args)

    call.__name__ = name
    return call


def _over(name: str) -> Callable[..., Any]:
    """The same, for symbolic values inside of what is given."""
    real = getattr(builtins, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        if not _known(*args):
            return _called(name, args)
        if not args:
            return real(*args, **kwargs)
        first = list(args[0]) if len(args) == 1 or name in ("sum", "sorted") else list(args)
        inside = first if len(args) == 1 else [*first, *args[1:]]
        if _known(*inside):
            return (
                real(first, *args[1:], **kwargs)
                if len(args) == 1 or name in ("sum", "sorted")
                else real(*args, **kwargs)
            )
        return first if name == "sorted" else as_whole(_called(name, inside))

    call.__name__ = name
    return call


def _len(values: Any) -> Any:
    """A list that was filled in a region has one item of each kind here, and any number of them in a run."""
    if facts_of(values) is not None:
        return _called("len", [values])
    if isinstance(values, (list, tuple, set, dict)):
        for one in values:
            facts = facts_of(one)
            if facts is not None and facts.follower.stands_for_many(facts):
                return as_whole(derived(facts, f"how many of {facts.label}", one))
    return len(values)


def _enumerate(values: Any, start: Any = 0) -> Iterator[Any]:
    """The index of the one item that stands for all is as unknown as the item."""
    facts = facts_of(values)
    if facts is None:
        return enumerate(values, start)
    return ((derived(facts, f"index of {facts.label}"), item) for item in values)


def _zip(*values: Any, **kwargs: Any) -> Iterator[Any]:
    unknown = [value for value in values if facts_of(value) is not None]
    if not unknown:
        return zip(*values, **kwargs)  # noqa: B905 - as the author says
    return _side_by_side(values, unknown[0])


def _side_by_side(values: tuple[Any, ...], leading: Any) -> Iterator[Any]:
    facts = facts_of(leading)
    assert facts is not None
    for item in _called("zip", values) if len(values) > 1 else leading:
        about = facts_of(item)
        assert about is not None
        yield tuple(derived(about, f"item of {shown(value)}", value) for value in values)


def _isinstance(value: Any, kind: Any) -> Any:
    if facts_of(value) is None:
        return isinstance(value, kind)
    return _called(f"isinstance {getattr(kind, '__name__', 'of one')} of ", [value])


def _open(file: Any, mode: Any = "r", *args: Any, **kwargs: Any) -> Any:
    """A plan writes no files, and none whose name is made up is read."""
    caller: Any = active.caller
    if _known(file, mode) and not set("wax+") & set(str(mode)):
        return open(file, mode, *args, **kwargs)
    return caller.unknown("a file")


def _asked() -> Any:
    caller: Any = active.caller
    return caller.unknown("input()")


def _silent(*_: Any, **__: Any) -> None: ...


_OWN: Mapping[str, Any] = {
    **{name: _whole(name) for name in ("range", "ord", "reversed")},
    **{name: _over(name) for name in ("sorted", "sum", "min", "max", "any", "all")},
    "len": _len,
    "enumerate": _enumerate,
    "zip": _zip,
    "isinstance": _isinstance,
    "open": _open,
    "print": _silent,
    "breakpoint": _silent,
    "input": lambda *_: _asked(),
}


def prepared(function: types.FunctionType) -> types.FunctionType:
    """The same function over a copy of its names, with these builtins; functions beside it in its module too."""
    space = dict(function.__globals__)
    space["__builtins__"] = {**vars(builtins), **_OWN}
    for name, value in list(space.items()):
        if type(value) is types.FunctionType and value.__globals__ is function.__globals__:
            space[name] = _copied(value, space)
        elif value is time.sleep:
            space[name] = _silent
        elif value is time:
            space[name] = _still()
    return _copied(function, space)


def _copied(function: types.FunctionType, space: dict[str, Any]) -> types.FunctionType:
    made = types.FunctionType(function.__code__, space, function.__name__, function.__defaults__, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__dict__.update(function.__dict__)
    made.__qualname__, made.__module__ = function.__qualname__, function.__module__
    return made


def _still() -> types.ModuleType:
    """The module `time`, in which nobody sleeps."""
    copy = types.ModuleType("time")
    copy.__dict__.update(vars(time))
    copy.__dict__["sleep"] = _silent
    return copy
