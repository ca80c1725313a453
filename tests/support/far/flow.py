"""A fan that leaves a file when a node begins and one when it has done its work."""

import os
import signal
import time
from pathlib import Path

from twingraph import Workflow, component, current

MARKS = Path(os.environ["MARKS"])


def mark(what: str) -> None:
    me = current()
    (MARKS / what / f"{me.node_id.replace('/', '_')}!{me.attempt}!{os.getpid()}").touch()


def worker_process() -> int:
    """The process that was started as a worker, somewhere above this one."""
    pid = os.getppid()
    while b"worker" not in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


@component
def numbers(count: int) -> list[int]:
    return list(range(count))


@component
def work(n: int) -> int:
    mark("begun")
    if (MARKS / "poison" / str(n)).exists():
        os.kill(worker_process(), signal.SIGKILL)
        time.sleep(60)
    while (MARKS / "hold").exists():
        time.sleep(0.01)
    time.sleep(float(os.environ["NODE_SECONDS"]))
    mark("done")
    return n


@component
def total(values: list[int]) -> int:
    return sum(values)


def fan(*, keep: bool = False) -> Workflow:
    drawn = Workflow("fan-that-keeps" if keep else "fan")
    drawn.add_component("numbers", numbers)
    drawn.add_map("all", component=work, over="n", on_item_error="keep" if keep else "fail")
    drawn.connect("numbers", "all")
    if not keep:
        drawn.add_component("total", total)
        drawn.connect("all", "total")
    return drawn


flow = fan()
keeping = fan(keep=True)
