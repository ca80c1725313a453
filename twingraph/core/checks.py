"""Checks of a definition's shape: ids, types, dangling edges, cycles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from twingraph.core.errors import Problem
from twingraph.core.nearest import did_you_mean
from twingraph.core.workflow import NODE_TYPES, PLANNED_TYPES, Definition, EdgeDef, NodeDef

# '/', '[' and ']' separate scopes and '!' names handlers in the ids of an execution.
_ID = re.compile(r"[\w\-.: ]*[\w\-.:]", re.UNICODE)


def check_nodes(nodes: Sequence[NodeDef], problems: list[Problem]) -> dict[str, NodeDef]:
    """Nodes by id, as far as they are usable."""
    known: dict[str, NodeDef] = {}
    for position, node in enumerate(nodes):
        trouble = _id_problem(node.id)
        if trouble is not None:
            problems.append(Problem(node=_shown(node.id, position), field="id", message=trouble))
        elif node.id in known:
            problems.append(Problem(node=node.id, field="id", message="stands for two nodes; give one another id"))
        elif (trouble := _type_problem(node.type)) is not None:
            problems.append(Problem(node=node.id, field="type", message=trouble))
            known[node.id] = node
        else:
            if not isinstance(node.config, dict):
                problems.append(Problem(node=node.id, field="config", message="must be an object"))
            known[node.id] = node
    return known


def _shown(given: Any, position: int) -> str:
    return given if isinstance(given, str) and given else f"nodes[{position}]"


def _id_problem(given: Any) -> str | None:
    if not isinstance(given, str) or not given:
        return f"must be a text that is not empty, not {given!r}"
    if not _ID.fullmatch(given) or given[0] == " ":
        return f"{given!r} may hold letters, digits, '_', '-', '.', ':' and inner spaces only"
    return None


def _type_problem(given: Any) -> str | None:
    if given in PLANNED_TYPES:
        instead = "; a pipeline waits for somebody's answer with wait_for_signal" if given == "approval" else ""
        return f"nodes of type {given!r} are not available yet{instead}"
    if given not in NODE_TYPES:
        return f"{given!r} is not a type of node; {did_you_mean(str(given), NODE_TYPES)}"
    return None


def check_edges(definition: Definition, known: dict[str, NodeDef], problems: list[Problem]) -> list[EdgeDef]:
    """Edges whose two ends exist."""
    good = []
    for edge in definition.edges:
        missing = [end for end in dict.fromkeys((edge.source, edge.target)) if end not in known]
        for end in missing:
            message = (
                f"the edge {edge.source!r} -> {edge.target!r} names no node {end!r}; {did_you_mean(str(end), known)}"
            )
            other = edge.target if end == edge.source else edge.source
            problems.append(Problem(node=other if other in known else None, field="edges", message=message))
        if not missing:
            good.append(edge)
    return good


def in_order(known: dict[str, NodeDef], incoming: dict[str, list[EdgeDef]], problems: list[Problem]) -> list[str]:
    """Node ids so that every source stands before its targets. What lies on or behind a cycle is left out."""
    missing = {name: len(incoming.get(name, ())) for name in known}
    targets: dict[str, list[str]] = {}
    for name, edges in incoming.items():
        for edge in edges:
            targets.setdefault(edge.source, []).append(name)
    ready = [name for name, count in missing.items() if not count]
    for name in ready:  # grows while it is read
        for target in targets.get(name, ()):
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    if len(ready) < len(known):
        path = _cycle({name for name, count in missing.items() if count}, incoming)
        message = f"the workflow runs in a circle: {' -> '.join(path)}; remove one of these edges"
        problems.append(Problem(node=path[0], field="edges", message=message))
    return ready


def _cycle(left: set[str], incoming: dict[str, list[EdgeDef]]) -> list[str]:
    """Walk backwards among the nodes that are left until one comes again: each has a source among them."""
    name = next(iter(sorted(left)))
    seen: dict[str, int] = {}
    walk: list[str] = []
    while name not in seen:
        seen[name] = len(walk)
        walk.append(name)
        name = next(edge.source for edge in incoming[name] if edge.source in left)
    return [*reversed(walk[seen[name] :]), walk[-1]]
