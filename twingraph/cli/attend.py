"""Waits for an execution with the person who started it: draws it, takes Ctrl-C, says how it ended."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from twingraph.cli.app import App
from twingraph.cli.backend import RunHandle
from twingraph.cli.display.final import last_lines
from twingraph.cli.display.follow import TICK_SECONDS, Follower, choose_mode
from twingraph.cli.errors import COMPLETED, FAILED, INTERRUPTED
from twingraph.cli.words import printable, value_text
from twingraph.core.execution import ExecutionView
from twingraph.core.statuses import ExecutionStatus
from twingraph.core.wire import execution_to_wire


class Interrupts:
    """Counts Ctrl-C; what each of them means is decided where the run is waited for."""

    def __init__(self) -> None:
        self.count = 0

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 2:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def taken(self) -> Iterator[Interrupts]:
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = signal.signal(signal.SIGINT, self._take)
        try:
            yield self
        finally:
            signal.signal(signal.SIGINT, before)


def attend(handle: RunHandle, app: App, *, json: bool, quiet: bool = False) -> int:
    """Wait to the end and say what came of it; the exit code of `run` and `resume`. `quiet`: nothing on stdout."""
    with Interrupts().taken() as interrupts:
        _follow(handle, app, interrupts)
    view = app.reader.view(handle.id)
    interrupted = interrupts.count > 0
    for note in view.notes:
        app.console.note([("note: ", "yellow"), (printable(note), "")])
    if json:
        app.print_json(execution_document(view, app))
    else:
        app.console.note(*last_lines(view, app.reader, app.console.err, with_result=False))
        if view.record.status is ExecutionStatus.COMPLETED and view.result is not None and not quiet:
            app.console.say(*result_lines(app.reader.value(view.result)))
    return exit_code(view, interrupted=interrupted)


def _follow(handle: RunHandle, app: App, interrupts: Interrupts) -> None:
    mode = choose_mode(app.settings.progress, app.console.err)
    follower = Follower(app.reader, handle.id, app.console.err, mode=mode)
    answered = 0
    while not handle.wait(TICK_SECONDS):
        if interrupts.count > answered:
            answered = min(interrupts.count, answered + 1)
            follower.interject(*_interrupt(handle, kill=answered > 1))
        follower.tick(app.now())
    follower.finish(app.now())


def _interrupt(handle: RunHandle, *, kill: bool) -> list[str]:
    handle.interrupt(kill=kill)
    if kill:
        return ["killing what runs", f"go on later: twingraph resume {handle.id}"]
    return [
        "stopping: no new node starts, running ones have 10 s; Ctrl-C again kills them",
        f"go on later: twingraph resume {handle.id}",
    ]


def exit_code(view: ExecutionView, *, interrupted: bool) -> int:
    status = view.record.status
    if status is ExecutionStatus.COMPLETED:
        return COMPLETED
    if status is ExecutionStatus.PAUSED and (interrupted or view.record.reason == "interrupted"):
        return INTERRUPTED
    return FAILED


def execution_document(view: ExecutionView, app: App) -> dict[str, Any]:
    """The document of GET execution, with its outputs decoded."""
    return execution_to_wire(view.record, app.values(view.outputs))


def result_lines(value: Any) -> list[str]:
    """A result for a person and for a pipe: text as it is, anything else as JSON, long ones over several lines."""
    if isinstance(value, str):
        return [printable(line) for line in value.split("\n")]
    line = value_text(value)
    return [printable(row) for row in (line if len(line) <= 100 else value_text(value, indent=2)).split("\n")]
