"""Counts every call and its processor time, thread by thread: exact where the sampler is biased, but slower.

On Python 3.12 and newer only one profiler may be active in a process, so that only the first thread is counted there.
"""

from __future__ import annotations

import cProfile
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from benchmarks import areas


class Cost(NamedTuple):
    """What one function cost since its thread began."""

    calls: int
    own_s: float
    whole_s: float


class Counter(threading.Thread):
    """Notes costs when the file `on` appears in the folder and when it goes; the difference goes to `PID.json`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(name="counter", daemon=True)
        self._folder = folder
        self._profiles: list[tuple[str, cProfile.Profile]] = []

    def count(self) -> None:
        """Count the calling thread from here on, and every thread that starts later."""
        self._enable()
        threading.setprofile(self._on_first_call)

    def _on_first_call(self, frame: FrameType, event: str, argument: Any) -> None:
        sys.setprofile(None)
        self._enable()

    def _enable(self) -> None:
        profile = cProfile.Profile(time.thread_time)
        try:
            profile.enable()
        except ValueError:  # another one is active in this process
            return
        self._profiles.append((f"{threading.current_thread().name} #{len(self._profiles)}", profile))

    def run(self) -> None:
        switch = self._folder / "on"
        _wait(switch.exists)
        before, areas_before = self._costs(), self._areas()
        _wait(lambda: not switch.exists())
        after, areas_after = self._costs(), self._areas()
        report: dict[str, Any] = {"command": " ".join(sys.orig_argv[1:])[:120]}
        for name in ("threads", "lines", "functions", "calls"):
            report[name] = {}
        for thread, costs in after.items():
            spent = {place: _minus(cost, before.get(thread, {}).get(place)) for place, cost in costs.items()}
            report["threads"][thread] = sum(cost.own_s for cost in spent.values())
            report["lines"][thread] = {place: cost.own_s for place, cost in spent.items()}
            report["functions"][thread] = {place: cost.whole_s for place, cost in spent.items()}
            report["calls"][thread] = {place: cost.calls for place, cost in spent.items()}
        report["areas"] = {
            thread: {area: spent - areas_before.get(thread, {}).get(area, 0.0) for area, spent in found.items()}
            for thread, found in areas_after.items()
        }
        part = self._folder / f"{os.getpid()}.part"
        part.write_text(json.dumps(report))
        part.rename(self._folder / f"{os.getpid()}.json")

    def _costs(self) -> dict[str, dict[str, Cost]]:
        found: dict[str, dict[str, Cost]] = {}
        for thread, profile in list(self._profiles):
            costs = found.setdefault(thread, {})
            for entry in profile.getstats():
                place = _place(entry.code)
                known = costs.get(place, Cost(0, 0.0, 0.0))
                costs[place] = Cost(
                    known.calls + entry.callcount, known.own_s + entry.inlinetime, known.whole_s + entry.totaltime
                )
        return found

    def _areas(self) -> dict[str, dict[str, float]]:
        """Seconds by part of the house. What has no file of its own counts for whoever called it."""
        found: dict[str, dict[str, float]] = {}
        for thread, profile in list(self._profiles):
            spent = found.setdefault(thread, {})
            for entry in profile.getstats():
                if isinstance(entry.code, str):
                    continue
                area = areas.of_file(entry.code.co_filename)
                spent[area] = spent.get(area, 0.0) + entry.inlinetime
                for called in entry.calls or ():
                    if isinstance(called.code, str):
                        place = areas.of_built_in(called.code, area)
                        spent[place] = spent.get(place, 0.0) + called.inlinetime
        return found


def _minus(cost: Cost, before: Cost | None) -> Cost:
    if before is None:
        return cost
    return Cost(cost.calls - before.calls, cost.own_s - before.own_s, cost.whole_s - before.whole_s)


def _place(code: CodeType | str) -> str:
    if isinstance(code, str):
        return code
    return f"{'/'.join(Path(code.co_filename).parts[-3:])}:{code.co_firstlineno} {code.co_qualname}"


def _wait(until: Callable[[], bool]) -> None:
    while not until():
        time.sleep(0.01)


def start(folder: Path) -> None:
    counter = Counter(folder)
    counter.start()
    counter.count()
