"""Whether and how the outcome of a component's work is used again: what an author may say, and what it amounts to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from twingraph.core.errors import Problem
from twingraph.core.nearest import did_you_mean
from twingraph.core.quantities import second_count

Wrong = Callable[[str, str], None]
CACHE_KEYS = ("ttl", "key", "scope")


class CacheScope(StrEnum):
    """Who shares an outcome."""

    HOME = "home"  # every execution of the home
    WORKFLOW = "workflow"  # the executions of one workflow
    EXECUTION = "execution"  # one execution: equal work in it is done once


_SCOPES = tuple(str(scope) for scope in CacheScope)


class CachePolicy(NamedTuple):
    ttl: float | None = None  # seconds for which an outcome is good; None: for ever
    key: tuple[str, ...] | None = None  # the parameters that stand for all inputs; None: all of them
    scope: CacheScope = CacheScope.HOME


EVERYTHING = CachePolicy()


def check_cache(value: Any, field: str, wrong: Wrong) -> None:
    """Tell every problem with what an author wrote."""
    if value is None or isinstance(value, bool):
        return
    if not isinstance(value, Mapping):
        wrong(field, f"must be True, False or a mapping with any of {', '.join(CACHE_KEYS)}, not {value!r}")
        return
    for key in value:
        if key not in CACHE_KEYS:
            wrong(f"{field}.{key}", f"is not a key of cache; {did_you_mean(str(key), CACHE_KEYS)}")
    if value.get("ttl") is not None:
        try:
            second_count(value["ttl"])
        except ValueError as problem:
            wrong(f"{field}.ttl", str(problem))
    names = value.get("key")
    if names is not None and not _is_names(names):
        function = "; what a function would say can be a parameter of its own, named here" if callable(names) else ""
        wrong(f"{field}.key", f"must be a list of the parameters that stand for all inputs, not {names!r}{function}")
    scope = value.get("scope", "home")
    if scope not in _SCOPES:
        wrong(f"{field}.scope", f"{scope!r} is not a scope; {did_you_mean(str(scope), _SCOPES)}")


def _is_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(name, str) for name in value)


def problems_of_key(setting: Any, parameters: Iterable[str], *, node: str | None) -> list[Problem]:
    """The parameters that stand for all inputs, and that the component does not have."""
    known = tuple(parameters)
    return [
        Problem(node=node, field="cache.key", message=f"{name!r} is not a parameter; {did_you_mean(name, known)}")
        for name in policy_of(setting).key or ()
        if name not in known
    ]


def plain_cache(value: Any) -> Any:
    """What was checked, as the journal keeps it: None, True, or what differs from that."""
    if not isinstance(value, Mapping):
        return value or None
    said: dict[str, Any] = {}
    if value.get("ttl") is not None:
        said["ttl"] = second_count(value["ttl"])
    if value.get("key") is not None:
        said["key"] = sorted(set(value["key"]))
    if value.get("scope", "home") != "home":
        said["scope"] = str(value["scope"])
    return said or True


def policy_of(setting: Any) -> CachePolicy:
    """What the recorded setting of a spec means."""
    if not isinstance(setting, Mapping):
        return EVERYTHING
    names = setting.get("key")
    return CachePolicy(
        ttl=setting.get("ttl"),
        key=None if names is None else tuple(names),
        scope=CacheScope(setting.get("scope", "home")),
    )
