"""Decisions of the pool as plain functions of numbers: when to grow, to recall, to hand over ahead, to replace."""

from __future__ import annotations

import math
import os
from typing import NamedTuple

from twingraph.dispatch.embedded.options import PoolOptions

QUICK_SECONDS = 0.005


class Pressure(NamedTuple):
    """How a group stands at one moment."""

    waiting: int  # lanes that no worker holds
    waited: float  # seconds since the oldest of them came
    workers: int  # of this group, with those that are starting
    all_workers: int
    starting: int  # over all groups
    load: float  # cores that running nodes and the process that feeds them use
    feeder: float  # of these, what the one thread uses that hands out work and takes results


def workers_to_start(pressure: Pressure, options: PoolOptions, cores: int) -> int:
    """The first at once, the second as soon as a lane waits, more only when waiting lanes find idle cores.

    A process that starts uses a core until it is ready. While the feeding thread is busy all the time, nobody waits
    for a process, and one more would only wait with the others.
    """
    room = min(options.workers - pressure.all_workers, max(1, cores) - pressure.starting, pressure.waiting)
    if room <= 0:
        return 0
    if pressure.workers < 2:
        return 1
    if pressure.waited < options.grow_after_seconds or pressure.feeder >= options.grow_below_load:
        return 0
    free = options.grow_below_load * cores - pressure.load - pressure.starting
    return max(0, min(room, math.ceil(free)))


def may_hand_ahead(lanes: int, average: float | None, running: float) -> bool:
    """Whether a busy worker takes one more lane: such nodes are quick, its own too, and it has at most one lane."""
    return lanes <= 1 and average is not None and max(average, running) < QUICK_SECONDS


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
