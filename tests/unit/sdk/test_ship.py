"""How code travels is a setting of a component or of a node: each way has an entry of its own."""

from __future__ import annotations

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


def test_code_that_stands_in_the_workflow_travels_with_it() -> None:
    with pytest.raises(ValidationError, match="leave `ship` out"):
        Workflow("w").add_code("a", "def run():\n    return 1\n", ship="bundle").compile()
