from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from twingraph.core.errors import SecretUnavailable
from twingraph.dispatch.base import CodeRef, Lane, NodeRun, Outcome, Report, Returned, RunSettings
from twingraph.dispatch.secrets.lookup import Secrets
from twingraph.dispatch.secrets.resolving import Resolving

CODE = CodeRef(version="1", bundle_path="", interpreter="", working_dir="")


class Inner:
    """The dispatch behind: notes what it is given."""

    def __init__(self) -> None:
        self.lanes: list[Lane] = []
        self.said: list[tuple[str, Any]] = []

    async def start(self, report: Callable[[Report], None]) -> None:
        return

    def submit(self, lane: Lane) -> None:
        self.lanes.append(lane)

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        self.said.append(("recall", nodes))

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        self.said.append(("cancel", nodes))

    async def stop(self) -> None:
        self.said.append(("stop", None))


class Slow:
    """A provider that answers when the test lets it."""

    name = "vault"
    waits = True

    def __init__(self) -> None:
        self.gate = threading.Event()

    def find(self, name: str) -> str | None:
        assert self.gate.wait(10)
        if name == "AWAY":
            raise SecretUnavailable("the vault is away")
        return {"SLOW": "slow-value"}.get(name)

    read = find

    def remedy(self, name: str) -> str:
        return f"put {name} there"

    def check(self) -> str:
        return "there"


class Quick(Slow):
    name = "env"
    waits = False
    values = {"A": "value-a", "QUOTED": 'a "b" \\', "ZERO": "a\0b", "BROKEN": "a\udc80b"}  # noqa: RUF012

    def find(self, name: str) -> str | None:
        return self.values.get(name)

    read = find


class Bench:
    def __init__(self) -> None:
        self.inner = Inner()
        self.slow = Slow()
        self.reports: list[Report] = []
        self.dispatch = Resolving(self.inner, lambda: Secrets([Quick(), self.slow]))

    def submit(self, args: dict[str, str], **settings: Any) -> Lane:
        """One run for each argument."""
        runs = [NodeRun(node, 1, [("x", text)]) for node, text in args.items()]
        settings = {"component": "c", "entry": "c", **settings}
        lane = Lane(number=1, execution="e", code=CODE, settings=RunSettings(**settings), runs=runs)
        self.dispatch.submit(lane)
        return lane

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.005)

    def failures(self) -> dict[str, tuple[str, str, bool]]:
        ends = [report for report in self.reports if isinstance(report, Outcome) and report.error]
        return {end.node: (end.error.code, end.error.message, end.error.permanent) for end in ends if end.error}


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    await made.dispatch.start(made.reports.append)
    return made


async def test_a_lane_without_secrets_passes_as_it_is(bench: Bench) -> None:
    lane = bench.submit({"a": '"text $5"'})
    assert bench.inner.lanes[0] is lane


async def test_values_are_filled_in_at_once(bench: Bench) -> None:
    bench.submit(
        {"a": '"x${secret:A}"', "b": '["${secret:QUOTED}","$${secret:A}"]', "c": "1"},
        environment={"E": "e-${secret:A}"},
        options='{"p":"${secret:QUOTED}"}',
        platform_config={"volumes": ["${secret:A}"]},
    )
    (lane,) = bench.inner.lanes
    assert [text for run in lane.runs for _, text in run.args] == [
        '"xvalue-a"', '["a \\"b\\" \\\\","${secret:A}"]', "1",
    ]  # fmt: skip
    assert lane.settings.environment == {"E": "e-value-a"}
    assert lane.settings.options == '{"p":"a \\"b\\" \\\\"}'
    assert lane.settings.platform_config == {"volumes": ["value-a"]}
    assert set(lane.secrets) == {"value-a", 'a "b" \\'}
    assert "value-a" not in repr(lane)


async def test_only_the_run_that_names_an_unknown_secret_fails(bench: Bench) -> None:
    bench.slow.gate.set()
    bench.submit({"a": '"${secret:NOBODY}"', "b": '"${secret:A}"', "c": '"${secret:"'})
    await bench.until(lambda: len(bench.failures()) == 2)
    assert [run.node for lane in bench.inner.lanes for run in lane.runs] == ["b"]
    code, message, permanent = bench.failures()["a"]
    assert (code, permanent) == ("invalid_input", True)
    assert "'NOBODY' is not known" in message
    assert "not a reference" in bench.failures()["c"][1]


@pytest.mark.parametrize(("name", "why"), [("ZERO", "zero byte"), ("BROKEN", "not text in UTF-8")])
async def test_what_no_variable_can_hold_is_refused(bench: Bench, name: str, why: str) -> None:
    bench.submit({"a": "1", "b": "2"}, environment={"E": f"${{secret:{name}}}"})
    await bench.until(lambda: len(bench.failures()) == 2)
    assert all(why in message and permanent for _, message, permanent in bench.failures().values())


async def test_a_vault_that_is_away_is_no_mistake_of_the_author(bench: Bench) -> None:
    bench.slow.gate.set()
    bench.submit({"a": '"${secret:AWAY}"'})
    await bench.until(lambda: bool(bench.failures()))
    assert bench.failures()["a"] == ("secret_unavailable", "a could not be started: the vault is away", False)


async def test_what_has_to_be_waited_for_can_be_taken_back(bench: Bench) -> None:
    bench.submit(dict.fromkeys("abc", '"${secret:SLOW}"'))
    assert bench.inner.lanes == []
    bench.dispatch.recall("e", ["a"])
    bench.dispatch.cancel("e", ["b"])
    bench.slow.gate.set()
    await bench.until(lambda: bool(bench.inner.lanes))
    assert [run.node for run in bench.inner.lanes[0].runs] == ["c"]
    assert [report.runs for report in bench.reports if isinstance(report, Returned)] == [[("a", 1)]]
    assert bench.failures()["b"][0] == "cancelled"
    assert bench.inner.said == [("recall", ["a"]), ("cancel", ["b"])]


async def test_built_in_components_are_given_no_secrets(bench: Bench) -> None:
    lane = bench.submit({"a": '"${secret:A}"'}, entry="builtin:branch")
    assert bench.inner.lanes == [lane]


async def test_nothing_is_handed_on_after_the_end(bench: Bench) -> None:
    bench.submit({"a": '"${secret:SLOW}"'})
    await bench.dispatch.stop()
    bench.slow.gate.set()
    await asyncio.sleep(0.05)
    assert bench.inner.lanes == []
