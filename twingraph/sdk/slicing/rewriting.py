"""The text that is shipped: kept statements at their own lines, everything else blank.

Removed on the way: annotations of functions and of module variables, our decorators; relative imports become absolute.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from twingraph.sdk.slicing.selection import Kept
from twingraph.sdk.slicing.sources import Source
from twingraph.sdk.slicing.syntax import ImportRef, absolute_module, all_arguments, chain_of, ships_annotations

_FROM = re.compile(rb"from\b(.*?)\bimport\b", re.DOTALL)


class Edit(NamedTuple):
    """Bytes between two places are replaced; line breaks between them stay, joined by backslashes if `bare`."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: bytes = b""
    bare: bool = False


def is_our_decorator(decorator: ast.expr, ours: set[str] | None) -> bool:
    found = chain_of(decorator.func if isinstance(decorator, ast.Call) else decorator)
    return ours is not None and found is not None and found[0] in ours


def import_text(refs: Iterable[ImportRef]) -> bytes:
    pieces = []
    for ref in refs:
        if ref.name is None:
            pieces.append(f"import {ref.module}" + ("" if ref.dotted else f" as {ref.bound}"))
        else:
            pieces.append(
                f"from {ref.module} import {ref.name}" + (f" as {ref.bound}" if ref.bound != ref.name else "")
            )
    return "; ".join(pieces).encode()


def module_text(kept: Kept) -> str:
    """The pruned module."""
    source = kept.facts.source
    output: list[list[bytes]] = [[] for _ in source.lines]
    for statement in kept.facts.statements:
        if statement.index not in kept.statements:
            continue
        if statement.refs and not any(ref.name == "*" for ref in statement.refs):
            chosen = kept.aliases[statement.index]
            output[statement.node.lineno - 1].append(import_text(ref for ref in statement.refs if ref in chosen))
            continue
        for offset, piece in enumerate(node_lines(statement.node, source, kept.facts.ours)):
            output[statement.first - 1 + offset].append(piece)
    lines = [
        b"; ".join(piece for piece in pieces if piece.strip()) if len(pieces) > 1 else b"".join(pieces)
        for pieces in output
    ]
    return b"\n".join(lines).rstrip().decode("utf-8", "surrogatepass") + "\n"


def edited_lines(text: str, source: Source) -> dict[str, str]:
    """The lines of the pruned module that differ from what stands in the file, by number, as the file has them."""
    changed = {}
    for number, (line, original) in enumerate(zip(text.split("\n"), source.lines, strict=False), start=1):
        written = original.decode("utf-8", "surrogatepass").rstrip("\r\n")
        if line.strip() and line != written:
            changed[str(number)] = written
    return changed


def node_lines(
    node: ast.stmt | ast.expr, source: Source, ours: set[str] | None, *, nested: bool = False
) -> list[bytes]:
    """The lines of one statement from its first decorator on, edited; other text of those lines is cut away."""
    decorators: Sequence[ast.expr] = getattr(node, "decorator_list", ())
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    last = node.end_lineno or node.lineno
    lines = source.lines[first - 1 : last]
    start = node.col_offset
    edits = sorted(_edits(node, source, ours, module_level=not nested), reverse=True)
    lines[-1] = lines[-1][: node.end_col_offset]
    for edit in edits:
        _apply(lines, edit, first)
    if not decorators:
        lines[0] = lines[0][start:]
    return lines


def _apply(lines: list[bytes], edit: Edit, first: int) -> None:
    begin, end = edit.line - first, edit.end_line - first
    head, tail = lines[begin][: edit.column], lines[end][edit.end_column :]
    if begin == end:
        lines[begin] = head + edit.text + tail
        return
    joint = b" \\" if edit.bare else b""
    lines[begin] = head + edit.text + joint
    for middle in range(begin + 1, end):
        lines[middle] = joint
    lines[end] = tail


def _edits(node: ast.AST, source: Source, ours: set[str] | None, *, module_level: bool) -> Iterator[Edit]:
    """Edits in a piece of syntax; `module_level` is False inside functions and classes."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        yield from _function_edits(node, source, ours)
    elif isinstance(node, ast.ClassDef):
        yield from _decorator_edits(node, source, ours)
    elif isinstance(node, ast.AnnAssign) and module_level:
        yield _variable_edit(node)
    elif isinstance(node, ast.ImportFrom) and node.level:
        yield from _import_edits(node, source)
    inner = module_level and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    for child in ast.iter_child_nodes(node):
        yield from _edits(child, source, ours, module_level=inner)


def _decorator_edits(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, source: Source, ours: set[str] | None
) -> Iterator[Edit]:
    for decorator in node.decorator_list:
        if is_our_decorator(decorator, ours):
            line = source.lines[decorator.lineno - 1]
            at = line.rfind(b"@", 0, decorator.col_offset)
            yield Edit(decorator.lineno, at, _end_line(decorator), _end_column(decorator))


def _function_edits(
    node: ast.FunctionDef | ast.AsyncFunctionDef, source: Source, ours: set[str] | None
) -> Iterator[Edit]:
    yield from _decorator_edits(node, source, ours)
    if ships_annotations(node, [found for found in node.decorator_list if not is_our_decorator(found, ours)], ours):
        return
    for argument in all_arguments(node.args):
        if argument.annotation is not None:
            rest = source.lines[argument.lineno - 1][argument.col_offset :].decode("utf-8", "replace")
            name = re.match(r"\w+", rest)
            width = len(name.group().encode()) if name else 0
            yield Edit(argument.lineno, argument.col_offset + width, _end_line(argument), _end_column(argument))
    if node.returns is not None:
        yield _return_edit(node, node.returns, source)


def _return_edit(node: ast.FunctionDef | ast.AsyncFunctionDef, returns: ast.expr, source: Source) -> Edit:
    """From the arrow to the colon that opens the body; the annotation may stand in brackets."""
    line, column = returns.lineno, returns.col_offset
    while (found := source.lines[line - 1].rfind(b"->", 0, column)) < 0:
        line -= 1
        column = len(source.lines[line - 1])
    end_line, end_column = _end_line(returns), _end_column(returns)
    while (colon := _colon(source.lines[end_line - 1], end_column)) < 0:
        end_line, end_column = end_line + 1, 0
    return Edit(line, found, end_line, colon, bare=True)


def _colon(line: bytes, start: int) -> int:
    comment = line.find(b"#", start)
    return line.find(b":", start, comment if comment >= 0 else len(line))


def _variable_edit(node: ast.AnnAssign) -> Edit:
    target = node.target
    if node.value is None:
        return Edit(node.lineno, node.col_offset, _end_line(node), _end_column(node), b"pass", True)
    # A bracketed target (`(x): int = 1`) and a bracketed value both stay balanced: the cut is ours to write.
    return (
        Edit(
            target.lineno,
            target.col_offset,
            node.value.lineno,
            node.value.col_offset,
            ast.unparse(target).encode() + b" = ",
            True,
        )
        if not _value_in_brackets(node)
        else Edit(
            target.lineno,
            target.col_offset,
            _end_line(node),
            _end_column(node),
            (ast.unparse(target) + " = " + ast.unparse(node.value)).encode(),
            True,
        )
    )


def _value_in_brackets(node: ast.AnnAssign) -> bool:
    """The value ends before the statement does only when brackets stand around it."""
    assert node.value is not None
    return (_end_line(node), _end_column(node)) != (_end_line(node.value), _end_column(node.value))


def _import_edits(node: ast.ImportFrom, source: Source) -> Iterator[Edit]:
    lines = source.lines[node.lineno - 1 : node.end_lineno]
    text = b"\n".join([lines[0][node.col_offset :], *lines[1:]])
    found = _FROM.match(text)
    if found is None:
        return
    before, end = text[: found.start(1)], text[: found.end(1)]
    end_line = node.lineno + end.count(b"\n")
    end_column = len(end) + node.col_offset if b"\n" not in end else len(end.rpartition(b"\n")[2])
    module = absolute_module(node, source.package_name)
    yield Edit(node.lineno, node.col_offset + len(before), end_line, end_column, f" {module} ".encode(), True)


def _end_line(node: ast.stmt | ast.expr | ast.arg) -> int:
    return node.end_lineno or node.lineno


def _end_column(node: ast.stmt | ast.expr | ast.arg) -> int:
    return node.end_col_offset or 0
