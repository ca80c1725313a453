"""What a caller holds of an execution: its id, its end, and a way to wait for it from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import ExecutionStatus


class Controls(Protocol):
    """What a handle can ask of the conductor that filled it in. Any thread."""

    def interrupt(self, execution_id: str, *, kill: bool) -> None: ...

    def cancel(self, execution_id: str) -> object: ...


class Handle:
    """Filled in by the conductor, once: first that the execution is recorded, later how it ended."""

    __slots__ = ("_controls", "_ended", "_recorded", "_then", "error", "fault", "id", "outputs", "result", "status")

    def __init__(self, execution: str, controls: Controls) -> None:
        self._controls = controls
        self.id = execution
        self.status = ExecutionStatus.PENDING
        self.error: ErrorRecord | None = None
        self.result: str | None = None  # JSON text
        self.outputs: Mapping[str, str] = {}
        self.fault: BaseException | None = None  # why the conductor could not go on with it
        self._recorded = threading.Event()
        self._ended = threading.Event()
        self._then: Callable[[], None] | None = None

    def wait_recorded(self, timeout: float | None = None) -> bool:
        return self._recorded.wait(timeout)

    def wait(self, timeout: float | None = None) -> bool:
        """True once the execution is over, or paused and at rest."""
        return self._ended.wait(timeout)

    def interrupt(self, *, kill: bool) -> None:
        """Start nothing new and leave the execution paused; what runs has a moment, or none."""
        self._controls.interrupt(self.id, kill=kill)

    def cancel(self) -> None:
        """Stop it; `wait` tells when it has ended."""
        self._controls.cancel(self.id)

    # -- the conductor's side ----------------------------------------------------------------------

    def recorded(self) -> None:
        self.status = ExecutionStatus.RUNNING
        self._recorded.set()

    def end(
        self,
        status: ExecutionStatus,
        error: ErrorRecord | None = None,
        result: str | None = None,
        outputs: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.error, self.result = status, error, result
        self.outputs = outputs or {}
        self._over()

    def fail(self, fault: BaseException) -> None:
        self.fault = fault
        self._over()

    def then(self, act: Callable[[], None]) -> None:
        """Do this on the conductor's loop once it is over; at once if it is."""
        if self._ended.is_set():
            act()
        else:
            self._then = act

    def _over(self) -> None:
        self._recorded.set()
        self._ended.set()
        act, self._then = self._then, None
        if act is not None:
            act()

    def forked(self, fault: BaseException) -> None:
        """In a forked child, where no conductor will ever fill it in and whose copies of locks nobody will open."""
        self._recorded, over = threading.Event(), self._ended.is_set()
        self._ended = threading.Event()
        if not over:
            self.fault = fault
        self._recorded.set()
        self._ended.set()
