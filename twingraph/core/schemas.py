"""What of a JSON Schema is looked at when an input is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SCHEMA_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
    "array": (list, tuple), "object": (dict,), "null": (type(None),),
}  # fmt: skip


def schema_problem(schema: Any, value: Any) -> str | None:
    """Why a value does not have the type that a JSON Schema names; only `type` and `enum` are looked at."""
    if not isinstance(schema, Mapping) or (isinstance(value, dict) and "$" in value):
        return None
    if isinstance(schema.get("enum"), list) and value not in schema["enum"]:
        return f"must be one of {schema['enum']!r}, not {value!r:.80}"
    named = schema.get("type")
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    types = [kind for name in names for kind in _SCHEMA_TYPES.get(name, (object,))]
    if types and (not isinstance(value, tuple(types)) or (isinstance(value, bool) and not {bool, object} & set(types))):
        return f"must be of type {' or '.join(names)}, not {value!r:.80}"
    return None
