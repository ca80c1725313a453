"""Lanes are spread, recalled and cancelled; every run ends exactly once; nothing outlives its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tests.integration.pool.conftest import Bench
from tests.support.processes import alive
from twingraph.dispatch.base import Outcome

SLEEP = "#entry f\nimport time\ndef f(s=1):\n    time.sleep(s)\n"


async def test_thousands_of_quick_runs_end_once_each(bench: Bench) -> None:
    code = bench.write("#entry f\ndef f():\n    return 1\n")
    for start in range(0, 3200, 64):
        bench.submit(code, "f", [f"n{i}" for i in range(start, start + 64)])
    await bench.until(lambda: len(bench.outcomes()) + len(bench.returned()) >= 3200)
    endings = Counter(report.node for report in bench.reports if isinstance(report, Outcome))
    assert set(endings.values()) == {1}
    assert not set(endings) & bench.returned()


MEET = """#entry f
#entry quick
import os, time
from pathlib import Path
def quick(x=1):
    return x
def f(name, count):
    (Path.cwd() / f"here-{name}").touch()
    while len(list(Path.cwd().glob("here-*"))) < count:
        time.sleep(0.01)
"""


async def test_ten_that_wait_for_each_other_meet(bench: Bench) -> None:
    code = bench.write(MEET)
    for number in range(10):
        bench.submit(code, "f", [f"n{number}"], {"name": number, "count": 10})
    await bench.until(lambda: len(bench.outcomes()) == 10)


async def test_they_meet_also_after_many_quick_ones(bench: Bench) -> None:
    code = bench.write(MEET)
    for start in range(0, 1280, 64):
        bench.submit(code, "quick", [f"q{i}" for i in range(start, start + 64)])
    await bench.until(lambda: len(bench.outcomes()) + len(bench.returned()) >= 1280)
    for number in range(10):
        bench.submit(code, "f", [f"n{number}"], {"name": number, "count": 10})
    await bench.until(lambda: {f"n{number}" for number in range(10)} <= {*bench.outcomes(), *bench.returned()})
    assert {outcome.status for outcome in bench.outcomes().values()} == {"completed"}


async def test_what_needs_all_cores_runs_alone_among_those_that_need_some(bench: Bench) -> None:
    code = bench.write(SLEEP)
    for number in range(3):
        bench.submit(code, "f", [f"n{number}"], {"s": 0.1}, resources={"cpu": "64"})
    await bench.until(lambda: len(bench.outcomes()) == 3)
    runs = sorted((outcome.started or 0, outcome.ended) for outcome in bench.outcomes().values())
    assert all(ended <= started for (_, ended), (started, _) in pairwise(runs))


async def test_it_is_given_back_by_a_crash(bench: Bench) -> None:
    code = bench.write("#entry f\nimport os\ndef f():\n    os._exit(1)\n")
    for number in range(3):
        bench.submit(code, "f", [f"n{number}"], resources={"cpu": 64})
    await bench.until(lambda: len(bench.outcomes()) == 3)


@pytest.mark.parametrize(("resources", "words"), [({"gpu": 99}, "needs 99 gpu"), ({"memory": "lots"}, "'lots'")])
async def test_what_cannot_be_had_is_told(bench: Bench, resources: dict[str, object], words: str) -> None:
    outcome = await bench.run("def f():\n    pass\n", resources=resources)
    assert outcome.error is not None
    assert (outcome.status, outcome.error.permanent, outcome.begun) == ("failed", True, False)
    assert words in outcome.error.message


async def test_what_waits_behind_a_busy_run_comes_back(bench: Bench) -> None:
    bench.submit(bench.write(SLEEP), "f", ["slow", "behind"], {"s": 60})
    await bench.until(lambda: bench.returned() == {"behind"})
    assert bench.outcomes() == {}


async def test_cancel_ends_what_runs_and_what_waits(bench: Bench) -> None:
    bench.submit(bench.write(SLEEP), "f", ["a", "b"], {"s": 60})
    await bench.until(lambda: any(type(report).__name__ == "Begun" for report in bench.reports))
    bench.pool.cancel("e")
    await bench.until(lambda: "a" in bench.outcomes() and ("b" in bench.outcomes() or "b" in bench.returned()))
    assert {outcome.status for outcome in bench.outcomes().values()} == {"cancelled"}


async def test_a_missing_interpreter_is_told(bench: Bench) -> None:
    code = bench.write(SLEEP)
    object.__setattr__(code, "interpreter", "/nowhere/python")
    bench.submit(code, "f", ["n"])
    await bench.until(lambda: "n" in bench.outcomes())
    error = bench.outcomes()["n"].error
    assert error is not None
    assert error.code == "code_unavailable"
    assert "/nowhere/python" in error.message


PARENT = """
import asyncio, sys
from pathlib import Path
from tests.integration.pool.conftest import Bench
from twingraph.dispatch.embedded import EmbeddedPool, PoolOptions

async def main():
    folder = Path(sys.argv[1])
    pool = EmbeddedPool(PoolOptions(), str(folder), None)
    bench = Bench(folder, pool)
    await pool.start(bench.take)
    code = bench.write('''#entry f
import os, subprocess
from pathlib import Path
def f():
    child = subprocess.Popen(["sleep", "60"])
    Path("pids.part").write_text(f"{os.getpid()} {child.pid}")
    os.rename("pids.part", "pids")
    while True: pass
''')
    bench.submit(code, "f", ["n"])
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_workers_and_their_children_die_with_the_parent(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[3])
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], env={**os.environ, "PYTHONPATH": root})
    async with asyncio.timeout(20):
        while not (tmp_path / "pids").exists():
            await asyncio.sleep(0.01)
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        while any(alive(pid) for pid in pids):
            await asyncio.sleep(0.01)
