"""What conductors and workers say to each other, as JSON text. Pure: nothing is sent here.

A reader of these has checked the signature; a text that cannot be read is `UnreadableError`, and harms nobody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, fields, replace
from typing import Any, TypeVar

from twingraph.core.codec_base import UNREADABLE, make_dumps
from twingraph.core.errors import TwinGraphError
from twingraph.core.events import OutputMeta
from twingraph.core.hashing import content_hash
from twingraph.core.recordclass import recordclass
from twingraph.core.records import (
    ErrorRecord,
    as_error,
    as_output,
    as_text,
    as_text_or_none,
    check_amounts,
    check_counts,
    check_flags,
    check_moments,
)
from twingraph.dispatch.base import (
    ENDINGS,
    Begun,
    CodeRef,
    ItemsOut,
    Lane,
    LogLines,
    NodeRun,
    Outcome,
    Report,
    Returned,
    RunSettings,
)
from twingraph.dispatch.secrets import names_any

VERSION = 1
LANE = "lane"
REPORTS = "reports"
WISHES = "wishes"
OUTPUTS_AT_ONCE = 500

_dumps = make_dumps(allow_nan=True)
Made = TypeVar("Made")


class UnreadableError(TwinGraphError):
    """A message of another version, or damaged."""


def text_in(body: object) -> str:
    """Of a message that nobody has checked yet: a number would be a length to `bytes`."""
    if isinstance(body, str):
        return body
    if not isinstance(body, bytes | bytearray | memoryview):
        raise UnreadableError(f"a message is no text, but of the type {type(body).__name__}")
    try:
        return bytes(body).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"a message is no text: {error}") from None


@recordclass
class Offer:
    """A lane on its way. `key` is the masked key that signs pickles; `description` says the code and its world."""

    id: str
    desk: str
    place: str
    key: str
    execution: str
    version: str
    description: str
    settings: RunSettings
    runs: Sequence[NodeRun]

    def lane(self, code: CodeRef) -> Lane:
        return Lane(number=0, execution=self.execution, code=code, settings=self.settings, runs=self.runs)

    @property
    def is_beside(self) -> bool:
        """Its nodes wait beside those of other lanes in one process: nothing of them is watched over by process."""
        settings = self.settings
        is_local = settings.platform == "local" or settings.entry.startswith("builtin:")
        return settings.asynchronous and is_local and not settings.resources and not names_any(settings, self.runs)


@recordclass(kw_only=False)
class Taken:
    """A worker has the lane."""

    lane: str


@recordclass(kw_only=False)
class Claim:
    """A worker was given a lane that had been delivered before, and asks whether it may run it."""

    lane: str


@recordclass(kw_only=False)
class Beat:
    """All lanes that a worker holds for this desk, each with the nodes of which user code has begun."""

    lanes: Mapping[str, Sequence[str]]


@recordclass(kw_only=False)
class Misdirected:
    """A worker was given the lane, and knows that another conductor has its execution. It has let go of it."""

    lane: str


@recordclass(kw_only=False)
class Requeued:
    """A worker had no room for the lane, and gives it back to its queue."""

    lane: str


@recordclass(kw_only=False)
class Left:
    """Something of this execution is on the worker's machine that is not the worker's own. Is it over?"""

    execution: str


@recordclass(kw_only=False)
class SomeOutputs:
    """Of a run that gives very many outputs, some that come before its outcome. One message would be too long."""

    execution: str
    node: str
    attempt: int
    start: int
    outputs: list[OutputMeta]
    texts: list[str]


@recordclass(kw_only=False)
class HasRoom:
    """Whether a worker has room for a process of bodies; somebody asked by the wish `host`."""

    session: str
    free: bool


@recordclass(kw_only=False)
class Spoke:
    """What such a process said, line by line as it came: it may be anything. `number` counts these for the session,
    from 1: one that is missing ends it."""

    session: str
    number: int
    said: Sequence[str]


@recordclass(kw_only=False)
class BodiesGone:
    """Such a process is not there any more, or never came to be. `died`: by its own doing, for all that is known."""

    session: str
    why: str
    died: bool


@recordclass(kw_only=False)
class Alive:
    """All such processes that a worker has for this desk, each with the number of what it said last."""

    sessions: Mapping[str, int]


OfBodies = HasRoom | Spoke | BodiesGone | Alive
Word = Report | SomeOutputs | Taken | Claim | Beat | Misdirected | Requeued | Left | OfBodies


@recordclass(kw_only=False)
class Wish:
    """`act`: cancel | return | drop (end it without a word) | grant (an answer to a claim) | leave (drop whatever is of
    the execution `lane` and not for the desk in `nodes`: it is there now, since the epoch that follows the desk) | over
    (the execution `lane` of the place in `nodes` is: remove what is left of it beside the pool) | waits (of no lane:
    something has been waiting for long in the queues that are `nodes`; a worker tells who asks it) | host (who has room
    for a process of bodies, the session `lane`, tells the desk in `nodes`).
    `worker` None: all of them; `nodes` None: the whole lane."""

    act: str
    lane: str
    nodes: Sequence[str] | None = None
    worker: str | None = None


def probe_of(place: str) -> bytes:
    """What the conductors of a place put into the blob store, so that a worker can tell that it shares it."""
    return f"twingraph workers of {place} read this\n".encode()


def probe_hash(place: str) -> str:
    return content_hash(probe_of(place))


# -- lanes -----------------------------------------------------------------------------------------

_SETTINGS = tuple(
    (field.name, None if field.default_factory is MISSING else field.default_factory(), field.default)
    for field in fields(RunSettings)
)


def lane_text(number: str, desk: str, place: str, key: str, lane: Lane) -> str:
    """A settings field that has its default is left out."""
    settings = {}
    for name, made, default in _SETTINGS:
        value = getattr(lane.settings, name)
        if value != (default if made is None else made):
            settings[name] = value if made is None else dict(value)
    return text_of(
        {
            "v": VERSION,
            "id": number,
            "desk": desk,
            "place": place,
            "key": key,
            "execution": lane.execution,
            "version": lane.code.version,
            "code": lane.code.description,
            "settings": settings,
            "runs": [[run.node, run.attempt, [[name, text] for name, text in run.args]] for run in lane.runs],
        }
    )


def offer_of(text: str) -> Offer:
    def read(raw: Any) -> Offer:
        return Offer(
            id=raw["id"],
            desk=raw["desk"],
            place=raw["place"],
            key=raw["key"],
            execution=raw["execution"],
            version=raw["version"],
            description=raw["code"],
            settings=RunSettings(**raw["settings"]),
            runs=[
                NodeRun(node, attempt, [(name, value) for name, value in args]) for node, attempt, args in raw["runs"]
            ],
        )

    return read_text(text, read)


# -- reports ---------------------------------------------------------------------------------------


def apart(said: Word) -> Iterator[Word]:
    """What is said, in words of which none is too long."""
    if type(said) is Outcome:
        last = max(0, len(said.outputs) - 1) // OUTPUTS_AT_ONCE * OUTPUTS_AT_ONCE
        for start in range(0, last, OUTPUTS_AT_ONCE):
            part = slice(start, start + OUTPUTS_AT_ONCE)
            outputs, texts = list(said.outputs[part]), list(said.texts[part])
            yield SomeOutputs(said.execution, said.node, said.attempt, start, outputs, texts)
        if last:
            said = replace(said, outputs=said.outputs[last:], texts=said.texts[last:], ahead=last)
    yield said


def word(said: Word) -> list[Any]:
    """As a list that begins with its kind."""
    if type(said) is Outcome:
        error = None if said.error is None else asdict(said.error)
        outputs, ahead = [list(output) for output in said.outputs], [said.ahead] if said.ahead else []
        return [
            "o", said.execution, said.node, said.attempt, said.status, said.started, said.ended, said.cpu, said.memory,
            said.worker, said.shape, outputs, list(said.texts), error, said.begun, *ahead,
        ]  # fmt: skip
    if type(said) is Begun:
        again = () if said.again is None else (list(said.again),)
        return ["g", said.execution, said.node, said.attempt, said.at, said.worker, *again]
    if type(said) is Returned:
        return ["r", said.execution, [list(run) for run in said.runs]]
    if type(said) is LogLines:
        return ["l", said.execution, said.node, said.attempt, [list(line) for line in said.lines]]
    if type(said) is ItemsOut:
        return ["i", said.execution, said.node, said.attempt, said.start, list(said.texts)]
    if type(said) is SomeOutputs:
        outputs = [list(output) for output in said.outputs]
        return ["v", said.execution, said.node, said.attempt, said.start, outputs, said.texts]
    if type(said) is Taken:
        return ["t", said.lane]
    if type(said) is Claim:
        return ["c", said.lane]
    if type(said) is Left:
        return ["s", said.execution]
    if type(said) is Misdirected:
        return ["m", said.lane]
    if type(said) is Spoke:
        return ["p", said.session, said.number, list(said.said)]
    if type(said) is HasRoom:
        return ["h", said.session, said.free]
    if type(said) is BodiesGone:
        return ["e", said.session, said.why, said.died]
    if type(said) is Alive:
        return ["a", dict(said.sessions)]
    if type(said) is Requeued:
        return ["q", said.lane]
    assert type(said) is Beat
    return ["b", {lane: list(begun) for lane, begun in said.lanes.items()}]


def run_of(entry: Sequence[Any]) -> tuple[str, str, int] | None:
    """Of a word that carries values of a run, the run."""
    kind, *rest = entry
    return (rest[0], rest[1], rest[2]) if kind in ("o", "i", "v") else None


def reports_text(worker: str, number: int, words: Sequence[list[Any]]) -> str:
    """`number` is this worker's own count of what it has sent to this desk."""
    return text_of({"v": VERSION, "worker": worker, "number": number, "words": words})


def reports_of(text: str) -> tuple[str, int, list[Word]]:
    def read(raw: Any) -> tuple[str, int, list[Word]]:
        check_counts(raw["number"])
        return as_text(raw["worker"]), raw["number"], [_word_of(*entry) for entry in raw["words"]]

    return read_text(text, read)


def _word_of(kind: str, *parts: Any) -> Word:
    """Each part is looked at here, for whoever takes the word looks no more."""
    return _WORDS[kind](*parts)


def _outcome(execution: str, node: str, attempt: int, status: str, *rest: Any) -> Outcome:
    started, ended, cpu, memory, worker, shape, outputs, texts, error, begun, *ahead = rest
    if status not in ENDINGS:
        raise ValueError(f"no run ends as {status!r:.40}")
    check_moments(ended, *(() if started is None else (started,)))
    check_amounts(*(() if cpu is None else (cpu,)))
    check_counts(*(() if memory is None else (memory,)))
    check_flags(begun)
    check_counts(*ahead)
    return Outcome(
        *_run(execution, node, attempt), status, started, ended, cpu, memory, as_text_or_none(worker),
        as_text_or_none(shape), *_given(outputs, texts), None if error is None else _error(error), begun, *ahead,
    )  # fmt: skip


def _given(outputs: list[Any], texts: list[Any]) -> tuple[list[OutputMeta], list[str]]:
    given = [as_output(*output) for output in outputs]
    if len(given) != len(texts):
        raise ValueError(f"{len(given)} outputs have {len(texts)} texts")
    return given, _values(texts)


def _some_outputs(execution: str, node: str, attempt: int, start: int, *given: list[Any]) -> SomeOutputs:
    check_counts(start)
    return SomeOutputs(*_run(execution, node, attempt), start, *_given(*given))


def _run(execution: object, node: object, attempt: int) -> tuple[str, str, int]:
    check_counts(attempt)
    return as_text(execution), as_text(node), attempt


def _values(texts: list[Any]) -> list[str]:
    """Each is a line of its own in the journal."""
    if any("\n" in as_text(text) for text in texts):
        raise ValueError("the text of a value is one line")
    return texts


def _error(raw: dict[str, Any]) -> ErrorRecord:
    attempt = raw["attempt"]
    if attempt is not None:
        check_counts(attempt)
    return as_error(raw, as_text_or_none(raw["node_id"]), attempt)


def _begun(execution: str, node: str, attempt: int, at: float, worker: str, again: Any = None) -> Begun:
    check_moments(at)
    if again is not None:
        first, last = again
        check_counts(first, last)
        again = first, last
    return Begun(*_run(execution, node, attempt), at, as_text(worker), again)


def _lines(execution: str, node: str, attempt: int, lines: list[Any]) -> LogLines:
    found = [(at, as_text(level), as_text(stream), as_text(text)) for at, level, stream, text in lines]
    check_moments(*(line[0] for line in found))
    return LogLines(*_run(execution, node, attempt), found)


def _items(execution: str, node: str, attempt: int, start: int, texts: list[Any]) -> ItemsOut:
    check_counts(start)
    return ItemsOut(*_run(execution, node, attempt), start, _values(texts))


def _returned(execution: str, runs: list[Any]) -> Returned:
    return Returned(as_text(execution), [_run(execution, node, attempt)[1:] for node, attempt in runs])


def _beat(lanes: dict[str, list[str]]) -> Beat:
    return Beat({lane: [as_text(node) for node in begun] for lane, begun in lanes.items()})


def _spoke(session: str, number: int, said: list[Any]) -> Spoke:
    check_counts(number)
    if not all(type(line) is str for line in said):
        raise ValueError("a process of bodies says lines of text")
    return Spoke(as_text(session), number, said)


def _has_room(session: str, free: bool) -> HasRoom:
    check_flags(free)
    return HasRoom(as_text(session), free)


def _gone(session: str, why: str, died: bool) -> BodiesGone:
    check_flags(died)
    return BodiesGone(as_text(session), as_text(why), died)


def _alive(sessions: dict[str, int]) -> Alive:
    check_counts(*sessions.values())
    return Alive(sessions)


def _about(make: Callable[[str], Word]) -> Callable[..., Word]:
    """A word that only names a lane, or an execution."""
    return lambda name: make(as_text(name))


_WORDS: Mapping[str, Callable[..., Word]] = {
    "o": _outcome,
    "g": _begun,
    "r": _returned,
    "l": _lines,
    "i": _items,
    "v": _some_outputs,
    "t": _about(Taken),
    "c": _about(Claim),
    "m": _about(Misdirected),
    "q": _about(Requeued),
    "s": _about(Left),
    "b": _beat,
    "p": _spoke,
    "h": _has_room,
    "e": _gone,
    "a": _alive,
}


# -- wishes ----------------------------------------------------------------------------------------


def wishes_text(wishes: Sequence[Wish]) -> str:
    return text_of({"v": VERSION, "wishes": [[wish.act, wish.lane, wish.nodes, wish.worker] for wish in wishes]})


def wishes_of(text: str) -> list[Wish]:
    return read_text(text, lambda raw: [Wish(*entry) for entry in raw["wishes"]])


# -- both ------------------------------------------------------------------------------------------


def text_of(value: Any) -> str:
    return _dumps(value)


def read_text(text: str, read: Callable[[Any], Made]) -> Made:
    try:
        raw = json.loads(text)
        if raw["v"] != VERSION:
            raise UnreadableError(f"a message of version {raw['v']!r:.20} cannot be read here, only version {VERSION}")
        return read(raw)
    except (IndexError, *UNREADABLE) as error:
        raise UnreadableError(f"a message cannot be read: {type(error).__name__}: {error}") from error
