"""A run that somebody else waits for, drawn from a thread: how a script's own run shows itself on a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol, TextIO

from twingraph.cli.console import Surface, surface
from twingraph.cli.display.final import last_lines
from twingraph.cli.display.follow import TICK_SECONDS, Follower, Watched, choose_mode
from twingraph.core.execution import ExecutionRecord, ExecutionView


class Viewed(Watched, Protocol):
    def view(self, execution_id: str) -> ExecutionView: ...

    def value(self, text: str) -> object: ...


def attach(
    reader: Viewed,
    execution_id: str,
    *,
    stream: TextIO | None = None,
    progress: str = "auto",
    stopped_before: Sequence[ExecutionRecord] = (),
) -> Watch | None:
    """Draw the run until `Watch.finish`. None where nothing is to be drawn: a script off a terminal is silent
    unless `progress` says otherwise. `stopped_before`: earlier runs of this script that stand still.

    The reader is used by the drawing thread alone until `finish`, and by the caller's thread in it.
    """
    seen = surface(stream if stream is not None else sys.stderr)
    if progress == "off" or (progress == "auto" and not seen.terminal):
        return None
    if stopped_before:
        seen.write(_mention(stopped_before))
    return Watch(reader, execution_id, seen, choose_mode(progress, seen))


def _mention(stopped: Sequence[ExecutionRecord]) -> str:
    newest = stopped[0]
    if len(stopped) > 1:
        return f"{len(stopped)} earlier runs of {newest.name} stopped; go on with all: twingraph resume --all"
    return f"an earlier run of {newest.name} stopped; go on with it: twingraph resume {newest.id}"


class Watch:
    """`finish` once, from the thread that waited for the run."""

    def __init__(self, reader: Viewed, execution_id: str, seen: Surface, mode: str) -> None:
        self._reader = reader
        self._id = execution_id
        self._surface = seen
        self._follower = Follower(reader, execution_id, seen, mode=mode)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="twingraph-display", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        try:
            while not self._over.wait(TICK_SECONDS):
                self._follower.tick(datetime.now(UTC))
        except (OSError, ValueError):
            return  # the terminal is gone; the run is none of its business

    def finish(self) -> None:
        """Draw the end and the last line."""
        self._over.set()
        self._thread.join()
        try:
            self._follower.finish(datetime.now(UTC))
            view = self._reader.view(self._id)
            self._surface.write(*last_lines(view, self._reader, self._surface, with_result=True))
        except (OSError, ValueError):
            return
