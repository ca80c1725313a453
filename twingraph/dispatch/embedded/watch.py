"""What a run that takes long may not exceed: its time limit and its memory."""

from __future__ import annotations

from twingraph.core.quantities import byte_count
from twingraph.dispatch.embedded.endings import error
from twingraph.dispatch.embedded.strand import Doom, Held
from twingraph.dispatch.embedded.usage import resident_bytes

_LATE = ("TimeoutError", "OSError", "Exception", "BaseException")
_NO_MEMORY = ("MemoryError", "Exception", "BaseException")


def look_at(pid: int, number: int, held: Held, took: float) -> Doom | None:
    """The reason to end a run, if there is one. Notes its peak memory."""
    settings, run = held.lane.settings, held.run
    late = lateness(number, held, took)
    if late is not None:
        return late
    held.peak = max(held.peak, resident_bytes(pid))
    allowed = settings.resources.get("memory")
    limit = byte_count(allowed) if allowed else None
    if limit is None or held.peak <= limit:
        return None
    message = f"{run.node} used {held.peak} bytes of memory; its limit is {limit} (resources memory)"
    return Doom(number, "oom", error(run, "oom", "MemoryError", message, types=_NO_MEMORY))


def lateness(number: int, held: Held, took: float) -> Doom | None:
    """The reason to end a run that takes too long."""
    limit, run = held.lane.settings.timeout, held.run
    if limit is None or took <= limit:
        return None
    message = f"{run.node} ran longer than its timeout of {limit:g} s and was ended"
    return Doom(number, "timeout", error(run, "timeout", "TimeoutError", message, types=_LATE))
