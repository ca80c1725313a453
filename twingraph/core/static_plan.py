"""The static plan of a pipeline: what its body would call, as far as that can be known before it runs.

Ids are those of a live run. What only data decides stands in a region: a node of kind 'dynamic', whose label says on
what it depends; nodes inside of it name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, field, fields
from typing import Any

from twingraph.core.recordclass import recordclass

DYNAMIC = "dynamic"
GUESSED = "depends on"  # begins the label of a region whose nodes are a guess: others may stand there
DATA, CONTROL = "data_flow", "control_flow"


@recordclass
class Condition:
    """A node that does not run in every case: in which, and the line that decides it."""

    reason: str
    place: str | None = None


@recordclass
class StaticNode:
    id: str
    component: str
    kind: str = "task"
    platform: str = "local"
    conditional: Condition | None = None
    region: str | None = None  # the dynamic region that holds it
    scope: str = ""  # path of the sub-pipeline's node that holds it
    place: str | None = None  # 'file:line'
    signal: str | None = None  # the name of the signal that it waits for, where the code says it
    # The component that is called, with its arguments where all are known. Of this process: never written down.
    call: tuple[Any, Mapping[str, Any] | None] | None = field(default=None, compare=False, repr=False)


@recordclass
class StaticEdge:
    source: str
    target: str
    output: str | None = None
    param: str | None = None
    label: str = DATA


@recordclass
class StaticPlan:
    name: str
    nodes: tuple[StaticNode, ...] = ()
    edges: tuple[StaticEdge, ...] = ()
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "nodes": [_sparse(node) for node in self.nodes],
            "edges": [_sparse(edge) for edge in self.edges],
            "parameters": {name: dict(about) for name, about in self.parameters.items()},
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> StaticPlan:
        return cls(
            name=raw["name"],
            nodes=tuple(_node(one) for one in raw.get("nodes", ())),
            edges=tuple(StaticEdge(**one) for one in raw.get("edges", ())),
            parameters=raw.get("parameters", {}),
            warnings=tuple(raw.get("warnings", ())),
        )


def _sparse(record: StaticNode | StaticEdge | Condition) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in fields(record):
        value = getattr(record, one.name)
        if one.name != "call" and (one.default is MISSING or value != one.default):
            found[one.name] = _sparse(value) if isinstance(value, Condition) else value
    # What every reader asks for is always said.
    if isinstance(record, StaticNode):
        found.update(kind=record.kind, platform=record.platform)
    if isinstance(record, StaticEdge):
        found["label"] = record.label
    return found


def _node(raw: Mapping[str, Any]) -> StaticNode:
    condition = raw.get("conditional")
    return StaticNode(**{**raw, "conditional": None if condition is None else Condition(**condition)})


@recordclass
class ActualNode:
    """What an overlay needs of a node that an execution has."""

    id: str
    component: str
    status: str
    kind: str = "task"
    place: str | None = None


@recordclass
class OverlayRow:
    """One line of planned laid over actual. `what`: 'ran', 'not_run', 'dynamic' (ran in a region), 'unplanned'."""

    id: str
    component: str
    what: str
    planned: StaticNode | None = None
    status: str | None = None
    region: str | None = None
    times: int = 1  # of a planned node in a region: how often it ran

    def to_dict(self) -> dict[str, Any]:
        told = {"id": self.id, "component": self.component, "what": self.what, "status": self.status}
        return {**told, "region": self.region, "times": self.times}


def overlay(plan: StaticPlan, actual: Iterable[ActualNode]) -> list[OverlayRow]:
    """Planned nodes in their order with what became of them, each followed by what ran besides in its region."""
    matching = _Matching(plan)
    for one in actual:
        matching.take(one)
    rows: list[OverlayRow] = []
    for node in plan.nodes:
        further = matching.more.get(node.id, [])
        own = sum(one.component == node.component for one in further)
        rows.append(_planned_row(node, matching.ran.get(node.id), own))
        rows += [_further(one, "dynamic", node.region) for one in further]
    filled = {node.region for node in plan.nodes}
    open_regions = {
        node.scope: node.id
        for node in reversed(plan.nodes)
        if node.kind == DYNAMIC and (node.id not in filled or node.component.startswith(GUESSED))
    }
    for one in matching.loose:
        region = next((open_regions[scope] for scope in _scopes_of(one.id) if scope in open_regions), None)
        rows.append(_further(one, "unplanned" if region is None else "dynamic", region))
    return rows


class _Matching:
    """Which planned node each node of an execution is. Given in the order in which they became known."""

    def __init__(self, plan: StaticPlan) -> None:
        self.ran: dict[str, ActualNode] = {}  # by the planned node's id
        self.more: dict[str, list[ActualNode]] = {}  # what else ran where a planned node stands in a region
        self.loose: list[ActualNode] = []
        self._scopes: dict[str, str] = {}  # of the execution, as the plan calls them
        self._homes: dict[str, str] = {}  # nodes in `more`, and all in a sub-pipeline that is there
        self._alike: dict[tuple[str, str], list[StaticNode]] = {}
        for node in plan.nodes:
            if node.kind != DYNAMIC:
                self._alike.setdefault((node.scope, node.component), []).append(node)

    def take(self, one: ActualNode) -> None:
        outer = _scope_of(one.id)
        scope = self._scopes.get(outer, outer)
        alike = self._alike.get((scope, one.component), [])
        if one.place is not None and any(node.place == one.place for node in alike):
            alike = [node for node in alike if node.place == one.place]
        free = [node for node in alike if node.id not in self.ran]
        name = f"{scope}/{one.id.rpartition('/')[2]}".lstrip("/")
        same = [node for node in free if node.id == name]
        # Without its line, a call is known by its id alone.
        if outer not in self._homes and (same or (free and one.place is not None)):
            found = (same or free)[0]
            self.ran[found.id] = one
            self._scopes[one.id] = found.id
            return
        home = self._homes.get(outer) or next((node.id for node in alike if node.region is not None), None)
        if home is None:
            self.loose.append(one)
            return
        self._homes[one.id] = home
        self.more.setdefault(home, []).append(one)


def _planned_row(node: StaticNode, ran: ActualNode | None, more: int) -> OverlayRow:
    return OverlayRow(
        id=node.id if ran is None else ran.id,
        component=node.component,
        what=DYNAMIC if node.kind == DYNAMIC else "not_run" if ran is None else "ran",
        planned=node,
        status=None if ran is None else ran.status,
        region=node.region,
        times=more + (ran is not None),
    )


def _further(one: ActualNode, what: str, region: str | None) -> OverlayRow:
    return OverlayRow(id=one.id, component=one.component, what=what, status=one.status, region=region)


def _scopes_of(node: str) -> Iterator[str]:
    """The scope that holds a node, and those around it."""
    while node:
        node = _scope_of(node)
        yield node


def _scope_of(node: str) -> str:
    return node.rpartition("/")[0]
