"""The engine inside a test: chosen outcomes, time by hand, signals, crashes, and errors that say how to go on."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from twingraph import Workflow, component, current, gather, now, pipeline, side_effect, sleep, wait_for_signal
from twingraph.errors import ExecutionFailed, ValidationError
from twingraph.testing import Inline, sequence, takes
from twingraph.testing.inline import Waiting


@component
def load(day: str) -> list[int]:
    raise AssertionError(f"nobody loads {day} in a test")


@component
def double(x: int) -> int:
    return 2 * x


@component(retry_policy={"max_attempts": 3, "backoff": "fixed", "initial_delay": 60, "jitter": 0})
def flaky(x: int) -> int:
    return x


@component(timeout=30)
def slow(x: int) -> int:
    return x


@component
def count(n: int) -> Iterator[int]:
    yield from range(n)


@component
async def later(x: int) -> str:
    await asyncio.sleep(0)
    return f"{current().node_id} {x}"


@pipeline
def doubled(day: str) -> list[int]:
    return [double(x) for x in load(day)]


@pipeline
def one(x: int) -> int:
    return flaky(x)


@pipeline
def slowly(x: int) -> int:
    return slow(x)


@pipeline
def approved(days: float = 2) -> Any:
    sleep(days * 86_400)
    return wait_for_signal("approval", timeout=3600)


@pipeline
def asked() -> Any:
    return wait_for_signal("approval")


# -- outcomes ------------------------------------------------------------------------------------------


def test_a_value_stands_for_a_component(inline: Inline) -> None:
    inline.outcomes[load] = [1, 2]
    assert inline(doubled, day="today") == [2, 4]
    assert [run.inputs for run in inline.calls("double")] == [{"x": 1}, {"x": 2}]


def test_outcomes_are_chosen_by_name_too() -> None:
    assert Inline({"load": [3], "double": lambda x: x + 1})(doubled, "today") == [4]


def test_an_exception_is_raised_as_the_components_own() -> None:
    inline = Inline({load: KeyError("no such day")})
    with pytest.raises(KeyError) as raised:
        inline(doubled, "today")
    assert isinstance(raised.value, ExecutionFailed)
    assert raised.value.node_id == "load"


def test_a_class_of_exceptions_is_raised_too() -> None:
    with pytest.raises(TimeoutError):
        Inline({load: TimeoutError})(doubled, "today")


def test_each_attempt_takes_the_next_of_a_sequence() -> None:
    inline = Inline({flaky: sequence(ValueError("busy"), OSError("gone"), 7)})
    assert inline(one, x=1) == 7
    assert [run.attempt for run in inline.calls(flaky)] == [1, 2, 3]
    assert inline.clock.elapsed == 120


def test_a_sequence_that_is_too_short_is_the_tests_mistake() -> None:
    with pytest.raises(AssertionError, match="double ran more often than its sequence of 1 outcomes"):
        Inline({load: [1, 2], double: sequence(5)})(doubled, "today")


def test_a_list_with_an_exception_is_hardly_meant() -> None:
    with pytest.raises(TypeError, match=r"write sequence\(\.\.\.\)"):
        Inline({flaky: [ValueError("busy"), 1]})


def test_a_name_that_no_component_has_is_doubted_once() -> None:
    inline = Inline({"flakey": 3, "double": 4})
    with pytest.warns(UserWarning, match="chosen for 'flakey', and no component is called so; did you mean 'flaky'"):
        assert inline(one, x=2) == 2
    assert inline(one, x=2) == 2  # where warnings are errors


def test_pipelines_have_no_chosen_outcomes() -> None:
    with pytest.raises(TypeError, match="is a pipeline, which runs"):
        Inline({doubled: 1})


def test_an_outcome_can_be_withdrawn(inline: Inline) -> None:
    inline.outcomes[double] = 0
    del inline.outcomes[double]
    assert double not in inline.outcomes
    assert inline(_twice, x=3) == 6


@pipeline
def _twice(x: int) -> int:
    return double(x)


def test_a_value_that_no_worker_could_hand_over_is_refused_here_too() -> None:
    with pytest.raises(ExecutionFailed) as refused:
        Inline({load: threading.Lock()})(doubled, "today")
    assert refused.value.code == "invalid_output"


# -- time --------------------------------------------------------------------------------------------


def test_the_clock_stands_until_it_is_moved(inline: Inline) -> None:
    execution = inline.start(approved)
    execution.advance(86_400)
    assert execution.waiting_for == ["86400 s to pass (sleep)"]
    execution.advance(86_400)
    assert execution.waiting_for == ["the signal 'approval' (wait_for_signal), for 3600 s more"]
    execution.signal("approval", {"by": "Ada"})
    assert execution.result() == {"by": "Ada"}


def test_a_time_limit_passes_as_the_clock_does(inline: Inline) -> None:
    execution = inline.start(approved)
    execution.advance(2 * 86_400 + 3600)
    with pytest.raises(TimeoutError):
        execution.result()


def test_a_delayed_attempt_waits_for_the_clock() -> None:
    inline = Inline({flaky: sequence(ValueError("busy"), 1)})
    execution = inline.start(one, x=1)
    assert execution.waiting_for == ["60 s to pass before flaky runs again"]
    assert execution.nodes["flaky"].status == "retrying"
    inline.clock.advance(59)
    assert not execution.over
    inline.clock.advance(1)
    assert execution.result() == 1


def test_a_run_can_take_its_time() -> None:
    execution = Inline({slow: takes(20, 5)}).start(slowly, x=1)
    assert execution.waiting_for == ["the run of slow to take its time"]
    execution.advance(20)
    assert execution.result() == 5


def test_a_run_beyond_its_time_limit_fails_then() -> None:
    inline = Inline({slow: takes(40, 5)})
    with pytest.raises(TimeoutError, match="time limit of 30 s"):
        inline(slowly, x=1)
    assert inline.clock.elapsed == 30


def test_now_is_the_clocks() -> None:
    inline = Inline(start=datetime(2026, 5, 1, tzinfo=UTC))
    assert inline(_when) == [datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC)]
    assert inline.clock.now == datetime(2026, 5, 2, tzinfo=UTC)


@pipeline
def _when() -> list[datetime]:
    before = now()
    sleep(86_400)
    return [before, now()]


def test_time_is_moved_by_a_timedelta_too(inline: Inline) -> None:
    execution = inline.start(_when)
    execution.advance(timedelta(days=1))
    assert execution.over


def test_what_sleeps_for_ever_is_not_over(inline: Inline) -> None:
    inline.clock.set("never", float("inf"), lambda: pytest.fail("for ever has passed"))
    assert inline.clock.next_due() is None


def test_time_does_not_go_back(inline: Inline) -> None:
    with pytest.raises(ValueError, match="does not go back"):
        inline.clock.advance(-1)


# -- signals -----------------------------------------------------------------------------------------


def test_a_signal_before_the_start_is_kept(inline: Inline) -> None:
    inline.signal("approval", "yes")
    assert inline(asked) == "yes"


def test_what_would_wait_forever_says_for_what_and_how_to_go_on(inline: Inline) -> None:
    with pytest.raises(Waiting) as told:
        inline(asked)
    assert "the signal 'approval' (wait_for_signal)" in str(told.value)
    assert "execution.signal(name, value)" in str(told.value)


def test_a_result_that_needs_time_says_so(inline: Inline) -> None:
    with pytest.raises(Waiting, match=r"let time pass with execution\.advance"):
        inline.start(approved).result()


# -- what runs -----------------------------------------------------------------------------------------


def test_a_workflow_runs_too(inline: Inline) -> None:
    flow = Workflow("flow")
    flow.add_component("twice", double)
    flow.add_component("again", double)
    flow.connect("twice", "again")
    assert inline(flow, x=2) == 8
    assert [run.node for run in inline.runs] == ["twice", "again"]


def test_wrong_inputs_are_told_at_once(inline: Inline) -> None:
    with pytest.raises(ValidationError, match="must be"):
        inline(_twice, x="three")
    with pytest.raises(TypeError, match="day"):
        inline(doubled)


def test_other_things_do_not_run(inline: Inline) -> None:
    with pytest.raises(TypeError, match="a pipeline or a Workflow runs inline"):
        inline(double, x=1)


async def test_it_runs_inside_an_event_loop(inline: Inline) -> None:
    @pipeline
    async def both(x: int) -> list[str]:
        return [await later(x), await later(x + 1)]

    assert inline(both, x=1) == ["later 1", "later-2 2"]


def test_a_generators_items_are_used_while_it_runs(inline: Inline) -> None:
    @pipeline
    def stream() -> list[int]:
        return [double(x) for x in count(3)]

    assert inline(stream) == [0, 2, 4]
    assert [run.component for run in inline.runs] == ["count", "double", "double", "double"]
    kinds = [row.kind for row in inline.records[inline.runs[0].execution].rows]
    assert kinds.index("node_ended") < len(kinds) - 1 - kinds[::-1].index("items_given")


@component(retry_policy={"max_attempts": 2, "initial_delay": 0})
def twice_begun(first: int, second: int) -> Iterator[str]:
    """What it yields tells in which attempt; the first fails in the end."""
    attempt = current().attempt
    yield from (f"{number} of {attempt}" for number in range(first if attempt == 1 else second))
    if attempt == 1:
        raise OSError("once")


@component
def same(x: Any) -> Any:
    return x


@pipeline
def asked_in_all_ways(first: int, second: int) -> list[Any]:
    items: Any = twice_begun(first, second)
    calls = [same(x) for x in items]
    return [[call.result() for call in calls], list(items), same(items), len(items)]


@pytest.mark.parametrize("evict", [False, True])
@pytest.mark.parametrize(
    ("first", "second", "given"),
    [(1, 2, ["0 of 1", "1 of 2"]), (2, 1, ["0 of 1", "1 of 1"]), (0, 1, ["0 of 2"]), (1, 0, ["0 of 1"])],
)
def test_what_a_generator_handed_over_stands(first: int, second: int, given: list[str], evict: bool) -> None:
    found = Inline(evict=evict)(asked_in_all_ways, first=first, second=second)
    assert found == [given, given, given, len(given)]


def test_what_a_generator_handed_over_before_a_kill_stands() -> None:
    inline = Inline()
    execution = inline.start(asked_in_all_ways, first=2, second=3)
    execution.advance(1)
    assert execution.result()[0] == ["0 of 1", "1 of 1", "2 of 2"]
    mixed = set()
    for commits in range(1, len(execution.commits)):
        again = inline.restored(execution, commits)
        again.advance(1)
        calls, items, passed, count = again.result()
        assert calls == items == passed, f"killed after commit {commits}"
        assert count == len(items)
        mixed.add(tuple(items))
        again.world.close()
    inline.close()
    assert {("0 of 2", "1 of 2", "2 of 2"), ("0 of 1", "1 of 2", "2 of 2"), ("0 of 1", "1 of 1", "2 of 2")} <= mixed


def test_a_component_for_elsewhere_runs_here(inline: Inline) -> None:
    @component(platform="docker", docker_image="python:3.9")
    def remote(x: int) -> int:
        return x + 1

    @pipeline
    def flow() -> int:
        return remote(1)

    assert inline(flow) == 2


def test_a_detached_pipeline_is_an_execution_of_its_own(inline: Inline) -> None:
    @pipeline
    def parent() -> int:
        return _twice.options(detached=True)(4) + 1

    assert inline(parent) == 9
    assert len(inline.records) == 2


def test_a_detached_pipeline_has_its_id_at_once_and_outlives_who_began_it(inline: Inline) -> None:
    @pipeline
    def parent() -> Any:
        child: Any = asked.options(detached=True)()
        return child.id

    begun = inline(parent)
    assert inline.record(begun).id == begun
    assert len(inline.records) == 2
    assert inline.life.state(begun).status == "running"  # type: ignore[union-attr]


def test_cancelling_ends_what_takes_its_time() -> None:
    execution = Inline({slow: takes(20)}).start(slowly, x=1)
    execution.cancel()
    assert (execution.status, execution.nodes["slow"].status) == ("cancelled", "cancelled")


# -- crashes -----------------------------------------------------------------------------------------


def test_after_a_crash_it_goes_on_where_it_was(inline: Inline) -> None:
    inline.outcomes[load] = [1, 2]
    execution = inline.start(_careful)
    execution.crash()
    execution.signal("go")
    assert execution.result() == [2, 4]
    assert len(inline.calls(load)) == 1


@pipeline
def _careful() -> list[int]:
    loaded = load("today")
    first = double(loaded[0])
    wait_for_signal("go")
    return [first, double(loaded[1])]


def test_what_was_under_way_at_a_crash_runs_again() -> None:
    inline = Inline({slow: takes(20, 5)})
    execution = inline.start(slowly, x=1)
    execution.crash()
    inline.clock.advance(20)
    assert execution.result() == 5
    assert [run.attempt for run in inline.calls(slow)] == [1, 2]


def test_every_step_can_be_a_replay() -> None:
    inline = Inline({load: [1, 2]}, evict=True)
    inline.signal("go")
    assert inline(_careful) == [2, 4]
    assert len(inline.runs) == 3


def test_references_to_secrets_stay_as_they_are() -> None:
    @component
    def say(text: str) -> str:
        return text

    @pipeline
    def talk() -> list[str]:
        first = say("${secret:A}")
        return [first, say(first), say("$${secret:A}")]

    assert Inline()(talk) == ["${secret:A}"] * 3


@component(cache=True)
def dear(x: int) -> int:
    return x * 2


@pipeline
def dear_twice(x: int) -> list[int]:
    return [dear(x), dear(x)]


def test_what_is_cached_runs_each_time() -> None:
    engine = Inline()
    assert engine(dear_twice, x=2) == [4, 4]
    assert len(engine.runs) == 2


@pipeline
def _starts_others() -> list[Any]:
    with pytest.raises(ValidationError, match="anew on each replay"):
        Workflow("other").add_component("a", double, x=2).run()
    number = side_effect(lambda: Workflow("other").add_component("a", double, x=2).run())
    with pytest.raises(ZeroDivisionError):
        side_effect(lambda: 1 // 0)
    with pytest.raises(ValidationError, match="anew on each replay"):
        Workflow("other").add_component("a", double, x=2).submit()
    return [number, double(2)]


def test_a_body_starts_other_workflows_in_a_side_effect_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr("twingraph.sdk.inprocess.run", lambda workflow, *given: started.append(workflow.name))
    assert Inline(evict=True)(_starts_others) == [None, 4]
    assert started == ["other"]


@component(environment={"SHOP": "test", "PLACE": "$${secret:here}", "TOKEN": "${secret:TOKEN}"})
def told(names: list[str]) -> Iterator[str | None]:
    for name in names:
        yield os.environ.get(name)


@component
def untold(name: str) -> str | None:
    os.environ["SHOP"] = "left behind"
    return os.environ.get(name)


@pipeline
def _told() -> list[Any]:
    heard = [[value, untold("PLACE") is None, os.environ.get("PLACE")] for value in told(["SHOP", "PLACE", "TOKEN"])]
    return [*heard, os.environ.get("SHOP")]


def test_a_component_has_its_environment_and_nobody_else() -> None:
    before = dict(os.environ)
    values = ["test", "${secret:here}", "${secret:TOKEN}"]
    assert Inline()(_told) == [*([value, True, None] for value in values), None]
    assert dict(os.environ) == before


@component(limits={"shop": 1})
def alone(x: int) -> int:
    return x


@component(limits={"shop": 2, "bank": 1}, priority=5)
def urgent(x: int) -> int:
    return x


@pipeline
def _limited() -> list[int]:
    return list(gather(alone(1), alone(2), urgent(3), alone(4)))


@pipeline
def _apart() -> list[Any]:
    return list(gather(_limited.options(detached=True)(), alone(5)))


def test_named_limits_are_granted_and_given_back() -> None:
    inline = Inline({alone: takes(10, 7), urgent: takes(10, 8)})
    execution = inline.start(_limited)
    assert execution.waiting_for == ["the run of urgent to take its time"]  # the others stand in line
    execution.advance(10)
    assert [run.component for run in inline.runs] == ["urgent", "alone"]
    execution.advance(30)
    assert execution.result() == [7, 7, 8, 7]
    assert inline.clock.elapsed == 40


def test_limits_hold_over_executions_and_are_free_after_a_crash() -> None:
    inline = Inline({alone: takes(10, lambda x: x), urgent: takes(10, 3)})
    execution = inline.start(_apart)
    assert len(inline.runs) == 1
    execution.crash()
    execution.advance(0)
    assert len(inline.runs) == 2  # what the first one held died with it
    execution.advance(50)
    assert execution.result() == [[1, 2, 3, 4], 5]
    assert Inline(evict=True)(_limited) == [1, 2, 3, 4]
