"""How a conductor serves the bodies of pipelines, with bodies that are generators."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.bodies import Called, CallFailedError, Steps
from tests.support.conducting import Rig, args, inbox, over, until_node, value, wait_until
from twingraph.core.bodies import BodyLog, Host, PastCall
from twingraph.core.errors import ConflictError
from twingraph.core.events import GraphExtended, event_from
from twingraph.core.ids import detached_id
from twingraph.core.plan import NodeKind, NodeSpec, ScopeSettings
from twingraph.core.records import Settings
from twingraph.core.statuses import NodeStatus
from twingraph.dispatch.base import CodeRef, Lane, NodeRun
from twingraph.engine.handle import Handle
from twingraph.engine.kernel.machine import _SAID_AT_ONCE
from twingraph.engine.link import WORDS_AT_ONCE
from twingraph.engine.reader import Reader
from twingraph.engine.recorded import Recorded
from twingraph.engine.replay import earlier
from twingraph.store.sqlite.records import SqliteRecords

Script = Generator[Any, Any, Any]


def add(lane: Lane, run: NodeRun) -> object:
    """The sum of the arguments and one; 'boom' fails."""
    if lane.settings.component == "boom":
        raise ValueError("boom")
    return sum(args(run).values()) + 1


def chain(do: Steps, x: int) -> Script:
    a = yield do.call("one", x)
    b = yield do.call("one", a)
    return b


def fan(do: Steps, x: int) -> Script:
    handles = []
    for i in range(x):
        handle = yield do.start("one", i)
        handles.append(handle)
    values = yield do.wait(*handles)
    return sum(values)


def lazy(do: Steps, x: int) -> Script:
    a = yield do.start("one", x)
    return (yield do.start("one", a))


def outer(do: Steps, x: int) -> Script:
    a = yield do.start("one", x)
    b = yield do.start("inner", a, kind=NodeKind.SCOPE)
    c = yield do.call("one", b)
    return {"c": c, "b": b}


def inner(do: Steps, x: int) -> Script:
    return (yield do.call("one", x))


def test_a_body_is_driven_to_its_end(tmp_path: Path) -> None:
    with Rig(tmp_path, add, bodies={"chain": chain}) as rig:
        handle = over(rig.drive("chain", {"x": 1}))
        assert value(handle) == 3
        assert handle.outputs == {"output": "3"}
        assert rig.record(handle.id).name == "chain"
        assert rig.host.stopped == {handle.id: "over"}


def test_calls_are_taken_in_together(tmp_path: Path) -> None:
    with Rig(tmp_path, add, bodies={"fan": fan}) as rig:
        handle = over(rig.drive("fan", {"x": 50}))
        assert value(handle) == sum(range(1, 51))
        kinds = [row.kind for row in rig.records.rows(handle.id)]
        assert kinds.count("graph_extended") == 1


def test_a_handle_may_be_returned_before_it_is_over(tmp_path: Path) -> None:
    with Rig(tmp_path, add, bodies={"lazy": lazy}) as rig:
        assert value(over(rig.drive("lazy", {"x": 1}))) == 3


def test_a_body_calls_a_body(tmp_path: Path) -> None:
    with Rig(tmp_path, add, bodies={"outer": outer, "inner": inner}) as rig:
        handle = over(rig.drive("outer", {"x": 1}))
        assert value(handle) == {"c": 4, "b": 3}
        assert handle.outputs == {"c": "4", "b": "3"}
        assert set(rig.statuses(handle.id)) == {"one", "inner", "inner/one", "one-2"}


def test_a_failure_is_raised_where_it_is_waited_for(tmp_path: Path) -> None:
    def careful(do: Steps) -> Script:
        with pytest.raises(CallFailedError):
            yield do.call("boom")
        return "fine"

    def careless(do: Steps) -> Script:
        yield do.call("boom")

    with Rig(tmp_path, add, bodies={"careful": careful, "careless": careless}) as rig:
        unmet = over(rig.drive("careful"))
        assert unmet.status == "failed"  # the double names no failure as met
        failed = over(rig.drive("careless"))
        assert failed.error is not None
        assert (failed.status, failed.error.node_id) == ("failed", "boom")


def send(rig: Rig, execution: str, name: str, text: str) -> None:
    """As another process would."""
    with closing(Reader(SqliteRecords(rig.home), rig.blobs)) as reader:
        reader.send_signal(execution, name, text)


def test_a_body_that_gives_what_another_gave_gives_its_outputs(tmp_path: Path) -> None:
    def passing(do: Steps) -> Script:
        return (yield do.start("outer", 1, kind=NodeKind.SCOPE))

    with Rig(tmp_path, add, bodies={"passing": passing, "outer": outer, "inner": inner}) as rig:
        handle = over(rig.drive("passing"))
        assert (value(handle), handle.outputs) == ({"c": 4, "b": 3}, {"c": "4", "b": "3"})
        (called,) = (node for node in rig.view(handle.id).nodes if node.id == "outer")
        assert [(output.name, output.text) for output in called.outputs] == [("c", "4"), ("b", "3")]


def test_equal_specs_are_one_whoever_names_them(tmp_path: Path) -> None:
    spec = NodeSpec(component="one", entry="one")
    with Rig(tmp_path, add, bodies={"outer": outer, "inner": inner}) as rig:
        handle = over(rig.drive("outer", {"x": 1}, specs=(NodeSpec(component="handler"), spec)))
        assert value(handle) == {"c": 4, "b": 3}
        graphs = [event_from(row.kind, row.body) for row in rig.records.rows(handle.id) if row.kind == "graph_extended"]
        named = [spec.component for graph in graphs if isinstance(graph, GraphExtended) for spec in graph.specs]
        assert named == ["handler", "one", "inner"]


def test_a_component_found_late_has_code_of_its_own(tmp_path: Path) -> None:
    def calls_late(do: Steps) -> Script:
        return (yield do.call("late", 1, spec=NodeSpec(component="late", entry="late", code="v2")))

    def code_of(version: str) -> CodeRef:
        return CodeRef(version=version, bundle_path="", interpreter="", working_dir="")

    def act(lane: Lane, run: NodeRun) -> object:
        return lane.code.version

    with Rig(tmp_path, act, bodies={"calls_late": calls_late}, code_of=code_of) as rig:
        assert value(over(rig.drive("calls_late"))) == "v2"


def test_what_a_body_only_looked_at_is_told_apart(tmp_path: Path) -> None:
    def looking(do: Steps) -> Script:
        a = yield do.start("one", 1)
        yield do.wait(a)
        return (yield do.call("two", forced=(a.node,)))

    with Rig(tmp_path, add, bodies={"looking": looking}) as rig:
        handle = over(rig.drive("looking"))
        two = rig.view(handle.id).nodes[1]
        assert (two.parents, two.forced) == (("one",), ("one",))


def test_a_platform_that_nobody_serves_fails_the_call(tmp_path: Path) -> None:
    def far(do: Steps) -> Script:
        yield do.call("far", spec=NodeSpec(component="far", entry="far", platform="moon"))

    with Rig(tmp_path, add, bodies={"far": far}, platforms=("local",)) as rig:
        handle = over(rig.drive("far"))
        assert handle.error is not None
        assert "'moon' cannot be used yet" in handle.error.message


def test_without_a_host_nothing_is_recorded(tmp_path: Path) -> None:
    def no_host(execution: str, code: CodeRef | None) -> Host:
        raise ConflictError("not here")

    with Rig(tmp_path, add, hosts=no_host) as rig:
        handle = rig.drive("chain")
        assert isinstance(handle.fault, ConflictError)
        assert rig.records.page()[1] == 0


# -- history ---------------------------------------------------------------------------------------


def calls_of(rig: Rig) -> list[str]:
    """What the host was told of the past, call by call."""
    pages = [page for what, page in rig.host.heard if what == "page"]
    return [past.node.id for page in pages for past in page.past if isinstance(past, PastCall)]


def told(rig: Rig) -> bool:
    return any(what == "page" and page.last for what, page in list(rig.host.heard))


def test_a_body_is_opened_again_with_its_history(tmp_path: Path) -> None:
    with Rig(tmp_path, add, hold=True, bodies={"outer": outer, "inner": inner}) as rig:
        handle = rig.drive("outer", {"x": 1})
        rig.dispatch.let_one_go("one")
        rig.dispatch.let_one_go("inner/one")
        wait_until(lambda: [run.node for _, run in rig.dispatch.waiting] == ["one-2"], "it does not come so far")
        rig.restart(add)
        again = over(rig.conductor.adopt(handle.id))
        assert value(again) == {"c": 4, "b": 3}
        assert calls_of(rig)[:3] == ["one", "inner", "one-2"]
        assert sorted(node for node, _ in rig.dispatch.begun) == ["one-2"]


def test_a_body_in_the_middle_goes_on_in_its_scope(tmp_path: Path) -> None:
    with Rig(tmp_path, add, hold=True, bodies={"outer": outer, "inner": inner}) as rig:
        handle = rig.drive("outer", {"x": 1})
        rig.dispatch.let_one_go("one")
        until_node(rig, handle.id, "inner/one", NodeStatus.QUEUED)
        rig.restart(add)
        assert value(over(rig.conductor.adopt(handle.id))) == {"c": 4, "b": 3}
        opened = [what.scope for kind, what in rig.host.heard if kind == "open"]
        assert opened == ["", "inner"]


def many(do: Steps, x: int) -> Script:
    total = 0
    for i in range(x):
        assert (yield do.decide("now", i)) == i
        total += yield do.call("one", i)
    yield do.call("go", kind=NodeKind.SIGNAL, signal="go")
    return total


def test_history_comes_in_pages_with_decisions_where_they_were(tmp_path: Path) -> None:
    count = 1_300
    with Rig(tmp_path, add, bodies={"many": many}) as rig:
        handle = rig.drive("many", {"x": count})
        until_node(rig, handle.id, "go", NodeStatus.RUNNING)
        rig.restart(add)
        again = rig.conductor.adopt(handle.id)
        wait_until(lambda: told(rig), "its history was not told to the end")
        send(rig, handle.id, "go", "1")
        assert value(over(again)) == sum(range(1, count + 1))
        pages = [page for what, page in rig.host.heard if what == "page"]
        assert [len(page.past) for page in pages] == [1000, 1000, 601]
        assert [page.last for page in pages] == [False, False, True]
        assert sum(len(page.ended) for page in pages) == count


def test_a_body_that_was_let_go_is_opened_again_when_it_is_needed(tmp_path: Path) -> None:
    with Rig(tmp_path, add, hold=True, bodies={"chain": chain}) as rig:
        handle = rig.drive("chain", {"x": 1})
        rig.dispatch.wait_for(1)
        rig.host.evict(handle.id, "")
        rig.dispatch.let_go()
        until_node(rig, handle.id, "one", NodeStatus.COMPLETED)
        rig.host.link.reopen(handle.id, "")
        assert value(over(handle)) == 3
        assert calls_of(rig) == ["one"]


# -- ends ------------------------------------------------------------------------------------------


def test_a_cancel_stops_the_bodies_and_what_comes_late_is_nobodys(tmp_path: Path) -> None:
    with Rig(tmp_path, add, hold=True, bodies={"chain": chain}) as rig:
        handle = rig.drive("chain", {"x": 1})
        rig.dispatch.wait_for(1)
        over(rig.conductor.cancel(handle.id))
        assert rig.host.stopped == {handle.id: "over"}
        last = rig.record(handle.id).seq
        rig.host.link.feed(handle.id, GraphExtended((), scope="", driven=True), None)
        rig.dispatch.let_go()
        assert value(over(rig.drive("chain", {"x": 1}))) == 3
        assert rig.record(handle.id).seq == last


def test_the_body_of_a_scope_that_was_given_up_ends(tmp_path: Path) -> None:
    def impatient(do: Steps) -> Script:
        bounds = ScopeSettings(timeout=0.001)
        called = yield do.start("asking", kind=NodeKind.SCOPE, bounds=bounds)
        try:
            yield do.wait(called)
        except CallFailedError as late:
            return late.ended.status

    def busy(do: Steps) -> Script:
        yield do.call("one")

    bodies = {"impatient": impatient, "asking": busy}
    with Rig(tmp_path, add, hold=True, bodies=bodies) as rig:
        over(rig.drive("impatient", settings=Settings(error_handler="continue")))
        assert ("stop", "the pipeline was given up") in rig.host.heard


def test_a_host_is_stopped_when_an_interrupted_execution_is_at_rest(tmp_path: Path) -> None:
    with Rig(tmp_path, add, hold=True, bodies={"chain": chain}) as rig:
        handle = rig.drive("chain", {"x": 1})
        rig.dispatch.wait_for(1)
        rig.conductor.interrupt(handle.id, kill=True)
        assert over(handle).status == "paused"
        assert rig.host.stopped == {handle.id: "interrupted"}
        rig.dispatch.let_go()
        assert value(over(rig.conductor.adopt(handle.id))) == 3


# -- what comes from outside -----------------------------------------------------------------------


def asking(do: Steps) -> Script:
    return (yield do.call("answer", kind=NodeKind.SIGNAL, signal="answer"))


def test_a_signal_reaches_the_body_that_waits_for_it(tmp_path: Path) -> None:
    with Rig(tmp_path, add, bodies={"asking": asking}) as rig:
        handle = rig.drive("asking")
        until_node(rig, handle.id, "answer", NodeStatus.RUNNING)
        send(rig, handle.id, "answer", '{"ok": true}')
        assert value(over(handle)) == {"ok": True}
        with pytest.raises(ConflictError, match="already ended"):
            send(rig, handle.id, "answer", "1")


def test_a_signal_waits_in_the_inbox_until_somebody_resumes(tmp_path: Path) -> None:
    with Rig(tmp_path, add, bodies={"asking": asking}) as rig:
        handle = rig.drive("asking")
        until_node(rig, handle.id, "answer", NodeStatus.RUNNING)
        rig.conductor.stop()
        send(rig, handle.id, "answer", "7")
        rig.restart()
        assert value(over(rig.conductor.adopt(handle.id))) == 7
        assert inbox(rig) == 0


def test_a_side_effect_is_carried_out_by_the_body(tmp_path: Path) -> None:
    def effect(do: Steps) -> Script:
        handle = yield do.start("note", kind=NodeKind.SIDE_EFFECT)
        yield do.ended(handle, 5)
        yield do.ended(handle, 6)  # too late
        return (yield do.wait(handle))

    with Rig(tmp_path, add, bodies={"effect": effect}) as rig:
        assert value(over(rig.drive("effect"))) == 5


def test_the_items_of_a_generator_reach_the_body_while_it_runs(tmp_path: Path) -> None:
    def reading(do: Steps) -> Script:
        numbers = yield do.start("numbers", spec=NodeSpec(component="numbers", entry="numbers", generator=True))
        return (yield do.wait(numbers))

    def count(lane: Lane, run: NodeRun) -> object:
        yield from range(3)

    with Rig(tmp_path, count, bodies={"reading": reading}) as rig:
        assert value(over(rig.drive("reading"))) == [0, 1, 2]
        given = [(what.start, list(what.texts)) for kind, what in rig.host.heard if kind == "items"]
        assert given == [(0, ["0"]), (1, ["1"]), (2, ["2"])]


def test_the_hash_of_a_call_is_told(tmp_path: Path) -> None:
    def hashing(do: Steps) -> Script:
        handle = yield do.start("one", 1)
        yield do.wait(handle)
        return (yield do.hash(handle))

    with Rig(tmp_path, add, bodies={"hashing": hashing}) as rig:
        assert value(over(rig.drive("hashing"))) == "hash of one"


def test_what_a_body_prints_is_a_log_of_the_execution(tmp_path: Path) -> None:
    with Rig(tmp_path, add, hold=True, bodies={"chain": chain}) as rig:
        handle = rig.drive("chain", {"x": 1})
        rig.dispatch.wait_for(1)
        rig.host.link.log(handle.id, [BodyLog(1.0, "info", "stdout", "hello")])
        rig.dispatch.let_go()
        over(handle)
        (line,) = rig.records.logs(handle.id)
        assert (line.message, line.node_id) == ("hello", None)


# -- executions of their own -------------------------------------------------------------------------


def parent(do: Steps, x: int) -> Script:
    handle = yield do.start("chain", x, kind=NodeKind.DETACHED)
    return (yield do.wait(handle))


def test_a_detached_call_is_an_execution_of_its_own(tmp_path: Path) -> None:
    with Rig(tmp_path, add, bodies={"parent": parent, "chain": chain}) as rig:
        handle = over(rig.drive("parent", {"x": 1}))
        assert value(handle) == 3
        child = rig.record(detached_id(handle.id, "chain"))
        assert (child.name, child.status) == ("chain", "completed")


def in_a_hurry(do: Any) -> Generator[Any, Any, Any]:
    """What it starts is over before its own last words are written."""
    yield do.start("nothing", kind=NodeKind.DETACHED)
    return 1


def nothing(do: Any) -> Generator[Any, Any, Any]:
    yield from ()
    return 2


def test_an_execution_that_another_one_ends_is_over_in_the_journal_first(tmp_path: Path) -> None:
    with Rig(tmp_path, add, bodies={"in_a_hurry": in_a_hurry, "nothing": nothing}) as rig:
        for _ in range(20):
            handle = over(rig.drive("in_a_hurry"))
            assert (handle.status, rig.record(handle.id).status) == ("completed", "completed")


def test_a_detached_execution_is_found_again(tmp_path: Path) -> None:
    with Rig(tmp_path, add, hold=True, bodies={"parent": parent, "chain": chain}) as rig:
        handle = rig.drive("parent", {"x": 1})
        rig.dispatch.wait_for(1)
        rig.restart(add)
        assert value(over(rig.conductor.adopt(handle.id))) == 3
        assert len(rig.records.page()[0]) == 2


def test_a_detached_execution_that_was_over_meanwhile_gives_its_result(tmp_path: Path) -> None:
    with Rig(tmp_path, add, hold=True, bodies={"parent": parent, "chain": chain}) as rig:
        handle = rig.drive("parent", {"x": 1})
        rig.dispatch.wait_for(1)
        rig.restart(add)
        assert value(over(rig.conductor.adopt(detached_id(handle.id, "chain")))) == 3
        assert value(over(rig.conductor.adopt(handle.id))) == 3


def test_a_detached_failure_is_the_failure_of_the_call(tmp_path: Path) -> None:
    def fails(do: Steps, x: int) -> Script:
        yield do.call("boom")

    with Rig(tmp_path, add, bodies={"parent": parent, "chain": fails}) as rig:
        handle = over(rig.drive("parent", {"x": 1}))
        assert handle.error is not None
        assert (handle.error.node_id, handle.error.message) == ("chain", "boom")


# -- again after a failure ---------------------------------------------------------------------------


def rerun(rig: Rig, failed: Handle, inputs: dict[str, Any] | None = None) -> Handle:
    old = earlier(Recorded(rig.records, failed.id, rig.blobs))
    assert old.body is not None
    given = inputs or {name: json.loads(text) for name, text in old.inputs.items()}
    return over(rig.drive(old.body, given, replay_of=old.execution, kept=old.kept))


def shaky(do: Steps, x: int) -> Script:
    yield do.call("wait", kind=NodeKind.SLEEP, wait=0.001)
    asked = yield do.call("answer", kind=NodeKind.SIGNAL, signal="answer")
    a = yield do.call("one", x)
    b = yield do.call("one", asked)
    c = yield do.start("inner", a, kind=NodeKind.SCOPE)
    d = yield do.call("two", c)
    return [a, b, d]


def dozing(do: Steps, x: int) -> Script:
    """More calls than one event takes in without a pause, all made before the first of them is heard."""
    made = []
    for _ in range(x):
        nap = yield do.start("sleep", kind=NodeKind.SLEEP, wait=0.001)
        made.append(nap)
    yield do.wait(*made)
    return (yield do.call("one", x))


def test_waits_that_are_kept_are_there_when_they_are_brought(tmp_path: Path) -> None:
    """An event of many nodes is taken in by and by; but what a body says is heard so few words at a time, each with
    one call, that whoever brings what is known of these nodes finds them all."""
    count = _SAID_AT_ONCE + 300
    assert WORDS_AT_ONCE < _SAID_AT_ONCE
    with Rig(tmp_path, add, bodies={"dozing": dozing}) as rig:
        again = rerun(rig, over(rig.drive("dozing", {"x": count})))
        assert value(again) == count + 1
        rows = rig.records.rows(again.id)
        graphs = [event_from(row.kind, row.body) for row in rows if row.kind == "graph_extended"]
        assert max(len(graph.nodes) for graph in graphs if isinstance(graph, GraphExtended)) <= WORDS_AT_ONCE
        kept = [node for node in rig.view(again.id).nodes if node.kind == "sleep" and node.reused_from is not None]
        assert len(kept) == count


def test_a_replay_keeps_the_calls_that_ask_for_the_same(tmp_path: Path) -> None:
    def fails(lane: Lane, run: NodeRun) -> object:
        if lane.settings.component == "two":
            raise ValueError("not yet")
        return add(lane, run)

    with Rig(tmp_path, fails, bodies={"shaky": shaky, "inner": inner}) as rig:
        handle = rig.drive("shaky", {"x": 1})
        send(rig, handle.id, "answer", "5")
        assert over(handle).status == "failed"
        rig.restart(add)
        again = rerun(rig, handle)
        assert value(again) == [2, 6, 4]
        assert [node for node, _ in rig.dispatch.begun] == ["two"]
        rig.dispatch.begun.clear()
        other = rerun(rig, handle, {"x": 2})
        assert value(other) == [3, 6, 5]
        assert [node for node, _ in rig.dispatch.begun] == ["one", "inner/one", "two"]
        reused = {node.id for node in rig.view(other.id).nodes if node.reused_from}
        assert reused == {"wait", "answer", "one-2"}


@pytest.mark.parametrize("kind", [NodeKind.TASK, NodeKind.SCOPE, NodeKind.DETACHED])
def test_an_argument_that_is_not_there_fails_the_call(tmp_path: Path, kind: NodeKind) -> None:
    """Whatever is called; the body is told, and can do something about it."""
    told = []

    def mistaken(do: Steps) -> Script:
        a = yield do.start("one", 1)
        try:
            yield do.call("chain", Called(a.node, "nope"), kind=kind)
        except CallFailedError as failed:
            told.append(failed.ended)
            raise

    with Rig(tmp_path, add, bodies={"mistaken": mistaken, "chain": chain}) as rig:
        handle = over(rig.drive("mistaken"))
        assert (handle.fault, handle.status) == (None, "failed")
        assert rig.record(handle.id).status == "failed"
        assert rig.statuses(handle.id)["chain"] is NodeStatus.FAILED
    (ended,) = told
    assert ended.error is not None
    assert (ended.node, ended.error.error_type) == ("chain", "ValueMissingError")
    assert ended.error.message == "one gave no output 'nope'; it gave output"
