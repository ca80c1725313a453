"""The promise of a worker's machine."""

from __future__ import annotations

from typing import Protocol

from twingraph.dispatch.base import CodeRef, Dispatch
from twingraph.dispatch.celery.messages import Offer


class Ground(Protocol):
    """What a worker has on its machine. Called on any thread; but for `spoke` it may block."""

    def spoke(self, place: str, desk: str) -> None:
        """The conductor at this desk has sent a lane: of the place, it is the one to be asked from now on."""

    def code_of(self, offer: Offer) -> CodeRef:
        """The code, fetched if need be. TwinGraphError says what is missing."""

    def pool_of(self, offer: Offer) -> Dispatch:
        """What runs it; always the same for one place, started on the loop by its first user."""

    def clear(self, place: str, execution: str) -> None:
        """The execution is over: remove what any worker has left of it beside its pool. Does not wait for that."""
