"""Cancel, pause, interrupt, take-over: an execution ends, or can be gone on with, and its callers always know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.conducting import (
    SOON,
    Act,
    Rig,
    chain,
    echo,
    inbox,
    over,
    plan,
    task,
    until,
    until_node,
    value,
    wait_until,
)
from twingraph.core.errors import ConflictError, LeaseLost, NotFoundError, StoreError, TwinGraphError
from twingraph.core.events import ResumeRequested
from twingraph.core.plan import NodeSpec, PlanNode
from twingraph.core.policies import RetryPolicy
from twingraph.core.records import Settings
from twingraph.core.statuses import NodeStatus
from twingraph.dispatch.base import Lane, NodeRun, Outcome
from twingraph.engine.recorded import Recorded
from twingraph.engine.replay import earlier, keeping
from twingraph.engine.shared import shared
from twingraph.store.base import Append, Claim, Message, NewExecution
from twingraph.store.sqlite.journal import SqliteJournal
from twingraph.testing.dispatch import MemoryDispatch


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "home", hold=True) as made:
        yield made


def test_a_cancelled_execution_leaves_nothing_running(rig: Rig) -> None:
    handle = rig.submit(chain(3))
    rig.dispatch.wait_for(1)
    assert over(rig.conductor.cancel(handle.id)).status == "cancelled"
    assert over(handle).status == "cancelled"
    assert rig.dispatch.waiting == []
    assert set(rig.statuses(handle.id).values()) == {NodeStatus.CANCELLED}


def test_another_process_cancels_by_a_message(rig: Rig) -> None:
    handle = rig.submit(chain(3))
    rig.dispatch.wait_for(1)
    rig.records.post(handle.id, "cancel", "{}")
    assert over(handle).status == "cancelled"
    assert inbox(rig) == 0


def test_a_message_of_a_newer_version_is_put_aside(rig: Rig) -> None:
    handle = rig.submit(chain(2))
    rig.dispatch.wait_for(1)
    rig.records.post(handle.id, "dance", "{}")
    rig.records.post(handle.id, "cancel", "{}")
    assert over(handle).status == "cancelled"
    assert inbox(rig) == 0


def test_a_message_for_nobody_is_refused(rig: Rig) -> None:
    with pytest.raises(NotFoundError, match="exec-none"):
        rig.records.post("exec-none", "cancel", "{}")


def test_a_message_to_one_that_has_ended_leaves_nothing(rig: Rig) -> None:
    rig.dispatch.hold = False
    handle = rig.run(chain(2))
    rig.records.post(handle.id, "cancel", "{}")
    assert inbox(rig) == 0


def test_a_pause_starts_nothing_and_a_resume_goes_on(rig: Rig) -> None:
    handle = rig.submit(chain(3))
    rig.dispatch.wait_for(1)
    rig.records.post(handle.id, "pause", "{}")
    until(rig, handle.id, "paused")
    rig.records.post(handle.id, "resume", "{}")
    rig.dispatch.wait_for(1)
    rig.dispatch.let_go()
    assert value(over(handle)) == "n0"


def test_a_pause_told_before_a_take_over_is_heard_after_it(rig: Rig) -> None:
    handle = rig.submit(chain(3))
    rig.dispatch.wait_for(1)
    rig.crash()
    rig.records.post(handle.id, "cancel", "{}")
    rig.start(hold=True)
    assert over(rig.conductor.adopt(handle.id)).status == "cancelled"


def test_an_interrupt_leaves_it_paused_for_anybody(rig: Rig) -> None:
    handle = rig.submit(chain(3))
    rig.dispatch.wait_for(1)
    rig.conductor.interrupt(handle.id, kill=False)
    assert over(handle).status == "paused"
    record = rig.record(handle.id)
    assert (record.status, record.reason, record.owner) == ("paused", "interrupted", "none")
    rig.restart()
    assert value(over(rig.conductor.adopt(handle.id))) == "n0"


def test_a_killing_interrupt_charges_nothing(rig: Rig) -> None:
    handle = rig.submit(chain(2))
    rig.dispatch.wait_for(1)
    rig.conductor.interrupt(handle.id, kill=True)
    assert over(handle).status == "paused"
    again = rig.conductor.adopt(handle.id)
    rig.dispatch.wait_for(1)
    rig.dispatch.let_go()
    assert value(over(again)) == "n0"


class Unstoppable(MemoryDispatch):
    """What was handed over is under way, and does not come back."""

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        pass


@pytest.mark.parametrize("way", ["message", "event", "adopt"])
def test_what_is_resumed_during_the_grace_of_an_interrupt_is_not_ended_by_it(rig: Rig, way: str) -> None:
    made = Unstoppable(echo, hold=True)
    rig.restart_with(made)
    handle = rig.submit(chain(2))
    made.wait_for(1)
    rig.conductor.interrupt(handle.id, kill=False)
    until(rig, handle.id, "paused")
    if way == "message":
        rig.records.post(handle.id, "resume", "{}")
    elif way == "event":
        rig.conductor.feed(handle.id, ResumeRequested())
    else:
        rig.conductor.adopt(handle.id)
    until(rig, handle.id, "running")
    (number,) = rig.conductor._effects.timers._handles
    rig.conductor._loop.call_soon_threadsafe(rig.conductor._hearing.timer_fired, number, "grace")
    made.let_go()
    assert value(over(handle)) == "n0"
    assert made.begun == [("n0", 1), ("n1", 1)]


def test_what_still_runs_after_the_grace_of_an_interrupt_is_ended_and_goes_again(rig: Rig) -> None:
    made = Unstoppable(echo, hold=True)
    rig.restart_with(made)
    handle = rig.submit(chain(1))
    made.wait_for(1)
    rig.conductor.interrupt(handle.id, kill=False)
    until(rig, handle.id, "paused")
    (number,) = rig.conductor._effects.timers._handles
    rig.conductor._loop.call_soon_threadsafe(rig.conductor._hearing.timer_fired, number, "grace")
    assert (over(handle).status, rig.record(handle.id).reason) == ("paused", "interrupted")
    again = rig.conductor.adopt(handle.id)
    made.wait_for(1)
    made.let_go()
    assert value(over(again)) == "n0"


def test_an_interrupt_during_a_delay_keeps_the_retry(rig: Rig) -> None:
    slow = NodeSpec(component="task", entry="task", retry=RetryPolicy(initial_delay=60.0))
    rig.restart(broken)
    handle = rig.submit(plan(task("a"), specs=(slow,)))
    handle.wait_recorded(SOON)
    until_node(rig, handle.id, "a", NodeStatus.RETRYING)
    rig.conductor.interrupt(handle.id, kill=False)
    assert over(handle).status == "paused"


def test_what_a_dead_process_left_is_gone_on_with(rig: Rig) -> None:
    handle = rig.submit(chain(3))
    rig.dispatch.wait_for(1)
    rig.crash()
    assert rig.record(handle.id).owner == "gone"
    rig.start()
    assert value(over(rig.conductor.adopt(handle.id))) == "n0"
    assert rig.dispatch.begun[0] == ("n0", 2)


def test_finished_nodes_never_run_again(rig: Rig) -> None:
    handle = rig.submit(plan(task("a"), task("b"), task("c", "a", "b"), last=("c",)))
    rig.dispatch.wait_for(2)
    rig.dispatch.let_one_go("a")
    until_node(rig, handle.id, "a", NodeStatus.COMPLETED)
    rig.restart()
    over(rig.conductor.adopt(handle.id))
    assert {node for node, _ in rig.dispatch.begun} == {"b", "c"}


def test_one_that_lives_elsewhere_is_not_taken(rig: Rig) -> None:
    handle = rig.submit(chain(2))
    handle.wait_recorded(SOON)
    first = rig.alive
    rig.start()
    assert isinstance(over(rig.conductor.adopt(handle.id)).fault, ConflictError)
    first.release()


def test_a_conductor_that_lost_its_lease_writes_nothing_more(rig: Rig) -> None:
    handle = rig.submit(chain(2))
    rig.dispatch.wait_for(1)
    old = rig.dispatch
    rig.crash()
    rig.start()
    assert value(over(rig.conductor.adopt(handle.id))) == "n0"
    events = len(rig.records.rows(handle.id))
    old.let_go()
    assert isinstance(over(handle).fault, LeaseLost)
    assert len(rig.records.rows(handle.id)) == events


def test_taking_over_what_has_ended_tells_how(rig: Rig) -> None:
    rig.dispatch.hold = False
    done = rig.run(chain(2))
    again = over(rig.conductor.adopt(done.id))
    assert (again.status, again.result, again.outputs) == (done.status, done.result, done.outputs)
    assert rig.record(done.id).owner == "none"


def test_every_caller_of_one_execution_is_told(rig: Rig) -> None:
    first = rig.submit(chain(2))
    second = rig.conductor.adopt(first.id)
    rig.dispatch.let_go()
    assert value(over(first)) == value(over(second)) == "n0"


def test_an_unknown_id_is_told_to_its_caller_alone(rig: Rig) -> None:
    assert isinstance(over(rig.conductor.adopt("exec-none")).fault, NotFoundError)
    rig.dispatch.let_go()
    assert value(rig.run(chain(2))) == "n0"


def test_a_stopped_conductor_leaves_nobody_waiting(rig: Rig) -> None:
    handle = rig.submit(chain(2))
    rig.dispatch.wait_for(1)
    rig.conductor.stop()
    assert isinstance(over(handle).fault, TwinGraphError)
    assert isinstance(over(rig.submit(chain(2))).fault, TwinGraphError)
    assert rig.dispatch.stopped
    assert rig.record(handle.id).owner == "gone"
    rig.restart()
    assert value(over(rig.conductor.adopt(handle.id))) == "n0"


class FullDisk(SqliteJournal):
    """A journal that fails when told so."""

    full = False

    def append(self, batch: Sequence[Append]) -> set[int]:
        if self.full:
            raise StoreError("the disk is full; free some space and resume")
        return super().append(batch)


def test_a_full_disk_is_told_to_all_and_nothing_is_lost(rig: Rig) -> None:
    made = FullDisk(rig.home)
    rig.make_journal = lambda: made
    rig.restart(hold=True)
    handles = [rig.submit(chain(2)), rig.submit(chain(2))]
    rig.dispatch.wait_for(2)
    made.full = True
    rig.dispatch.let_go()
    assert [type(over(handle).fault) for handle in handles] == [StoreError, StoreError]
    rig.conductor.stop()
    assert rig.dispatch.stopped
    assert not rig.conductor.usable
    rig.make_journal = lambda: SqliteJournal(rig.home)
    rig.restart()
    assert [value(over(rig.conductor.adopt(handle.id))) for handle in handles] == ["n0", "n0"]


class SilentInbox(SqliteJournal):
    """Cannot tell what others have written."""

    def messages(self, owner: str) -> list[Message]:
        raise StoreError("the inbox cannot be read")


def test_what_was_taken_over_is_not_let_go_of_alone(rig: Rig) -> None:
    """Else this conductor would go on with an execution whose callers were told otherwise, and which others take."""
    handle = rig.submit(chain(2))
    rig.dispatch.wait_for(1)
    rig.make_journal = lambda: SilentInbox(rig.home)
    rig.restart(hold=True)
    assert isinstance(over(rig.conductor.adopt(handle.id)).fault, StoreError)
    wait_until(lambda: not rig.conductor.usable, "it goes on")
    assert rig.record(handle.id).owner == "alive"
    rig.make_journal = lambda: SqliteJournal(rig.home)
    rig.restart()
    assert value(over(rig.conductor.adopt(handle.id))) == "n0"


class UncertainDisk(SqliteJournal):
    """Writes the new execution and says that it did not."""

    def create(self, new: NewExecution, first: Append) -> Claim:
        super().create(new, first)
        raise StoreError("nobody knows whether that was written")


def test_what_may_have_been_written_stays_with_nobody(rig: Rig) -> None:
    """Else it would belong to a living conductor that does not know of it, and nobody could go on with it."""
    rig.make_journal = lambda: UncertainDisk(rig.home)
    rig.restart()
    handle = rig.submit(chain(2))
    assert isinstance(over(handle).fault, StoreError)
    assert not rig.conductor.usable or rig.conductor._fault is not None
    rig.make_journal = lambda: SqliteJournal(rig.home)
    rig.restart()
    assert value(over(rig.conductor.adopt(handle.id))) == "n0"


def test_what_is_wished_during_a_take_over_comes_after_it(rig: Rig) -> None:
    handle = rig.submit(chain(3))
    rig.dispatch.wait_for(1)
    rig.restart(hold=True)
    taken, cancelled = rig.conductor.adopt(handle.id), rig.conductor.cancel(handle.id)
    assert [over(taken).status, over(cancelled).status] == ["cancelled", "cancelled"]


def test_a_defect_ends_one_execution_and_no_other(rig: Rig) -> None:
    bad = plan(PlanNode(id="a", spec=7))
    ill = rig.submit(bad)
    well = rig.submit(chain(2))
    assert isinstance(over(ill).fault, IndexError)
    rig.dispatch.let_go()
    assert value(over(well)) == "n0"


def test_an_execution_that_is_over_leaves_no_trace_in_memory(rig: Rig) -> None:
    rig.dispatch.hold = False
    for _ in range(5):
        rig.run(chain(3))
    held = (
        rig.conductor._roster._held,
        rig.conductor._roster._by_number,
        rig.conductor._turns._writing._dirty,
        rig.conductor._effects.timers._handles,
    )
    assert all(not kept for kept in held)


def test_a_replay_keeps_what_was_finished_even_after_a_crash(rig: Rig) -> None:
    rig.restart(broken_at("n2"))
    failed = rig.run(chain(4))
    kept = earlier(Recorded(rig.records, failed.id, rig.blobs)).kept
    assert set(kept) == {"n0", "n1"}
    rig.restart(hold=True)
    replayed = rig.submit(chain(4), kept=kept, replay_of=failed.id)
    rig.dispatch.wait_for(1)
    rig.crash()
    rig.kept_of = lambda execution, *changes: keeping(
        Recorded(rig.records, execution, rig.blobs, by_and_by=True), *changes
    )
    rig.start()
    assert value(over(rig.conductor.adopt(replayed.id))) == "n0"
    assert {node for node, _ in rig.dispatch.begun} == {"n2", "n3"}


def test_a_kept_outcome_says_where_it_came_from(rig: Rig) -> None:
    rig.restart(broken_at("n1"))
    failed = rig.run(chain(3))
    rig.restart()
    replayed = rig.run(chain(3), kept=earlier(Recorded(rig.records, failed.id, rig.blobs)).kept, replay_of=failed.id)
    first = rig.view(replayed.id).nodes[0]
    assert (first.id, first.reused_from, first.attempts) == ("n0", failed.id, ())
    assert rig.view(replayed.id).record.replay_of == failed.id


def broken(lane: Lane, run: NodeRun) -> object:
    raise ValueError("broken")


def broken_at(name: str) -> Act:
    def act(lane: Lane, run: NodeRun) -> object:
        return broken(lane, run) if run.node == name else echo(lane, run)

    return act


def test_two_conductors_share_one_home(tmp_path: Path) -> None:
    with Rig(tmp_path) as one, Rig(tmp_path) as two:
        handles = [rig.submit(chain(20)) for rig in (one, two) for _ in range(5)]
        assert [value(over(handle)) for handle in handles] == ["n0"] * 10


def test_a_handler_is_called_anew_for_what_fails_anew(rig: Rig) -> None:
    def act(lane: Lane, run: NodeRun) -> object:
        return 1 if lane.settings.component == "handler" else broken(lane, run)

    specs = (NodeSpec(component="task", entry="task"), NodeSpec(component="handler", entry="handler"))
    settings = Settings(error_handler="custom", handler_component=1)
    rig.restart(act)
    failed = rig.run(plan(task("a"), specs=specs), settings=settings)
    kept = earlier(Recorded(rig.records, failed.id, rig.blobs)).kept
    rig.run(plan(task("a"), specs=specs), settings=settings, kept=kept, replay_of=failed.id)
    assert [name for name, _ in rig.dispatch.begun].count("a!handler") == 2


def test_a_late_word_of_an_old_attempt_is_not_kept(rig: Rig) -> None:
    handle = rig.submit(plan(task("a"), task("b"), last=("a", "b")))
    rig.dispatch.wait_for(2)
    rig.restart(hold=True)
    again = rig.conductor.adopt(handle.id)
    rig.dispatch.let_one_go("a")
    until_node(rig, handle.id, "a", NodeStatus.COMPLETED)
    late = Outcome(handle.id, "a", 1, "completed", 1.0, 2.0, shape="plain", outputs=[("output", "0", 1)], texts=["0"])
    rig.dispatch.tell(late)
    rig.dispatch.let_go()
    assert value(over(again)) == {"a": "a", "b": "b"}
    (kept,) = earlier(Recorded(rig.records, handle.id, rig.blobs)).kept["a"].rows
    assert kept[1] is not None
    place = shared(kept[1])
    assert place is not None
    assert rig.records.values_of(place.execution, [place.seq]) == {place.seq: '"a"'}
