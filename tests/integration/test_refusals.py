"""What a refusal must not cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from twingraph import Workflow, component, wiring
from twingraph.errors import ValidationError


@component
def nap(seconds: float) -> float:
    import time

    time.sleep(seconds)
    return seconds


def test_code_that_cannot_run_does_not_end_what_it_should_resume(home: Path) -> None:
    runtime = wiring.runtime(str(home))
    compiled = Workflow("naps").add_component("nap", nap).compile()
    handle = runtime.submit(compiled, {"seconds": 60.0})
    runtime.interrupt(handle.id, kill=True)
    assert handle.wait(20)
    away = Workflow("naps").add_component("nap", nap, platform="docker").compile()
    with pytest.raises(ValidationError, match="docker"):
        runtime.resume(handle.id, code="current", compiled=away)
    assert wiring.open_reader(str(home)).record(handle.id).status == "paused"
