"""A conductor without a thread."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable, Collection
from typing import Any

from tests.support.conducting import Act, no_code
from twingraph.core.plan import Plan
from twingraph.core.policies import ErrorHandler
from twingraph.core.records import Settings
from twingraph.engine.conductor import Conductor
from twingraph.engine.handle import Handle
from twingraph.engine.held import KeptOf, Submission
from twingraph.engine.kernel import State
from twingraph.store.base import Journal
from twingraph.store.blobs.memory import MemoryBlobs
from twingraph.store.home import Home
from twingraph.store.sqlite.journal import SqliteJournal
from twingraph.store.sqlite.records import SqliteRecords
from twingraph.testing.dispatch import MemoryDispatch


class ByHand:
    """A conductor whose turns are taken one by one. Unless `pace` says otherwise, a moment is over at the next look."""

    def __init__(
        self,
        home: Home,
        act: Act,
        journal: Callable[[Home], Journal] = SqliteJournal,
        pace: Callable[[], float] | None = None,
        committed: Callable[[Collection[str]], None] | None = None,
        kept_of: KeptOf | None = None,
    ) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self.dispatch = MemoryDispatch(act)
        self.records = SqliteRecords(home)
        self.told: list[tuple[str, str, int]] = []  # what is said of executions that come and go, with lanes by then
        looks = itertools.count()
        self.conductor = Conductor(
            secrets.token_hex(4),
            make_journal=lambda: journal(home),
            dispatch=self.dispatch,
            blobs=MemoryBlobs(),
            code_of=no_code,
            adopted=lambda execution, epoch: self.told.append(
                (execution, f"epoch {epoch}", len(self.dispatch.waiting))
            ),
            left=lambda execution, over: self.told.append(
                (execution, "over" if over else "left", len(self.dispatch.waiting))
            ),
            committed=committed,
            kept_of=kept_of,
            pace=pace or (lambda: float(next(looks))),
        )
        assert self.conductor.begin_on(self.loop)

    def turn(self) -> None:
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def turns_until(self, holds: Callable[[], bool], seen: Callable[[], None] = lambda: None) -> int:
        for number in range(20_000):
            if holds():
                return number
            self.turn()
            seen()
        raise AssertionError("it does not come to that")

    def submit(
        self, of: Plan, *, parallel: int = 10, error_handler: ErrorHandler = ErrorHandler.FAIL, **more: Any
    ) -> Handle:
        return self.conductor.submit(
            Submission(
                id=f"exec-{secrets.token_hex(4)}",
                plan=of,
                inputs={},
                settings=Settings(max_parallel=parallel, error_handler=error_handler),
                workflow_id="flow",
                origin="script",
                **more,
            )
        )

    def state(self, handle: Handle) -> State:
        held = self.conductor._roster.named(handle.id)
        assert held is not None
        return held.state


Opens = Callable[[Act], ByHand]
