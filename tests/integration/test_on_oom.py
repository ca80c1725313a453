"""An attempt that runs out of memory is followed by one that may use more, where the policy says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from twingraph import Workflow, component, current, wiring
from twingraph.core.execution import NodeView
from twingraph.settings import load

MB = 1_000_000
GROWS = {"max_attempts": 4, "initial_delay": 0.01, "on_oom": {"memory": "x3", "max_memory": "1G"}}


@component(resources={"memory": "120M"}, retry_policy=GROWS)
def hungry(megabytes: int) -> int:
    import time

    held = b"x" * (megabytes * 1_000_000)
    time.sleep(60 if current().attempt == 1 else 1.5)  # the first, until it is ended for what it holds
    return len(held) // 1_000_000


@component(resources={"memory": "120M"}, retry_policy={**GROWS, "on_oom": {"max_memory": "130M"}})
def insatiable(megabytes: int) -> int:
    import time

    held = b"x" * (megabytes * 1_000_000)
    time.sleep(60)  # until it is ended for what it holds
    return len(held)


def carried_out(home: Path, what: object, megabytes: int) -> NodeView:
    runtime = wiring.runtime(settings=load({"home": str(home), "workers": 1}))
    handle = runtime.submit(Workflow("w").add_component("n", what).compile(), {"megabytes": megabytes})
    assert handle.wait(60)
    return wiring.open_reader(str(home)).view(handle.id).nodes[0]


@pytest.mark.timeout(90)
def test_the_next_attempt_may_use_more(home: Path) -> None:
    node = carried_out(home, hungry, 220)
    assert node.status == "completed", node.error
    assert [(one.status, one.memory_limit) for one in node.attempts] == [("oom", 120 * MB), ("completed", 360 * MB)]
    assert (node.attempts[1].memory or 0) > 200 * MB


@pytest.mark.timeout(90)
def test_what_may_use_no_more_is_not_tried_again(home: Path) -> None:
    node = carried_out(home, insatiable, 300)
    assert (node.status, node.error.code if node.error else None) == ("failed", "oom")
    assert [one.memory_limit for one in node.attempts] == [120 * MB, 130 * MB]
