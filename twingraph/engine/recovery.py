"""From the journal to a state: load the latest snapshot, fold what came after it."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager

from twingraph.core.errors import StoreError, TwinGraphError
from twingraph.core.events import ExecutionEnded, event_from
from twingraph.core.statuses import ExecutionStatus
from twingraph.dispatch.base import CodeRef
from twingraph.engine.handle import Handle
from twingraph.engine.held import Held
from twingraph.engine.kernel import IllegalMove, State, apply, snapshot
from twingraph.store.base import Claim, Journal, Row


class Coming:
    """An execution that is being taken over: who asked for it, and what else was wished meanwhile."""

    def __init__(self, execution: str, claim: Claim, handle: Handle) -> None:
        self.id = execution
        self.claim = claim
        self.handles = [handle]
        self.after: list[Callable[[Held], None]] = []


def fold(state: State, rows: Iterable[Row]) -> State:
    """Apply journaled events; what they command was done when they were new."""
    for row in rows:
        try:
            apply(state, event_from(row.kind, row.body), row.at, row.seq)
        except (ValueError, KeyError, TypeError, IllegalMove) as error:
            raise StoreError(
                f"event {row.seq} ({row.kind}) of {state.execution} cannot be read: {error}; the journal is damaged or "
                "was written by another version of TwinGraph"
            ) from error
    return state


def restore(execution: str, saved: str | None, rows: Iterable[Row]) -> State:
    return fold(snapshot.load(json.loads(saved)) if saved is not None else State(execution), rows)


def restored(
    journal: Journal,
    claim: Claim,
    execution: str,
    handle: Handle,
    code_of: Callable[[str], CodeRef],
    *,
    needs_code: bool,
) -> Generator[None, None, Held]:
    """An execution that was claimed, as its journal has it; without its values yet. What is only to be stopped needs
    no code. It may be long: the caller decides how much is done at once."""
    saved, rows = journal.load(claim.number)
    with _no_search_for_garbage():
        state = restore(execution, saved, ())
    since, last = state.seq, None
    for last in rows:
        with _no_search_for_garbage():
            fold(state, (last,))
        yield
    if state.status is ExecutionStatus.PENDING:
        raise TwinGraphError(f"{execution} has no events: its process ended before it began; run it again")
    code: CodeRef | None = None
    if claim.code_version is not None:
        try:
            code = code_of(claim.code_version)
        except TwinGraphError:
            if needs_code:
                raise
    held = Held(claim, state, code, handle)
    held.snapshot_at = since
    held.last = last
    return held


@contextmanager
def _no_search_for_garbage() -> Iterator[None]:
    """All that a journal is made into stays, and looking through it again and again takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def ended_of(last: Row | None, data: str | None) -> tuple[str | None, Mapping[str, str]]:
    """The result and the outputs of an execution that is over, from its last event."""
    event = event_from(last.kind, last.body) if last is not None else None
    if not isinstance(event, ExecutionEnded) or data is None:
        return None, {}
    result, *texts = data.split("\n")
    return result, dict(zip(event.outputs, texts, strict=True))
