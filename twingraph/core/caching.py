"""Whether and how the outcome of a component's work is used again: what an author may say, and what it amounts to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from inspect import iscoroutinefunction, isgeneratorfunction, signature
from types import FunctionType
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


class KeyFunction(NamedTuple):
    """Code that says what stands for all inputs: it is called with those that it names."""

    entry: str  # in the bundle of the component
    hash: str | None  # of its code
    takes: tuple[str, ...] | None  # the parameters that it is given; None: all


class CachePolicy(NamedTuple):
    ttl: float | None = None  # seconds for which an outcome is good; None: for ever
    key: tuple[str, ...] | None = None  # the parameters that stand for all inputs; None: all of them
    scope: CacheScope = CacheScope.HOME
    function: KeyFunction | None = None  # instead of `key`


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
    if isinstance(names, FunctionType):
        if iscoroutinefunction(names) or isgeneratorfunction(names):
            wrong(f"{field}.key", f"{names.__qualname__} must be a plain function, which returns the key")
    elif names is not None and not _is_names(names):
        what = "a list of the parameters that stand for all inputs, or a function of them"
        wrong(f"{field}.key", f"must be {what}, not {names!r}")
    scope = value.get("scope", "home")
    if scope not in _SCOPES:
        wrong(f"{field}.scope", f"{scope!r} is not a scope; {did_you_mean(str(scope), _SCOPES)}")


def _is_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(name, str) for name in value)


def problems_of_key(setting: Any, parameters: Iterable[str], *, node: str | None) -> list[Problem]:
    """The parameters that stand for all inputs, or that their function takes, and that the component does not have."""
    known = tuple(parameters)
    function = setting.get("key") if isinstance(setting, Mapping) else None
    names = _parameters(function) if isinstance(function, FunctionType) else policy_of(setting).key or ()
    return [
        Problem(node=node, field="cache.key", message=f"{name!r} is not a parameter; {did_you_mean(name, known)}")
        for name in names
        if name not in known
    ]


def _parameters(function: FunctionType) -> list[str]:
    return [name for name, one in signature(function).parameters.items() if one.kind is not one.VAR_KEYWORD]


def _is_open(function: FunctionType) -> bool:
    return any(one.kind is one.VAR_KEYWORD for one in signature(function).parameters.values())


def function_in(setting: Any) -> FunctionType | None:
    """The live function that an author gave as the key."""
    key = setting.get("key") if isinstance(setting, Mapping) else None
    return key if isinstance(key, FunctionType) else None


def with_entry(setting: Mapping[str, Any], entry: str) -> dict[str, Any]:
    """The setting for a spec: what can be written down in place of the function."""
    function = setting["key"]
    takes = None if _is_open(function) else _parameters(function)
    return {**setting, "key": entry, "takes": takes}


def with_hash(setting: Any, hash_of: Callable[[str], str | None]) -> Any:
    """The same with the hash of the function's code."""
    function = policy_of(setting).function
    return setting if function is None else {**setting, "hash": hash_of(function.entry)}


def plain_cache(value: Any) -> Any:
    """What was checked, as the journal keeps it: None, True, or what differs from that."""
    if not isinstance(value, Mapping):
        return value or None
    said: dict[str, Any] = {}
    if value.get("ttl") is not None:
        said["ttl"] = second_count(value["ttl"])
    if value.get("key") is not None:
        said["key"] = value["key"] if isinstance(value["key"], FunctionType) else sorted(set(value["key"]))
    if value.get("scope", "home") != "home":
        said["scope"] = str(value["scope"])
    return said or True


def policy_of(setting: Any) -> CachePolicy:
    """What the recorded setting of a spec means."""
    if not isinstance(setting, Mapping):
        return EVERYTHING
    key, takes = setting.get("key"), setting.get("takes")
    return CachePolicy(
        ttl=setting.get("ttl"),
        key=tuple(key) if isinstance(key, (list, tuple)) else None,
        scope=CacheScope(setting.get("scope", "home")),
        function=KeyFunction(key, setting.get("hash"), None if takes is None else tuple(takes))
        if isinstance(key, str)
        else None,
    )
