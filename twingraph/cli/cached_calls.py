"""What a pipeline would find in the cache: the calls that its body makes with arguments which are known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from twingraph.core.execution import CacheStory
from twingraph.core.inputs import check_given
from twingraph.core.static_plan import StaticNode, StaticPlan

# Asks the cache about calls (a component and its arguments), by node.
Foresee = Callable[[Mapping[str, tuple[Any, Mapping[str, Any]]]], Mapping[str, CacheStory]]

UNKNOWN = CacheStory(verdict="unknown", why="what it would be called with is not known yet")


def plan_with(pipeline: Any, compiled: Any, inputs: Mapping[str, Any]) -> tuple[StaticPlan, StaticPlan]:
    """The plan to be shown, and the one whose calls are asked about: with these inputs, where there are none with its
    defaults. ValidationError for inputs that it does not take."""
    from twingraph.sdk.body.tracing import compile_pipeline

    if inputs:
        optional = [replace(one, required=False) for one in compiled.parameters]
        check_given(compiled.name, optional, inputs, open=compiled.open or not compiled.parameters)
    asked = compile_pipeline(pipeline, given={**_defaults(pipeline), **inputs})
    return (asked if inputs else pipeline.compile()), asked


def stories_of(asked: StaticPlan, foresee: Foresee) -> Mapping[str, CacheStory]:
    """Of each node that may use a kept outcome, why it would or would not."""
    cached = list(_cached(asked))
    known = {node.id: (node.call[0], node.call[1]) for node in cached if node.call and node.call[1] is not None}
    told = foresee(known) if known else {}
    return {node.id: told.get(node.id, UNKNOWN) for node in cached}


def is_cached(asked: StaticPlan) -> bool:
    return next(_cached(asked), None) is not None


def _cached(plan: StaticPlan) -> Iterator[StaticNode]:
    for node in plan.nodes:
        definition = getattr(node.call[0], "definition", None) if node.call is not None else None
        if definition is not None and definition.settings.get("cache"):
            yield node


def _defaults(pipeline: Any) -> dict[str, Any]:
    import inspect

    parameters = inspect.signature(pipeline.fn).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not one.empty}
