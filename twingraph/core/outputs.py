"""The outputs of a node and the whole value that they make up.

A runner takes a result apart into named outputs before anything is encoded; `shape` says how they belong together:
`plain`, `dict`, or `namedtuple:`, `dataclass:`, `model:` followed by the class.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from twingraph.core.codec import join_dict
from twingraph.core.codec_base import is_whole
from twingraph.core.records import ErrorRecord


def whole(shape: str | None, names: Sequence[str], texts: Sequence[str]) -> str:
    """The text of the value that the plain function returned."""
    if shape is None or shape == "plain":
        return texts[0] if texts else "null"
    fields = join_dict(zip(names, texts, strict=True))
    kind, _, name = shape.partition(":")
    if kind == "dict":
        return fields
    given = f',"set":{json.dumps(list(names))}' if kind == "model" else ""
    return f'{{"$":{json.dumps(kind)},"class":{json.dumps(name)},"v":{fields}{given}}}'


MAX_OUTPUTS = 10_000  # a dict with more names is one value


def take_apart(result: Any, class_name: Callable[[type], str]) -> tuple[str, list[tuple[str, Any]]]:
    """The shape of a result and its outputs by name: as the runner does it, which must stand alone."""
    kind = type(result)
    if kind is dict:
        if 0 < len(result) <= MAX_OUTPUTS and all(type(name) is str for name in result) and is_whole("".join(result)):
            return "dict", list(result.items())
    elif isinstance(result, tuple) and getattr(kind, "_fields", None):
        return f"namedtuple:{class_name(kind)}", list(zip(kind._fields, result, strict=True))
    elif "__dataclass_fields__" in kind.__dict__:
        fields = [name for name, field in kind.__dataclass_fields__.items() if field._field_type.name == "_FIELD"]
        if fields:
            return f"dataclass:{class_name(kind)}", [(name, getattr(result, name)) for name in fields]
    elif isinstance(getattr(kind, "__pydantic_fields__", None), dict) and kind.__pydantic_fields__:
        return f"model:{class_name(kind)}", [(name, getattr(result, name)) for name in kind.__pydantic_fields__]
    return "plain", [("output", result)]


def error_text(error: ErrorRecord | None) -> str:
    """What stands in a map's list for an item that failed and was kept."""
    if error is None:
        return "null"
    return json.dumps(
        {"error_type": error.error_type, "message": error.message, "node_id": error.node_id}, ensure_ascii=False
    )
