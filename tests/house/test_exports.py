"""The public names, pinned: a new one is added here on purpose, and one that goes is a break."""

from __future__ import annotations

import inspect

import pytest

import twingraph
import twingraph.core.errors
import twingraph.errors

PUBLIC = {
    "BaseComponent",
    "PermanentError",
    "Workflow",
    "__version__",
    "as_completed",
    "component",
    "current",
    "gather",
    "now",
    "pipeline",
    "random",
    "register_component",
    "replay",
    "side_effect",
    "sleep",
    "uuid4",
    "wait_any",
    "wait_for_signal",
}


def test_the_public_names_are_these() -> None:
    assert set(twingraph.__all__) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(twingraph, name) is not None
    assert name in dir(twingraph)


def test_an_unknown_name_is_an_attribute_error() -> None:
    unknown = "pipelines"
    with pytest.raises(AttributeError, match=unknown):
        getattr(twingraph, unknown)


def error_classes() -> dict[str, type[BaseException]]:
    return {
        name: value
        for name, value in vars(twingraph.core.errors).items()
        if inspect.isclass(value) and issubclass(value, twingraph.core.errors.TwinGraphError)
    }


def test_every_error_has_its_public_address() -> None:
    assert set(error_classes()) | {"ErrorCode", "Problem"} == set(twingraph.errors.__all__)


def test_the_drawn_tree_of_errors_is_the_real_one() -> None:
    """Each line of the drawing is indented by four for each parent."""
    drawn: dict[str, str | None] = {}
    path: list[str] = []
    for line in inspect.getdoc(twingraph.core.errors).splitlines():  # type: ignore[union-attr]
        words = line.replace("├──", "   ").replace("└──", "   ").replace("│", " ")
        name = words.split()[0] if words.split() else ""
        if name not in error_classes():
            continue
        depth = (len(words) - len(words.lstrip())) // 4
        path[depth:] = [name]
        drawn[name] = path[depth - 1] if depth else None
    real = {name: cls.__base__.__name__ for name, cls in error_classes().items() if cls.__base__}
    assert drawn == {**real, "TwinGraphError": None}
