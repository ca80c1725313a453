"""The lowest Python whose grammar accepts a piece of code."""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterator

from twingraph.sdk.slicing.records import LOWEST_PYTHON
from twingraph.sdk.slicing.sources import Source

Need = tuple[tuple[int, int], int, str]  # version, line, what needs it

_BY_NODE = {
    "Match": ((3, 10), "match"),
    "TryStar": ((3, 11), "except*"),
    "TypeAlias": ((3, 12), "a type statement"),
    "TypeVar": ((3, 12), "type parameters"),
    "ParamSpec": ((3, 12), "type parameters"),
    "TypeVarTuple": ((3, 12), "type parameters"),
    "TemplateStr": ((3, 14), "a template string"),
}


def needs(node: ast.AST, source: Source) -> Iterator[Need]:
    """Everything in the syntax that is newer than Python 3.8."""
    for inner in ast.walk(node):
        known = _BY_NODE.get(type(inner).__name__)
        line = getattr(inner, "lineno", getattr(node, "lineno", 0))
        if known is not None:
            yield known[0], line, known[1]
        elif isinstance(inner, (ast.With, ast.AsyncWith)):
            if _has_brackets(inner, source):
                yield (3, 9), line, "a with statement in parentheses"
        elif isinstance(inner, ast.Subscript):
            parts = inner.slice.elts if isinstance(inner.slice, ast.Tuple) else [inner.slice]
            if any(isinstance(part, ast.Starred) for part in parts) and not _bracketed(inner.slice, source):
                yield (3, 11), line, "unpacking in an index"
        elif isinstance(inner, ast.JoinedStr) and sys.version_info >= (3, 12) and _is_new_text(inner, source):
            yield (3, 12), line, "an f-string that nests quotes, backslashes or comments"
        for decorator in getattr(inner, "decorator_list", ()):
            if not _is_dotted(decorator.func if isinstance(decorator, ast.Call) else decorator):
                yield (3, 9), decorator.lineno, "a decorator that is not a dotted name or its call"


def lowest(found: list[Need]) -> tuple[int, int]:
    return max([LOWEST_PYTHON, *(version for version, _, _ in found)])


def _is_dotted(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _bracketed(node: ast.expr, source: Source) -> bool:
    return source.lines[node.lineno - 1][node.col_offset : node.col_offset + 1] == b"("


def _has_brackets(node: ast.With | ast.AsyncWith, source: Source) -> bool:
    """Brackets around the list of managers, not around one expression. A parser of 3.13 accepts both as 3.8."""
    first, last = node.items[0].context_expr, node.items[-1]
    line = source.lines[node.lineno - 1]
    start = line.find(b"with", node.col_offset) + 4
    if line[start:].lstrip()[:1] != b"(":
        return False
    if first.lineno == node.lineno and not line[start : first.col_offset].strip():
        return False  # the bracket belongs to a tuple or a call in the first manager
    closed_at, before = _closing_bracket(node.lineno, start, source)
    end = last.optional_vars or last.context_expr
    if closed_at < (end.end_lineno or 0, _characters(end.end_lineno or 0, end.end_col_offset or 0, source)):
        return False
    return len(node.items) > 1 or last.optional_vars is not None or before == ","


def _closing_bracket(number: int, start: int, source: Source) -> tuple[tuple[int, int], str]:
    """Where the bracket closes that opens after byte `start` of a line, and the last token within it."""
    lines = source.lines[number - 1 :]
    prefix = _characters(number, start, source)
    lines[0] = b" " * prefix + lines[0][start:]
    text = (line.decode("utf-8", "replace") + "\n" for line in lines)
    depth, before = 0, ""
    for token in tokenize.generate_tokens(lambda: next(text, "")):
        if token.type == tokenize.OP and token.string in "([{":
            depth += 1
        elif token.type == tokenize.OP and token.string in ")]}":
            depth -= 1
            if depth == 0:
                return (token.start[0] + number - 1, token.start[1]), before
        if token.type not in (tokenize.NL, tokenize.COMMENT):
            before = token.string
    return (0, 0), before


def _characters(number: int, offset: int, source: Source) -> int:
    """Syntax trees count bytes, tokens count characters."""
    return len(source.lines[number - 1][:offset].decode("utf-8", "replace"))


def _is_new_text(node: ast.JoinedStr, source: Source) -> bool:
    """Before 3.12 the expressions could hold neither the quotes around them, nor a backslash, comment or line break."""
    lines = source.lines[node.lineno - 1 : node.end_lineno]
    lines[-1] = lines[-1][: node.end_col_offset]
    lines[0] = lines[0][node.col_offset :]
    text = b"\n".join(lines).decode("utf-8", "replace")
    quotes: list[str] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(f"({text})").readline):
            kind = tokenize.tok_name[token.type]
            if quotes and kind == "FSTRING_START" and _quote(token.string) in quotes:
                return True
            if kind == "FSTRING_START":
                quotes.append(_quote(token.string))
            elif kind == "FSTRING_END":
                quotes.pop()
            elif quotes and kind != "FSTRING_MIDDLE":
                if kind == "COMMENT" or "\\" in token.string or any(quote in token.string for quote in quotes):
                    return True
                if kind in ("NL", "NEWLINE") and len(quotes[-1]) == 1:
                    return True
    except (tokenize.TokenError, SyntaxError):
        return False
    return False


def _quote(start: str) -> str:
    mark = start[-1]
    return mark * 3 if start.endswith(mark * 3) else mark
