"""Executions that a body starts beside its own, where another process has to do with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from twingraph.core.errors import LeaseLost, StoreError
from twingraph.core.events import Created, DetachedStarted, Event, GraphExtended, NodeEnded
from twingraph.core.ids import detached_id
from twingraph.core.plan import NodeKind, NodeSpec, PlanNode, ScopeSettings
from twingraph.core.records import ErrorRecord, Settings
from twingraph.core.statuses import ExecutionStatus
from twingraph.engine.ahead import ValuesAhead
from twingraph.engine.detached import Around, Detached, shape_of, submission
from twingraph.engine.handle import Handle
from twingraph.engine.held import Held, Submission
from twingraph.engine.kernel import State, apply
from twingraph.store.base import Claim, Standing
from twingraph.store.blobs.memory import MemoryBlobs

CHILD = detached_id("exec-a", "p")
BAD = ErrorRecord(code="user_error", error_type="ValueError", message="bad", node_id="x")


class World:
    """What surrounds a detached execution, step by step."""

    def __init__(self) -> None:
        state = State("exec-a")
        self.held = Held(Claim(number=1, epoch=1, seq=0), state, None, Handle("exec-a", cast(Any, None)))
        self.held.values = ValuesAhead(state, lambda seq: None, MemoryBlobs())
        plan = PlanNode(
            id="p",
            kind=NodeKind.DETACHED,
            spec=0,
            args={"x": ("1",)},
            bounds=ScopeSettings(max_parallel=2, error_handler="custom", handler_component=1),
        )
        specs = (NodeSpec(component="chain", entry="m:chain"), NodeSpec(component="tell"))
        self.feed(Created(Settings(), body="m:parent"))
        self.feed(GraphExtended((plan,), specs, driven=True))
        self.standing: Standing | None = None
        self.begun: list[Submission] = []
        self.taken: list[str] = []
        self.later: list[Callable[[], None]] = []
        self.whose: list[Held] = []  # in whose name something is done
        self.brought: list[tuple[Event, Sequence[str] | None]] = []
        self.handle = Handle(CHILD, cast(Any, None))
        self.detached = Detached(
            Around(
                find=lambda number: self.held,
                standing=lambda execution: self.standing,
                begin=lambda new: self._gives(self.begun, new),
                take_over=lambda known: self._gives(self.taken, known),
                bring=self._bring,
                about=self._about,
                later=lambda seconds, act: self.later.append(act),
            )
        )

    def feed(self, event: Event) -> None:
        apply(self.held.state, event, 1.0, self.held.state.seq + 1)

    def _gives(self, note: list[Any], what: Any) -> Handle:
        note.append(what)
        return self.handle

    def _bring(self, held: Held, event: Event, lines: Sequence[str] | None) -> None:
        self.brought.append((event, lines))
        self.feed(event)

    def _about(self, held: Held, act: Callable[[], None]) -> None:
        self.whose.append(held)
        act()

    def start(self) -> None:
        self.detached.start(self.held, "p")

    def look(self) -> None:
        """Time passes."""
        due, self.later = self.later, []
        for act in due:
            act()

    @property
    def ending(self) -> NodeEnded:
        event = self.brought[-1][0]
        assert isinstance(event, NodeEnded)
        return event


@pytest.fixture
def world() -> World:
    return World()


def test_it_begins_with_the_settings_of_its_pipeline(world: World) -> None:
    world.start()
    (new,) = world.begun
    assert (new.id, new.body, new.inputs, new.name) == (CHILD, "m:chain", {"x": "1"}, "chain")
    assert (new.settings.max_parallel, new.settings.timeout) == (2, Settings().timeout)
    assert new.settings.handler_component == 0
    assert [spec.component for spec in new.specs] == ["tell"]
    assert world.brought == [(DetachedStarted("p", CHILD), None)]


def test_settings_that_nobody_gave_are_the_usual_ones(world: World) -> None:
    node = world.held.state.nodes["p"]
    node.plan = PlanNode(id="p", kind=NodeKind.DETACHED, spec=0)
    assert submission(world.held, node, CHILD).settings == Settings()


def test_a_refresh_reaches_it(world: World) -> None:
    world.held.state.settings = Settings(fresh_from=5.0)
    assert submission(world.held, world.held.state.nodes["p"], CHILD).settings.fresh_from == 5.0


def test_its_end_is_the_end_of_the_call(world: World) -> None:
    world.start()
    world.handle.end(ExecutionStatus.COMPLETED, None, "3", {"output": "3"})
    assert (world.ending.status, world.ending.shape, world.brought[-1][1]) == ("completed", "plain", ["3"])
    assert world.whose == [world.held]  # a defect that shows there is the parent's, not the child's


def test_what_another_process_carries_out_is_looked_at_until_that_is_done(world: World) -> None:
    world.standing = Standing("running", elsewhere=True)
    world.start()
    world.look()
    assert world.taken == []
    world.standing = Standing("completed", elsewhere=False)
    world.look()
    assert world.taken == [CHILD]


def test_what_somebody_paused_stays_paused(world: World) -> None:
    world.start()
    world.handle.end(ExecutionStatus.PAUSED)
    world.standing = Standing("paused", elsewhere=False)
    world.look()
    assert (world.taken, len(world.later)) == ([], 1)


def test_what_another_process_took_is_followed_there(world: World) -> None:
    world.start()
    world.handle.fail(LeaseLost("taken"))
    assert len(world.later) == 1


def test_nobody_looks_for_a_call_that_is_over(world: World) -> None:
    world.standing = Standing("running", elsewhere=True)
    world.start()
    world.feed(NodeEnded("p", 1, "cancelled"))
    world.look()
    assert world.later == []


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (lambda handle: handle.fail(StoreError("no room")), "no room"),
        (lambda handle: handle.end(ExecutionStatus.CANCELLED), f"{CHILD} was cancelled"),
        (
            lambda handle: handle.end(ExecutionStatus.FAILED, BAD),
            "bad",
        ),
    ],
)
def test_why_it_failed_is_why_the_call_failed(world: World, end: Callable[[Handle], None], message: str) -> None:
    world.start()
    end(world.handle)
    assert world.ending.error is not None
    assert (world.ending.error.message, world.ending.error.node_id) == (message, "p")


@pytest.mark.parametrize(
    ("result", "named", "shape"),
    [
        ("3", {"output": "3"}, "plain"),
        ('{"a":1,"b":2}', {"a": "1", "b": "2"}, "dict"),
        ('{"$":"dataclass","class":"m:C","v":{"a":1}}', {"a": "1"}, "dataclass:m:C"),
        ('{"a":1}', {"output": '{"a":1}'}, "plain"),
    ],
)
def test_outputs_are_put_together_as_they_were(result: str, named: dict[str, str], shape: str) -> None:
    assert shape_of(result, named)[0] == shape
