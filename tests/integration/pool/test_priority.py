"""What waits for a process is served by priority, then by age."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.pool.conftest import Bench, opened

GATED = """#entry f
import time
from pathlib import Path
from typing import Any
def f():
    while not (Path.cwd() / "go").exists():
        time.sleep(0.005)
"""


def order(bench: Bench) -> list[str]:
    return list(bench.outcomes())


async def served(folder: Path, wanted: list[tuple[str, int]], **settings: Any) -> list[str]:
    """In which order one process serves them that come while it is busy."""
    async with opened(folder, workers=1) as bench:
        code = bench.write(GATED)
        bench.submit(code, "f", ["busy"], **settings)
        for node, priority in wanted:
            bench.submit(code, "f", [node], priority=priority, **settings)
        (folder / "go").touch()
        await bench.until(lambda: len(bench.outcomes()) == len(wanted) + 1)
        return [node for node in order(bench) if node != "busy"]


WANTED = [("low", 0), ("middle", 3), ("late", 0), ("high", 5), ("middle2", 3), ("least", -1)]
SERVED = ["high", "middle", "middle2", "low", "late", "least"]


async def test_the_more_important_lane_goes_first_then_the_older(tmp_path: Path) -> None:
    assert await served(tmp_path, WANTED) == SERVED


async def test_so_do_those_that_wait_for_a_core(tmp_path: Path) -> None:
    assert await served(tmp_path, WANTED, resources={"cpu": 1}) == SERVED
