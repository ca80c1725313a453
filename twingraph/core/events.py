"""Everything that can happen to an execution, in one vocabulary for the journal, the lineage, the feed and the wire.

An event is what the kernel cannot work out by itself: what came from outside, or what time and chance brought. What the
kernel decides (which node is dispatched next, that a map is complete) is repeated when the journal is folded and is
therefore not written down. Values never stand in an event: they are the `data` beside it, one JSON text per line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, ClassVar

from twingraph.core.execution import ErrorRecord, Settings
from twingraph.core.plan import Argument, NodeSpec, PlanNode, Template
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

SCHEMA_VERSION = 1

# (name, content hash, size) of each output of an attempt; its text is the line of the same place in the event's data.
OutputMeta = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Created:
    """The execution exists. Data: the inputs' texts, in the order of `inputs`."""

    kind: ClassVar[str] = "created"
    settings: Settings
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphExtended:
    """Nodes became known in a scope. `specs` are appended to those known; a node's `spec` counts over all of them."""

    kind: ClassVar[str] = "graph_extended"
    nodes: tuple[PlanNode, ...]
    specs: tuple[NodeSpec, ...] = ()
    templates: Mapping[str, Template] = field(default_factory=dict)
    scope: str = ""
    driven: bool = False  # a pipeline body extends this scope: it, not the kernel, decides what a failure means


@dataclass(frozen=True, slots=True)
class GraphClosed:
    """No more nodes will come in this scope.

    Of a driven scope: `error` is the failure that left the body, `met` names the failed nodes that the body has met;
    a failure that it has not met counts as unhandled.
    """

    kind: ClassVar[str] = "graph_closed"
    scope: str = ""
    result: Argument = ()
    last_nodes: tuple[str, ...] = ()
    error: ErrorRecord | None = None
    met: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeBegun:
    """User code of an attempt runs. Written only for attempts that take a while."""

    kind: ClassVar[str] = "node_begun"
    node: str
    attempt: int
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class NodeEnded:
    """One attempt is over: completed | failed | timeout | crashed | oom | lost | cancelled.

    Data: the outputs' texts. `chance` spreads the delay before the next attempt.
    """

    kind: ClassVar[str] = "node_ended"
    node: str
    attempt: int
    status: str
    started: float | None = None
    ended: float | None = None
    cpu: float | None = None
    memory: int | None = None
    worker: str | None = None
    shape: str | None = None
    outputs: tuple[OutputMeta, ...] = ()
    error: ErrorRecord | None = None
    begun: bool = True
    chance: float = 0.5
    cached_from: str | None = None  # the execution whose outcome this is: a cache hit, or kept by a replay


@dataclass(frozen=True, slots=True)
class NodesReturned:
    """Runs that were handed over and given back before their user code began."""

    kind: ClassVar[str] = "nodes_returned"
    runs: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class MapExpanded:
    """One page of a map's keys. Data: the items' texts."""

    kind: ClassVar[str] = "map_expanded"
    node: str
    attempt: int
    start: int
    keys: tuple[str, ...]
    last: bool


@dataclass(frozen=True, slots=True)
class BranchTaken:
    kind: ClassVar[str] = "branch_taken"
    node: str
    attempt: int
    handle: str
    started: float | None = None
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class TimerFired:
    kind: ClassVar[str] = "timer_fired"
    timer: str


@dataclass(frozen=True, slots=True)
class Adopted:
    """A conductor took the execution over: what was in flight is lost with the one before, at nobody's charge."""

    kind: ClassVar[str] = "adopted"
    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class CancelRequested:
    kind: ClassVar[str] = "cancel_requested"
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PauseRequested:
    kind: ClassVar[str] = "pause_requested"
    reason: str = "requested"


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    kind: ClassVar[str] = "resume_requested"


@dataclass(frozen=True, slots=True)
class SignalReceived:
    """Data: the signal's value."""

    kind: ClassVar[str] = "signal_received"
    name: str
    output: OutputMeta


@dataclass(frozen=True, slots=True)
class LimitGranted:
    kind: ClassVar[str] = "limit_granted"
    node: str


@dataclass(frozen=True, slots=True)
class CacheAnswered:
    """`verdict`: miss (go on), wait (equal work is in flight elsewhere). A hit is a NodeEnded with `cached_from`."""

    kind: ClassVar[str] = "cache_answered"
    node: str
    verdict: str


@dataclass(frozen=True, slots=True)
class CacheOwnerLost:
    """The execution that did the equal work died; the waiter takes over."""

    kind: ClassVar[str] = "cache_owner_lost"
    node: str


@dataclass(frozen=True, slots=True)
class DetachedStarted:
    kind: ClassVar[str] = "detached_started"
    node: str
    execution: str


@dataclass(frozen=True, slots=True)
class DecisionMade:
    """Something that a pipeline body asked and that must be answered alike when it is replayed."""

    kind: ClassVar[str] = "decision_made"
    scope: str
    what: str
    answer: Any = None


@dataclass(frozen=True, slots=True)
class ExecutionEnded:
    """The last event. Data: the result's text, then the texts of `outputs`."""

    kind: ClassVar[str] = "execution_ended"
    status: str
    error: ErrorRecord | None = None
    outputs: tuple[str, ...] = ()


Event = (
    Created
    | GraphExtended
    | GraphClosed
    | NodeBegun
    | NodeEnded
    | NodesReturned
    | MapExpanded
    | BranchTaken
    | TimerFired
    | Adopted
    | CancelRequested
    | PauseRequested
    | ResumeRequested
    | SignalReceived
    | LimitGranted
    | CacheAnswered
    | CacheOwnerLost
    | DetachedStarted
    | DecisionMade
    | ExecutionEnded
)

EVENTS: Mapping[str, type[Event]] = {event.kind: event for event in Event.__args__}

_NAMES = {kind: tuple(f.name for f in fields(event)) for kind, event in EVENTS.items()}
_DEFAULTS = {kind: tuple(f.default for f in fields(event)) for kind, event in EVENTS.items()}
_ERROR_FIELDS = tuple((f.name, f.default) for f in fields(ErrorRecord))
_loads = json.JSONDecoder().decode
# What is written holds no cycle: it was built a moment before.
_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


def _reader(names: tuple[str, ...]) -> Callable[[Event], tuple[Any, ...]]:
    """All fields of an event in one step."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda event: tuple(getattr(event, name) for name in names)


_VALUES = {kind: _reader(names) for kind, names in _NAMES.items()}


def error_to_json(error: ErrorRecord) -> dict[str, Any]:
    return {name: value for name, default in _ERROR_FIELDS if (value := getattr(error, name)) != default}


def error_from_json(raw: Mapping[str, Any]) -> ErrorRecord:
    given = dict(raw)
    if "types" in given:
        given["types"] = tuple(given["types"])
    return ErrorRecord(**given)


def body_of(event: Event) -> str:
    """The event as JSON text, defaults left out."""
    kind = event.kind
    raw: dict[str, Any] = {
        name: value
        for name, default, value in zip(_NAMES[kind], _DEFAULTS[kind], _VALUES[kind](event), strict=True)
        if value is not default and value != default
    }
    if isinstance(event, (GraphExtended, GraphClosed, Created)):
        _lower(event, raw)
    error = raw.get("error")
    if error is not None:
        raw["error"] = error_to_json(error)
    return _dumps(raw)


def _lower(event: GraphExtended | GraphClosed | Created, raw: dict[str, Any]) -> None:
    if isinstance(event, GraphExtended):
        raw["nodes"] = [node_to_json(node) for node in event.nodes]
        raw["specs"] = [spec_to_json(spec) for spec in event.specs]
        raw["templates"] = {name: template_to_json(template) for name, template in event.templates.items()}
    elif isinstance(event, GraphClosed):
        raw["result"] = argument_to_json(event.result)
    else:
        raw["settings"] = {f.name: getattr(event.settings, f.name) for f in fields(Settings)}


def event_from(kind: str, body: str | bytes) -> Event:
    """The event that `body_of` wrote. Raises ValueError for what is not one."""
    record = EVENTS.get(kind)
    if record is None:
        raise ValueError(f"{kind!r} is not an event of schema {SCHEMA_VERSION}")
    raw = _loads(body if isinstance(body, str) else body.decode())
    for name, value in raw.items():
        if type(value) is list:
            raw[name] = tuple(tuple(entry) if type(entry) is list else entry for entry in value)
    if record is GraphExtended:
        raw["nodes"] = tuple(node_from_json(node) for node in raw["nodes"])
        raw["specs"] = tuple(spec_from_json(spec) for spec in raw["specs"])
        raw["templates"] = {name: template_from_json(template) for name, template in raw["templates"].items()}
    elif record is GraphClosed:
        raw["result"] = argument_from_json(list(raw["result"]))
    elif record is Created:
        raw["settings"] = Settings(**raw["settings"])
    if raw.get("error") is not None:
        raw["error"] = error_from_json(raw["error"])
    return record(**raw)
