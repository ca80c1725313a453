"""From the journal to a state: load the latest snapshot, fold what came after it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence

from twingraph.core.errors import StoreError, TwinGraphError
from twingraph.core.events import PACKED, Created, ExecutionEnded, event_from
from twingraph.core.records import Changes
from twingraph.core.statuses import ExecutionStatus
from twingraph.dispatch.base import CodeRef
from twingraph.engine.folding import taking_in, thawed, unsearched
from twingraph.engine.handle import Handle
from twingraph.engine.held import Held
from twingraph.engine.kernel import State
from twingraph.engine.sizes import Sizes
from twingraph.store.base import Claim, Journal, Row

# About so many characters of a snapshot are one node's, which are in the making while it is read.
_OF_A_NODE = 150
# The same of the packed text of an event that declares them.
_OF_A_PACKED_NODE = 10


def restored(
    journal: Journal,
    claim: Claim,
    execution: str,
    handle: Handle,
    code_of: Callable[[str], CodeRef],
    *,
    needs_code: bool,
    sizes: Sizes,
    grown: Callable[[int], None],
) -> Generator[None, None, Held]:
    """An execution that was claimed, as its journal has it; without its values yet. What is only to be stopped needs
    no code. It may be long: the caller decides how much is done at once, and hears of how many nodes there are."""
    state, since, last = yield from _folded(journal, claim.number, execution, grown)
    if state.status is ExecutionStatus.PENDING:
        raise TwinGraphError(f"{execution} has no events: its process ended before it began; run it again")
    code: CodeRef | None = None
    if claim.code_version is not None:
        try:
            code = code_of(claim.code_version)
        except TwinGraphError:
            if needs_code:
                raise
    held = Held(claim, state, code, handle, sizes)
    held.snapshot_at = since
    held.last = last
    return held


def _folded(
    journal: Journal, number: int, execution: str, grown: Callable[[int], None], *, snapshot: bool = True
) -> Generator[None, None, tuple[State, int, Row | None]]:
    """The state, the event after which the snapshot was taken that it began with, and the last event."""
    saved, rows = journal.load(number, snapshot=snapshot)
    last: Row | None = None
    try:
        about = len(saved or "") // _OF_A_NODE
        state = yield from unsearched(thawed(execution, saved), lambda: grown(about))
        grown(len(state.nodes))
        since = state.seq
        for last in rows:
            declared = len(last.body) // _OF_A_PACKED_NODE if last.body.startswith(PACKED) else 0
            grown(max(declared, len(state.nodes)))
            yield from unsearched(taking_in(state, last), lambda: grown(len(state.nodes)))
            yield
    except StoreError:
        if saved is None:
            raise
        # The events before it are still there.
        return (yield from _folded(journal, number, execution, grown, snapshot=False))
    return state, since, last


def ended_of(last: Row | None, data: str | None) -> tuple[str | None, Mapping[str, str]]:
    """The result and the outputs of an execution that is over, from its last event."""
    event = event_from(last.kind, last.body) if last is not None else None
    if not isinstance(event, ExecutionEnded) or data is None:
        return None, {}
    result, *texts = data.split("\n")
    return result, dict(zip(event.outputs, texts, strict=True))


def changes_of(journal: Journal, number: int) -> tuple[Changes | None, Sequence[str]]:
    """What was wished of this replay when it began, with the texts of what was given."""
    _, rows = journal.load(number, snapshot=False)
    first = next(rows, None)
    created = event_from(first.kind, first.body) if first is not None else None
    if not isinstance(created, Created) or created.changes is None:
        return None, ()
    lines = (journal.data(number, 1) or "").split("\n")
    return created.changes, lines[len(created.inputs) :]
