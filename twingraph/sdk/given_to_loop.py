"""Whether the value of a call goes straight to a runner of coroutines: `asyncio.run(pipeline(3))`.

An async pipeline that is called where no event loop runs gives its value. Here the author means the coroutine.
"""

from __future__ import annotations

import ast
import linecache
from itertools import islice
from types import FrameType

from twingraph.core.syntax import parse
from twingraph.sdk.slicing.sources import PARSING

_RUNNERS = frozenset(
    {"run", "run_until_complete", "run_coroutine_threadsafe", "create_task", "ensure_future", "gather", "wait_for"}
)


def is_given_to_a_loop(frame: FrameType) -> bool:
    """Of the call that this frame is making. False where its source cannot be read."""
    code = frame.f_code
    place = next(islice(code.co_positions(), frame.f_lasti // 2, None), None)
    text = "".join(linecache.getlines(code.co_filename, frame.f_globals))
    if place is None or not text:
        return False
    try:
        with PARSING:
            tree = parse(text)
    except (SyntaxError, ValueError):  # the file has been changed since
        return False
    return any(_place(part) == place for node in ast.walk(tree) if _is_runner(node) for part in _arguments(node))


def _is_runner(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
    return name in _RUNNERS


def _arguments(node: ast.AST) -> list[ast.expr]:
    assert isinstance(node, ast.Call)
    return [*node.args, *(keyword.value for keyword in node.keywords)]


def _place(node: ast.expr) -> tuple[int | None, int | None, int | None, int | None]:
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset
