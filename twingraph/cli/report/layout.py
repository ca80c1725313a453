"""A layered drawing of a graph: longest-path layers, barycentre order, places without overlap. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from twingraph.core.recordclass import recordclass

_SWEEPS = 6
# Long edges are led through places of their own, unless that would make more places than it is worth.
_MOST_PLACES = 6000


@recordclass(kw_only=False)
class Layout:
    """Where each node's middle is, in (layer, position along it); what each edge passes through; the extent."""

    at: Mapping[str, tuple[int, float]]
    ways: Mapping[tuple[str, str], tuple[tuple[int, float], ...]]
    layers: int
    breadth: float


def lay_out(nodes: Sequence[str], edges: Sequence[tuple[str, str]], *, thin: float = 0.35) -> Layout:
    """Positions count in node breadths; a passing edge takes `thin` of one."""
    known = set(nodes)
    edges = [edge for edge in dict.fromkeys(edges) if edge[0] in known and edge[1] in known and edge[0] != edge[1]]
    layer, edges = _layers(nodes, edges)
    chains, places = _chains(layer, edges)
    rows: list[list[str]] = [[] for _ in range(1 + max(places.values(), default=0))]
    for place, number in places.items():
        rows[number].append(place)
    before, after = _neighbours(chains)
    _order(rows, before, after)
    spot = _place(rows, before, after, known, thin)
    low = min(spot.values(), default=0.0)
    return Layout(
        at={node: (layer[node], spot[node] - low) for node in nodes},
        ways={edge: tuple((places[p], spot[p] - low) for p in chain) for edge, chain in chains.items()},
        layers=len(rows),
        breadth=max(spot.values(), default=0.0) - low + 1.0,
    )


def _layers(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The longest way to each node. Edges of a cycle, which no execution has, are left out rather than trusted."""
    waiting = dict.fromkeys(nodes, 0)
    after: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in edges:
        waiting[target] += 1
        after[source].append(target)
    layer = dict.fromkeys(nodes, 0)
    ready = [node for node in nodes if not waiting[node]]
    for node in ready:
        for target in after[node]:
            layer[target] = max(layer[target], layer[node] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return layer, [edge for edge in edges if layer[edge[0]] < layer[edge[1]]]


def _chains(
    layer: Mapping[str, int], edges: Sequence[tuple[str, str]]
) -> tuple[dict[tuple[str, str], list[str]], dict[str, int]]:
    """Each edge as a chain of places, one per layer that it crosses."""
    places = dict(layer)
    crossed = sum(layer[target] - layer[source] - 1 for source, target in edges)
    chains: dict[tuple[str, str], list[str]] = {}
    for number, (source, target) in enumerate(edges):
        passed = range(layer[source] + 1, layer[target]) if crossed <= _MOST_PLACES else ()
        # A NUL cannot stand in a node's id, so these are no node's.
        dummies = [f"\0{number}:{at}" for at in passed]
        places.update(zip(dummies, passed, strict=True))
        chains[source, target] = [source, *dummies, target]
    return chains, places


def _neighbours(chains: Mapping[tuple[str, str], Sequence[str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for chain in chains.values():
        for source, target in itertools.pairwise(chain):
            after.setdefault(source, []).append(target)
            before.setdefault(target, []).append(source)
    return before, after


def _order(rows: list[list[str]], before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> None:
    """Sort each layer by the middle of what its nodes are joined to, down and up in turn."""
    rank = {place: float(at) for row in rows for at, place in enumerate(row)}
    for sweep in range(_SWEEPS):
        side = before if sweep % 2 == 0 else after
        for row in rows if sweep % 2 == 0 else reversed(rows):
            row.sort(key=lambda place: _mean([rank[other] for other in side.get(place, ())], rank[place]))
            rank.update((place, float(at)) for at, place in enumerate(row))


def _place(
    rows: Sequence[Sequence[str]],
    before: Mapping[str, Sequence[str]],
    after: Mapping[str, Sequence[str]],
    real: set[str],
    thin: float,
) -> dict[str, float]:
    """Positions along the layers: near the middle of what a node is joined to, never closer than allowed."""
    spot: dict[str, float] = {}
    for row in rows:
        _settle(row, dict.fromkeys(row, 0.0), spot, real, thin)
    for sweep in range(_SWEEPS):
        side = before if sweep % 2 == 0 else after
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = {p: _mean([spot[other] for other in side.get(p, ())], spot[p]) for p in row}
            _settle(row, wanted, spot, real, thin)
    return spot


def _settle(
    row: Sequence[str], wanted: Mapping[str, float], spot: dict[str, float], real: set[str], thin: float
) -> None:
    """As near to what is wanted as the order and the breadths allow; the row as a whole stays in the middle of it."""
    edge: float | None = None
    for place in row:
        half = (1.0 if place in real else thin) / 2
        spot[place] = wanted[place] if edge is None else max(wanted[place], edge + half)
        edge = spot[place] + half
    if row:
        shift = sum(wanted[place] - spot[place] for place in row) / len(row)
        for place in row:
            spot[place] += shift


def _mean(numbers: Sequence[float], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise
