"""Lanes on their way to dispatch: what is commanded together goes by priority.

Dispatch may give the first lane that it gets to an idle process at once, so that a chain waits for nothing. So what one
commit commands, of however many executions, is gathered and then handed over: the more important first, of equals in
the order in which they were commanded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType

from twingraph.dispatch.base import Dispatch, Lane, Report


class Handing:
    """Dispatch, as the conductor speaks to it. `with` it lanes are gathered, until the outermost `with` ends; before
    anything is taken back, what is on its way is handed over. `failed` hears whose lane met a defect."""

    def __init__(self, dispatch: Dispatch, failed: Callable[[str, Exception], None]) -> None:
        self._dispatch = dispatch
        self._failed = failed
        self._gathering = 0
        self._lanes: list[Lane] = []

    def __enter__(self) -> None:
        self._gathering += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gathering -= 1
        if self._lanes and not self._gathering:
            self._hand_over()

    async def start(self, report: Callable[[Report], None]) -> None:
        await self._dispatch.start(report)

    async def stop(self) -> None:
        await self._dispatch.stop()

    def submit(self, lane: Lane) -> None:
        if self._gathering:
            self._lanes.append(lane)
        else:
            self._dispatch.submit(lane)

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        self._hand_over()
        self._dispatch.recall(execution, nodes)

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        self._hand_over()
        self._dispatch.cancel(execution, nodes)

    def _hand_over(self) -> None:
        lanes, self._lanes = self._lanes, []
        if len(lanes) > 1:
            lanes.sort(key=_importance, reverse=True)  # equals keep their order
        given_up: set[str] = set()
        for lane in lanes:
            try:
                if lane.execution not in given_up:
                    self._dispatch.submit(lane)
            except Exception as error:
                given_up.add(lane.execution)
                self._failed(lane.execution, error)


def _importance(lane: Lane) -> int:
    return lane.settings.priority
