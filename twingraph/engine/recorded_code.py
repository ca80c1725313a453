"""What recorded code takes, read from its text and never run."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from twingraph.core.syntax import parse


def parameters_of(bundle_path: str, entry: str) -> tuple[str, ...] | None:
    """The names of the parameters of a function, or of a component's `execute`; None where that cannot be told, or
    where it takes any."""
    try:
        bundle = json.loads(Path(bundle_path).read_text(encoding="utf-8"))
        found = bundle["entries"][entry]
        tree = parse(bundle["modules"][found["module"]]["text"])
    except (OSError, ValueError, KeyError, TypeError, SyntaxError, RecursionError):
        return None
    name = str(found["name"]).rpartition(".")[2]
    for part in ast.walk(tree):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and part.name == name:
            return _names(part.args, skip=0)
        if isinstance(part, ast.ClassDef) and part.name == name:
            methods = [one for one in part.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
            execute = next((one for one in methods if one.name == "execute"), None)
            return _names(execute.args, skip=1) if execute is not None else None
    return None


def _names(arguments: ast.arguments, *, skip: int) -> tuple[str, ...] | None:
    if arguments.kwarg is not None:
        return None
    taken = [*arguments.posonlyargs, *arguments.args][skip:]
    return tuple(one.arg for one in (*taken, *arguments.kwonlyargs))
