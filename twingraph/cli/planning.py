"""A plan as the order in which its nodes could run: pure."""

from __future__ import annotations

from collections.abc import Sequence

from twingraph.core.plan import NodeKind, Plan, PlanNode, Template
from twingraph.core.recordclass import recordclass


@recordclass
class PlannedNode:
    id: str
    component: str
    kind: str
    platform: str
    wave: int  # nodes of one wave wait for nothing but earlier waves
    after: tuple[str, ...]
    part_of: str | None
    depth: int
    timeout: float | None
    max_attempts: int


def planned(plan: Plan) -> list[PlannedNode]:
    """Every node of the plan by waves; what a container would open stands once below it."""
    return _of_template(plan, plan.root, prefix="", part_of=None, depth=0, first_wave=0, seen=frozenset())


def _of_template(
    plan: Plan,
    template: Template,
    *,
    prefix: str,
    part_of: str | None,
    depth: int,
    first_wave: int,
    seen: frozenset[str],
) -> list[PlannedNode]:
    waves = waves_of(template.nodes)
    found: list[PlannedNode] = []
    for node in sorted(template.nodes, key=lambda node: waves[node.id]):
        wave = first_wave + waves[node.id]
        found.append(_planned(plan, node, prefix, part_of, depth, wave))
        # A workflow may hold itself; one turn shows what it is made of.
        if node.template is not None and node.template in plan.templates and node.template not in seen:
            inner = f"{prefix}{node.id}[*]/" if node.kind is NodeKind.MAP else f"{prefix}{node.id}/"
            found += _of_template(
                plan,
                plan.templates[node.template],
                prefix=inner,
                part_of=prefix + node.id,
                depth=depth + 1,
                first_wave=wave,
                seen=seen | {node.template},
            )
    return found


def _planned(plan: Plan, node: PlanNode, prefix: str, part_of: str | None, depth: int, wave: int) -> PlannedNode:
    spec = plan.specs[node.spec] if node.spec is not None else None
    runs = spec is not None and node.kind in (NodeKind.TASK, NodeKind.HANDLER)
    return PlannedNode(
        # The item of a map has no name of its own.
        id=prefix + node.id if node.id else prefix.rstrip("/"),
        component=spec.component if spec is not None else str(node.kind),
        kind=str(node.kind),
        platform=spec.platform if spec is not None and runs else "-",
        wave=wave,
        after=tuple(dict.fromkeys(edge.source for edge in node.edges)),
        part_of=part_of,
        depth=depth,
        timeout=spec.timeout if spec is not None and runs else None,
        max_attempts=spec.retry.max_attempts if spec is not None and spec.retry is not None else 1,
    )


def waves_of(nodes: Sequence[PlanNode]) -> dict[str, int]:
    """The longest way to each node, in edges. Edges into the scope from outside do not count."""
    waiting = {node.id: {edge.source for edge in node.edges} for node in nodes}
    after: dict[str, list[str]] = {node.id: [] for node in nodes}
    for node, sources in waiting.items():
        sources &= after.keys()
        for source in sources:
            after[source].append(node)
    waves = {node: 0 for node, sources in waiting.items() if not sources}
    ready = list(waves)
    for node in ready:
        for follower in after[node]:
            waves[follower] = max(waves.get(follower, 0), waves[node] + 1)
            waiting[follower].discard(node)
            if not waiting[follower]:
                ready.append(follower)
    return {node.id: waves.get(node.id, 0) for node in nodes}


def unknowns(nodes: Sequence[PlannedNode]) -> list[str]:
    """What only the data will decide."""
    said = {
        "map": "{} opens one child per item",
        "branch": "{} decides which way is taken; the other is skipped",
        "signal": "{} waits for a signal",
    }
    return [said[node.kind].format(node.id) for node in nodes if node.kind in said]
