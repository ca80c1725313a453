"""What tests see of the Docker engine: through its own command line, past everything that they test."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tools.pythons import find
from tools.services.catalog import service
from tools.services.images import PROBE
from twingraph import Workflow, wiring
from twingraph.core.codec import decode
from twingraph.core.errors import NotFoundError
from twingraph.core.execution import LogRecord, NodeView
from twingraph.engine.handle import Handle
from twingraph.settings import load
from twingraph.store.home import Home
from twingraph.wiring.makers import _place

IMAGE = "python:3.9"
_service = service("docker")
IS_HERE = _service.cannot() is None and _service.installed() and find((3, 9), PROBE) is not None
only_with_docker = pytest.mark.only_where(
    IS_HERE, "needs root, a Python 3.9 and the Docker engine: python -m tools.services install docker"
)


class Engine:
    def __init__(self, surroundings: Mapping[str, str]) -> None:
        self._surroundings = {**os.environ, **surroundings}

    @property
    def surroundings(self) -> Mapping[str, str]:
        return self._surroundings

    @property
    def socket(self) -> str:
        return self._surroundings["DOCKER_HOST"].removeprefix("unix://")

    def ask(self, *words: str) -> str:
        told = subprocess.run(["/usr/bin/docker", *words], env=self._surroundings, capture_output=True, text=True)
        assert told.returncode == 0, told.stderr
        return told.stdout.strip()

    def containers(self, execution: str | None = None, *, running: bool = False) -> list[str]:
        """Names of ours."""
        label = "twingraph.home" if execution is None else f"twingraph.execution={execution}"
        words = ["ps", "--format", "{{.Names}}", "--filter", f"label={label}", *([] if running else ["--all"])]
        return self.ask(*words).split()

    def warm(self, home: Path) -> list[str]:
        """Names of those that serve many runs of this home."""
        place = _place(load({"home": str(home)}), Home(home), Home(home).secret())
        label = f"label=twingraph.home={place}"
        words = ["ps", "--all", "--format", "{{.Names}}", "--filter", "label=twingraph.warm", "--filter", label]
        return self.ask(*words).split()

    def processes(self, name: str) -> int:
        """How many run in it; none where it is gone or going."""
        told = subprocess.run(
            ["/usr/bin/docker", "top", name], env=self._surroundings, capture_output=True, text=True, check=False
        )
        return max(0, len(told.stdout.splitlines()) - 1)

    def gone(self, name: str | None, seconds: float = 20) -> bool:
        """Whether nothing is left of it, soon."""
        assert name
        deadline = time.monotonic() + seconds
        while name in self.ask("ps", "--all", "--format", "{{.Names}}").split():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask("inspect", name))[0]
        return found

    def running(self, execution: str, seconds: float = 20) -> str:
        """The container of an execution once it runs."""
        deadline = time.monotonic() + seconds
        while not (names := self.containers(execution, running=True)):
            assert time.monotonic() < deadline, "no container came"
            time.sleep(0.02)
        return names[0]

    def none_left(self, execution: str, seconds: float = 5) -> bool:
        deadline = time.monotonic() + seconds
        while self.containers(execution):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


class Runs:
    """Workflows of one node in a container, in a home of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.runtime = wiring.runtime(settings=load({"home": str(home), "workers": 1}))

    def begin(self, what: object, inputs: Mapping[str, Any] | None = None, **settings: Any) -> Handle:
        settings = {"platform": "docker", "docker_image": IMAGE, **settings}
        return self.runtime.submit(Workflow("w").add_component("n", what, **settings).compile(), inputs or {})

    def node(self, handle: Handle, seconds: float = 50) -> NodeView:
        assert handle.wait(seconds)
        return self.view(handle)

    def view(self, handle: Handle) -> NodeView:
        return wiring.open_reader(str(self.home)).view(handle.id).nodes[0]

    def run(self, what: object, inputs: Mapping[str, Any] | None = None, **settings: Any) -> NodeView:
        return self.node(self.begin(what, inputs, **settings))

    def value(self, what: object, inputs: Mapping[str, Any] | None = None, **settings: Any) -> Any:
        handle = self.begin(what, inputs, **settings)
        node = self.node(handle)
        assert node.status == "completed", node.error
        assert handle.result is not None
        return decode(handle.result)

    def result(self, handle: Handle) -> Any:
        assert handle.result is not None, handle.error
        return decode(handle.result)

    def begun(self, handle: Handle, seconds: float = 30) -> None:
        """Once its user code runs."""
        deadline = time.monotonic() + seconds
        while True:
            with suppress(NotFoundError):  # it may not be written down yet
                if any(attempt.worker is not None for attempt in self.view(handle).attempts):
                    return
            assert time.monotonic() < deadline, "it did not begin"
            time.sleep(0.02)

    def logs(self, handle: Handle) -> Sequence[LogRecord]:
        return wiring.open_reader(str(self.home)).logs(handle.id)
