"""The executions of one conductor: those that it holds, and those that are on their way."""

from __future__ import annotations

from collections.abc import Callable

from twingraph.engine.handle import Handle
from twingraph.engine.held import Held
from twingraph.store.base import Claim


class Coming:
    """An execution that is being taken over, or is so large that it begins by and by, which nobody else can know of:
    who asked for it, and what else was wished meanwhile."""

    def __init__(self, execution: str, claim: Claim | None, handle: Handle) -> None:
        self.id = execution
        self.claim = claim
        self.handles = [handle]
        self.after: list[Callable[[Held], None]] = []

    def fail(self, error: BaseException) -> None:
        for handle in self.handles:
            handle.fail(error)


class Roster:
    """Who is here. Nothing is decided in it."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._by_number: dict[int, Held] = {}
        self.coming: dict[str, Coming] = {}

    def add(self, held: Held) -> None:
        self._held[held.state.execution] = held
        self._by_number[held.number] = held

    def remove(self, held: Held) -> None:
        self._held.pop(held.state.execution, None)
        self._by_number.pop(held.number, None)

    def named(self, execution: str) -> Held | None:
        return self._held.get(execution)

    def at(self, number: int) -> Held | None:
        return self._by_number.get(number)

    def has(self, held: Held) -> bool:
        """Whether it is still ours: what was put off may come too late."""
        return self._by_number.get(held.number) is held

    def __bool__(self) -> bool:
        """Whether anything is held."""
        return bool(self._held)

    def all(self) -> list[Held]:
        return list(self._held.values())

    def numbers(self) -> list[int]:
        """Of everything that is held or claimed."""
        claims = (coming.claim for coming in self.coming.values())
        return [*self._by_number, *(claim.number for claim in claims if claim is not None)]

    def fail(self, error: BaseException) -> None:
        """Tell everybody who waits that nothing more comes."""
        for held in self.all():
            held.fail(error)
        for coming in self.coming.values():
            coming.fail(error)
        self.coming.clear()
