"""Processor time and memory of a process tree, read from Linux's `/proc`.

A live process is read by its CPU clock, to the nanosecond and with all its threads; a dead descendant by what its
parent collected when reaping it: exact for our own children, in clock ticks (10 ms) for those of a descendant.

Of a server that somebody else started (its number stands in `BENCHMARK_BESIDE`) the whole tree is counted with ours: it
works for nobody else.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37
_CPU_CLOCK_OF_PROCESS = 2  # CPUCLOCK_SCHED: user and system time as the scheduler counts it
BESIDE = "BENCHMARK_BESIDE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What one line of `/proc/PID/stat` says."""

    parent: int
    own_ticks: int
    reaped_ticks: int


def adopt_orphans(adopt: bool = True) -> None:
    """Make orphaned descendants come back to this process, so that their processor time stays in its tree."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


@contextmanager
def orphans_go_elsewhere() -> Iterator[None]:
    """Whose parent ends meanwhile is not ours."""
    adopts = ctypes.c_int(0)
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(adopts), 0, 0, 0)
    adopt_orphans(False)
    try:
        yield
    finally:
        adopt_orphans(bool(adopts.value))


def processes() -> dict[int, Process]:
    """All processes of the machine that still exist while being read."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            line = Path(f"/proc/{entry}/stat").read_text()
        except OSError:
            continue
        fields = line[line.rindex(")") + 2 :].split()
        found[int(entry)] = Process(
            parent=int(fields[1]),
            own_ticks=int(fields[11]) + int(fields[12]),
            reaped_ticks=int(fields[13]) + int(fields[14]),
        )
    return found


def descendants(root: int, known: Mapping[int, Process] | None = None) -> list[int]:
    """The live descendants of `root`, parents before their children, without `root` itself."""
    children: dict[int, list[int]] = {}
    for pid, process in (processes() if known is None else known).items():
        children.setdefault(process.parent, []).append(pid)
    found = list(children.get(root, []))
    for pid in found:
        found += children.get(pid, [])
    return found


def beside() -> int | None:
    """The server that works for what is measured here."""
    given = os.environ.get(BESIDE)
    return int(given) if given else None


def tree_cpu_s(root: int, known: Mapping[int, Process] | None = None) -> float:
    """Processor time of another process and all its descendants, the dead ones included."""
    found = processes() if known is None else known
    pids = [pid for pid in (root, *descendants(root, found)) if pid in found]
    return sum(_own_cpu_s(pid, found[pid]) + found[pid].reaped_ticks * _TICK_S for pid in pids)


class TreeClock:
    """Processor time of this process and all its descendants, the dead ones included, without what reading it costs;
    with that of the server beside it."""

    def __init__(self) -> None:
        self._reading_s = 0.0
        self._beside = beside()

    def cpu_s(self) -> float:
        own, begun = time.process_time() - self._reading_s, time.thread_time()
        gone = resource.getrusage(resource.RUSAGE_CHILDREN)
        known = processes()
        below = sum(
            _own_cpu_s(pid, known[pid]) + known[pid].reaped_ticks * _TICK_S for pid in descendants(os.getpid(), known)
        )
        if self._beside is not None:
            below += tree_cpu_s(self._beside, known)
        self._reading_s += time.thread_time() - begun
        return own + gone.ru_utime + gone.ru_stime + below


def _own_cpu_s(pid: int, process: Process) -> float:
    try:
        return time.clock_gettime((~pid << 3) | _CPU_CLOCK_OF_PROCESS)
    except OSError:  # a zombie has no clock left
        return process.own_ticks * _TICK_S


def machine_busy_s() -> float:
    """Processor time spent by the whole machine, whoever spent it."""
    with open("/proc/stat") as stat:
        ticks = [int(word) for word in stat.readline().split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) * _TICK_S


class MemoryWatch(threading.Thread):
    """Samples the memory of a tree, `root` and the server beside it included, until stopped.

    RSS counts a shared page once per process; PSS shares it out, and costs more to read, so that it is read only near
    the highest RSS so far.
    """

    def __init__(self, root: int, period_s: float, beside: int | None = None) -> None:
        super().__init__(name=f"memory of {root}", daemon=True)
        self.rss_bytes = 0
        self.pss_bytes = 0
        self._roots = [root] if beside is None else [root, beside]
        self._period_s = period_s
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(self._period_s):
            known = processes()
            pids = [pid for root in self._roots for pid in (root, *descendants(root, known))]
            rss = sum(_rss_bytes(pid) for pid in pids)
            if rss > self.rss_bytes * 0.98:
                self.rss_bytes = max(self.rss_bytes, rss)
                self.pss_bytes = max(self.pss_bytes, sum(_pss_bytes(pid) for pid in pids))

    def stop(self) -> None:
        self._over.set()
        self.join()


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _pss_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def tree_pss_bytes(root: int) -> int:
    """The memory of a tree, `root` included, pages that its processes share shared out."""
    return sum(_pss_bytes(pid) for pid in (root, *descendants(root)))


def end_descendants() -> None:
    """Kill and reap whatever is still below this process: all of it was started by the measurement."""
    while True:
        for pid in descendants(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
        except ChildProcessError:
            return
