"""A dispatch made of several: each lane goes where its platform says. What nobody asks for is never made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from twingraph.dispatch.base import Dispatch, Lane, Report

if TYPE_CHECKING:
    from twingraph.dispatch.jobs import JobDispatch


class Routing:
    """See `dispatch.base.Dispatch`. `others` make the dispatch of each platform that is not `local`."""

    def __init__(self, local: Dispatch, others: Mapping[str, Callable[[], JobDispatch]]) -> None:
        self._local = local
        self._others = others
        self._made: dict[str, JobDispatch] = {}
        self._loop: asyncio.AbstractEventLoop
        self._report: Callable[[Report], None]

    async def start(self, report: Callable[[Report], None]) -> None:
        self._loop, self._report = asyncio.get_running_loop(), report
        await self._local.start(report)

    def submit(self, lane: Lane) -> None:
        platform = lane.settings.platform
        if platform == "local" or lane.settings.entry.startswith("builtin:"):
            self._local.submit(lane)
        else:
            self._of(platform).submit(lane)

    def _of(self, platform: str) -> JobDispatch:
        made = self._made.get(platform)
        if made is None:
            made = self._made[platform] = self._others[platform]()
            made.open(self._loop, self._report)
        return made

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        for dispatch in self._all():
            dispatch.recall(execution, nodes)

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        for dispatch in self._all():
            dispatch.cancel(execution, nodes)

    def _all(self) -> Iterator[Dispatch]:
        yield self._local
        yield from self._made.values()

    async def stop(self) -> None:
        await asyncio.gather(*(dispatch.stop() for dispatch in self._all()))
