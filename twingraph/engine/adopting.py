"""Going on with what conductors that died have left, without being asked.

Only executions of the origins that a conductor is given: a script's own run is nobody's to go on with but its author's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import field

from twingraph.core.errors import ConflictError, LeaseLost
from twingraph.core.recordclass import recordclass
from twingraph.engine.handle import Handle

# How often somebody looks for what is left, and how much is taken at once. Whoever else looks takes the rest.
ADOPT_SECONDS = 1.0
ADOPT_AT_ONCE = 300
ADOPT_IN_A_TURN = 4
# Who could not go on with one does not take the same one again for so long, twice as long each time. Whom others were
# quicker than, or who has lost it since, takes it again at once: those others may have died.
FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 300.0


@recordclass(frozen=False)
class Adopting:
    """`adopt` takes one over, or finds out that this conductor has lost it. All is called on the conductor's loop."""

    origins: Collection[str]
    orphans: Callable[[Collection[str], int], list[str]]
    adopt: Callable[[str], Handle | None]  # None: it is coming already
    later: Callable[[float, Callable[[], None]], object]
    now: Callable[[], float]
    _tried: dict[str, Handle] = field(default_factory=dict)  # how it went the last time
    _waits: dict[str, tuple[float, float]] = field(default_factory=dict)  # until when, and for how long

    def begin(self) -> None:
        """From now on, again and again, as long as the loop runs. Without origins, never."""
        if self.origins:
            self.later(ADOPT_SECONDS, self._look)

    def _look(self) -> None:
        self.later(ADOPT_SECONDS, self._look)
        found = self.orphans(self.origins, ADOPT_AT_ONCE)
        if found:
            self._take(deque(found))
        else:
            # Who is held may still be given up, and who was given up comes back.
            self._tried = {
                known: handle for known, handle in self._tried.items() if not handle.wait(0) or _could_not(handle)
            }
            past = self.now() - LONGEST_WAIT_SECONDS
            self._waits = {known: told for known, told in self._waits.items() if told[0] > past}

    def _take(self, found: deque[str]) -> None:
        """A few; then it is the turn of others."""
        for _ in range(min(len(found), ADOPT_IN_A_TURN)):
            self._take_one(found.popleft())
        if found:
            self.later(0, lambda: self._take(found))

    def _take_one(self, execution: str) -> None:
        before = self._tried.pop(execution, None)
        if before is not None and _could_not(before):
            _, wait = self._waits.get(execution, (0.0, FIRST_WAIT_SECONDS / 2))
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)
            self._waits[execution] = self.now() + wait, wait
        if self.now() >= self._waits.get(execution, (0.0, 0.0))[0]:
            handle = self.adopt(execution)
            if handle is not None:
                self._tried[execution] = handle


def _could_not(handle: Handle) -> bool:
    return handle.fault is not None and not isinstance(handle.fault, (ConflictError, LeaseLost))
