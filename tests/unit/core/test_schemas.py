from __future__ import annotations

from typing import Any

import pytest

from twingraph.core.schemas import schema_problem

WHOLE = {"type": "integer", "minimum": 3}
LIST = {"type": "array", "items": WHOLE}
PERSON = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string", "minLength": 1}, "of": LIST},
}


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        (WHOLE, 1, "must be at least 3, not 1"),
        (WHOLE, True, "must be of type integer, not True"),
        ({"exclusiveMaximum": 3}, 3, "must be below 3, not 3"),
        ({"maxItems": 1}, [1, 2], "must have 1 items or less, not [1, 2]"),
        (LIST, [3, 1], "[1]: must be at least 3, not 1"),
        (LIST, [3, "x"], "[1]: must be of type integer, not 'x'"),
        ({"items": LIST}, [[3], [3, 2]], "[1][1]: must be at least 3, not 2"),
        ({"items": {"enum": ["a"]}}, ["a", "b"], "[1]: must be one of ['a'], not 'b'"),
        (PERSON, {}, "lacks 'name'"),
        (PERSON, {"name": ""}, "name: must have 1 characters or more, not ''"),
        (PERSON, {"name": "x", "of": [2]}, "of[0]: must be at least 3, not 2"),
        ({"items": PERSON}, [{"of": []}], "[0]: lacks 'name'"),
    ],
)
def test_what_a_schema_does_not_allow_is_told_with_its_place(schema: Any, value: Any, said: str) -> None:
    assert schema_problem(schema, value) == said


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (LIST, [3, 4]),
        (PERSON, {"name": "x", "of": [3], "more": 1}),
        ({"minimum": 3}, "a text"),
        ({"minimum": "wrong", "items": 3, "required": 1, "properties": []}, [1]),
        ({"type": "object", "required": ["x"]}, {"$": "a value of a form of its own"}),
        (None, 1),
    ],
)
def test_what_it_allows_or_does_not_speak_of_passes(schema: Any, value: Any) -> None:
    assert schema_problem(schema, value) is None
