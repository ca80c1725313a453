"""How a conductor serves the bodies of pipelines, with bodies that are generators."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bodies import CallFailed, Steps
from tests.support.conducting import Rig, args, over, value
from twingraph.core.bodies import PastCall
from twingraph.core.plan import NodeKind, NodeSpec
from twingraph.dispatch.base import Lane, NodeRun

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
        handles.append((yield do.start("one", i)))
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
        with pytest.raises(CallFailed):
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
