"""The graph of an execution as boxes and lines of an SVG. A map or sub-workflow is one box with a stacked bar."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field
from itertools import accumulate
from typing import NamedTuple

from twingraph.cli.display.tree import tally
from twingraph.cli.report.layout import Layout, lay_out
from twingraph.cli.words import between, cut, face, kind_word, plural, reason_word, seconds
from twingraph.core.execution import NodeView
from twingraph.core.recordclass import recordclass
from twingraph.core.statuses import NodeStatus

WIDTH, HEIGHT = 184, 54
_GAP_ALONG, _GAP_ACROSS = 60, 22
_MARGIN = 16
# What is left beside the details on a screen of 1280.
_ROOM = 820
# More boxes than this cannot be read; nodes of one layer and component then share a box.
_MOST_BOXES = 300
_BAR_ORDER = (
    NodeStatus.COMPLETED,
    NodeStatus.FAILED,
    NodeStatus.RETRYING,
    NodeStatus.RUNNING,
    NodeStatus.CANCELLED,
    NodeStatus.SKIPPED,
)


@recordclass
class Box:
    id: str
    x: float
    y: float
    title: str
    subtitle: str
    status: str
    icon: str
    label: str  # what a screen reader says
    stacked: bool
    bar: tuple[tuple[str, float, float], ...]  # status, x, width


class Way(NamedTuple):
    path: str  # path data
    dashed: bool  # no value goes along: a pipeline's body looked at one before it called the other


@recordclass
class Drawing:
    boxes: tuple[Box, ...]
    lines: tuple[Way, ...]
    width: int
    height: int
    note: str | None
    members: Mapping[str, Sequence[NodeView]] = field(default_factory=dict)  # of boxes that stand for many


@recordclass
class _Group:
    """What one box stands for: a node, or many that look alike."""

    id: str
    title: str
    subtitle: str
    status: NodeStatus
    counts: Counter[NodeStatus]


def draw_graph(nodes: Sequence[NodeView], children: dict[str, list[NodeView]]) -> Drawing:
    top = [node for node in nodes if node.container is None]
    edges = [(parent, node.id) for node in top for parent in node.parents]
    looked_at = {(parent, node.id) for node in top for parent in node.forced}
    note = None
    members: dict[str, list[NodeView]] = {}
    if len(top) <= _MOST_BOXES:
        groups = [_single(node, children.get(node.id, [])) for node in top]
    else:
        groups, edges, members = _summary(top, edges)
        note = f"{len(top):,} nodes, drawn as {len(groups):,} groups of one component and depth"
    layout = lay_out([group.id for group in groups], edges)
    across = layout.layers * (WIDTH + _GAP_ALONG) <= _ROOM
    boxes = tuple(_box(group, *_corner(layout.at[group.id], across)) for group in groups)
    return Drawing(
        boxes=boxes,
        lines=tuple(
            Way(_line([_middle(spot, across) for spot in way], across), edge in looked_at)
            for edge, way in layout.ways.items()
        ),
        width=_extent(layout, across)[0],
        height=_extent(layout, across)[1],
        note=note,
        members=members,
    )


def _single(node: NodeView, children: Sequence[NodeView]) -> _Group:
    spent = seconds(between(node.started_at, node.completed_at)) if node.completed_at and node.started_at else ""
    facts = [str(node.status), spent]
    if children:
        facts = [plural(len(children), "item" if node.kind == "map" else "node"), spent]
    elif node.signal and node.status is NodeStatus.RUNNING:
        facts = [f"waits for {node.signal}"]
    elif node.kind in ("sleep", "signal", "side_effect", "detached"):
        facts[0] = kind_word(node.kind) if node.status is NodeStatus.COMPLETED else facts[0]
    elif node.reason and node.status is NodeStatus.SKIPPED:
        facts.append(reason_word(node.reason))
    elif len(node.attempts) > 1:
        facts[0] = f"attempt {len(node.attempts)}"
    elif node.reused_from or node.cached:
        facts.append("kept")
    counts = Counter(child.status for child in children)
    return _Group(
        id=node.id, title=node.id, subtitle=" · ".join(f for f in facts if f), status=node.status, counts=counts
    )


def _summary(
    top: Sequence[NodeView], edges: Sequence[tuple[str, str]]
) -> tuple[list[_Group], list[tuple[str, str]], dict[str, list[NodeView]]]:
    """One box for all nodes of the same component in the same layer; past the bound, one per component."""
    layers = lay_out([node.id for node in top], edges).at
    by_depth = {(layers[node.id][0], node.component) for node in top}
    deep = len(by_depth) <= _MOST_BOXES
    key = {n.id: f"{n.component} #{layers[n.id][0]}" if deep else n.component for n in top}
    members: dict[str, list[NodeView]] = {}
    for node in top:
        members.setdefault(key[node.id], []).append(node)
    groups = [
        _Group(
            id=name,
            title=nodes[0].component,
            subtitle=plural(len(nodes), "node"),
            status=_worst([node.status for node in nodes]),
            counts=Counter(node.status for node in nodes),
        )
        for name, nodes in list(members.items())[:_MOST_BOXES]
    ]
    return groups, [(key[source], key[target]) for source, target in edges if source in key], members


def _worst(statuses: Sequence[NodeStatus]) -> NodeStatus:
    for status in (NodeStatus.FAILED, NodeStatus.RETRYING, NodeStatus.RUNNING, NodeStatus.QUEUED, NodeStatus.PENDING):
        if status in statuses:
            return status
    return statuses[0]


def _box(group: _Group, x: float, y: float) -> Box:
    seen = face(group.status)
    counts = f", {tally(group.counts)}" if group.counts else ""
    return Box(
        id=group.id,
        x=round(x, 1),
        y=round(y, 1),
        title=cut(group.title, 17),
        subtitle=cut(group.subtitle, 25),
        status=str(group.status),
        icon=seen.icon,
        label=f"{group.title}: {group.status}, {group.subtitle}{counts}",
        stacked=bool(group.counts),
        bar=_bar(group.counts),
    )


def _bar(counts: Counter[NodeStatus]) -> tuple[tuple[str, float, float], ...]:
    """Stacked parts; one failure among thousands is still seen, at the cost of the largest part."""
    total = sum(counts.values())
    room = WIDTH - 24
    widths = {status: max(room * counts[status] / total, 3.0) for status in _BAR_ORDER if counts[status]}
    over = sum(widths.values()) - room
    if over > 0:
        widths[max(widths, key=widths.__getitem__)] -= over
    starts = accumulate(widths.values(), initial=0.0)
    return tuple(
        (str(status), round(at, 1), round(width, 1))
        for (status, width), at in zip(widths.items(), starts, strict=False)
    )


def _middle(spot: tuple[int, float], across: bool) -> tuple[float, float]:
    layer, position = spot
    if across:
        return layer * (WIDTH + _GAP_ALONG) + _MARGIN + WIDTH / 2, position * (
            HEIGHT + _GAP_ACROSS
        ) + _MARGIN + HEIGHT / 2
    return position * (WIDTH + _GAP_ACROSS) + _MARGIN + WIDTH / 2, layer * (
        HEIGHT + _GAP_ALONG * 0.7
    ) + _MARGIN + HEIGHT / 2


def _corner(spot: tuple[int, float], across: bool) -> tuple[float, float]:
    x, y = _middle(spot, across)
    return x - WIDTH / 2, y - HEIGHT / 2


def _extent(layout: Layout, across: bool) -> tuple[int, int]:
    x, y = _middle((layout.layers - 1, layout.breadth - 1.0), across)
    return round(x + WIDTH / 2 + _MARGIN), round(y + HEIGHT / 2 + _MARGIN)


def _line(points: Sequence[tuple[float, float]], across: bool) -> str:
    """A soft line from the edge of the first box, through the places between, to the edge of the last."""
    first, *between_points, last = points
    dx, dy = (WIDTH / 2, 0.0) if across else (0.0, HEIGHT / 2)
    stops = [(first[0] + dx, first[1] + dy), *between_points, (last[0] - dx, last[1] - dy)]
    data = [f"M{stops[0][0]:.1f} {stops[0][1]:.1f}"]
    for (x1, y1), (x2, y2) in itertools.pairwise(stops):
        if across:
            bend = (x1 + x2) / 2
            data.append(f"C{bend:.1f} {y1:.1f} {bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}")
        else:
            bend = (y1 + y2) / 2
            data.append(f"C{x1:.1f} {bend:.1f} {x2:.1f} {bend:.1f} {x2:.1f} {y2:.1f}")
    return "".join(data)
