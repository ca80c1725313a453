"""Going on with what conductors that died have left, without being asked.

Only executions of the origins that a conductor is given: a script's own run is nobody's to go on with but its author's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

# How often somebody looks for what is left, and how much is taken at once. Whoever else looks takes the rest.
ADOPT_SECONDS = 1.0
ADOPT_AT_ONCE = 300
ADOPT_IN_A_TURN = 4
# Who has taken one over does not take the same one again for so long, twice as long each time: it may be that nobody
# can go on with it, and it is left again at once.
FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 300.0


@dataclass(slots=True, kw_only=True)
class Adopting:
    """`adopt` takes one over, or finds out that this conductor has lost it. All is called on the conductor's loop."""

    origins: Collection[str]
    orphans: Callable[[Collection[str], int], list[str]]
    adopt: Callable[[str], None]
    later: Callable[[float, Callable[[], None]], object]
    now: Callable[[], float]
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
            past = self.now() - LONGEST_WAIT_SECONDS
            self._waits = {known: told for known, told in self._waits.items() if told[0] > past}

    def _take(self, found: deque[str]) -> None:
        """A few; then it is the turn of others."""
        for _ in range(min(len(found), ADOPT_IN_A_TURN)):
            self._take_one(found.popleft())
        if found:
            self.later(0, lambda: self._take(found))

    def _take_one(self, execution: str) -> None:
        until, wait = self._waits.get(execution, (0.0, FIRST_WAIT_SECONDS / 2))
        if self.now() >= until:
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)
            self._waits[execution] = self.now() + wait, wait
            self.adopt(execution)
