"""From rows of the journal to a state: the edge where what others wrote is believed or refused."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

from twingraph.core.errors import StoreError
from twingraph.core.events import Event, event_from, reading
from twingraph.engine.kernel import State, apply, begin, conclude, snapshot
from twingraph.engine.kernel.commands import Command
from twingraph.store.base import Row


@contextmanager
def no_search_for_garbage() -> Iterator[None]:
    """All that a journal is made into stays, and looking through it again and again takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def take_in(state: State, row: Row) -> tuple[Event, list[Command]]:
    """Apply one journaled event. Whatever a row that nobody of us wrote leads to is an error that names it."""
    try:
        event = event_from(row.kind, row.body)
        return event, apply(state, event, row.at, row.seq)
    except Exception as error:  # the edge to foreign bytes: what they make the kernel stumble over is not known
        raise _unreadable(state, row, error) from error


def taking_in(state: State, row: Row) -> Generator[None, None, None]:
    """The same by and by."""
    try:
        begin(state, (yield from reading(row.kind, row.body)), row.at, row.seq)
        while state.chores:
            yield from state.chores.popleft()
        conclude(state)
    except Exception as error:
        raise _unreadable(state, row, error) from error


def _unreadable(state: State, row: Row, error: Exception) -> StoreError:
    return StoreError(
        f"event {row.seq} ({row.kind}) of {state.execution} cannot be read: {str(error)[:500]}; the journal is "
        "damaged or was written by another version of TwinGraph"
    )


def fold(state: State, rows: Iterable[Row]) -> State:
    """Apply journaled events; what they command was done when they were new."""
    for row in rows:
        take_in(state, row)
    return state


def restore(execution: str, saved: str | None, rows: Iterable[Row]) -> State:
    return fold(snapshot.at_once(thawed(execution, saved)), rows)


def thawed(execution: str, saved: str | None) -> Generator[None, None, State]:
    """What a snapshot says, by and by; without one, nothing has happened yet."""
    if saved is None:
        return State(execution)
    try:
        return (yield from snapshot.read(saved))
    except Exception as error:  # the edge to foreign bytes
        raise StoreError(f"the snapshot of {execution} cannot be read: {str(error)[:500]}") from error
