"""Whether a body has to be rewritten at all, seen from its bytecode: reading and parsing its source costs far more."""

from __future__ import annotations

import opcode
from collections.abc import Iterable
from types import CodeType

# `is`, and `match`, which asks for the type of its subject.
_ASKING = frozenset(
    number
    for name, number in opcode.opmap.items()
    if name == "IS_OP" or name.startswith("MATCH_") or name.endswith(("_IF_NONE", "_IF_NOT_NONE"))
)


# These see what a handle is, however it behaves; so does a text that is formatted with one.
NAMES = frozenset(("type", "callable"))


def codes_of(code: CodeType) -> frozenset[CodeType]:
    """The code and that of the functions inside it."""
    found, todo = set(), [code]
    while todo:
        one = todo.pop()
        found.add(one)
        todo.extend(part for part in one.co_consts if isinstance(part, CodeType))
    return frozenset(found)


def needs_rewriting(codes: Iterable[CodeType]) -> bool:
    """Never False for code with a `try`, a `with`, an `is`, a `match`, or one of the names in it, or with a text to be
    formatted by `%`; sometimes True without need."""
    return any(
        code.co_exceptiontable
        or not _ASKING.isdisjoint(code.co_code[::2])
        or not NAMES.isdisjoint(code.co_names)
        or any("%" in constant for constant in code.co_consts if type(constant) is str)
        for code in codes
    )
