"""What of a JSON Schema is looked at when an input is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import ge, gt, le, lt
from typing import Any

_SCHEMA_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
    "array": (list, tuple), "object": (dict,), "null": (type(None),),
}  # fmt: skip
# Each applies to values of its types alone.
_BOUNDS: Mapping[str, tuple[tuple[type, ...], Callable[[Any, Any], bool], str]] = {
    "minimum": ((int, float), ge, "be at least {}"),
    "maximum": ((int, float), le, "be at most {}"),
    "exclusiveMinimum": ((int, float), gt, "be above {}"),
    "exclusiveMaximum": ((int, float), lt, "be below {}"),
    "minLength": ((str,), ge, "have {} characters or more"),
    "maxLength": ((str,), le, "have {} characters or less"),
    "minItems": ((list, tuple), ge, "have {} items or more"),
    "maxItems": ((list, tuple), le, "have {} items or less"),
}


def schema_problem(schema: Any, value: Any) -> str | None:
    """Why a value is not what a JSON Schema asks for, with the place in it. Looked at are `type`, `enum` and the bounds
    above, also inside `items` and `properties`, and `required`; what else a schema says refuses nothing."""
    return next(_problems(schema, value, ""), None)


def _problems(schema: Any, value: Any, place: str) -> Iterator[str]:
    if not isinstance(schema, Mapping) or (isinstance(value, dict) and "$" in value):
        return
    at = f"{place}: " if place else ""
    if isinstance(schema.get("enum"), list) and value not in schema["enum"]:
        yield f"{at}must be one of {schema['enum']!r}, not {value!r:.80}"
    named = schema.get("type")
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    types = [kind for name in names for kind in _SCHEMA_TYPES.get(name, (object,))]
    if types and (not isinstance(value, tuple(types)) or (isinstance(value, bool) and not {bool, object} & set(types))):
        yield f"{at}must be of type {' or '.join(names)}, not {value!r:.80}"
    for key, (kinds, holds, words) in _BOUNDS.items():
        bound = schema.get(key)
        if not isinstance(bound, (int, float)) or not isinstance(value, kinds):
            continue
        if isinstance(bound, bool) or isinstance(
            value, bool
        ):  # older schemas say with a truth value how a bound is meant
            continue
        size = len(value) if isinstance(value, (str, list, tuple)) else value
        if not holds(size, bound):
            yield f"{at}must {words.format(bound)}, not {value!r:.80}"
    yield from _inner_problems(schema, value, place)


def _inner_problems(schema: Mapping[str, Any], value: Any, place: str) -> Iterator[str]:
    if isinstance(value, (list, tuple)) and isinstance(schema.get("items"), Mapping):
        for position, item in enumerate(value):
            yield from _problems(schema["items"], item, f"{place}[{position}]")
    if isinstance(value, dict):
        required = schema.get("required")
        for key in required if isinstance(required, list) else ():
            if key not in value:
                yield f"{place}: lacks {key!r}" if place else f"lacks {key!r}"
        properties = schema.get("properties")
        for key, inner in properties.items() if isinstance(properties, Mapping) else ():
            if key in value:
                yield from _problems(inner, value[key], f"{place}.{key}" if place else str(key))
