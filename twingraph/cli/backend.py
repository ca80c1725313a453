"""What the command line needs of the engine, as promises; `twingraph.wiring` keeps them in a real process."""

from __future__ import annotations

import importlib
from typing import Any, Protocol, cast

from twingraph.core.execution import (
    ExecutionRecord,
    ExecutionView,
    LogRecord,
    TreeSnapshot,
)
from twingraph.settings import Settings


class Reader(Protocol):
    """Reads executions of a home from any process; needs no conductor. Used on one thread at a time."""

    def resolve(self, id_or_last: str) -> str:
        """The whole id of what was typed; raises NotFoundError with near ones."""

    def executions(
        self, *, limit: int = 20, offset: int = 0, status: str | None = None
    ) -> tuple[list[ExecutionRecord], int]:
        """Newest first, and how many there are in all."""

    def view(self, execution_id: str) -> ExecutionView:
        """Everything about one execution."""

    def tree(self, execution_id: str, *, children: int = 20) -> TreeSnapshot:
        """What a live display draws; cheap enough to be asked for ten times a second."""

    def logs(
        self,
        execution_id: str,
        *,
        after: int = 0,
        node: str | None = None,
        level: str | None = None,
        limit: int = 1000,
    ) -> list[LogRecord]:
        """In order, those with a number above `after`; `level` means that level and above."""

    def value(self, text: str) -> object:
        """A stored value as people read it."""


class RunHandle(Protocol):
    """One execution that this process waits for."""

    @property
    def id(self) -> str: ...

    def wait(self, timeout: float | None) -> bool:
        """True once it is over or paused."""

    def interrupt(self, *, kill: bool) -> None:
        """Start nothing new and pause; with `kill` end what runs at once."""

    def cancel(self) -> None: ...


class Runtime(Protocol):
    """A conductor in a thread of this process."""

    def submit(self, compiled: Any, inputs: dict[str, Any], *, refresh: bool = False) -> RunHandle: ...

    def resume(self, execution_id: str, *, code: str = "recorded") -> RunHandle: ...

    def cancel(self, execution_id: str) -> None: ...

    def close(self) -> None: ...


class Backend(Protocol):
    """How a command gets hold of the two."""

    def open_reader(self, settings: Settings) -> Reader: ...

    def runtime(self, settings: Settings) -> Runtime: ...


class WiredBackend:
    """The real one. Wiring is imported by the command that needs it, so that the others stay quick."""

    def open_reader(self, settings: Settings) -> Reader:
        wiring = importlib.import_module("twingraph.wiring")
        return cast(Reader, wiring.open_reader(home=str(settings.home)))

    def runtime(self, settings: Settings) -> Runtime:
        wiring = importlib.import_module("twingraph.wiring")
        return cast(Runtime, wiring.runtime(home=str(settings.home), workers=settings.workers))
