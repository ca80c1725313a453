"""Where in the author's code something happens: its place, the loop and the `try` around it, told from frames."""

from __future__ import annotations

import ast
import builtins
import dis
import itertools
import linecache
import os
import sys
import warnings
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, NamedTuple

from twingraph.core.syntax import parse

_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
_STDLIB = os.path.dirname(os.__file__) + os.sep
_INSTALLED = os.path.join(_STDLIB, "site-packages") + os.sep
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

_BEFORE_JUMPS = ("CACHE", "COPY", "TO_BOOL", "NOT_TAKEN", "EXTENDED_ARG", "NOP")


class Site(NamedTuple):
    """An expression as one frame evaluates it. Equal sites of one frame: its code came here again."""

    frame: int
    file: str
    line: int
    column: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def user_frames(root: str | None = None) -> Iterator[FrameType]:
    """The author's frames, the innermost first, up to our function called `root`, where they begin."""
    frame = sys._getframe(1)
    while frame is not None:
        if root is not None and frame.f_code.co_name == root and frame.f_code.co_filename.startswith(_OURS):
            return
        if is_user_file(frame.f_code.co_filename):
            yield frame
        frame = frame.f_back  # type: ignore[assignment]


def is_user_file(file: str) -> bool:
    """Neither of ours nor of Python's own library, which decides nothing of its own."""
    if file.startswith((_OURS, "<frozen")):
        return False
    return file.startswith(_INSTALLED) or not file.startswith(_STDLIB)


def site_of(frame: FrameType) -> Site:
    line, column = position(frame)
    return Site(id(frame), frame.f_code.co_filename, line, column)


def position(frame: FrameType) -> tuple[int, int]:
    """Line and column of what the frame does now.

    Of a test it is that of what is tested: a jump stands for its whole statement, and the test of a `while` is
    compiled twice.
    """
    code = frame.f_code
    at = frame.f_lasti
    if _name(code, at) == "TO_BOOL" or "JUMP" in _name(code, at):
        at -= 2
        while at > 0 and _name(code, at) in _BEFORE_JUMPS:
            at -= 2
    line, _, column, _ = next(itertools.islice(code.co_positions(), max(at, 0) // 2, None), (None, None, None, None))
    return line or frame.f_lineno, column or 0


def _name(code: CodeType, at: int) -> str:
    return dis.opname[code.co_code[at]] if at >= 0 else ""


class Surroundings(NamedTuple):
    """What stands around a place, inside its own function."""

    loop: str = ""  # the innermost: 'while', 'for' or ''
    loop_line: int = 0
    shapes: bool = False  # it is matched against patterns that ask for a mapping, a sequence or a class
    tries: tuple[ast.Try, ...] = ()  # whose body holds the place and which have handlers, the outermost first


@lru_cache(maxsize=4096)
def surroundings(file: str, line: int, column: int) -> Surroundings:
    tree = _tree(file)
    if tree is None:
        return Surroundings(loop="while", loop_line=line)  # no source: what comes again may come for ever
    return _descend(tree, (line, column), Surroundings())


def forget() -> None:
    """Files may have changed since the last time."""
    surroundings.cache_clear()
    _tree.cache_clear()


@lru_cache(maxsize=64)
def _tree(file: str) -> ast.Module | None:
    text = "".join(linecache.getlines(file))
    if not text:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _descend(node: ast.AST, at: tuple[int, int], known: Surroundings) -> Surroundings:
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST):
                continue
            if hasattr(child, "lineno"):
                if not _holds(child, at):
                    continue
            elif not any(_holds(inner, at) for inner in ast.walk(child) if hasattr(inner, "lineno")):
                continue
            return _descend(child, at, _below(node, field, known))
    return known


def _below(node: ast.AST, field: str, known: Surroundings) -> Surroundings:
    if isinstance(node, _FUNCTIONS):
        return Surroundings() if field == "body" else known
    if isinstance(node, ast.While) and field in ("test", "body"):
        return known._replace(loop="while", loop_line=node.lineno)
    if isinstance(node, (ast.For, ast.AsyncFor)) and field == "body":
        return known._replace(loop="for", loop_line=node.lineno)
    if isinstance(node, _COMPREHENSIONS):
        return known._replace(loop="for", loop_line=node.lineno)
    if isinstance(node, ast.Match) and field == "subject":
        shapes = (ast.MatchMapping, ast.MatchSequence, ast.MatchClass)
        return known._replace(
            shapes=any(isinstance(one, shapes) for case in node.cases for one in ast.walk(case.pattern))
        )
    if isinstance(node, ast.Try) and field == "body" and node.handlers:
        return known._replace(tries=(*known.tries, node))
    return known


def _holds(node: Any, at: tuple[int, int]) -> bool:
    end = (node.end_lineno or node.lineno, node.end_col_offset or 0)
    return (node.lineno, node.col_offset) <= at <= end


def caught_by(clause: ast.ExceptHandler, frame: FrameType) -> type[BaseException] | None:
    """The first class that a handler names; None where that cannot be told without running code."""
    if clause.type is None:
        return Exception
    named = clause.type
    if isinstance(named, ast.Tuple) and named.elts:
        named = named.elts[0]
    found = _looked_up(named, frame)
    if isinstance(found, tuple) and found:
        found = found[0]
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _looked_up(node: ast.expr, frame: FrameType) -> Any:
    if isinstance(node, ast.Name):
        for space in (frame.f_locals, frame.f_globals, vars(builtins)):
            if node.id in space:
                return space[node.id]
        return None
    if isinstance(node, ast.Attribute):
        holder = _looked_up(node.value, frame)
        return None if holder is None else getattr(holder, node.attr, None)
    return None
