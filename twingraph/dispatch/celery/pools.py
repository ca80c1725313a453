"""The pools of a worker, each started by its first user. On the worker's loop alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from twingraph.dispatch.base import Dispatch, Report

LOG = logging.getLogger("twingraph.celery")


class Pools:
    def __init__(self, loop: asyncio.AbstractEventLoop, report: Callable[[Report], None]) -> None:
        self._loop = loop
        self._report = report
        self._starting: dict[Dispatch, asyncio.Task[None]] = {}

    def use(self, pool: Dispatch, act: Callable[[], None], failed: Callable[[Exception], None]) -> None:
        """`failed` hears what the start or `act` raised, which else would be lost."""
        starting = self._starting.get(pool)
        if starting is None:
            starting = self._starting[pool] = self._loop.create_task(pool.start(self._report))

        def started(task: asyncio.Task[None]) -> None:
            try:
                task.result()
                act()
            except Exception as error:
                LOG.exception("a pool failed")
                if task.exception() is not None and self._starting.get(pool) is task:
                    del self._starting[pool]  # the next user tries again
                failed(error)

        if starting.done():
            started(starting)
        else:
            starting.add_done_callback(started)

    async def stop(self) -> None:
        for pool in self._starting:
            await pool.stop()
