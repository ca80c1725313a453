"""The promise of a worker's machine."""

from __future__ import annotations

from typing import Protocol

from twingraph.dispatch.base import CodeRef, Dispatch
from twingraph.dispatch.celery.messages import Offer


class Ground(Protocol):
    """What a worker has on its machine. Called on any thread; it may block."""

    def code_of(self, offer: Offer) -> CodeRef:
        """The code, fetched if need be. TwinGraphError says what is missing."""

    def pool_of(self, offer: Offer) -> Dispatch:
        """What runs it; always the same for one place, started on the loop by its first user."""

    def clear(self, place: str, execution: str) -> None:
        """The execution is over: remove what any worker has left of it beside its pool. Does not wait for that."""
