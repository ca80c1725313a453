"""DBOS: `bodies_dbos.py loop|replay|waiting N`, in an empty folder."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from pathlib import Path
from typing import Any

from benchmarks.bodies import notes

DBOS: Any = importlib.import_module("dbos").DBOS


@DBOS.step()  # type: ignore[untyped-decorator]
def inc(x: int) -> int:
    return x + 1


@DBOS.workflow()  # type: ignore[untyped-decorator]
def loop(n: int) -> int:
    value = 0
    notes.mark()
    for number in range(n):
        if number in (n // 10, n - n // 10):
            notes.mark()
        value = inc(value)
        if value > n:
            break
    notes.mark()
    return value


@DBOS.workflow()  # type: ignore[untyped-decorator]
def interrupted(n: int) -> Any:
    began = notes.moment()
    value = 0
    for _ in range(n):
        value = inc(value)
        if value > n:
            break
    notes.live(began)
    return DBOS.recv("go", timeout_seconds=3600)


reached: list[int] = []


@DBOS.workflow()  # type: ignore[untyped-decorator]
async def waiting(number: int) -> Any:
    reached.append(number)
    if number % 2:
        return await DBOS.sleep_async(3600)
    return await DBOS.recv_async("go", timeout_seconds=3600)


async def all_waiting(n: int) -> None:
    for number in range(n):
        await DBOS.start_workflow_async(waiting, number)
    notes.tell(await asyncio.to_thread(notes.memory, lambda: len(reached) == n))


def main(what: str, n: int) -> None:
    database = f"sqlite:///{Path('dbos.sqlite').absolute()}"
    DBOS(
        config={
            "name": "benchmarks",
            "system_database_url": database,
            "log_level": "ERROR",
            "console_log_level": "ERROR",
        }
    )
    if what == "replay":
        notes.fill(n)
        notes.tell(notes.replayed(n, DBOS.launch))
    DBOS.launch()
    if what == "fill":
        threading.Thread(target=notes.filled, args=(n,)).start()
        interrupted(n)
    elif what == "loop":
        loop(min(n, 100))
        if loop(n) != n:
            raise ValueError("a wrong result")
        notes.tell(notes.growth(n))
    elif what == "waiting":
        asyncio.run(all_waiting(n))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
