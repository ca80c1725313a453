"""How code travels is a setting of a component or of a node: each way has an entry of its own."""

from __future__ import annotations

from typing import Any

import pytest

from twingraph import Workflow, component
from twingraph.core.errors import ValidationError


@component
def cut() -> int:
    return 1


@component(ship="bundle")
def whole() -> int:
    return 2


def entries(workflow: Workflow) -> dict[str, str]:
    """Of its specs: how they travel, by entry."""
    compiled = workflow.compile()
    found = {spec.entry: spec.ship for spec in compiled.plan.specs}
    assert found.keys() <= compiled.objects.keys()
    return {str(entry): ship for entry, ship in found.items()}


def test_each_way_has_its_entry() -> None:
    workflow = Workflow("w").add_component("a", cut).add_component("b", cut, ship="image")
    workflow.add_component("c", whole).add_component("d", whole, ship="slice")
    own = f"{__name__}:cut", f"{__name__}:whole"
    assert entries(workflow) == {
        own[0]: "slice",
        f"image {own[0]}": "image",
        f"bundle {own[1]}": "bundle",
        own[1]: "slice",
    }


def test_two_of_one_name_stay_two_though_they_travel_in_one_way() -> None:
    """What a factory makes has one name; `b` is declared to travel in another way than it does."""

    def made(word: str, ship: str) -> Any:
        @component(ship=ship)
        def says() -> str:
            return word

        return says

    first, second, third = made("a", "slice"), made("b", "bundle"), made("c", "bundle")
    workflow = Workflow("w").add_component("a", first)
    workflow.add_component("b", second, ship="slice").add_component("c", third, ship="slice")
    workflow.add_component("again", third, ship="slice")
    compiled = workflow.compile()
    said = [compiled.objects[str(spec.entry)]() for spec in compiled.plan.specs]
    assert sorted(said) == ["a", "b", "c"]
    name = str(compiled.plan.specs[0].entry)
    assert {spec.entry for spec in compiled.plan.specs} == {name, f"{name}#2", f"{name}#3"}


def test_code_that_stands_in_the_workflow_travels_with_it() -> None:
    with pytest.raises(ValidationError, match="leave `ship` out"):
        Workflow("w").add_code("a", "def run():\n    return 1\n", ship="bundle").compile()
