"""How a body ends that is not to go on. Not an `Exception`: an author's `except Exception` must not hold it."""

from __future__ import annotations


class BodyStopped(BaseException):
    """The execution is over, or this host does not carry it out any more."""


class BodyEvicted(BodyStopped):
    """The host needs the room; the body is run again from the top when what it waits for is there."""
