"""How two works differ: their values by path, their code by definition. Pure."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from twingraph.core import codec
from twingraph.core.codec_base import dumps_sorted, loads
from twingraph.core.syntax import parse

# So long may a value be in words.
SHOWN = 40
Fetch = Callable[[str], str | None]  # the text of a blob, where it can be read

_ABSENT = object()


def of_values(name: str, before: str, after: str, fetch: Fetch) -> Iterator[str]:
    """Where two values differ, as paths that start with this name, each with what was and what is."""
    yield from _compare(name, loads(before), loads(after), fetch)


def _compare(path: str, before: Any, after: Any, fetch: Fetch) -> Iterator[str]:
    if before is _ABSENT:
        yield f"{path} is new: {_short(after)}"
    elif after is _ABSENT:
        yield f"{path} is gone: {_short(before)}"
    elif dumps_sorted(before) != dumps_sorted(after):
        parts = list(_parts(before, after, fetch))
        if not parts:
            yield f"{path}: {_short(before)} → {_short(after)}"
        for step, one, other in parts:
            yield from _compare(path + step, one, other, fetch)


def _parts(before: Any, after: Any, fetch: Fetch) -> Iterator[tuple[str, Any, Any]]:
    """The steps to the parts of two values that are built alike; none where they are to be told as a whole."""
    before, after = _opened(before, fetch), _opened(after, fetch)
    if isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            yield f"[{index}]", _at(before, index), _at(after, index)
    elif isinstance(before, dict) and isinstance(after, dict):
        tags = before.get("$"), after.get("$")
        if tags == (None, None):
            yield from _keyed(before, after, "[{!r}]")
        elif tags[0] == tags[1] and before.get("type") == after.get("type"):
            yield from _tagged(str(tags[0]), before.get("v"), after.get("v"), fetch)


def _tagged(tag: str, before: Any, after: Any, fetch: Fetch) -> Iterator[tuple[str, Any, Any]]:
    if tag in ("dict", "ordereddict") and isinstance(before, list) and isinstance(after, list):
        one, other = ({codec.plain(dumps_sorted(key)): value for key, value in pairs} for pairs in (before, after))
        yield from _keyed(one, other, "[{!r}]")
    elif isinstance(before, dict) and isinstance(after, dict):
        yield from _keyed(before, after, ".{}")
    elif isinstance(before, list) and isinstance(after, list) and tag in ("tuple", "list"):
        yield from _parts(before, after, fetch)


def _keyed(before: Mapping[Any, Any], after: Mapping[Any, Any], step: str) -> Iterator[tuple[str, Any, Any]]:
    for key in dict.fromkeys((*before, *after)):
        yield step.format(key), before.get(key, _ABSENT), after.get(key, _ABSENT)


def _at(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else _ABSENT


def _opened(tree: Any, fetch: Fetch) -> Any:
    """What lies in the blob store as text is looked into."""
    if not isinstance(tree, dict) or tree.get("$") != "ref" or tree.get("rung") not in ("json", "list"):
        return tree
    text = fetch(tree["hash"])
    if text is None:
        return tree
    return loads(text) if tree["rung"] == "json" else [loads(line) for line in text.splitlines()]


def _short(tree: Any) -> str:
    text = repr(codec.plain(dumps_sorted(tree), limit=5))
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


# -- code ----------------------------------------------------------------------------------------


class Definition(NamedTuple):
    dump: str
    file: str
    line: int
    constant: str | None  # what it stands for, where it is a plain value


def of_code(before: Mapping[str, Any], after: Mapping[str, Any], old_entry: str, new_entry: str) -> Iterator[str]:
    """The definitions by which two bundles of slices differ, as far as these entries use them."""
    was, now = reached(before, old_entry), reached(after, new_entry)
    for place in dict.fromkeys((*now, *was)):
        old, new, name = was.get(place), now.get(place), place[1]
        if old is None and new is not None:
            yield f"{name} in {new.file}:{new.line} is new"
        elif new is None and old is not None:
            yield f"{name} in {old.file}:{old.line} is no longer used"
        elif old is not None and new is not None and old.dump != new.dump:
            told = f": {old.constant} → {new.constant}" if old.constant and new.constant else " changed"
            yield f"{name} in {new.file}:{new.line}{told}"


def reached(bundle: Mapping[str, Any], entry: str) -> dict[tuple[str, str], Definition]:
    """The definitions at the top of modules that an entry uses, itself first."""
    found: dict[tuple[str, str], Definition] = {}
    start = bundle["entries"][entry]
    modules = {name: _Module(part) for name, part in bundle["modules"].items()}
    todo = [(start["module"], start["name"].partition(".")[0])]
    while todo:
        module, name = todo.pop(0)
        part = modules.get(module)
        if part is None or (module, name) in found:
            continue
        if (source := part.imported.get(name)) is not None:
            todo.append(source)
        for statement in part.bound.get(name, ()):
            if (module, name) not in found:
                found[module, name] = part.definition(name)
            for node in ast.walk(statement):
                if isinstance(node, ast.Name):
                    todo.append((module, node.id))
                elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    whole = part.modules.get(node.value.id)
                    todo += [(whole, node.attr)] if whole is not None else []
    return found


class _Module:
    def __init__(self, part: Mapping[str, Any]) -> None:
        self.file: str = part["file"]
        self.bound: dict[str, list[ast.stmt]] = {}
        self.imported: dict[str, tuple[str, str]] = {}
        self.modules: dict[str, str] = {}
        for statement in parse(part["text"]).body:
            self._take(statement)

    def _take(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                self.imported[alias.asname or alias.name] = statement.module or "", alias.name
                self.modules[alias.asname or alias.name] = f"{statement.module}.{alias.name}"
        elif isinstance(statement, ast.Import):
            self.modules.update((alias.asname or alias.name, alias.name) for alias in statement.names)
        elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self.bound.setdefault(statement.name, []).append(statement)
        else:
            names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
            stores = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            for name in stores or names:
                self.bound.setdefault(name, []).append(statement)

    def definition(self, name: str) -> Definition:
        statements = self.bound[name]
        dump = "\n".join(ast.dump(_without_words(statement)) for statement in statements)
        last = statements[-1]
        value = getattr(last, "value", None)
        constant = ast.unparse(value) if isinstance(value, ast.Constant) and len(statements) == 1 else None
        return Definition(dump, self.file, statements[0].lineno, constant)


def _without_words(statement: ast.stmt) -> ast.stmt:
    """Docstrings say nothing of what is done."""
    for node in ast.walk(statement):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return statement
