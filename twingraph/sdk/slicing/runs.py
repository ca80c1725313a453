"""Statements that run a pipeline when a module is loaded: never repeated where its code is loaded again."""

from __future__ import annotations

import ast
import sys
from types import ModuleType
from typing import Any

from twingraph.core.errors import SliceError
from twingraph.sdk.signature import is_pipeline
from twingraph.sdk.slicing.statements import ModuleFacts, Statement
from twingraph.sdk.slicing.syntax import Chain

_RUNNING = ("run", "submit")


def refuse_run(facts: ModuleFacts, statement: Statement) -> None:
    """What such a statement makes cannot be made again by loading the code that uses it."""
    if statement.is_definition or isinstance(statement.node, (ast.Import, ast.ImportFrom)):
        return
    if statement.facts.calls and _runs_pipeline(facts, statement):
        made = " and ".join(sorted(statement.facts.binds)) or "something"
        raise SliceError(
            f"this line runs a pipeline and makes {made}, which the code that is to be shipped uses; pass it as an "
            "argument, or put the run below `if __name__ == '__main__':`",
            file=facts.source.file,
            line=statement.node.lineno,
        )


def _runs_pipeline(facts: ModuleFacts, statement: Statement) -> bool:
    live = sys.modules.get(facts.source.live_name)
    space = dict(vars(live)) if live is not None else {}
    seen: set[tuple[str, Chain]] = set()
    pending = list(statement.facts.calls)
    while pending:
        name, chain = pending.pop()
        if (name, chain) in seen:
            continue
        seen.add((name, chain))
        if _names_pipeline(space.get(name), chain):
            return True
        for binder in facts.binders.get(name, ()) if not chain else ():
            if isinstance(binder.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                pending.extend(binder.facts.lazy_calls)
    return False


def _names_pipeline(value: Any, chain: Chain) -> bool:
    """`flow(...)`, `flow.submit(...)` or `flows.flow(...)`; only modules are asked for attributes."""
    for part in chain:
        if is_pipeline(value):
            return part in _RUNNING
        value = vars(value).get(part) if issubclass(type(value), ModuleType) else None
    return is_pipeline(value)
