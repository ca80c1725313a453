"""Two processes that resume one execution at the same moment: one goes on with it, the other attaches to that."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from twingraph import Workflow, component, wiring
from twingraph.core.statuses import ExecutionStatus
from twingraph.engine.handle import Handle
from twingraph.engine.reader import Followed
from twingraph.settings import load
from twingraph.wiring import Runtime


@component
def wait_for(file: str) -> str:
    while not Path(file).exists():
        time.sleep(0.01)
    return Path(file).read_text()


def test_who_comes_too_late_to_take_it_over_attaches(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "come"
    first = wiring.runtime(str(home))
    compiled = Workflow("waits").add_component("wait", wait_for).compile()
    stopped = first.submit(compiled, {"file": str(file)})
    first.interrupt(stopped.id, kill=True)
    assert stopped.wait(20)
    second = Runtime(load({"home": str(home)}))
    adopt = second.conductor.adopt

    def adopt_too_late(execution: str) -> Handle:
        going_on = first.resume(execution)
        assert isinstance(going_on, Handle)
        assert going_on.wait_recorded(20)
        return adopt(execution)

    monkeypatch.setattr(second.conductor, "adopt", adopt_too_late)
    try:
        attached = second.resume(stopped.id)
        assert isinstance(attached, Followed)
        assert not attached.wait(0)
        file.write_text("here")
        assert attached.wait(20)
        assert attached.status is ExecutionStatus.COMPLETED
        assert not second.unfinished()
    finally:
        second.close()
