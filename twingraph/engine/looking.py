"""Whether a body looks at the world by itself, as far as its text shows: at a clock, a file, its surroundings.

Such a body may do something else each time. What components do is no matter here: what they gave is known.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from twingraph.core.syntax import parse

# Modules of which whatever is taken gives what nobody wrote down, and names that need no import.
_WORLD = frozenset((
    "datetime", "ftplib", "getpass", "glob", "http", "httpx", "io", "linecache", "locale", "os", "pathlib", "platform",
    "psutil", "requests", "secrets", "select", "shelve", "shutil", "socket", "sqlite3", "subprocess", "sys", "tempfile",
    "time", "urllib", "uuid", "zoneinfo",
))  # fmt: skip
_BUILTINS = frozenset(("open", "input", "globals", "vars", "__import__"))
_Opaque = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def looks_around(text: str) -> bool:
    """Of a module's text, or what of it was kept for a body. What cannot be read may do anything."""
    try:
        seen = list(_of_bodies(parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last is what the parser calls too deep
        return True
    worldly = _BUILTINS.union(name for node in seen for name in _taken_from_the_world(node))
    return any(isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in worldly for node in seen)


def _of_bodies(tree: ast.AST) -> Iterator[ast.AST]:
    """All but what stands in components."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not (isinstance(node, _Opaque) and any(_names(mark) == "component" for mark in node.decorator_list)):
            yield from _of_bodies(node)


def _names(mark: ast.expr) -> str | None:
    called = mark.func if isinstance(mark, ast.Call) else mark
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else None


def _taken_from_the_world(node: ast.AST) -> Iterator[str]:
    """Names under which something of these modules is known here."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.partition(".")[0] in _WORLD:
                yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").partition(".")[0] in _WORLD:
        yield from (alias.asname or alias.name for alias in node.names)
