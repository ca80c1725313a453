"""Plans of recorded code: made once in a process of their own, which the author's code cannot harm or hold up."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import time
from pathlib import Path

import pytest

from twingraph import Workflow, component, pipeline, wiring
from twingraph.core.errors import TwinGraphError
from twingraph.core.static_plan import ActualNode, overlay
from twingraph.dispatch.base import CodeRef
from twingraph.engine import plans
from twingraph.sdk import packing
from twingraph.store.blobs.memory import MemoryBlobs
from twingraph.store.home import Home
from twingraph.store.sqlite.records import SqliteRecords

# Their own time limits end them where a plan goes on.
FAIL_EARLY = ("timeout_block", "cancelled_task")
# What closes an async generator that was left early is called by the loop, on no way of the plan.
CLOSED_LATER = ("left_generators",)


@component
def load(day: int) -> list[int]:
    return list(range(day))


@component
def work(item: int) -> int:
    return item


@pipeline
def flow(day: int) -> list[int]:
    found = load(day)
    if len(found) > 10:
        work(0)
    return [work(item) for item in found]


def test_an_execution_has_the_plan_of_its_code_and_it_is_made_once(home: Path) -> None:
    assert flow(3) == [0, 1, 2]
    reader = wiring.open_reader(str(home))
    execution = reader.resolve("last")
    plan = reader.plan(execution)
    assert plan is not None
    assert [node.component for node in plan.nodes] == ["load", "work", "for each of load", "work"]
    with contextlib.closing(Home(home).open()) as opened, contextlib.closing(SqliteRecords(opened)) as records:
        again = plans.plan_of(records, MemoryBlobs(), execution, make=lambda *_: pytest.fail("made twice"))
    assert again == plan
    assert reader.plan(execution) == plan
    reader.close()


@pytest.mark.parametrize("module", ["flow", "asynchronous"])
def test_what_pipelines_call_is_in_their_plans(home: Path, module: str) -> None:
    """Whatever ran was planned or stands in a region, and what always runs ran."""
    reader = None
    amiss = {}
    for case in importlib.import_module(f"tests.pipelines.table.{module}").CASES:
        if case.signals or case.answers or case.name in (*FAIL_EARLY, *CLOSED_LATER):
            continue
        execution = case.run.submit(**case.inputs)
        with contextlib.suppress(Exception):
            execution.result(timeout=20)
        reader = reader or wiring.open_reader(str(home))
        actual = [
            ActualNode(id=node.id, component=node.component, status=str(node.status), place=node.place)
            for node in reader.view(execution.id).nodes
        ]
        rows = overlay(case.run.compile(), actual)
        sure = [row.planned is not None and row.planned.conditional is None and row.region is None for row in rows]
        wrong = [
            (row.id, row.what)
            for row, certain in zip(rows, sure, strict=True)
            if row.what == "unplanned" or (row.what == "not_run" and certain)
        ]
        if wrong:
            amiss[case.name] = wrong
    assert amiss == {}
    assert reader is not None
    reader.close()


def test_a_drawn_workflow_has_none(home: Path) -> None:
    assert Workflow("w").add_component("load", load).run(day=1) == [0]
    reader = wiring.open_reader(str(home))
    assert reader.plan(reader.resolve("last")) is None
    reader.close()


def recorded(tmp_path: Path, text: str) -> CodeRef:
    """A bundle whose module says this as it is loaded."""
    packed = json.loads(packing.pack_bodies({"flow": flow}).body or packing.pack_bodies({"flow": flow}).data)
    for module in packed["modules"].values():
        module["text"] = (
            text + module["text"] if module["text"].count("from __future__") == 0 else module["text"] + text
        )
    path = tmp_path / "bodies.json"
    path.write_text(json.dumps(packed))
    return CodeRef(
        version="v", bundle_path="", body_path=str(path), interpreter=sys.executable, working_dir=str(tmp_path),
        sys_path=tuple(sys.path), description="",
    )  # fmt: skip


def test_code_that_hangs_is_ended(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(TwinGraphError, match="took longer than 1 s"):
        plans.make_in_process(recorded(tmp_path, "\nimport time\ntime.sleep(60)\n"), "flow", seconds=1)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\nraise ValueError('broken')\n", "ValueError: broken"),
        ("\nimport os\nos._exit(3)\n", "ended without a word"),
        ("\nraise SystemExit('bye')\n", "SystemExit: bye"),
    ],
)
def test_code_that_does_not_load_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(TwinGraphError, match=told):
        plans.make_in_process(recorded(tmp_path, text), "flow")


def test_a_body_that_was_not_recorded_is_told(tmp_path: Path) -> None:
    with pytest.raises(TwinGraphError, match="other was not recorded"):
        plans.make_in_process(recorded(tmp_path, "\n"), "other")
