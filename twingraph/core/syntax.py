"""Python text as a syntax tree. Whoever in here wants one asks here."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# So often in a row would the garbage collector have to find something that parses.
_TRIES = 20


def parse(text: str, file: str = "<unknown>") -> ast.Module:
    return undisturbed(lambda: ast.parse(text, file))


def parse_expression(text: str) -> ast.Expression:
    """SyntaxError for whatever is none: also half a character, a zero, or what is nested too deep."""
    try:
        return undisturbed(lambda: ast.parse(text, mode="eval"))
    except (ValueError, RecursionError, MemoryError) as error:  # the last is what the parser calls too deep
        raise SyntaxError(str(error) or "too deeply nested", ("<expression>", 1, 1, text)) from None


def undisturbed(make: Callable[[], T]) -> T:
    """What `make` gives, which parses. Python before 3.11.8 counts the depth of all trees that are being made in one
    place. In the midst of one the garbage collector may run, and what it finds may parse too, as all do who show a
    traceback, or let another thread do so: a SystemError then says that the depth is wrong, which it is not."""
    for _ in range(_TRIES - 1):
        try:
            return make()
        except SystemError:
            continue
    return make()
