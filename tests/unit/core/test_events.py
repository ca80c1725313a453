from __future__ import annotations

import json

import pytest
from hypothesis import given

from tests.unit.core.records import errors, events
from twingraph.core.events import (
    EVENTS,
    KINDS,
    Event,
    GraphExtended,
    NodeEnded,
    body_of,
    error_from_json,
    error_to_json,
    event_from,
)
from twingraph.core.records import ErrorRecord

GRAPH = KINDS[GraphExtended]


@given(event=events())
def test_every_event_comes_back_from_its_json(event: Event) -> None:
    back = event_from(KINDS[type(event)], body_of(event))
    assert (type(back), back) == (type(event), event)


@given(event=events())
def test_a_body_is_one_line_of_json(event: Event) -> None:
    assert isinstance(json.loads(body_of(event)), dict)
    assert "\n" not in body_of(event)


@given(error=errors)
def test_every_error_comes_back_from_its_json(error: ErrorRecord) -> None:
    assert error_from_json(json.loads(json.dumps(error_to_json(error)))) == error


def test_defaults_are_left_out() -> None:
    assert body_of(NodeEnded("a", 1, "completed")) == '{"node":"a","attempt":1,"status":"completed"}'


def test_a_kind_of_another_schema_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'unheard_of' is not an event"):
        event_from("unheard_of", "{}")


def test_every_event_is_known_by_its_kind() -> None:
    assert all(KINDS[record] == kind for kind, record in EVENTS.items())
