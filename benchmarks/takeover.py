"""`python -m benchmarks.takeover`: how long after a kill -9 of a conductor its executions go on with another one.

Three conductors share a home, or a database on PostgreSQL; each carries out some executions of short nodes in a row.
One is killed, and of each of its executions the moment is taken at which user code runs again. `--busy N` lets as many
processes compute beside them all the while.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.services.postgres import Postgres
from twingraph import wiring
from twingraph.engine.reader import Reader
from twingraph.settings import load

STORES = ("sqlite", "postgres")
BUDGET_SECONDS = 10.0
PATIENCE_SECONDS = 60.0
_ROOT = Path(__file__).parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.takeover", description=__doc__)
    parser.add_argument("stores", nargs="*", metavar="STORE", help=", ".join(STORES))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--executions", type=int, default=4, help="of each conductor")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="processes that compute beside them")
    given = parser.parse_args(arguments)
    print(f"{'':9} {'kills':>6} {'taken over':>11} {'median s':>9} {'p99 s':>7} {'slowest s':>10} {'load':>5}")
    over = False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # whatever was started ends with this
    with _busy(given.busy):
        for store in given.stores or STORES:
            folder = Path(tempfile.mkdtemp(prefix="takeover-"))
            try:
                with _place(store, folder) as variables:
                    os.environ.update(variables)  # what is read here is what they write
                    found = [_kill_one(n, given.executions, variables) for n in range(given.rounds)]
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            seconds = sorted(second for some in found for second in some)
            p99 = seconds[min(len(seconds) - 1, len(seconds) * 99 // 100)]
            over = over or p99 > BUDGET_SECONDS
            print(
                f"{store:9} {given.rounds:6} {len(seconds):11} {seconds[len(seconds) // 2]:9.2f} {p99:7.2f} "
                f"{seconds[-1]:10.2f} {os.getloadavg()[0]:5.1f}{'  over budget' if p99 > BUDGET_SECONDS else ''}",
                flush=True,
            )
    return int(over)


@contextmanager
def _busy(count: int) -> Iterator[None]:
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


@contextmanager
def _place(store: str, folder: Path) -> Iterator[Mapping[str, str]]:
    """Where they meet, as variables of their surroundings."""
    home = {"TWINGRAPH_HOME": str(folder / "home"), "TWINGRAPH_DATABASE_URL": ""}
    if store == "sqlite":
        yield home
        return
    server = Postgres(folder / "postgres")
    server.start()
    try:
        yield {**home, "TWINGRAPH_DATABASE_URL": server.environment(server.port())["TWINGRAPH_DATABASE_URL"]}
    finally:
        server.stop()
        server.forget()


def _kill_one(number: int, executions: int, variables: Mapping[str, str]) -> list[float]:
    """Seconds from the kill until each of its executions went on. Those of earlier rounds are nobody's any more."""
    members = [_Member(f"round{number}", variables) for _ in range(3)]
    try:
        for member in members:
            member.begin(executions)
        time.sleep(1.0)  # all of them are under way
        left = list(members[0].executions)
        killed_at = time.time()
        members[0].kill()
        return _went_on(left, killed_at)
    finally:
        for member in members:
            member.kill()


def _went_on(left: list[str], killed_at: float) -> list[float]:
    found: dict[str, float] = {}
    reader = wiring.open_reader(settings=load())
    try:
        while len(found) < len(left):
            if time.time() > killed_at + PATIENCE_SECONDS:
                raise TimeoutError(f"{sorted(set(left) - found.keys())} are left")
            time.sleep(0.25)
            for execution in left:
                if execution not in found and (after := _began_after(reader, execution, killed_at)) is not None:
                    found[execution] = after
    finally:
        reader.close()
    return list(found.values())


def _began_after(reader: Reader, execution: str, moment: float) -> float | None:
    started = [tried.started_at for node in reader.view(execution).nodes for tried in node.attempts]
    later = [at.timestamp() - moment for at in started if at is not None and at.timestamp() > moment]
    return min(later, default=None)


class _Member:
    def __init__(self, origin: str, variables: Mapping[str, str]) -> None:
        self.executions: list[str] = []
        path = os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])
        surroundings = {**os.environ, **variables, "PYTHONPATH": path, "TWINGRAPH_WORKERS": "8"}
        command = [sys.executable, "-m", "benchmarks.systems.takeover_member", origin]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=surroundings
        )

    def begin(self, executions: int) -> None:
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        assert out.readline() == "ready\n"
        into.write(f"{executions}\n")
        into.flush()
        self.executions = [out.readline().strip() for _ in range(executions)]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not stream.closed:
                stream.close()


if __name__ == "__main__":
    sys.exit(main())
