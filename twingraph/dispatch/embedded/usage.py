"""CPU and memory of processes, looked up from outside."""

from __future__ import annotations

import os
from collections.abc import Iterable
from time import monotonic

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of the children it has waited for; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS
    except FileNotFoundError:
        import psutil  # its import costs a short run a tenth of its time, and short runs never look

        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)
    except OSError:
        return 0.0


def resident_bytes(pid: int) -> int:
    """Resident size of a process and all that it started."""
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


class Load:
    """How many cores a changing set of processes uses, between two looks."""

    def __init__(self) -> None:
        self._at = monotonic()
        self._seen: dict[int, float] = {}
        self.cores = 0.0

    def look(self, pids: Iterable[int]) -> float:
        now = monotonic()
        if now - self._at < 0.04:
            return self.cores
        seen = {pid: cpu_seconds(pid) for pid in pids}
        took = now - self._at
        # What was not seen before counts as busy, so that nothing grows on a first impression.
        used = sum(max(0.0, cpu - self._seen[pid]) if pid in self._seen else took for pid, cpu in seen.items())
        self.cores = used / took
        self._at, self._seen = now, seen
        return self.cores
