"""Says which line of which thread processor time went to, from inside the process that spends it.

Every millisecond each thread's CPU clock is read, and what it advanced by is charged to the stack that the thread
stands in at that moment. Totals per thread are therefore exact and waiting is free, but the split among lines is a
sample with a bias: a thread is caught most easily where it gives up the interpreter, so that work done just before a
wait shows at the wait.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import Any

_CPU_CLOCK_OF_THREAD = 6  # CPUCLOCK_SCHED of one thread
_PERIOD_S = 0.001


class Sampler(threading.Thread):
    """Samples its own process while the file `on` stands in the folder, then writes `PID.json` there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(name="sampler", daemon=True)
        self._folder = folder
        self._clocks: dict[int, float] = {}
        self._threads: dict[str, float] = defaultdict(float)
        self._lines: dict[str, dict[str, float]] = {}
        self._functions: dict[str, dict[str, float]] = {}

    def run(self) -> None:
        switch = self._folder / "on"
        while not switch.exists():
            time.sleep(0.01)
        sys.setswitchinterval(_PERIOD_S / 5)
        self._sample(charge=False)
        rounds = 0
        while rounds % 20 or switch.exists():
            rounds += 1
            time.sleep(_PERIOD_S)
            self._sample(charge=True)
        self._write()

    def _sample(self, charge: bool) -> None:
        frames = sys._current_frames()
        for thread in threading.enumerate():
            frame = frames.get(thread.ident or 0)
            if thread is self or frame is None or thread.native_id is None:
                continue
            try:
                now = time.clock_gettime((~thread.native_id << 3) | _CPU_CLOCK_OF_THREAD)
            except OSError:
                continue
            spent = now - self._clocks.get(thread.native_id, now)
            self._clocks[thread.native_id] = now
            if charge and spent > 0:
                self._charge(thread.name, frame, spent)

    def _charge(self, thread: str, frame: FrameType, spent: float) -> None:
        self._threads[thread] += spent
        line = f"{_place(frame)}:{frame.f_lineno}"
        self._lines.setdefault(thread, defaultdict(float))[line] += spent
        functions = self._functions.setdefault(thread, defaultdict(float))
        seen: set[str] = set()
        outer: FrameType | None = frame
        while outer is not None:
            seen.add(_place(outer))
            outer = outer.f_back
        for place in seen:
            functions[place] += spent

    def _write(self) -> None:
        report: dict[str, Any] = {
            "command": " ".join(sys.orig_argv[1:])[:120],
            "threads": self._threads,
            "lines": self._lines,
            "functions": self._functions,
        }
        whole = self._folder / f"{os.getpid()}.part"
        whole.write_text(json.dumps(report))
        whole.rename(self._folder / f"{os.getpid()}.json")


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{'/'.join(Path(code.co_filename).parts[-3:])} {code.co_qualname}"


def start(folder: Path) -> None:
    Sampler(folder).start()
