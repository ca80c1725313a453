"""What a pipeline's body may call: found by walking over live objects, so that it is packed before the body begins.

No source is needed and nothing is called. Names count that the code mentions; what is looked up while it runs
(a registered name, `getattr` with a text) is found when it is called, and packed then.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import field
from enum import Enum
from functools import partial
from types import CellType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType, SimpleNamespace
from typing import Any

from twingraph.core.recordclass import recordclass
from twingraph.sdk.base_component import BaseComponent
from twingraph.sdk.component import Component
from twingraph.sdk.signature import code_of, is_handle, is_pipeline
from twingraph.sdk.slicing.locality import find_local, is_local_file

_DEPTH = 3  # of containers in containers
_ITEMS = 1000  # of one container
_HANDED_ON = (staticmethod, classmethod)
_PLAIN = frozenset({int, float, str, bytes, bool, type(None), complex})


@recordclass(frozen=False, kw_only=False)
class Reached:
    """Each in the order in which it was found, once."""

    components: list[Any] = field(default_factory=list)
    pipelines: list[Any] = field(default_factory=list)
    classes: list[type] = field(default_factory=list)


def reachable(function: Any) -> Reached:
    """Everything that this body, the helpers that it calls and the pipelines among them mention."""
    walk = _Walk()
    walk.code(code_of(function))
    walk.run()
    return walk.found


class _Walk:
    def __init__(self) -> None:
        self.found = Reached()
        self._seen: set[int] = set()
        self._local: dict[str, bool] = {}
        self._pending: list[FunctionType] = []

    def run(self) -> None:
        while self._pending:
            self._follow(self._pending.pop())

    def code(self, function: Any) -> None:
        """A function whose mentions count."""
        if type(function) is FunctionType and id(function) not in self._seen:
            self._seen.add(id(function))
            self._pending.append(function)

    def _follow(self, function: FunctionType) -> None:
        names = _mentioned(function.__code__)
        space = function.__globals__
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._take(value, names)
        for cell in function.__closure__ or ():
            self._take(_content(cell), names)
        for name in names:
            if name in space:
                self._take(space[name], names)
            elif name in sys.modules:  # `import helpers` inside the function
                self._take(sys.modules[name], names)

    def _take(self, value: Any, names: tuple[str, ...], depth: int = _DEPTH) -> None:
        kind = type(value)
        if kind in _PLAIN or is_handle(value):
            return
        if id(value) in self._seen and not issubclass(kind, ModuleType):
            return
        if _is_target(value):
            self._target(value)
        elif kind is FunctionType:
            if self._is_local(value.__module__) or self._is_local(value.__globals__.get("__name__")):
                self.code(value)
        elif issubclass(kind, ModuleType):
            self._module(value, names, depth)
        elif issubclass(kind, type):
            self._class(value)
        elif depth:
            if self._is_local(kind.__module__):  # an object of the project: its methods, and what it holds
                self._seen.add(id(value))
                self._class(kind)
                for item in _held(value):
                    self._take(item, names, depth - 1)
            for item in _items(value):
                self._take(item, names, depth - 1)

    def _target(self, value: Any) -> None:
        """Pipelines are walked into; what a component calls runs in its own process, as plain functions."""
        self._seen.add(id(value))
        if is_pipeline(value):
            self.found.pipelines.append(value)
            self.code(code_of(value))
        else:
            self.found.components.append(value)

    def _module(self, module: ModuleType, names: tuple[str, ...], depth: int) -> None:
        if depth and self._is_local(module.__name__):
            space = vars(module)
            for name in names:
                if name in space and space[name] is not module:
                    self._take(space[name], names, depth - 1)

    def _class(self, kind: type) -> None:
        if not self._is_local(kind.__module__):
            return
        self._seen.add(id(kind))
        if issubclass(kind, BaseComponent):
            self.found.components.append(kind)
            return
        if _is_value(kind):
            self.found.classes.append(kind)
        for member in list(vars(kind).values()):
            inner = member.__func__ if type(member) in _HANDED_ON else member
            if _is_target(inner) or type(inner) is FunctionType:
                self._take(inner, ())

    def _is_local(self, name: Any) -> bool:
        if type(name) is not str:
            return False
        known = self._local.get(name)
        if known is None:
            known = self._local[name] = _is_project(name)
        return known


def _is_target(value: Any) -> bool:
    return issubclass(type(value), (Component, BaseComponent)) or is_pipeline(value)


def _is_project(name: str) -> bool:
    if name in ("__main__", "__mp_main__"):
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is not None and name.partition(".")[0] != "twingraph":
        return is_local_file(file)
    return find_local(name) is not None


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


def _items(value: Any) -> Iterable[Any]:
    """The elements of a plain container, as far as it is not a table of data. Types are asked, not values, which may
    be proxies that answer for something else."""
    kind = type(value)
    if issubclass(kind, (list, tuple, set, frozenset)):
        return list(value) if len(value) <= _ITEMS else ()
    if issubclass(kind, (dict, MappingProxyType)):
        return list(value.values()) if len(value) <= _ITEMS else ()
    if issubclass(kind, partial):
        return value.func, *value.args, *value.keywords.values()
    if kind is MethodType:
        return value.__func__, value.__self__
    if kind is SimpleNamespace:
        return list(vars(value).values())
    wrapped = getattr(value, "__wrapped__", None) if kind.__module__ == "functools" else None
    return () if wrapped is None else (wrapped,)


def _held(value: Any) -> list[Any]:
    """An object's attributes, as they stand there: its class is not asked."""
    try:
        return list(object.__getattribute__(value, "__dict__").values())
    except AttributeError:  # it has slots
        return []


def _is_value(kind: type) -> bool:
    """A class whose instances go from node to node: dataclass, NamedTuple, enum, pydantic model, exception."""
    return (
        hasattr(kind, "__dataclass_fields__")
        or hasattr(kind, "model_fields")
        or issubclass(kind, (Enum, BaseException))
        or (issubclass(kind, tuple) and hasattr(kind, "_fields"))
    )


def _mentioned(code: CodeType) -> tuple[str, ...]:
    """Names of globals and attributes in a function and all that is defined in it."""
    found: dict[str, None] = {}
    todo = [code]
    while todo:
        one = todo.pop()
        found.update(dict.fromkeys(one.co_names))
        todo.extend(inner for inner in one.co_consts if type(inner) is CodeType)
    return tuple(found)
