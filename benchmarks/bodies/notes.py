"""What the body of a workflow notes while it runs, and how a process that did so is watched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import meter

CLOCK = meter.TreeClock()
LIVE = "live.json"
FILLED = "filled.json"
_LIMIT_S = 300.0

marks: list[float] = []


def mark() -> None:
    """The processor time of the whole tree until now."""
    marks.append(CLOCK.cpu_s())


def moment() -> tuple[float, float]:
    """The time, and the processor time of this thread."""
    return time.time(), time.thread_time()


def live(began: tuple[float, float]) -> None:
    """The body has come to where it waits."""
    now, spent = moment()
    part = Path(f"{LIVE}.part")
    part.write_text(json.dumps({"at": now, "body_s": spent - began[1]}))
    part.rename(LIVE)


def growth(n: int) -> dict[str, float]:
    """Of a loop that set a mark at its begin, after the first tenth, before the last tenth and at its end."""
    first, last = marks[-3] - marks[-4], marks[-1] - marks[-2]
    return {"cpu_ms": (marks[-1] - marks[-4]) / n * 1000, "growth": last / first}


def fill(n: int) -> None:
    """A journal of `n` calls of a workflow whose process was killed while it waited."""
    process = subprocess.Popen([sys.executable, sys.argv[0], "fill", str(n)], stdout=subprocess.DEVNULL)
    until(lambda: Path(FILLED).exists() or process.poll() is not None)
    if process.poll() is not None:
        raise RuntimeError(f"the process to be killed ended with {process.returncode}")
    process.kill()
    process.wait()
    meter.end_descendants()


def filled(n: int, again: Callable[[], object] | None = None) -> None:
    """In that process: its body waits. With `again` it is run once more in the same process, which is measured."""
    until(Path(LIVE).exists)
    time.sleep(0.5)  # what it has said last is on record
    figures = {}
    if again is not None:
        Path(LIVE).unlink()
        began = time.time()
        again()
        until(Path(LIVE).exists)
        figures["again_us"] = (json.loads(Path(LIVE).read_text())["at"] - began) / n * 1e6
    Path(LIVE).unlink()
    Path(f"{FILLED}.part").write_text(json.dumps(figures))
    Path(f"{FILLED}.part").rename(FILLED)


def replayed(n: int, start: Callable[[], object]) -> dict[str, float]:
    """From `start()` until the body is back where it was."""
    spent, began = CLOCK.cpu_s(), time.time()
    start()
    until(Path(LIVE).exists)
    spent = CLOCK.cpu_s() - spent
    told = json.loads(Path(LIVE).read_text())
    return {
        "call_us": (told["at"] - began) / n * 1e6,
        "cpu_us": spent / n * 1e6,
        "body_us": told["body_s"] / n * 1e6,
        **json.loads(Path(FILLED).read_text()),
    }


def memory(waiting: Callable[[], bool]) -> dict[str, float]:
    """Of this process and all below it, once everybody waits and nothing more is done."""
    until(waiting)
    before = CLOCK.cpu_s()
    while True:
        time.sleep(0.5)
        now = CLOCK.cpu_s()
        if now - before < 0.05:
            break
        before = now
    return {"pss_mb": meter.tree_pss_bytes(os.getpid()) / 1e6}


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + _LIMIT_S
    while not there():
        if time.monotonic() > end:
            raise TimeoutError("it takes too long")
        time.sleep(0.002)


def tell(figures: dict[str, float]) -> None:
    """The last word of the script: nothing that still waits may keep it."""
    print(json.dumps(figures), flush=True)
    os._exit(0)
