"""Conditions and keys: small Python expressions. Here they are only read; workers evaluate them with `simpleeval`."""

from __future__ import annotations

import ast

from twingraph.core.syntax import parse_expression

# What simpleeval offers without being given anything.
FUNCTIONS = frozenset({"rand", "randint", "int", "float", "str"})
CONSTANTS = frozenset({"True", "False", "None"})


def names_used(expression: str) -> tuple[str, ...]:
    """The free names of an expression in order of appearance. SyntaxError when it is none."""
    tree = parse_expression(expression.strip())
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and not (id(node) in called and node.id in FUNCTIONS) and node.id not in bound
    ]
    names.sort(key=lambda node: (node.lineno, node.col_offset))
    return tuple(dict.fromkeys(node.id for node in names))


def problem_of(expression: object) -> str | None:
    """Why this is not an expression that can be evaluated."""
    if not isinstance(expression, str) or not expression.strip():
        return f'must be an expression such as "count > 10", not {expression!r}'
    try:
        tree = parse_expression(expression.strip())
    except SyntaxError as error:
        return f"is not an expression: {error.msg} at column {error.offset} of {expression!r}"
    for node in ast.walk(tree):
        if isinstance(node, (ast.Lambda, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)):
            return f"uses {type(node).__name__.lower()}, which an expression cannot: {expression!r}"
        if isinstance(node, ast.Attribute):
            part = f"{ast.unparse(node.value)}[{node.attr!r}]"
            return f"uses an attribute, which an expression cannot; a key of a dict is read as {part}: {expression!r}"
    return None
