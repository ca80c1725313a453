"""A class for records behaves as the dataclass of the same words."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

import pytest

from twingraph.core.recordclass import recordclass


def declared(record: Callable[..., Any], **settings: bool) -> Any:
    class Thing:
        name: str
        size: int = 1
        parts: dict[str, int] = field(default_factory=dict)
        note: str = field(default="", repr=False, compare=False)

    return record(**settings)(Thing)


@recordclass
class Place:
    """Where it is."""

    line: int
    column: int = 0

    @property
    def text(self) -> str:
        return f"{self.line}:{self.column}"


@recordclass
class Span(Place):
    end: int


FORMS = [
    {"frozen": True, "kw_only": True, "slots": True},
    {"frozen": True, "kw_only": False, "slots": True},
    {"frozen": False, "kw_only": False, "slots": True},
    {"frozen": False, "kw_only": True, "slots": False},
    {"frozen": True, "kw_only": False, "slots": False},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_it_is_what_a_dataclass_is(form: dict[str, bool]) -> None:
    ours, theirs = declared(recordclass, **form), declared(dataclass, **form)
    for given in ({"name": "a"}, {"name": "a", "size": 2, "parts": {"x": 1}, "note": "n"}):
        one, other = ours(**given), theirs(**given)
        assert repr(one) == repr(other)
        assert asdict(one) == asdict(other)
        assert replace(one, size=7).size == 7
        assert (one == ours(**given), one == ours(name="b"), one == other) == (True, False, False)
        assert one == replace(one, note="what is not compared")
    assert [(one.name, one.type, one.kw_only) for one in fields(ours)] == [
        (one.name, one.type, one.kw_only) for one in fields(theirs)
    ]
    assert hasattr(ours(name="a"), "__dict__") is not form["slots"]
    assert (ours.__hash__ is None) == (theirs.__hash__ is None)
    assert is_dataclass(ours)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("args", [(), ("a", 1, {}, "", 5)])
@pytest.mark.parametrize("kwargs", [{}, {"name": "a", "other": 1}])
def test_a_wrong_call_is_refused_in_the_same_words(form: dict[str, bool], args: Any, kwargs: Any) -> None:
    if not form["kw_only"] or not args:
        kwargs = {} if args else kwargs
    said = []
    for made in (declared(recordclass, **form), declared(dataclass, **form)):
        with pytest.raises(TypeError) as raised:
            made(*args, **kwargs)
        said.append(str(raised.value))
    assert said[0] == said[1]


def test_each_has_defaults_of_its_own() -> None:
    thing = declared(recordclass)
    assert thing(name="a").parts is not thing(name="b").parts


def test_what_is_frozen_stays_as_it_is() -> None:
    place = Place(line=1)
    with pytest.raises(FrozenInstanceError, match=r"'line' of Place: make another with dataclasses\.replace"):
        place.line = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del place.line
    assert (place, hash(place)) == (Place(line=1), hash(Place(line=1)))


def test_what_is_not_frozen_changes() -> None:
    thing = declared(recordclass, frozen=False)(name="a")
    thing.size = 3
    assert thing.size == 3
    with pytest.raises(TypeError, match="unhashable"):
        hash(thing)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_it_can_be_copied(copied: Callable[[Place], Place]) -> None:
    assert copied(Place(line=1, column=2)) == Place(line=1, column=2)


def test_one_may_stand_on_another() -> None:
    span = Span(line=1, end=4)
    assert (span.text, span.end, repr(span)) == ("1:0", 4, "Span(line=1, column=0, end=4)")
    assert span != Place(line=1)
    assert Place.__doc__ == "Where it is."


def test_own_methods_are_kept() -> None:
    @recordclass
    class Loud:
        name: str

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Loud) and self.name.upper() == other.name.upper()

        def __repr__(self) -> str:
            return self.name.upper()

        def __hash__(self) -> int:
            return 7

    assert (Loud(name="a") == Loud(name="A"), repr(Loud(name="a")), hash(Loud(name="a"))) == (True, "A", 7)


def test_nothing_is_written_before_the_first_record() -> None:
    """That is what it is for."""

    @recordclass
    class Seldom:
        name: str

    def written() -> str:
        return Seldom.__init__.__code__.co_filename

    assert not written().startswith("<")
    Seldom(name="a")
    assert written().startswith("<")


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_its_signature_is_that_of_a_dataclass_before_it_has_made_a_record(form: dict[str, bool]) -> None:
    shown, expected = (
        [(one.name, one.kind) for one in inspect.signature(declared(record, **form)).parameters.values()]
        for record in (recordclass, dataclass)
    )
    assert shown == expected


def test_an_init_of_its_own_shows_itself() -> None:
    class Named(Place):
        def __init__(self, text: str) -> None:
            super().__init__(line=len(text))

    assert list(inspect.signature(Named).parameters) == ["text"]
    assert inspect.signature(Place).parameters["column"].default == 0
