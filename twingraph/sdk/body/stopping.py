"""How a body ends that is not to go on. Not an `Exception`: an author's `except Exception` must not hold it."""

from __future__ import annotations

from twingraph.core.errors import ReplayMismatch


class BodyStopped(BaseException):
    """The execution is over, or this host does not carry it out any more."""


class BodyEvicted(BodyStopped):
    """The host needs the room; the body is run again from the top when what it waits for is there."""


class BodyMismatched(BodyStopped):
    """It does not do what its history says: it ends with that error, whatever its code does meanwhile."""

    def __init__(self, error: ReplayMismatch) -> None:
        super().__init__(str(error))
        self.error = error
