"""Everything that can happen to an execution, in one vocabulary for the journal, the lineage, the feed and the wire.

An event is what the kernel cannot work out by itself: what came from outside, or what time and chance brought. What the
kernel decides (which node is dispatched next, that a map is complete) is repeated when the journal is folded and is
therefore not written down. Values never stand in an event: they are the `data` beside it, one JSON text per line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any, NamedTuple

from twingraph.core.codec_base import make_dumps
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
from twingraph.core.records import Changes, ErrorRecord, GivenOutcome, Settings

SCHEMA_VERSION = 1

# (name, content hash, size) of each output of an attempt; its text is the line of the same place in the event's data.
OutputMeta = tuple[str, str, int]

# An event that has more than so many parts is written and read by and by; what its text begins with.
LONG_FROM = 500
PACKED = '{"packed":"'

_NO_TEMPLATES: Mapping[str, Template] = MappingProxyType({})


class Created(NamedTuple):
    """The execution exists. Data: the inputs' texts, in the order of `inputs`; then those of the outputs that `changes`
    gives, in order."""

    settings: Settings
    inputs: tuple[str, ...] = ()
    body: str | None = None  # the entry of a pipeline's body, which extends the root scope; None: a drawn workflow
    changes: Changes | None = None  # of a replay; None: it keeps all that had finished


class GraphExtended(NamedTuple):
    """Nodes became known in a scope. `specs` are appended to those known; a node's `spec` counts over all of them."""

    nodes: tuple[PlanNode, ...]
    specs: tuple[NodeSpec, ...] = ()
    templates: Mapping[str, Template] = _NO_TEMPLATES
    scope: str = ""
    driven: bool = False  # a pipeline body extends this scope: it, not the kernel, decides what a failure means


class GraphClosed(NamedTuple):
    """No more nodes will come in this scope.

    Of a driven scope: `error` is the failure that left the body, `met` names the failed nodes that the body has met;
    a failure that it has not met counts as unhandled. What the body returned is `result`, or, with a `shape` of named
    outputs, `outputs`.
    """

    scope: str = ""
    result: Argument = ()
    last_nodes: tuple[str, ...] = ()
    error: ErrorRecord | None = None
    met: tuple[str, ...] = ()
    shape: str | None = None
    outputs: tuple[tuple[str, Argument], ...] = ()


class NodeBegun(NamedTuple):
    """User code of an attempt runs. Written only for attempts that take a while."""

    node: str
    attempt: int
    worker: str | None = None


class NodeEnded(NamedTuple):
    """One attempt is over: completed | failed | timeout | crashed | oom | lost | cancelled.

    Data: the outputs' texts. `chance` spreads the delay before the next attempt.
    """

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
    # The execution whose outcome this is: a cache hit, or kept by a replay; '' when a replay was told what it gives.
    cached_from: str | None = None
    cached_node: str | None = None  # the node of it, where the cache found the outcome


class OutcomesKept(NamedTuple):
    """What another execution gave is what these nodes gave: none of them runs. The values stay where they are, each
    beside an event of that execution. Sources come before what takes from them."""

    execution: str
    nodes: tuple[tuple[str, int, str | None, tuple[OutputMeta, ...]], ...]  # (node, event there, shape, outputs)


class ItemsGiven(NamedTuple):
    """Items that a generator has handed over while it still runs. Data: their texts. Of an item that came before, in
    an earlier attempt, the first text stands."""

    node: str
    attempt: int
    start: int
    count: int  # type: ignore[assignment]  # as a tuple it has a method of that name


class NodesReturned(NamedTuple):
    """Runs that were handed over and given back before their user code began."""

    runs: tuple[tuple[str, int], ...]


class MapExpanded(NamedTuple):
    """One page of a map's keys. Data: the items' texts."""

    node: str
    attempt: int
    start: int
    keys: tuple[str, ...]
    last: bool


class BranchTaken(NamedTuple):
    node: str
    attempt: int
    handle: str
    started: float | None = None
    ended: float | None = None


class TimerFired(NamedTuple):
    timer: str


class Adopted(NamedTuple):
    """A conductor took the execution over: what was in flight is lost with the one before, at nobody's charge."""

    owner: str
    epoch: int


class CancelRequested(NamedTuple):
    reason: str | None = None


class PauseRequested(NamedTuple):
    reason: str = "requested"


class ResumeRequested(NamedTuple):
    """Go on with what is paused."""


class SignalReceived(NamedTuple):
    """Data: the signal's value."""

    name: str
    output: OutputMeta


class LimitGranted(NamedTuple):
    node: str


class CacheAnswered(NamedTuple):
    """`verdict`: miss (go on), wait (equal work is in flight elsewhere). A hit is a NodeEnded with `cached_from` and
    `cached_node`. `why`: what stood in the way of an answer, where something did."""

    node: str
    verdict: str
    why: str | None = None


class CacheOwnerLost(NamedTuple):
    """The execution that did the equal work died; the waiter takes over."""

    node: str


class DetachedStarted(NamedTuple):
    node: str
    execution: str


class DecisionMade(NamedTuple):
    """Something that a pipeline body asked and that must be answered alike when it is replayed."""

    scope: str
    what: str
    answer: Any = None
    caller: str = ""
    place: str | None = None


class ExecutionEnded(NamedTuple):
    """The last event. Data: the result's text, then the texts of `outputs`."""

    status: str
    error: ErrorRecord | None = None
    outputs: tuple[str, ...] = ()


Event = (
    Created
    | GraphExtended
    | GraphClosed
    | NodeBegun
    | NodeEnded
    | OutcomesKept
    | ItemsGiven
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


def _word(event: type[Event]) -> str:
    """The event's kind on the wire: its class name in lower case with underscores."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in event.__name__)[1:]


KINDS: Mapping[type[Event], str] = {event: _word(event) for event in Event.__args__}
EVENTS: Mapping[str, type[Event]] = {kind: event for event, kind in KINDS.items()}

_ABSENT = object()
_FIELDS = {event: tuple((name, event._field_defaults.get(name, _ABSENT)) for name in event._fields) for event in KINDS}
_ERROR_FIELDS = tuple((f.name, f.default) for f in fields(ErrorRecord))
_plain: Any = json.JSONDecoder()
_scan: Callable[[str, int], tuple[Any, int]] = json.scanner.make_scanner(_plain)
# What is written holds no cycle: it was built a moment before.
_dumps = make_dumps(allow_nan=True)


def _loads(text: str) -> Any:
    """As `json.loads`, for what was written here: nothing stands around it."""
    try:
        value, end = _scan(text, 0)
    except StopIteration as error:
        raise ValueError(f"not the body of an event: {text[:60]!r}") from error
    if end != len(text):
        raise ValueError(f"text goes on after the body of an event: {text[end : end + 60]!r}")
    return value


def error_to_json(error: ErrorRecord) -> dict[str, Any]:
    return {name: value for name, default in _ERROR_FIELDS if (value := getattr(error, name)) != default}


def error_from_json(raw: Mapping[str, Any]) -> ErrorRecord:
    given = dict(raw)
    if "types" in given:
        given["types"] = tuple(given["types"])
    return ErrorRecord(**given)


def _changes_to_json(changes: Changes) -> dict[str, Any]:
    given = [[one.node, one.shape, one.outputs, one.handle] for one in changes.given]
    return {
        "everything": changes.everything,
        "alone": changes.alone,
        "resumed": changes.resumed,
        "anew": changes.anew,
        "given": given,
        "inputs": changes.inputs,
    }


def _changes_from_json(raw: Mapping[str, Any]) -> Changes:
    given = tuple(
        GivenOutcome(
            node=node, shape=shape, outputs=tuple((name, digest, size) for name, digest, size in metas), handle=handle
        )
        for node, shape, metas, handle in raw["given"]
    )
    return Changes(
        everything=raw["everything"],
        alone=raw.get("alone"),
        resumed=raw.get("resumed", False),
        anew=tuple(raw["anew"]),
        given=given,
        inputs=tuple(raw.get("inputs", ())),
    )


def body_of(event: Event) -> str:
    """The event as JSON text, defaults left out."""
    raw: dict[str, Any] = {
        name: value
        for (name, default), value in zip(_FIELDS[type(event)], event, strict=True)
        if value is not default and value != default
    }
    if isinstance(event, (GraphExtended, GraphClosed, Created)):
        _lower(event, raw)
    error = raw.get("error")
    if error is not None:
        raw["error"] = error_to_json(error)
    return _dumps(raw)


def is_long(event: Event) -> bool:
    """Whether all of it at once would keep others waiting: see `long_events`."""
    kind = type(event)
    if kind is GraphExtended:
        assert isinstance(event, GraphExtended)
        if event.templates and any(_are_many(template) for template in event.templates.values()):
            return True
        return len(event.specs) > LONG_FROM or _declares_much(event.nodes)
    if kind is not GraphClosed:
        return False
    assert isinstance(event, GraphClosed)
    told = (event.result, event.met, event.last_nodes, *(argument for _, argument in event.outputs))
    return any(len(parts) > LONG_FROM for parts in told)


def _are_many(template: Template) -> bool:
    return len(template.result) > LONG_FROM or len(template.last_nodes) > LONG_FROM or _declares_much(template.nodes)


def _declares_much(nodes: Sequence[PlanNode]) -> bool:
    if len(nodes) > LONG_FROM:
        return True
    for node in nodes:
        if len(node.edges) > LONG_FROM:
            return True
        for given in (node.args, node.scope_args):
            for argument in given.values():
                if len(argument) > LONG_FROM:
                    return True
    return False


def writing(event: Event) -> Generator[None, None, str]:
    """The text of an event; of a long one by and by."""
    if not is_long(event):
        return body_of(event)
    from twingraph.core import long_events  # few events are

    assert isinstance(event, (GraphExtended, GraphClosed))
    return (yield from long_events.writing(event))


def _lower(event: GraphExtended | GraphClosed | Created, raw: dict[str, Any]) -> None:
    if isinstance(event, GraphExtended):
        raw["nodes"] = [node_to_json(node) for node in event.nodes]
        if event.specs:
            raw["specs"] = [spec_to_json(spec) for spec in event.specs]
        if event.templates:
            raw["templates"] = {name: template_to_json(template) for name, template in event.templates.items()}
    elif isinstance(event, GraphClosed):
        raw["result"] = argument_to_json(event.result)
        if event.outputs:
            raw["outputs"] = [[name, argument_to_json(argument)] for name, argument in event.outputs]
    else:
        raw["settings"] = {f.name: getattr(event.settings, f.name) for f in fields(Settings)}
        if event.changes is not None:
            raw["changes"] = _changes_to_json(event.changes)


def event_from(kind: str, body: str | bytes) -> Event:
    """The event that `body_of` or `writing` wrote. Raises ValueError for what is not one."""
    text = body if isinstance(body, str) else body.decode()
    if not text.startswith(PACKED):
        return _event_of(kind, text)
    steps = reading(kind, text)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            event: Event = end.value
            return event


def reading(kind: str, body: str) -> Generator[None, None, Event]:
    """The same; of a long event by and by."""
    if not body.startswith(PACKED):
        return _event_of(kind, body)
    from twingraph.core import long_events

    try:
        event = yield from long_events.reading(body)
    except _NO_EVENT as error:
        raise _is_none(kind, error) from error
    if KINDS[type(event)] != kind:
        raise ValueError(f"this is a {KINDS[type(event)]}, not a {kind}")
    return event


# What raw JSON that is no event leads to.
_NO_EVENT = (AssertionError, AttributeError, LookupError, RecursionError, TypeError)


def _is_none(kind: str, error: Exception) -> ValueError:
    return ValueError(f"this is no {kind}: {type(error).__name__}: {error}")


def _event_of(kind: str, body: str) -> Event:
    record = EVENTS.get(kind)
    if record is None:
        raise ValueError(f"{kind!r} is not an event of schema {SCHEMA_VERSION}")
    try:
        return _event_from(record, _raw(body))
    except _NO_EVENT as error:
        raise _is_none(kind, error) from error


def _raw(body: str) -> dict[str, Any]:
    raw: dict[str, Any] = _loads(body)
    for name, value in raw.items():
        if type(value) is list:
            raw[name] = tuple([tuple(entry) if type(entry) is list else entry for entry in value])
    return raw


def _event_from(record: type[Event], raw: dict[str, Any]) -> Event:
    """`raw` as `_raw` gives it."""
    if record is GraphExtended:
        raw["nodes"] = tuple([node_from_json(node) for node in raw["nodes"]])
        if "specs" in raw:
            raw["specs"] = tuple(spec_from_json(spec) for spec in raw["specs"])
        if "templates" in raw:
            raw["templates"] = {name: template_from_json(template) for name, template in raw["templates"].items()}
    elif record is GraphClosed:
        raw["result"] = argument_from_json(list(raw.get("result", ())))
        if "outputs" in raw:
            raw["outputs"] = tuple((name, argument_from_json(list(argument))) for name, argument in raw["outputs"])
    elif record is Created:
        raw["settings"] = Settings(**raw["settings"])
        if raw.get("changes") is not None:
            raw["changes"] = _changes_from_json(raw["changes"])
    elif record is OutcomesKept:
        raw["nodes"] = tuple((node, seq, shape, tuple(map(tuple, metas))) for node, seq, shape, metas in raw["nodes"])
    if raw.get("error") is not None:
        raw["error"] = error_from_json(raw["error"])
    return record(**raw)
