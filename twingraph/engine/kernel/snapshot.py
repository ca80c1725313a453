"""The whole state as JSON-able data, and back, so that recovery need not fold from the beginning.

Loading a snapshot and folding the events after it gives the same state as folding all of them; a simulation test holds
us to that.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict
from itertools import chain, islice
from typing import Any

from twingraph.core.events import KINDS, DecisionMade, body_of, error_from_json, error_to_json, event_from
from twingraph.core.plan import NodeKind, PlanNode
from twingraph.core.plan_json import (
    argument_from_json,
    argument_to_json,
    node_from_json,
    node_to_json,
    spec_from_json,
    spec_to_json,
    template_from_json,
    template_to_json,
)
from twingraph.core.records import ErrorRecord, Settings
from twingraph.core.statuses import ExecutionStatus, NodeStatus
from twingraph.engine.kernel import bounds, graph, queued, scheduling
from twingraph.engine.kernel.state import Lane, Node, Scope, State, at_once

VERSION = 4
# What the oldest engine wrote says nothing of bodies, since none ran; with the one after it, no queue stood aside; the
# third named what lies in a scope and in a queue all in one.
READABLE = (1, 2, 3, VERSION)


# Fields that are copied as they are; the others need a translation.
_PLAIN_NODE = (
    "active", "alone", "asked", "attempt", "branch", "cached_from", "cached_node", "due", "expanded", "granted",
    "index", "items", "kept_at", "losses", "memory", "open", "order", "owns", "pending", "reason", "seq", "shape",
    "spent",
)  # fmt: skip
_PLAIN_STATE = (
    "active", "body", "clock_from", "computing", "elapsed", "ended_count", "in_flight", "lane_counter", "lanes_open",
    "now", "ready_count", "reason", "seq", "timed", "timeout_armed", "used",
)  # fmt: skip


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode

# What stands between the lines of nodes, scopes and queues, which are JSON together.
_NODES, _SCOPES, _QUEUED, _END = ',"nodes":[', '],"scopes":[', '],"queued":[', "]}"
_BETWEEN = {_SCOPES: "scopes", _QUEUED: "queued"}
# So many nodes and scopes are made again without a pause.
_AT_ONCE = 200

_CLOCK = ("used", "since", "active", "armed")


def _error(error: ErrorRecord | None) -> dict[str, Any] | None:
    return None if error is None else error_to_json(error)


def _error_back(raw: dict[str, Any] | None) -> ErrorRecord | None:
    return None if raw is None else error_from_json(raw)


def _dump_node(node: Node, shared: dict[int, list[Any]], defaults: Node) -> dict[str, Any]:
    raw: dict[str, Any] = {"id": node.id, "status": node.status, "scope": node.scope.path}
    raw["plan"] = shared.get(id(node.plan)) or node_to_json(node.plan)
    for name in _PLAIN_NODE:
        value = getattr(node, name)
        if value != getattr(defaults, name):
            raw[name] = value
    if node.item_of is not None:
        raw["item_of"] = node.item_of.id
    if node.lane is not None:
        raw["lane"] = node.lane.number
    if node.error is not None:
        raw["error"] = error_to_json(node.error)
    if node.outputs:
        raw["outputs"] = node.outputs
    if node.children is not None:
        raw["children"] = True
    if node.pages is not None:
        raw["pages"] = node.pages
    if node.given is not None:
        raw["given"] = node.given
    return raw


def _dump_scope(scope: Scope) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "path": scope.path,
        "parent": scope.parent.id if scope.parent else None,
        "index": scope.index,
        "open": scope.open,
        "closed": scope.closed,
        "driven": scope.driven,
        "cancelled": scope.cancelled,
        "last_nodes": scope.last_nodes,
        "met": sorted(scope.met),
        "result": argument_to_json(scope.result),
        "shape": scope.shape,
        "outputs": [[name, argument_to_json(argument)] for name, argument in scope.outputs],
        "decisions": [[position, body_of(decision)] for position, decision in scope.decisions],
        "error": _error(scope.error),
        "outcome": scope.outcome,
    }
    if scope.lanes_open:
        raw["lanes_open"] = scope.lanes_open
    if scope.clock is not None:
        raw["clock"] = [getattr(scope.clock, name) for name in _CLOCK]
    return raw


def written(state: State, at_once: int) -> Generator[None, None, str]:
    """The state as JSON text, made by and by, so many nodes at once: it must not change meanwhile. A tree of all of
    it would be work for the garbage collector. Each of these has a line of its own, so that it can be read alone."""
    around = _encode(_dump_around(state))
    nodes = yield from _encoded(_dump_nodes(state), at_once)
    scopes = yield from _encoded((_dump_scope(scope) for scope in state.scopes.values()), at_once)
    standing = yield from _encoded(queued.dump(state), 1)
    return f"{around[:-1]}{_NODES}\n{nodes}\n{_SCOPES}\n{scopes}\n{_QUEUED}\n{standing}\n{_END}"


def _encoded(records: Iterable[Any], at_once: int) -> Generator[None, None, str]:
    left = iter(records)
    lines: list[str] = []
    while some := [_encode(record) for record in islice(left, at_once)]:
        lines.append(",".join(some))
        yield
    return ",\n".join(lines)


def text(state: State) -> str:
    """The same at once."""
    return at_once(written(state, len(state.nodes) + 1))


def dump(state: State) -> dict[str, Any]:
    scopes = [_dump_scope(scope) for scope in state.scopes.values()]
    nodes, standing = list(_dump_nodes(state)), list(queued.dump(state))
    return {**_dump_around(state), "nodes": nodes, "scopes": scopes, "queued": standing}


def _dump_nodes(state: State) -> Iterator[dict[str, Any]]:
    shared: dict[int, list[Any]] = {}
    for name, template in state.templates.items():
        for index, plan in enumerate(template.nodes):
            shared[id(plan)] = [name, index]
    defaults = Node("", PlanNode(id=""), state.root)
    return (_dump_node(node, shared, defaults) for node in state.nodes.values())


def _dump_around(state: State) -> dict[str, Any]:
    """Everything but nodes, scopes, and who stands in the queues."""
    lanes = {node.lane.number: node.lane for node in state.nodes.values() if node.lane is not None}
    return {
        "version": VERSION,
        "execution": state.execution,
        "status": state.status,
        "settings": asdict(state.settings),
        "specs": [spec_to_json(spec) for spec in state.specs],
        "templates": {name: template_to_json(template) for name, template in state.templates.items()},
        "inputs": state.inputs,
        "plain": {name: getattr(state, name) for name in _PLAIN_STATE},
        "lanes": [
            [
                *(lane.number, lane.open, lane.counted, lane.probe, lane.lost.id if lane.lost else None),
                *(lane.priority, lane.recalled),
            ]
            for lane in lanes.values()
        ],
        "ready": queued.order(state.ready),
        "parked": [[place, queued.order(waiting)] for place, waiting in state.parked.items()],
        "means": list(state.means.items()),
        "probing": list(state.probing.items()),
        "ending": state.ending,
        "ending_error": _error(state.ending_error),
        "finishing": state.finishing,
        "signals": [[name, list(kept)] for name, kept in state.signals.items()],
        "waiting_signals": [[name, [n.id for n in nodes]] for name, nodes in state.waiting_signals.items()],
    }


def read(text: str) -> Generator[None, None, State]:
    """The state that was written down, by and by."""
    lines = _lines(text)
    first, second = next(lines), next(lines, None)
    if second is None:  # of an engine that wrote all of it in one
        return load(json.loads(first))
    raw = json.loads(first + "]}")
    into = raw["nodes"]
    for line in chain([second], lines):
        if line in _BETWEEN:
            into = raw[_BETWEEN[line]] = []
        elif line != _END:
            into += json.loads(f"[{line.removesuffix(',')}]")
            yield
    return (yield from _loading(raw))


def _lines(text: str) -> Iterator[str]:
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def load(raw: dict[str, Any]) -> State:
    """At once."""
    return at_once(_loading(raw))


def _loading(raw: dict[str, Any]) -> Generator[None, None, State]:
    if raw["version"] not in READABLE:
        raise ValueError(f"snapshot version {raw['version']} is none of {READABLE}")
    state = State(raw["execution"])
    state.status = ExecutionStatus(raw["status"])
    state.settings = Settings(**raw["settings"])
    state.specs = [spec_from_json(spec) for spec in raw["specs"]]
    state.templates = {name: template_from_json(template) for name, template in raw["templates"].items()}
    state.inputs = tuple(raw["inputs"])
    for name, value in raw["plain"].items():
        setattr(state, name, value)
    yield from _load_graph(state, raw)
    yield from queued.load(state, raw)
    state.means = dict(raw["means"])
    state.probing = dict(raw["probing"])
    state.ending = ExecutionStatus(raw["ending"]) if raw["ending"] else None
    state.ending_error = _error_back(raw["ending_error"])
    state.finishing = ExecutionStatus(raw["finishing"]) if raw["finishing"] else None
    state.signals = {
        name: deque((seq, (output[0], output[1], output[2])) for seq, output in kept) for name, kept in raw["signals"]
    }
    state.waiting_signals = {name: deque(state.nodes[n] for n in nodes) for name, nodes in raw["waiting_signals"]}
    return state


def _paused(records: Iterable[Any]) -> Iterator[tuple[bool, Any]]:
    """Each, and whether so many were seen to that a pause is due."""
    return ((not number % _AT_ONCE, record) for number, record in enumerate(records, 1))


def _load_graph(state: State, raw: dict[str, Any]) -> Iterator[None]:
    """Scopes and nodes refer to each other: make them all first, then join them, in the order in which they came: what
    lies in a scope or a map, and who waits for a node, follows from that. What they are made from is freed on the way,
    since to free all of it at once takes long too."""
    for pause, given in _paused(raw["scopes"]):
        if pause:
            yield
        scope = state.root if given["path"] == "" else Scope(given["path"], None, given["index"])
        state.scopes[scope.path] = scope
        for name in ("open", "closed", "driven", "cancelled"):
            setattr(scope, name, given[name])
        scope.last_nodes = tuple(given["last_nodes"])
        scope.met = frozenset(given.get("met", ()))
        scope.result = argument_from_json(given["result"])
        scope.shape = given.get("shape")
        scope.outputs = tuple((name, argument_from_json(argument)) for name, argument in given.get("outputs", ()))
        scope.decisions = [(position, _decision(body)) for position, body in given.get("decisions", ())]
        scope.error = _error_back(given["error"])
        scope.outcome = NodeStatus(given["outcome"]) if given["outcome"] else None
        scope.computes = scope.driven and not scope.closed and not scope.open
    lanes = {n: Lane(n, count, counted=counted, probe=probe) for n, count, counted, probe, *_ in raw["lanes"]}
    loose = Scope("", None, None)  # the error handlers' own
    for pause, given in _paused(raw["nodes"]):
        if pause:
            yield
        plan = given["plan"]
        plan = state.templates[plan[0]].nodes[plan[1]] if isinstance(plan, list) else node_from_json(plan)
        scope = loose if plan.kind is NodeKind.HANDLER else state.scopes[given["scope"]]
        node = Node(given["id"], plan, scope)
        state.add(node)
        if "item_of" not in given and scope is not loose:  # items are found by their map
            scope.nodes[plan.id] = node
        _load_node(node, given, lanes)
        state.counts[NodeStatus.PENDING] -= 1
        state.counts[node.status] += 1
    for number, _, _, _, lost, *yields in raw["lanes"]:
        lanes[number].lost = state.nodes[lost] if lost is not None else None
        lanes[number].priority, lanes[number].recalled = yields or (None, False)
    yield from _join(state, raw)
    _open_again(state, lanes.values())
    yield
    if raw["version"] == 1:
        for node in state.nodes.values():
            if node.over:
                node.order = state.ended_count = state.ended_count + 1


def _open_again(state: State, lanes: Iterable[Lane]) -> None:
    """Which lanes could make room, in the order in which they were opened."""
    for lane in sorted(lanes, key=lambda lane: lane.number):
        if lane.recalled:
            state.recalled += 1
        elif lane.priority is not None:
            scheduling.may_yield(state, lane)


def _decision(body: str) -> DecisionMade:
    decision = event_from(KINDS[DecisionMade], body)
    assert isinstance(decision, DecisionMade)
    return decision


def _load_node(node: Node, given: dict[str, Any], lanes: dict[int, Lane]) -> None:
    node.status = NodeStatus(given["status"])
    node.pending = 0
    for name in _PLAIN_NODE:
        if name in given:
            setattr(node, name, given[name])
    node.lane = lanes[given["lane"]] if "lane" in given else None
    node.error = _error_back(given.get("error"))
    node.outputs = tuple((name, digest, size) for name, digest, size in given.get("outputs", ()))
    if "children" in given:
        node.children = []
    if "pages" in given:
        node.pages = [(start, seq) for start, seq in given["pages"]]
    if "given" in given:
        node.given = [(first, seq, offset) for first, seq, offset in given["given"]]


def _join(state: State, raw: dict[str, Any]) -> Iterator[None]:
    for pause, given in _paused(raw["scopes"]):
        if pause:
            yield
        scope = state.scopes[given["path"]]
        scope.parent = state.nodes[given["parent"]] if given["parent"] else None
        if scope.parent is not None and scope.parent.children is not None:
            scope.parent.children.append(scope)
        bounds.bind(scope)
        scope.lanes_open = given.get("lanes_open", 0)
        if scope.clock is not None:
            for name, value in zip(_CLOCK, given["clock"], strict=True):
                setattr(scope.clock, name, value)
    for pause, given in _paused(raw["nodes"]):
        if pause:
            yield
        node = state.nodes[given["id"]]
        if node.lane is not None:
            node.lane.nodes.append(node)
            if node.lane.counted and node.kind is not NodeKind.HANDLER:
                node.lane.bound = node.scope.bound
        if "item_of" in given:
            node.item_of = state.nodes[given["item_of"]]
            if node.item_of.children is not None:
                node.item_of.children.append(node)
        else:
            graph.depend(node)
        given.clear()
