"""The function under @pipeline, made to wait inside `try` and `with` and to look behind handles at `is` and `match`.

One pass over its syntax tree; the result keeps file, lines, columns, names, defaults and closure. What it asks goes to
one object, reached by a free variable. That object must not raise a failure twice: a call whose failure the body has
met once, by whichever mark, counts as settled from then on, because an inner `except` may have handled it.
"""

from __future__ import annotations

import ast
import types
from collections.abc import Awaitable
from typing import Any, Protocol, cast

from twingraph.sdk.body.active import active
from twingraph.sdk.body.definition import HOOKS, compiled, definition_of
from twingraph.sdk.body.waits import Waits, acts

_OURS = ("component", "pipeline")


class Hooks(Protocol):
    """What a rewritten body asks; see `active.Caller`. An async function awaits the last three."""

    def mark(self) -> Any: ...
    def settle(self, mark: Any) -> None: ...
    def plain(self, value: Any) -> Any: ...
    def looked_at(self, value: Any) -> Any: ...
    def settled(self, mark: Any, value: Any) -> Any: ...
    def returned(self, mark: Any, value: Any) -> Any: ...
    def asettle(self, mark: Any) -> Awaitable[None]: ...
    def asettled(self, mark: Any, value: Any) -> Awaitable[Any]: ...
    def areturned(self, mark: Any, value: Any) -> Awaitable[Any]: ...


class _Current:
    """Asks whichever body runs on this thread. Outside of one nothing is there to wait for."""

    def mark(self) -> Any:
        caller = active.caller
        return caller.mark() if caller is not None else None

    def settle(self, mark: Any) -> None:
        caller = active.caller
        if caller is not None:
            caller.settle(mark)

    def plain(self, value: Any) -> Any:
        caller = active.caller
        return caller.plain(value) if caller is not None else value

    def looked_at(self, value: Any) -> Any:
        caller = active.caller
        return caller.looked_at(value) if caller is not None else value

    def settled(self, mark: Any, value: Any) -> Any:
        caller = active.caller
        return caller.settled(mark, value) if caller is not None else value

    def returned(self, mark: Any, value: Any) -> Any:
        caller = active.caller
        return caller.returned(mark, value) if caller is not None else value

    async def asettle(self, mark: Any) -> None:
        if active.caller is not None:
            await cast(Hooks, active.caller).asettle(mark)

    async def asettled(self, mark: Any, value: Any) -> Any:
        return value if active.caller is None else await cast(Hooks, active.caller).asettled(mark, value)

    async def areturned(self, mark: Any, value: Any) -> Any:
        return value if active.caller is None else await cast(Hooks, active.caller).areturned(mark, value)


_current = _Current()


def rewritten(function: types.FunctionType, hooks: Hooks | None = None) -> types.FunctionType | None:
    """The same function where nothing in it must wait; None where its source is not known."""
    definition = definition_of(function)
    if definition is None:
        return None
    waits = Waits(lambda node: _runs_elsewhere(node, function))
    waits.function(definition.node)
    if not waits.changed:
        return function
    code = compiled(definition, function)
    return _with_code(function, code, hooks or _current) if code is not None else None


def whole_body_in_one_try(function: types.FunctionType) -> int | None:
    """The line of a `try ... except` around all that a body calls: there, hardly anything runs side by side."""
    definition = definition_of(function)
    if definition is None or isinstance(definition.node, ast.Lambda):
        return None
    acting = [statement for statement in definition.node.body if acts(statement)]
    if len(acting) != 1 or not isinstance(acting[0], (ast.Try, ast.TryStar)) or not acting[0].handlers:
        return None
    inside = [statement for statement in acting[0].body if acts(statement)]
    return acting[0].lineno if len(inside) > 1 else None


def _with_code(function: types.FunctionType, code: types.CodeType, hooks: Hooks) -> types.FunctionType:
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    cells[HOOKS] = types.CellType(hooks)
    closure = tuple(cells[name] for name in code.co_freevars)
    made = types.FunctionType(code, function.__globals__, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__annotations__ = function.__annotations__
    made.__doc__, made.__qualname__, made.__module__ = function.__doc__, function.__qualname__, function.__module__
    if hasattr(function, "__type_params__"):  # 3.12
        setattr(made, "__type_params__", function.__type_params__)  # noqa: B010
    made.__dict__.update(function.__dict__)
    return made


def _runs_elsewhere(node: ast.FunctionDef | ast.AsyncFunctionDef, function: types.FunctionType) -> bool:
    return any(_is_ours(decorator, function) for decorator in node.decorator_list)


def _is_ours(decorator: ast.expr, function: types.FunctionType) -> bool:
    """`@component`, `@tg.component(...)`, or another name for one of them."""
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(target, ast.Attribute):
        return target.attr in _OURS
    if not isinstance(target, ast.Name):
        return False
    value = function.__globals__.get(target.id)
    return target.id in _OURS or (
        getattr(value, "__name__", None) in _OURS and str(getattr(value, "__module__", "")).startswith("twingraph")
    )
