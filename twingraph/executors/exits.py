"""What the return code of a process says. Pure."""

from __future__ import annotations

import signal

# Ends that a process brought about itself, by what its code did.
_OWN_FAULTS = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS}
)


def ending_of(returncode: int) -> tuple[str, str, int | None]:
    """Status, what happened in words, and the exit code, of a process that ended while it ran a node."""
    if returncode >= 0:
        return "crashed", f"the process ended itself with exit code {returncode}", returncode
    number = -returncode
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number in _OWN_FAULTS:
        return "crashed", f"the process was ended by {name}", 128 + number
    return "lost", f"the process was killed by {name} from outside", 128 + number
