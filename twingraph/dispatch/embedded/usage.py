"""CPU and memory of processes, looked up from outside."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping

# Shorter windows than this say too little about what sleeps and what works.
_WINDOW_SECONDS = 0.015
# The most of so long counts, so that one quiet moment starts nothing.
_MEMORY_SECONDS = 0.05
# There the kernel answers itself. Elsewhere psutil does, whose import takes longer than a short run.
_ON_LINUX = sys.platform == "linux"
_PAGE = os.sysconf("SC_PAGE_SIZE") if _ON_LINUX else 0


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads, to the nanosecond where the system knows; 0: gone."""
    if _ON_LINUX:
        try:
            return time.clock_gettime((~pid << 3) | 2)  # the kernel's clock of another process
        except OSError:
            return 0.0
    import psutil

    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def is_runnable(pid: int) -> bool:
    """Whether a process has a core at this moment or waits for one, where the system tells."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2][1:2] == b"R"
    except OSError:
        return False


def resident_bytes(pid: int) -> int:
    """Resident size of a process and all that it started."""
    if _ON_LINUX:
        return sum(map(_resident_bytes, _family(pid)))
    import psutil

    total = 0
    try:
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            try:
                total += member.memory_info().rss
            except psutil.Error:
                continue
    except psutil.Error:
        return total
    return total


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb", 0) as file:
            return int(file.read().split(None, 2)[1]) * _PAGE
    except OSError:  # it has just ended
        return 0


def _family(pid: int) -> list[int]:
    """A process, its children, and theirs."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb", 0) as file:
                    parent = file.read().rpartition(b") ")[2].split(None, 2)[1]
            except OSError:
                continue
            children.setdefault(int(parent), []).append(int(name))
    found = [pid]
    for member in found:
        found += children.get(member, ())
    return found


class Load:
    """How many cores a changing set of processes wants, between two looks, and this process with it.

    One that is runnable wants a whole core, also when others keep it from having one: on a machine that is busy with
    something else, more processes would not help either.
    """

    def __init__(self) -> None:
        self._looks: deque[tuple[float, float]] = deque()
        self._at = time.monotonic()
        self._seen: dict[int, float] = {}
        self._own = time.process_time()
        self._thread = time.thread_time()
        self.cores = 0.0
        self.feeder = 0.0

    def begin(self, pid: int) -> None:
        """A process counts from now on; what it used before was its start."""
        self._seen[pid] = cpu_seconds(pid)

    def look(self, pids: Iterable[int]) -> None:
        """Called on the feeding thread. Two looks in quick succession are one."""
        now = time.monotonic()
        took = now - self._at
        if took < _WINDOW_SECONDS:
            return
        seen = {pid: cpu_seconds(pid) for pid in pids}
        own, thread = time.process_time(), time.thread_time()
        self.feeder = (thread - self._thread) / took
        self._looks.append((now, (own - self._own) / took + _wanted(self._seen, seen, took)))
        while self._looks[0][0] < now - _MEMORY_SECONDS:
            self._looks.popleft()
        self.cores = max(cores for _, cores in self._looks)
        self._at, self._seen, self._own, self._thread = now, seen, own, thread


def _wanted(before: Mapping[int, float], seen: Mapping[int, float], took: float) -> float:
    # What was not seen before counts as busy, so that nothing grows on a first impression.
    shares = {pid: max(0.0, cpu - before[pid]) / took if pid in before else 1.0 for pid, cpu in seen.items()}
    return sum(1.0 if share < 1 and is_runnable(pid) else share for pid, share in shares.items())
