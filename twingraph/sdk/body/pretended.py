"""Failures that a plan pretends, so that handlers are followed too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twingraph.core.errors import NodeFailed


def failure_for(kind: type[BaseException] | None, unknown: Callable[[str], Any]) -> Exception | None:
    """What a handler of this class would catch."""
    if kind is None or not (issubclass(kind, Exception) or kind is BaseException):
        return None
    plain = NodeFailed("a call failed", execution_id="", node_id="")
    for name in ("error_type", "code", "remote_traceback"):
        setattr(plain, name, unknown(f"{name} of the failure"))
    if isinstance(plain, kind):
        return plain

    def attribute(_: Any, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return unknown(f"{name} of the failure")

    try:
        joined = type(kind.__name__, (NodeFailed, kind), {"__init__": lambda self: None, "__getattr__": attribute})
        made = joined()
        made.__dict__.update(plain.__dict__)
    except Exception:  # a class that is made in its own way
        return None
    made.args = ("a call failed",)
    return made if isinstance(made, Exception) else None
