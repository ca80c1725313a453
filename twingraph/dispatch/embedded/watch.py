"""What is looked at while a run takes long: its time limit and its memory."""

from __future__ import annotations

from twingraph.core.records import ErrorRecord
from twingraph.dispatch.embedded.planning import byte_limit
from twingraph.dispatch.embedded.process import Doom, Held
from twingraph.dispatch.embedded.usage import resident_bytes


def look_at(pid: int, number: int, held: Held, took: float) -> Doom | None:
    """The reason to end a run, if there is one. Notes its peak memory."""
    settings, run = held.lane.settings, held.run
    if settings.timeout is not None and took > settings.timeout:
        message = f"{run.node} ran longer than its timeout of {settings.timeout:g} s and was ended"
        error = ErrorRecord(
            code="timeout", error_type="TimeoutError", message=message, node_id=run.node, attempt=run.attempt,
            types=("TimeoutError", "OSError", "Exception", "BaseException"),
        )  # fmt: skip
        return Doom(number, "timeout", error)
    held.peak = max(held.peak, resident_bytes(pid))
    limit = byte_limit(settings.resources.get("memory"))
    if limit is None or held.peak <= limit:
        return None
    error = ErrorRecord(
        code="oom", error_type="MemoryError", node_id=run.node, attempt=run.attempt,
        message=f"{run.node} used {held.peak} bytes of memory; its limit is {limit} (resources memory)",
        types=("MemoryError", "Exception", "BaseException"),
    )  # fmt: skip
    return Doom(number, "oom", error)
