"""What the command line itself finds wrong, and the exit codes."""

from __future__ import annotations

from twingraph.core.errors import TwinGraphError

COMPLETED = 0
FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130


class UsageError(TwinGraphError):
    """What was typed cannot be done; the message says what to type instead."""


class TargetError(UsageError):
    """The target's own file does not load; `traceback` shows the author's frames."""

    def __init__(self, message: str, *, traceback: str) -> None:
        super().__init__(message)
        self.traceback = traceback
