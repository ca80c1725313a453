"""Functions defined inside functions: their source is lifted out, their free variables are made again."""

from __future__ import annotations

import ast
import builtins
import json
import types
from collections.abc import Callable, Mapping
from typing import Any

from twingraph.core.errors import SliceError
from twingraph.core.recordclass import recordclass
from twingraph.core.syntax import undisturbed
from twingraph.sdk.signature import code_of, is_handle
from twingraph.sdk.slicing.rewriting import node_lines
from twingraph.sdk.slicing.scopes import Facts, ScopeWalk
from twingraph.sdk.slicing.selection import Kept
from twingraph.sdk.slicing.sources import Source
from twingraph.sdk.slicing.syntax import all_arguments

FACTORY = "__twingraph_factory__"
_HOOKS = "__twingraph"  # free variables that a body which was rewritten has besides its author's
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_REMEDY = "pass it as a parameter, or move the function to module level"


@recordclass(kw_only=False)
class Lifted:
    """A nested function found in its module."""

    node: _Function
    source: Source  # where it stands
    facts: Facts
    factory: str
    free: Mapping[str, Any]


def lift(function: types.FunctionType, kept: Kept) -> Lifted:
    """Find the definition in its file, and write the factory that makes it from its free variables."""
    node, source = _find(function, kept)
    ours = kept.facts.ours
    free = _free_variables(function, node, source.file)
    walk = ScopeWalk(source.package_name, ours)
    walk.visit(node)
    for name in (*free, getattr(node, "name", "")):
        for key in [key for key in walk.facts.uses if key[0] == name]:
            if name in free:
                del walk.facts.uses[key]
    if ours is None:
        _check_eager(walk.facts, free, kept, node)
    lines = node_lines(node, source, ours, nested=True)
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))])
    name = getattr(node, "name", None)
    header = f"def {FACTORY}({', '.join(free)}):".encode()
    if name is None:
        body = [header + b" return (" + lines[0], *lines[1:]]
        body[-1] += b")"
        text = b"\n" * (first - 1) + b"\n".join(body)
    else:
        indent = source.lines[node.lineno - 1][: node.col_offset]
        if indent.strip() or not indent:
            raise SliceError(
                "a nested function must start its own line; move it to module level", file=source.file, line=node.lineno
            )
        if not getattr(node, "decorator_list", ()):
            lines[0] = indent + lines[0]
        if first < 2:
            raise SliceError("this nested function cannot be lifted out; move it to module level", file=source.file)
        text = b"\n" * (first - 2) + header + b"\n" + b"\n".join(lines) + b"\n" + indent + f"return {name}".encode()
    return Lifted(node, source, walk.facts, text.decode("utf-8", "surrogatepass") + "\n", free)


def _check_eager(facts: Facts, free: Mapping[str, Any], kept: Kept, node: _Function) -> None:
    """Decorators, annotations and defaults run anew: they cannot use locals of the function around."""
    module = kept.facts.binders
    gone = sorted(
        name for name in facts.eager if name not in free and name not in module and not hasattr(builtins, name)
    )
    if gone:
        raise SliceError(
            f"its decorators, annotations or defaults use {', '.join(gone)}, which the function around it made; "
            "move it to module level",
            file=kept.facts.source.file,
            line=node.lineno,
        )


def _find(function: types.FunctionType, kept: Kept) -> tuple[_Function, Source]:
    source = kept.facts.source
    for text in (source, *source.made):
        found = _definitions(function.__code__, text)
        if len(found) == 1:
            return found[0], text
    raise SliceError(
        f"the definition of {function.__qualname__} cannot be found in its file; "
        "was the file changed since it was imported?",
        file=source.file,
        line=function.__code__.co_firstlineno,
    )


def _definitions(code: types.CodeType, source: Source) -> list[_Function]:
    found: list[_Function] = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Lambda) and code.co_name == "<lambda>":
            if node.lineno <= code.co_firstlineno <= (node.end_lineno or 0):
                found.append(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == code.co_name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found += [node] if first == code.co_firstlineno else []
    if len(found) > 1 and code.co_name == "<lambda>":
        columns = [position[2] for position in code.co_positions() if position[0] and position[2] is not None]
        column = max(columns, default=0)
        found = [node for node in found if node.col_offset <= column < (node.end_col_offset or 0)][-1:]
    return found


def _free_variables(function: types.FunctionType, node: _Function, file: str) -> dict[str, Any]:
    free: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name.startswith(_HOOKS):
            continue
        if name == "__class__":
            raise SliceError(
                "a nested function cannot use super() of a class around it; move it to module level",
                file=file,
                line=node.lineno,
            )
        try:
            free[name] = cell.cell_contents
        except ValueError:
            raise SliceError(
                f"the free variable {name!r} has no value yet; {_REMEDY}", file=file, line=node.lineno
            ) from None
    # `def inner(x, k=k)`: the default is a local of the function around it, known only through the live function
    positional = [*node.args.posonlyargs, *node.args.args]
    names = {argument.arg for argument in all_arguments(node.args)}
    live: dict[str, Any] = dict(function.__kwdefaults__ or {})
    values = function.__defaults__ or ()
    if values:
        live.update(zip([argument.arg for argument in positional[-len(values) :]], values, strict=True))
    pairs = list(zip(positional[len(positional) - len(node.args.defaults) :], node.args.defaults, strict=True))
    pairs += [(a, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d is not None]
    for argument, default in pairs:
        if isinstance(default, ast.Name) and default.id not in function.__globals__ and argument.arg in names:
            free.setdefault(default.id, live.get(argument.arg))
    return free


def describe(
    value: Any, *, name: str, owner: types.FunctionType, file: str, line: int, function: Callable[[Any], dict[str, Any]]
) -> dict[str, Any]:
    """How a free variable is made again. `function` describes functions and classes by their definitions."""
    if is_handle(value):
        raise SliceError(
            f"the free variable {name!r} of {owner.__qualname__} is the result of a call, which the graph would not "
            "show; pass it as a parameter",
            file=file,
            line=line,
        )
    if value is owner or code_of(value) is owner:
        return {"kind": "self"}
    if isinstance(value, types.ModuleType):
        return {"kind": "module", "name": value.__name__}
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, type)) or hasattr(value, "fn"):
        return function(value)
    text = repr(value)
    try:
        again = undisturbed(lambda: ast.literal_eval(text))
        if again == value and type(again) is type(value):
            return {"kind": "literal", "repr": text}
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        pass
    raise SliceError(
        f"the free variable {name!r} of {owner.__qualname__} is a {type(value).__name__}, which cannot be written as "
        f"code; {_REMEDY}",
        file=file,
        line=line,
    )


def around(function: types.FunctionType) -> str:
    """`outer` for what is called `outer.<locals>.inner`."""
    return function.__qualname__.rpartition(".<locals>.")[0]


def canonical(closure: Mapping[str, Any]) -> str:
    return json.dumps(_unnamed(closure), sort_keys=True, default=str)


def _unnamed(described: Any) -> Any:
    """Without the names of the functions around, which say nothing of what the code does."""
    if not isinstance(described, Mapping):
        return described
    return {
        name: _unnamed(value) for name, value in described.items() if name != "around" or not isinstance(value, str)
    }
