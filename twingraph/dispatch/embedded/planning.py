"""Decisions of the pool as plain functions of numbers: when to grow, to recall, to hand over ahead, to replace."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from twingraph.dispatch.embedded.options import PoolOptions

# Ends that the process brought about itself, by what its code did.
_OWN_FAULTS = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS}
)
QUICK_SECONDS = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """How a group stands at one moment."""

    waiting: int  # lanes that no worker holds
    waited: float  # seconds since the oldest of them came
    workers: int  # of this group, with those that are starting
    all_workers: int
    starting: int  # over all groups
    load: float  # cores that running nodes use


def workers_to_start(pressure: Pressure, options: PoolOptions, cores: int) -> int:
    """The first at once, the second as soon as a lane waits, more only when waiting lanes find idle cores."""
    room = min(options.workers - pressure.all_workers, max(1, cores) - pressure.starting, pressure.waiting)
    if room <= 0:
        return 0
    if pressure.workers < 2:
        return 1
    if pressure.waited < options.grow_after_seconds or pressure.load >= options.grow_below_load * cores:
        return 0
    return room


def may_hand_ahead(lanes: int, average: float | None, running: float) -> bool:
    """Whether a busy worker takes one more lane: its nodes are quick, this one too, and it has at most one lane."""
    return lanes <= 1 and average is not None and max(average, running) < QUICK_SECONDS


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


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_UNITS = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
          "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40}  # fmt: skip


def byte_limit(value: object) -> int | None:
    """`resources.memory`: a number of bytes, or text such as '512Mi', '2GB'. None: no limit that we understand."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value)
    if not isinstance(value, str):
        return None
    text = value.strip().lower().removesuffix("b")
    digits = text.rstrip("kmgti ")
    try:
        return int(float(digits) * _UNITS[text[len(digits) :].strip()])
    except (ValueError, KeyError):
        return None
