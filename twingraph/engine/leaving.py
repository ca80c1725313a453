"""How executions leave a conductor: they are over, at rest, taken by another one, or given up."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from twingraph.core.errors import LeaseLost
from twingraph.core.statuses import EXECUTION_OVER
from twingraph.engine.effects import Effects
from twingraph.engine.ground import Ground
from twingraph.engine.held import Held
from twingraph.engine.kernel.state import taken_apart
from twingraph.engine.outside import Outside
from twingraph.engine.writing import Writing

OVER = "over"


class Leaving:
    """Whatever the reason: nothing of it stays in memory, and whoever waits for it is told."""

    def __init__(
        self,
        ground: Ground,
        writing: Writing,
        effects: Effects,
        outside: Outside,
        left: Callable[[str, bool], None] = lambda execution, over: None,
    ) -> None:
        self._name = ground.name
        self._roster = ground.roster
        self._journal = ground.journal
        self._dispatch = ground.dispatch
        self._garbage = ground.garbage
        self._large = ground.sizes.large_nodes
        self._moments = ground.moments
        self._writing = writing
        self._effects = effects
        self._outside = outside
        self._left = left

    def drop(self, held: Held, why: str) -> None:
        self._roster.remove(held)
        self._writing.forget(held)
        held.todo.clear()
        self._effects.forget(held, why)
        wishes = self._outside.drop(held.number)
        self._left(held.state.execution, why == OVER)
        if self._garbage.in_force or len(held.state.nodes) > self._large:
            # Even to free the memory of many nodes takes long when it is done at once.
            steps, number = chain(wishes, taken_apart(held.state)), held.number
            self._moments.by_and_by(steps, lambda: self._is_apart(number))
        else:
            self._garbage.drops(held.number)

    def _is_apart(self, number: int) -> None:
        """While a large execution is held no search would find the memory of a small one."""
        if self._roster.at(number) is None:  # it may have come back meanwhile
            self._garbage.drops(number)

    def if_over(self, held: Held) -> None:
        """Let the caller know when the execution is over, or at rest after an interrupt."""
        state = held.state
        if held.unwritten:
            return  # how it stands now, nobody may know before it is durable
        if state.status in EXECUTION_OVER:
            result, outputs = held.ended or (None, {})
            self.drop(held, OVER)
            held.end(state.status, state.ending_error, result, outputs)
        elif held.at_rest:
            self.drop(held, "interrupted")
            self._journal.release([held.number], self._name)
            held.end(state.status)

    def lost(self, held: Held) -> None:
        """Another conductor has it."""
        self.drop(held, "lost")
        self._dispatch.cancel(held.state.execution)
        held.fail(LeaseLost(f"another conductor took {held.state.execution} over"))

    def give_up(self, held: Held, error: BaseException) -> None:
        """Let go of it as its journal has it; whoever resumes it starts from there."""
        self.drop(held, "given up")
        held.fail(error)
        self._dispatch.cancel(held.state.execution)
        self._journal.release([held.number], self._name)

    def all(self, why: BaseException) -> None:
        try:
            for held in self._roster.all():
                self.drop(held, "stopped")
                held.fail(why)
        finally:
            self._roster.fail(why)
            self._garbage.end()
