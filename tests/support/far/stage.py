"""Workers, a conductor and their broker as processes, and what nodes left behind in files."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kombu import Connection

from tests.support.brokers import url_of
from tests.support.conducting import newest_view
from tests.support.processes import marked, none_left
from tools.services.base import Service
from twingraph.core.execution import ExecutionView
from twingraph.core.statuses import NodeStatus

FLOW = Path(__file__).with_name("flow.py")
PROJECT = Path(__file__).parents[3]
PATIENCE = 120.0  # for what only takes long when it hangs


class Mark(NamedTuple):
    node: str
    attempt: int
    pid: int
    at: float


@dataclass
class Kill:
    at: float
    pids: frozenset[int]
    finished: dict[str, int]  # whose outcome was journaled: how often each had begun


@dataclass
class Worker:
    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def mark(self) -> str:
        """In the environment of all its processes."""
        return f"FAR_WORKER={self.log}"

    def lives(self) -> bool:
        return self.process.poll() is None


@dataclass
class Stage:
    folder: Path
    broker: Service
    node_seconds: float = 0.05
    concurrency: int = 2
    workers: list[Worker] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    conductor: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        for name in ("begun", "done", "poison"):
            (self.folder / "marks" / name).mkdir(parents=True)

    # -- processes ---------------------------------------------------------------------------------

    def _world(self, **more: str) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TWINGRAPH_")}
        ours = {
            "TWINGRAPH_HOME": str(self.folder / "home"),
            "TWINGRAPH_PROGRESS": "off",
            "TWINGRAPH_BROKER_URL": url_of(self.broker),
            "TWINGRAPH_DISPATCH": "celery",
            "MARKS": str(self.folder / "marks"),
            "NODE_SECONDS": str(self.node_seconds),
        }
        return {**plain, **ours, **more}

    def _start(self, words: list[str], log: Path, **more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "twingraph", *words]
        with log.open("ab") as said:
            return subprocess.Popen(
                command, cwd=PROJECT, env=self._world(**more), stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )

    def add_worker(self, **more: str) -> Worker:
        log = self.folder / f"worker-{len(list(self.folder.glob('worker-*')))}.log"
        worker = Worker(
            self._start(["worker", "--concurrency", str(self.concurrency)], log, FAR_WORKER=str(log), **more), log
        )
        self.workers.append(worker)
        return worker

    def run(self, count: int, name: str = "flow") -> None:
        self.conductor = self._start(["run", f"{FLOW}:{name}", "-i", f"count={count}"], self.folder / "conductor.log")

    def resume(self) -> None:
        self.conductor = self._start(["resume", "--all"], self.folder / "conductor.log")

    def hold(self) -> None:
        """Nodes that begin stay where they are until `go_on`."""
        (self.folder / "marks" / "hold").touch()

    def go_on(self) -> None:
        (self.folder / "marks" / "hold").unlink()

    def poison(self, number: int) -> None:
        """The node of this number will kill its worker each time."""
        (self.folder / "marks" / "poison" / str(number)).touch()

    def kill_some(self, seed: int, kills: int, count: int) -> None:
        """Workers that are at a node, at moments told by how much is done, not by a clock. Another comes in the place
        of each."""
        chance = random.Random(seed)
        for moment in sorted(chance.sample(range(5, count - 20), kills)):
            self.wait_until_done(moment)
            self.wait("somebody is at a node", lambda: bool(self._at_work()) or not self._conducts())
            finished = self.finished()
            victims = self._at_work()
            if victims:
                self._kill_worker(*chance.choice(victims), finished)
                self.add_worker()

    def _at_work(self) -> list[tuple[Worker, frozenset[int]]]:
        """Those with a node that has begun, each with its processes."""
        workers = [(worker, frozenset(pid for pid, _ in marked(worker.mark))) for worker in self.workers]
        done = {(mark.node, mark.attempt, mark.pid) for mark in self.marks("done")}
        running = {mark.pid for mark in self.marks("begun") if (mark.node, mark.attempt, mark.pid) not in done}
        return [(worker, pids) for worker, pids in workers if running & pids]

    def _kill_worker(self, worker: Worker, pids: frozenset[int], finished: dict[str, int]) -> None:
        """With -9; what its processes have done until then belongs to the kill."""
        self.kills.append(Kill(time.time(), pids, finished))
        worker.process.kill()
        worker.process.wait(20)
        self.workers.remove(worker)
        assert none_left(worker.mark, 15) == [], "processes of a killed worker live on"

    def look_after(self) -> bool:
        """A worker that has died is followed by another; whether the conductor has ended."""
        for worker in [worker for worker in self.workers if not worker.lives()]:
            self.workers.remove(worker)
            self.add_worker()
        return not self._conducts()

    def kill_conductor(self) -> None:
        assert self.conductor is not None
        self.conductor.kill()
        self.conductor.wait(20)

    def close(self) -> None:
        processes = [worker.process for worker in self.workers]
        if self.conductor is not None:
            processes.append(self.conductor)
        for process in processes:
            if process.poll() is None:
                process.kill()
        for process in processes:
            process.wait(20)

    # -- what there is to see ----------------------------------------------------------------------

    def marks(self, what: str) -> list[Mark]:
        found = []
        for file in (self.folder / "marks" / what).iterdir():
            node, attempt, pid = file.name.split("!")
            found.append(Mark(node, int(attempt), int(pid), file.stat().st_mtime))
        return found

    def done(self) -> int:
        return len(os.listdir(self.folder / "marks" / "done"))

    def view(self) -> ExecutionView | None:
        return newest_view(self.folder / "home")

    def finished(self) -> dict[str, int]:
        """Nodes whose outcome is in the journal, and how often each has begun."""
        view = self.view()
        begun = Counter(mark.node for mark in self.marks("begun"))
        nodes = view.nodes if view is not None else ()
        return {_plain(node.id): begun[_plain(node.id)] for node in nodes if node.status is NodeStatus.COMPLETED}

    def wait(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, f"waited in vain: {what}\n{self.words()}"
            time.sleep(0.01)

    def wait_until_done(self, nodes: int) -> None:
        self.wait(f"{nodes} nodes at work", lambda: self.done() >= nodes or not self._conducts())

    def _conducts(self) -> bool:
        return self.conductor is not None and self.conductor.poll() is None

    def finish(self) -> ExecutionView:
        self.wait("the end", lambda: not self._conducts())
        view = self.view()
        assert view is not None, self.words()
        return view

    def words(self) -> str:
        """The last of what each process said."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)

    # -- what must hold ----------------------------------------------------------------------------

    def check(self, view: ExecutionView, count: int) -> None:
        """Nothing lost, nothing counted twice, and nothing that was recorded ran again."""
        assert view.record.status == "completed", (view.record, self.words())
        assert view.result == str(sum(range(count))), view.result
        tasks = [node for node in view.nodes if node.kind == "task"]
        assert len(tasks) == count + 2
        for node in tasks:
            completed = [one for one in node.attempts if one.status == "completed"]
            assert len(completed) == 1, (node.id, node.attempts)
        begun = Counter(mark.node for mark in self.marks("begun"))
        assert len(begun) == count
        for kill in self.kills:
            again = {node: begun[node] for node, often in kill.finished.items() if begun[node] > often}
            assert not again, f"ran again after their outcome was journaled: {again}"

    def check_poison(self, node: str, view: ExecutionView, count: int) -> None:
        """It alone has failed, as `worker_lost`."""
        assert view.record.status == "completed", self.words()
        failed = [one for one in view.nodes if one.kind == "task" and one.status != NodeStatus.COMPLETED]
        assert [one.id for one in failed] == [node], self.words()
        assert failed[0].error is not None
        assert failed[0].error.code == "worker_lost"
        # Not each loss is charged: others may have begun too, and a killed worker may have been unable to say what had.
        assert 3 <= len([mark for mark in self.marks("begun") if mark.node == node]) <= 10
        assert len({mark.node for mark in self.marks("done")} - {node}) == count - 1

    def waits_after_kills(self) -> Iterator[float]:
        """Seconds from a kill to user code of the next attempt, for each node that it struck."""
        begun = self.marks("begun")
        done = {(mark.node, mark.attempt) for mark in self.marks("done")}
        for kill in self.kills:
            for mark in begun:
                if mark.pid in kill.pids and (mark.node, mark.attempt) not in done:
                    later = [other.at for other in begun if other.node == mark.node and other.attempt > mark.attempt]
                    if later:  # else it had done its work, and was killed while it said so to us
                        yield min(later) - kill.at


def _plain(node: str) -> str:
    return node.replace("/", "_")


@contextmanager
def stage(
    folder: Path, broker: Service, *, workers: int = 2, node_seconds: float = 0.05, concurrency: int = 2
) -> Iterator[Stage]:
    made = Stage(folder, broker, node_seconds, concurrency)
    try:
        for _ in range(workers):
            made.add_worker()
        yield made
    finally:
        made.close()


def empty(broker: Service) -> None:
    """By mistake, as operators do."""
    with Connection(url_of(broker)) as connection:
        if broker.name == "redis":
            connection.default_channel.client.flushall()
        else:
            connection.default_channel.queue_purge("twingraph.default")
