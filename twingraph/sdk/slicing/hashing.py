"""The code hash: over what the kept code means, not how it is laid out.

The dump is our own so that it is equal on every supported Python: no positions, contexts, docstrings or empty fields;
neighbouring texts of f-strings are joined; `del (a, b)` equals `del a, b`. Modules are numbered in the order in which
the walk finds them, so neither their names nor the order of unrelated statements matter. For each kept name
the order of the statements that touch it does matter.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from typing import Any

from twingraph.core.hashing import content_hash
from twingraph.sdk.slicing.rewriting import is_our_decorator
from twingraph.sdk.slicing.selection import Kept
from twingraph.sdk.slicing.sources import Source
from twingraph.sdk.slicing.statements import ModuleFacts, Statement
from twingraph.sdk.slicing.syntax import ImportRef, absolute_module, ships_annotations

_SKIPPED = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Dump:
    """Canonical text of syntax, for one module of a selection."""

    def __init__(self, source: Source, ours: set[str] | None, labels: Mapping[str, str]) -> None:
        self.source, self.ours, self.labels = source, ours, labels

    def dump(self, node: object, *, in_function: bool = False, in_class: bool = False) -> str:
        if isinstance(node, list):
            return "[" + ",".join(self.dump(item, in_function=in_function, in_class=in_class) for item in node) + "]"
        if not isinstance(node, ast.AST):
            return _scalar(node)
        if isinstance(node, ast.Constant):
            return f"({type(node.value).__name__} {_scalar(node.value)})"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            return self._import(node)
        function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        plain_assignment = isinstance(node, ast.AnnAssign) and node.value is not None and not in_class
        parts = ["Assign" if plain_assignment else type(node).__name__]
        for name, value in self._fields(node, in_class=in_class):
            if value is None or value == [] or name in _SKIPPED or _is_empty_text(value):
                continue
            inside = in_function or function or isinstance(node, ast.Lambda)
            own_class = isinstance(node, ast.ClassDef) or (in_class and not function)
            parts.append(f"{name}={self.dump(value, in_function=inside, in_class=own_class)}")
        return "(" + " ".join(parts) + ")"

    def _fields(self, node: ast.AST, *, in_class: bool) -> Iterable[tuple[str, Any]]:
        fields = dict(ast.iter_fields(node))
        if isinstance(node, _DOCUMENTED):
            fields["body"] = _without_docstring(node.body)
            fields["decorator_list"] = [d for d in node.decorator_list if not is_our_decorator(d, self.ours)]
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not ships_annotations(
            node, fields["decorator_list"], self.ours
        ):
            fields["returns"] = None
            fields["args"] = _Bare(node.args)
        elif isinstance(node, ast.AnnAssign) and not in_class:
            fields["annotation"] = None
            return [("targets", [node.target]), ("value", node.value)]
        elif isinstance(node, ast.JoinedStr):
            fields["values"] = _joined(node.values)
        elif isinstance(node, ast.Delete):
            fields["targets"] = _flat(node.targets)
        elif isinstance(node, _Bare):
            fields = dict(ast.iter_fields(node.arguments))
            for name in ("posonlyargs", "args", "kwonlyargs"):
                fields[name] = [argument.arg for argument in fields[name]]
            for name in ("vararg", "kwarg"):
                fields[name] = fields[name].arg if fields[name] is not None else None
        return fields.items()

    def _import(self, node: ast.Import | ast.ImportFrom) -> str:
        if isinstance(node, ast.Import):
            return "".join(f"(import {self._label(a.name)} {a.asname or ''})" for a in node.names)
        module = absolute_module(node, self.source.package_name)
        return "".join(
            f"(from {self._label(module)} {self._named(module, a.name)} {a.asname or ''})" for a in node.names
        )

    def ref(self, ref: ImportRef) -> str:
        return f"(import {self._label(ref.module)} {self._named(ref.module, ref.name)} {ref.bound})"

    def _label(self, module: str) -> str:
        return self.labels.get(module, module)

    def _named(self, module: str, name: str | None) -> str:
        """What is imported: a name, or the number of a submodule."""
        return self.labels.get(f"{module}.{name}", name or "") if name else ""


class _Bare(ast.AST):
    """Arguments whose annotations are not shipped."""

    _fields = ()

    def __init__(self, arguments: ast.arguments) -> None:
        super().__init__()
        self.arguments = arguments


def _scalar(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value)
    return repr(value)


def _is_empty_text(value: object) -> bool:
    return isinstance(value, ast.JoinedStr) and not value.values


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:]
    return body


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    result: list[ast.expr] = []
    for value in values:
        if isinstance(value, ast.Constant):
            if value.value == "":
                continue
            if result and isinstance(result[-1], ast.Constant):
                result[-1] = ast.Constant(f"{result[-1].value!s}{value.value!s}")
                continue
        result.append(value)
    return result


def _flat(targets: list[ast.expr]) -> list[ast.expr]:
    return [
        inner
        for target in targets
        for inner in (_flat(target.elts) if isinstance(target, (ast.Tuple, ast.List)) else [target])
    ]


def code_hash(modules: Mapping[str, Kept], entry: tuple[str, str], *, factory: str = "", closure: str = "") -> str:
    """Hash of a finished selection."""
    labels = {name: f"m{number}" for number, name in enumerate(modules)}
    rows: list[Any] = []
    for name, kept in modules.items():
        dump = Dump(kept.facts.source, kept.facts.ours, labels)
        for used, sequence in _sequences(kept, dump):
            rows.append((labels[name], used, sequence))
    structure = ["slice 1", labels.get(entry[0], entry[0]), entry[1], sorted(rows), factory, closure]
    return content_hash(json.dumps(structure).encode())


def text_hash(text: str) -> str:
    """Hash of a code node, which is a module of its own."""
    source = Source(name="code", file="<code>", text=text, package=False, main=False)
    dump = Dump(source, set(), {}).dump(source.tree)
    return content_hash(json.dumps(["code 1", dump]).encode())


def _sequences(kept: Kept, dump: Dump) -> Iterable[tuple[str, list[str]]]:
    statements = [s for s in kept.facts.statements if s.index in kept.statements]
    touched = {s.index: _touched(kept.facts, s) for s in statements}
    texts = {s.index: dump.dump(s.node) for s in statements if not s.refs}
    for name in kept.names:
        sequence = []
        for statement in statements:
            if statement.refs:
                chosen = kept.aliases[statement.index]
                sequence += [dump.ref(ref) for ref in statement.refs if ref in chosen and ref.bound == name]
            elif name in touched[statement.index]:
                sequence.append(texts[statement.index])
        if sequence:
            yield name, sequence
    stars = [dump.dump(s.node) for s in statements if any(ref.name == "*" for ref in s.refs)]
    yield "", sorted([*texts.values(), *stars])


def _touched(facts: ModuleFacts, statement: Statement) -> set[str]:
    """Names that the statement binds, changes or reads while it runs, also through functions that it calls."""
    found = {*statement.facts.binds, *(name for name, _ in statement.facts.mutates)}
    pending = list(statement.facts.eager)
    while pending:
        name = pending.pop()
        if name in found:
            continue
        found.add(name)
        pending.extend(facts.alias_roots.get(name, ()))
        for binder in facts.binders.get(name, ()):
            if binder.makes_callable:
                pending.extend(used for used, _ in binder.facts.uses)
    return found
