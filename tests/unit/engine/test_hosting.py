"""Where the process is that runs bodies, and how often it may be lost; processes are a test's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twingraph.core import bodies_json
from twingraph.core.bodies import BodyLog, Opened
from twingraph.core.events import DecisionMade, Event, GraphClosed, GraphExtended
from twingraph.core.plan import NodeSpec, PlanNode
from twingraph.dispatch.base import CodeRef
from twingraph.dispatch.host_process import Owner, Spoken
from twingraph.engine.hosting import MAX_DEATHS, MAX_STRANDED, HostProcesses

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
