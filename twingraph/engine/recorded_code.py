"""What recorded code takes, read from its text and never run."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, Union

from twingraph.core.syntax import parse

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# The names that an annotation may be made of for its type to be known without running anything.
_KNOWN: Mapping[str, Any] = {
    **{kind.__name__: kind for kind in (int, float, str, bool, bytes, list, tuple, dict, set)},
    "Any": Any,
    "Optional": Optional,
    "Union": Union,
}
_PARTS = (ast.Name, ast.Load, ast.Constant, ast.Subscript, ast.Tuple, ast.BinOp, ast.BitOr)


def parameters_of(bundle_path: str, entry: str) -> tuple[str, ...] | None:
    """The names of the parameters of a function, or of a component's `execute`; None where that cannot be told, or
    where it takes any."""
    found = _module_of(bundle_path, entry)
    if found is None:
        return None
    tree, name = found
    for part in ast.walk(tree):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and part.name == name:
            return _names(part.args, skip=0)
        if isinstance(part, ast.ClassDef) and part.name == name:
            methods = [one for one in part.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
            execute = next((one for one in methods if one.name == "execute"), None)
            return _names(execute.args, skip=1) if execute is not None else None
    return None


def types_of(bundle_path: str, entry: str) -> dict[str, Any]:
    """The types of a function's parameters, of those that are made of Python's own."""
    found = _module_of(bundle_path, entry)
    if found is None:
        return {}
    tree, name = found
    functions = [part for part in ast.walk(tree) if isinstance(part, _FUNCTIONS) and part.name == name]
    if len(functions) != 1:  # which of them it is only running the module would tell
        return {}
    bound = _bound(tree)
    known = {key: kind for key, kind in _KNOWN.items() if not bound & {key, "*"}}
    arguments = functions[0].args
    taken = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return {one.arg: kind for one in taken if (kind := _type_of(one.annotation, known)) is not None}


def _type_of(annotation: ast.expr | None, known: Mapping[str, Any]) -> Any:
    """None: it cannot be told."""
    if annotation is None or not all(_is_known(part, known) for part in ast.walk(annotation)):
        return None
    try:
        return eval(compile(ast.Expression(annotation), "<annotation>", "eval"), {"__builtins__": {}, **known})
    except Exception:  # such as `list | 3`
        return None


def _is_known(part: ast.AST, known: Mapping[str, Any]) -> bool:
    if isinstance(part, ast.Name):
        return part.id in known
    if isinstance(part, ast.Constant):
        return part.value is None
    return isinstance(part, _PARTS)


def _bound(tree: ast.AST) -> set[str]:
    """Names that the module gives a meaning of its own."""
    found: set[str] = set()
    for part in ast.walk(tree):
        if isinstance(part, (*_FUNCTIONS, ast.ClassDef)):
            found.add(part.name)
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            found.add(part.id)
        elif isinstance(part, ast.Import) or (isinstance(part, ast.ImportFrom) and part.module != "typing"):
            found.update(alias.asname or alias.name for alias in part.names)
    return found


def _module_of(bundle_path: str, entry: str) -> tuple[ast.AST, str] | None:
    """The module of this entry, and its name in there."""
    try:
        bundle = json.loads(Path(bundle_path).read_text(encoding="utf-8"))
        found = bundle["entries"][entry]
        return parse(bundle["modules"][found["module"]]["text"]), str(found["name"]).rpartition(".")[2]
    except (OSError, ValueError, KeyError, TypeError, SyntaxError, RecursionError):
        return None


def _names(arguments: ast.arguments, *, skip: int) -> tuple[str, ...] | None:
    if arguments.kwarg is not None:
        return None
    taken = [*arguments.posonlyargs, *arguments.args][skip:]
    return tuple(one.arg for one in (*taken, *arguments.kwonlyargs))
