"""Plans of bodies, and how they are drawn in tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.sdk.body.traced_bodies import OURS
from twingraph import pipeline
from twingraph.core.static_plan import DYNAMIC, StaticNode, StaticPlan
from twingraph.sdk.body.tracing import compile_pipeline
from twingraph.sdk.body.ways import Limits


def planned(body: Callable[..., Any], **settings: Any) -> StaticPlan:
    settings.setdefault("limits", Limits(seconds=60))  # a busy machine must not change what is planned
    return compile_pipeline(pipeline(registry=OURS)(body), **settings)


def planned_in_time(
    body: Callable[..., Any], seconds: float, enough: Callable[[StaticPlan], object] = lambda plan: plan.nodes
) -> StaticPlan:
    """Of a body that comes to no end. Given more time where a busy machine had hardly begun within the limit."""
    while True:
        plan = planned(body, limits=Limits(seconds=seconds))
        if enough(plan) or seconds > 10:
            return plan
        seconds *= 5


def drawn(plan: StaticPlan) -> str:
    lines = [_nodes(plan, None)]
    regions = {node.id for node in plan.nodes if node.kind == DYNAMIC}
    edges = [edge for edge in plan.edges if edge.source not in regions and edge.target not in regions]
    if edges:
        drawn = [f"{edge.source}{'>' if edge.label == 'data_flow' else '-'}{edge.target}" for edge in edges]
        lines.append(" ".join(dict.fromkeys(drawn)))
    return "\n".join(lines)


def _nodes(plan: StaticPlan, region: str | None) -> str:
    return " ".join(_node(plan, node) for node in plan.nodes if node.region == region)


def _node(plan: StaticPlan, node: StaticNode) -> str:
    mark = "?" if node.conditional else ""
    if node.kind != DYNAMIC:
        return f"{node.id}{mark}"
    inside = _nodes(plan, node.id)
    return f"[{node.component}{': ' if inside else ''}{inside}]{mark}"
