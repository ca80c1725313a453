"""Where the process is that runs bodies, and how often it may be lost; processes are a test's."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from twingraph.core import bodies_json
from twingraph.core.bodies import BodyLog, Opened
from twingraph.core.events import DecisionMade, Event, GraphClosed, GraphExtended
from twingraph.core.plan import Hole, NodeSpec, PlanNode, Source
from twingraph.dispatch.base import CodeRef
from twingraph.dispatch.embedded.protocol import GARBLED
from twingraph.dispatch.host_process import Owner, Spoken
from twingraph.engine.hosting import MAX_DEATHS, MAX_STRANDED, HostProcesses
from twingraph.sdk.body.process import PipeLink

CODE = CodeRef(version="v", bundle_path="", body_path="/bodies", interpreter="", working_dir="", description="{}")
OPENED = Opened("e", "", "entry", ())


class Process:
    pid: int | None = None

    def __init__(self, where: str, owner: Owner) -> None:
        self.where, self.owner = where, owner
        self.said: list[Any] = []

    def say(self, message: Any) -> None:
        self.said.append(message)

    def stop(self) -> None: ...

    def feed(self, event: Event, specs: Sequence[NodeSpec] = ()) -> None:
        self.owner.heard(["feed", "e", *bodies_json.fed_to_json(event, None, specs)])


class Link:
    def __init__(self) -> None:
        self.reopened: list[tuple[str, str]] = []
        self.fed: list[Event] = []

    def feed(self, execution: str, event: Event, lines: Sequence[str] | None, specs: Sequence[NodeSpec] = ()) -> None:
        self.fed.append(event)

    def ask(self, execution: str, scope: str, number: int, what: str, about: str) -> None: ...

    def reopen(self, execution: str, scope: str) -> None:
        self.reopened.append((execution, scope))

    def log(self, execution: str, lines: Sequence[BodyLog]) -> None: ...


class Scene:
    def __init__(self) -> None:
        self.link = Link()
        self.begun: list[Process] = []
        self.hosts = HostProcesses(
            lambda: self.link,
            lambda execution, code, bundle, packages: "",
            blobs_path="",
            secret=None,
            elsewhere=self.elsewhere,
            spawn=self.spawn,
        )

    def elsewhere(self, code: CodeRef, near: Callable[[], Spoken], owner: Owner) -> Process:
        self.begun.append(Process("elsewhere", owner))
        return self.begun[-1]

    def spawn(
        self,
        code: CodeRef,
        hello: object,
        heard: Callable[[list[Any]], None],
        gone: Callable[[str], None],
        crowded: Callable[[], bool],
    ) -> Process:
        self.begun.append(Process("here", Owner(heard, gone, gone, crowded)))
        return self.begun[-1]

    @property
    def process(self) -> Process:
        return self.begun[-1]


def test_what_is_lost_with_its_worker_begins_again_elsewhere_and_then_here() -> None:
    scene = Scene()
    host = scene.hosts.host_for("e", CODE)
    for _ in range(MAX_STRANDED):
        host.open(OPENED)
        scene.process.owner.stranded("the worker fell silent")
    assert scene.link.reopened == [("e", "")] * MAX_STRANDED
    host.open(OPENED)
    assert [process.where for process in scene.begun] == ["elsewhere"] * MAX_STRANDED + ["here"]
    assert scene.process.said[0][0] == "open"
    assert scene.link.fed == []


def test_who_did_something_new_may_be_lost_again() -> None:
    scene = Scene()
    host = scene.hosts.host_for("e", CODE)
    for _ in range(3 * MAX_STRANDED):
        host.open(OPENED)
        scene.process.feed(DecisionMade("", "now", 1.0))
        scene.process.owner.stranded("the worker fell silent")
    assert {process.where for process in scene.begun} == {"elsewhere"}


def test_what_a_lost_worker_loses_is_nobodys_death() -> None:
    scene = Scene()
    host = scene.hosts.host_for("e", CODE)
    for _ in range(2 * MAX_DEATHS):
        host.open(OPENED)
        if scene.process.where == "elsewhere":
            scene.process.owner.stranded("the worker fell silent")
    assert not any(isinstance(event, GraphClosed) for event in scene.link.fed)


def test_one_that_dies_by_itself_is_given_up_wherever_it_is() -> None:
    scene = Scene()
    host = scene.hosts.host_for("e", CODE)
    for _ in range(MAX_DEATHS):
        host.open(OPENED)
        scene.process.owner.gone("it was ended by SIGKILL")
    (closed,) = scene.link.fed
    assert isinstance(closed, GraphClosed)
    assert closed.error is not None
    assert "died 3 times in a row" in closed.error.message
    assert {process.where for process in scene.begun} == {"elsewhere"}


def test_others_of_its_code_share_it_and_go_on_together() -> None:
    scene = Scene()
    first, second = scene.hosts.host_for("e", CODE), scene.hosts.host_for("f", CODE)
    first.open(OPENED)
    second.open(Opened("f", "", "entry", ()))
    assert len(scene.begun) == 1
    scene.process.owner.stranded("the worker fell silent")
    first.open(OPENED)
    second.open(Opened("f", "", "entry", ()))
    assert len(scene.begun) == 2


def test_what_the_next_process_names_is_counted_from_what_the_lost_one_has_named() -> None:
    scene = Scene()
    host = scene.hosts.host_for("e", CODE)
    for name in ("a", "b"):
        host.open(OPENED)
        scene.process.feed(GraphExtended((PlanNode(id=name, spec=0),)), [NodeSpec(component="c", entry="c")])
        scene.process.owner.stranded("the worker fell silent")
    told = [event.nodes[0] for event in scene.link.fed if isinstance(event, GraphExtended)]
    assert [(node.id, node.spec) for node in told] == [("a", 0), ("b", 1)]


WIDE = tuple(Hole((Source(node=f"n{number}"),)) for number in range(5_000))
CALL = GraphExtended((PlanNode("sum", spec=0, args={"xs": WIDE}),), driven=True)
RETURN = GraphClosed("", result=WIDE)


class Lines(list[str]):
    """A channel."""

    def send(self, line: str) -> None:
        self.append(line)


def lines_of(*events: Event) -> list[str]:
    lines = Lines()
    link = PipeLink(lines)  # type: ignore[arg-type]
    for event in events:
        link.feed("e", event, None, [NodeSpec(component="sum")])
    return lines


def hosted(scene: Scene) -> Callable[[str], None]:
    """Hears lines of a process."""
    scene.hosts.host_for("e", CODE).open(OPENED)
    process = scene.process
    return lambda line: process.owner.heard(json.loads(line))


@pytest.mark.parametrize("event", [CALL, RETURN], ids=["call", "return"])
def test_what_says_a_lot_comes_in_lines_that_are_soon_read(event: Event) -> None:
    scene = Scene()
    hear = hosted(scene)
    lines = lines_of(event)
    assert len(lines) > 20
    assert max(map(len, lines)) < 40_000
    for line in lines:
        assert scene.link.fed == []
        hear(line)
    assert scene.link.fed == [event]


def test_long_events_of_two_bodies_may_come_among_one_another() -> None:
    """As may what else their process says. Each is there when its last line is."""
    scene = Scene()
    hear = hosted(scene)
    lines = lines_of(CALL, RETURN, DecisionMade("", "now", 1.0))
    cut = next(at for at, line in enumerate(lines) if line.startswith('["whole"'))
    call, closed, short = lines[:cut], lines[cut + 1 : -1], lines[-1]
    for pair in zip(call, closed, strict=False):
        for line in pair:
            hear(line)
    hear(short)
    for line in (*call[len(closed) :], *closed[len(call) :], lines[cut]):
        hear(line)
    assert scene.link.fed == [RETURN, DecisionMade("", "now", 1.0), CALL]


def test_a_process_that_ends_in_the_midst_of_an_event_leaves_nothing_of_it() -> None:
    scene = Scene()
    hear = hosted(scene)
    lines = lines_of(CALL)
    for line in lines[:-1]:
        hear(line)
    scene.process.owner.stranded("the worker fell silent")
    hear = hosted(scene)
    assert scene.link.fed == []
    for line in lines:
        hear(line)
    assert scene.link.fed == [CALL]


def test_what_an_execution_says_that_has_left_is_forgotten() -> None:
    scene = Scene()
    hear = hosted(scene)
    served = next(iter(scene.hosts._all))
    first, second, *others = lines_of(CALL)
    hear(first)
    host = served.hosts.pop("e")
    hear(second)
    served.hosts["e"] = host  # it is back, but what it said meanwhile is gone
    for line in others:
        hear(line)
    assert scene.link.fed == []
    assert served._gathering._begun == {}


@pytest.mark.parametrize(
    "forged",
    [
        ["piece"],
        ["piece", "e", 0],
        ["piece", "e", [], ["nodes", None, []]],
        ["piece", "e", 0, 7],
        ["piece", "e", 0, ["nodes", "nowhere", []]],
        ["piece", "e", 0, ["nodes", None, [1]]],
        ["piece", "e", 0, ["part of output", None, []]],
        ["piece", "e", 0, ["rest", "GraphExtended", "{"]],
        ["whole", "e"],
        ["whole", "e", 0, None, []],
    ],
)
def test_pieces_that_are_none_are_told_apart(forged: list[Any]) -> None:
    """Whoever hears them ends the process."""
    scene = Scene()
    hear = hosted(scene)
    with pytest.raises(GARBLED):
        hear(json.dumps(forged))
    assert scene.link.fed == []


def test_an_event_that_breaks_off_is_told_apart() -> None:
    scene = Scene()
    hear = hosted(scene)
    *before, _, last = lines_of(CALL)
    for line in before:
        hear(line)
    with pytest.raises(GARBLED):
        hear(last)
