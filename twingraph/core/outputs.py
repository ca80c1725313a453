"""The outputs of a node and the whole value that they make up.

A runner takes a result apart into named outputs before anything is encoded; `shape` says how they belong together:
`plain`, `dict`, or `namedtuple:`, `dataclass:`, `model:` followed by the class.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from twingraph.core.codec import join_dict
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


def error_text(error: ErrorRecord | None) -> str:
    """What stands in a map's list for an item that failed and was kept."""
    if error is None:
        return "null"
    return json.dumps(
        {"error_type": error.error_type, "message": error.message, "node_id": error.node_id}, ensure_ascii=False
    )
