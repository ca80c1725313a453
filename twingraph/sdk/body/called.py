"""What a body calls while it is followed: its name, its arguments by parameter, and what those come from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from twingraph.sdk.body.symbols import Facts, Origin, facts_of
from twingraph.sdk.body.targets import PARENTS


class Described(NamedTuple):
    name: str
    id: str | None = None
    platform: str = "local"
    pipeline: Any = None
    detached: bool = False
    function: Any = None
    skip_self: bool = False


def describe(target: Any) -> Described:
    definition = getattr(target, "definition", None)
    if getattr(target, "is_pipeline", False):
        detached = bool(getattr(definition, "detached", False))
        return Described(target.name, getattr(definition, "id", None), "-", target, detached, target.fn)
    if definition is not None:
        platform = definition.settings.get("platform", "local")
        return Described(definition.name, definition.id, platform, function=target.fn)
    execute = getattr(type(target), "execute", None)
    name = getattr(target, "name", None)
    return Described(name if isinstance(name, str) else type(target).__name__, function=execute, skip_self=True)


def bound_arguments(
    described: Described, args: tuple[Any, ...], kwargs: Mapping[str, Any], warn: Callable[[str], None]
) -> tuple[dict[str, Any], list[Any]]:
    """Arguments by parameter, and what was named as a parent alone."""
    given = dict(kwargs)
    parameters = _parameters(described.function)
    parents = [given.pop(key) for key in PARENTS if key in given and key not in parameters]
    names = list(parameters)[1:] if described.skip_self else list(parameters)
    try:
        signature = inspect.Signature([one for key, one in parameters.items() if key in names])
        bound = signature.bind(*args, **given).arguments
    except (TypeError, ValueError) as error:
        if not any(facts_of(one) for one in given):
            warn(f"{described.name}: {error}")
        bound = {**dict(zip(names, args, strict=False)), **given}
    flat: dict[str, Any] = {}
    for key, value in bound.items():
        one = parameters.get(key)
        if one is not None and one.kind is one.VAR_KEYWORD:
            flat.update(value)
        else:
            flat[key] = value
    return flat, parents


@lru_cache(maxsize=1024)
def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def is_known(value: Any, depth: int = 0) -> bool:
    """Whether nothing in it is symbolic; what cannot be looked into may hold anything."""
    if facts_of(value) is not None or depth > 20:
        return False
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return True
    if type(value) is dict:
        return all(is_known(one, depth + 1) for pair in value.items() for one in pair)
    return type(value) in (list, tuple, set, frozenset) and all(is_known(one, depth + 1) for one in value)


def origins_of(value: Any, depth: int = 0) -> Iterator[Origin]:
    """Of every symbolic value inside, as deep as references are looked for."""
    facts = facts_of(value)
    if facts is not None:
        yield from facts.origins
    elif depth > 20:
        return
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from origins_of(key, depth + 1)
            yield from origins_of(one, depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for one in value:
            yield from origins_of(one, depth + 1)
    elif hasattr(type(value), "__dataclass_fields__"):
        for name in type(value).__dataclass_fields__:
            yield from origins_of(getattr(value, name, None), depth + 1)


def symbols_in(value: Any) -> Iterator[Facts]:
    """What is known of each symbolic value inside of lists, tuples and dicts."""
    facts = facts_of(value)
    if facts is not None:
        yield facts
    elif type(value) in (list, tuple, dict):
        for one in value.values() if type(value) is dict else value:
            yield from symbols_in(one)
