"""The ways through a body as one plan: every node once, with what decides whether it runs.

Two ways may give one id to calls of different lines, as a run would. In the plan these are two nodes: a call is known
by its line, and by how often that was reached before. The first way's ids stand; `id:line` is the other of the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from typing import Any

from twingraph.core.static_plan import DATA, DYNAMIC, Condition, StaticEdge, StaticNode
from twingraph.sdk.body.ways import Inner, Path

_Key = tuple[str, str | None, int | str]  # what is called, at which line, and which of those it is


def join(paths: Iterable[Path]) -> Inner:
    """Nodes in the order of the first way that has them; the same for the same ways in any order."""
    ways = _named_alike(sorted(paths, key=lambda path: path.taken))
    normal = [path for path in ways if path.normal]
    nodes = {name: _joined(name, ways, normal) for name in _order(ways)}
    kept = {name for path in ways for name in path.kept}
    nodes = _without_empty(nodes, kept)
    edges = dict.fromkeys(edge for path in ways for edge in path.edges if {edge.source, edge.target} <= nodes.keys())
    order = {name: at for at, name in enumerate(nodes)}
    edges = dict.fromkeys(sorted(edges, key=lambda edge: _rank(edge, order)))
    joined = {(edge.source, edge.target) for edge in edges if edge.label == DATA}
    wanted = [edge for edge in edges if edge.label == DATA or (edge.source, edge.target) not in joined]
    inner = {name: found for path in reversed(ways) for name, found in path.inner.items()}
    return _unfolded(nodes, wanted, inner)


def _named_alike(ways: Sequence[Path]) -> list[Path]:
    """The same ways, in which equal calls have equal ids and different calls different ones."""
    names: dict[_Key, str] = {}
    used: set[str] = set()
    return [_renamed(path, names, used) for path in ways]


def _renamed(path: Path, names: dict[_Key, str], used: set[str]) -> Path:
    seen: Counter[tuple[str, str | None]] = Counter()
    new: dict[str, str] = {}
    for name, node in path.nodes.items():
        what = ("" if node.kind == DYNAMIC else f"{node.kind} {node.component}", node.place)
        seen[what] += 1
        key = (*what, name if name in path.named else seen[what])
        if key not in names:
            names[key] = _free(name, node, used)
            used.add(names[key])
        new[name] = names[key]
    return replace(
        path,
        nodes={
            new[name]: replace(node, id=new[name], region=_of(new, node.region)) for name, node in path.nodes.items()
        },
        edges={replace(edge, source=new[edge.source], target=new[edge.target]): None for edge in path.edges},
        inner={new[name]: found for name, found in path.inner.items()},
        kept={new[name] for name in path.kept},
    )


def _of(names: Mapping[str, str], name: str | None) -> str | None:
    return None if name is None else names[name]


def _free(name: str, node: StaticNode, used: set[str]) -> str:
    line = (node.place or "").rpartition(":")[2]
    choices = chain([name, f"{name}:{line}"], (f"{name}:{line}-{number}" for number in count(2)))
    return next(choice for choice in choices if choice not in used)


def _rank(edge: StaticEdge, order: Mapping[str, int]) -> tuple[int, int, str, str]:
    """A body may go through a set: that says nothing."""
    return order[edge.target], order[edge.source], edge.param or "", edge.output or ""


def _order(ways: Sequence[Path]) -> list[str]:
    """What only later ways have stands before what comes next on both."""
    order: list[str] = []
    for path in ways:
        known = set(order)
        waiting: list[str] = []
        for name in path.nodes:
            if name not in known:
                waiting.append(name)
            elif waiting:
                at = order.index(name)
                order[at:at] = waiting
                waiting = []
        order += waiting
    return order


def _joined(name: str, ways: Sequence[Path], normal: Sequence[Path]) -> StaticNode:
    seen = [path.nodes[name] for path in ways if name in path.nodes]
    regions = [node.region for node in seen]
    region = None if None in regions else regions[0]
    return replace(seen[0], region=region, conditional=_condition(name, ways, normal), call=_call(seen))


def _call(seen: Sequence[StaticNode]) -> tuple[Any, Mapping[str, Any] | None] | None:
    """Its arguments are known where they are the same on all ways."""
    first = seen[0].call
    if first is None:
        return None
    return first if all(node.call is not None and _same(node.call[1], first[1]) for node in seen) else (first[0], None)


def _same(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    return repr(one) == repr(other)  # of known values: it tells 1 from True and from 1.0


def _condition(name: str, ways: Sequence[Path], normal: Sequence[Path]) -> Condition | None:
    """The last decision that a node hangs on. Ways that end early or fail take nothing away from the others."""
    pool = normal if any(name in path.nodes for path in normal) else list(ways)
    depth = 0
    while not all(name in path.nodes for path in pool):
        choices = sorted({path.taken[depth] for path in pool if name in path.nodes and depth < len(path.taken)})
        if not choices:
            break
        pool = [path for path in pool if depth < len(path.taken) and path.taken[depth] == choices[0]]
        depth += 1
    if depth == 0:
        return None
    holder = next(path for path in pool if name in path.nodes)
    decision = holder.decisions[depth - 1]
    return Condition(reason=decision.reasons[holder.taken[depth - 1]], place=decision.place)


def _without_empty(nodes: dict[str, StaticNode], kept: set[str]) -> dict[str, StaticNode]:
    """Regions in which nothing is called say nothing."""
    while True:
        held = {node.region for node in nodes.values()}
        empty = [name for name, node in nodes.items() if node.kind == DYNAMIC and name not in held and name not in kept]
        if not empty:
            return nodes
        nodes = {name: node for name, node in nodes.items() if name not in empty}


def _unfolded(nodes: dict[str, StaticNode], edges: list[StaticEdge], inner: dict[str, Inner]) -> Inner:
    """Each sub-pipeline followed by what is inside of it, under its own path."""
    flat: list[StaticNode] = []
    warnings: dict[str, None] = {}
    for name, node in nodes.items():
        flat.append(node)
        if name not in inner:
            continue
        found = inner[name]
        warnings.update(dict.fromkeys(found.warnings))
        flat += [_under(name, one) for one in found.nodes]
        edges += [replace(one, source=f"{name}/{one.source}", target=f"{name}/{one.target}") for one in found.edges]
    return Inner(tuple(flat), tuple(edges), tuple(warnings))


def _under(scope: str, node: StaticNode) -> StaticNode:
    return replace(
        node,
        id=f"{scope}/{node.id}",
        region=None if node.region is None else f"{scope}/{node.region}",
        scope=f"{scope}/{node.scope}" if node.scope else scope,
    )
