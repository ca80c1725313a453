"""What a new execution takes over from an earlier one: its plan, its inputs, and the outcomes of finished nodes.

`resume` of a failed execution keeps everything that had finished; `replay` keeps what does not follow from what is
changed. Which of the two, and what is changed, is recorded with the new execution, so that whoever takes it over later
keeps the same.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from itertools import islice

from twingraph.core.errors import CodecError
from twingraph.core.events import BranchTaken, NodeEnded
from twingraph.core.plan import NodeKind, NodeSpec, Plan
from twingraph.core.recordclass import recordclass
from twingraph.core.records import Changes, Settings
from twingraph.engine.anew import with_consequences
from twingraph.engine.elsewhere import Repeated
from twingraph.engine.folding import PIECE, unsearched
from twingraph.engine.held import Keeping, Kept
from twingraph.engine.kernel.state import at_once
from twingraph.engine.recorded import Outcome, Recorded
from twingraph.engine.repeating import elsewhere, repeated


@recordclass
class Earlier:
    execution: str
    plan: Plan | None  # of a drawn workflow,
    body: str | None = None  # else the entry of the body that drove it
    specs: tuple[NodeSpec, ...] = ()  # what its settings refer to
    inputs: Mapping[str, str]
    settings: Settings
    kept: Mapping[str, Kept]
    changes: Changes | None = None
    given: Sequence[str] = ()  # the texts of the outputs that are changed
    repeated: Repeated | None = None  # what its body begins with again


def earlier(
    recorded: Recorded, changes: Changes | None = None, given: Sequence[str] = (), *, repeats: bool = False
) -> Earlier:
    """Everything that a replay of this execution starts from. `repeats`: its body does the same as long as it can."""
    anew = _anew(recorded, changes)
    whole = at_once(_whole(recorded, anew))
    known = repeated(recorded, whole) if repeats else None
    again = {node.id for node in known.nodes} if known is not None else set()
    return Earlier(
        execution=recorded.state.execution,
        plan=recorded.plan,
        body=recorded.created.body,
        specs=recorded.specs,
        inputs=recorded.inputs,
        settings=recorded.created.settings,
        kept=at_once(_kept_of(recorded, changes, given, anew, whole - again)),
        changes=changes,
        given=given,
        repeated=known,
    )


def resumed(recorded: Recorded) -> Earlier:
    """Everything that going on after a failure starts from; of one node alone it stays that node alone."""
    return earlier(recorded, Changes(alone=recorded.alone, resumed=True) if recorded.alone is not None else None)


def kept(recorded: Recorded, changes: Changes | None = None, given: Sequence[str] = ()) -> Mapping[str, Kept]:
    """The outcomes that are taken over, and those that were given. An outcome whose large values are gone is not kept,
    so that the node runs again.

    The body of a pipeline runs anew: a call of it is kept when the same component was called under the same id with the
    same arguments.
    """
    return at_once(_keeping(recorded, changes, given))


def keeping(recorded: Recorded, changes: Changes | None, given: Sequence[str], grown: Callable[[int], None]) -> Keeping:
    """The same of what is not read yet, by and by; afterwards nothing of it is left. The caller hears of how many nodes
    there are."""
    steps = _reading_what_is_kept(recorded, changes, given)
    return (yield from unsearched(steps, lambda: grown(len(recorded.state.nodes))))


def _reading_what_is_kept(recorded: Recorded, changes: Changes | None, given: Sequence[str]) -> Keeping:
    yield from recorded.reading()
    found = yield from _keeping(recorded, changes, given)
    yield from recorded.going()
    return found


def _keeping(recorded: Recorded, changes: Changes | None, given: Sequence[str]) -> Keeping:
    anew = _anew(recorded, changes)
    yield
    whole = yield from _whole(recorded, anew)
    return (yield from _kept_of(recorded, changes, given, anew, whole))


def _kept_of(
    recorded: Recorded, changes: Changes | None, given: Sequence[str], anew: set[str], whole: Iterable[str]
) -> Keeping:
    found: dict[str, Kept] = {}
    for number, node in enumerate(whole, 1):
        if not number % PIECE:
            yield
        asked = _asked_for(recorded, node) if recorded.created.body is not None else None
        if asked is not None or recorded.created.body is None:
            found[node] = _kept(recorded.outcomes[node], asked)
    if changes is not None and not (changes.resumed or changes.everything):
        found.update(_borne(recorded, anew))
        found.update(_given(changes, given))
    return found


def _kept(outcomes: Sequence[Outcome], asked: str | None) -> Kept:
    rows = [(event, [place.text] if place is not None else None) for event, place in outcomes]
    return Kept(rows=rows, given=asked, elsewhere=elsewhere(outcomes))


def _anew(recorded: Recorded, changes: Changes | None) -> set[str]:
    """The nodes of which nothing is kept."""
    if changes is None or changes.resumed:
        return set()
    if changes.everything:
        return set(recorded.state.nodes)
    return with_consequences(recorded.state, [*changes.anew, *(one.node for one in changes.given)])


def _whole(recorded: Recorded, anew: set[str]) -> Generator[None, None, set[str]]:
    wanted = (node for node in recorded.outcomes if node not in anew and recorded.is_whole(node))
    found: set[str] = set()
    while some := list(islice(wanted, PIECE)):
        found.update(recorded.complete(some))
        yield
    return found


def _borne(recorded: Recorded, anew: set[str]) -> dict[str, Kept]:
    """Failures with which the execution went on are a part of what led to the rest."""
    found: dict[str, Kept] = {}
    for name in recorded.borne:
        asked = _asked_for(recorded, name) if recorded.created.body is not None else None
        if name not in anew and (asked is not None or recorded.created.body is None):
            found[name] = Kept(rows=[(recorded.failures[name], None)], given=asked)
    return found


def _asked_for(recorded: Recorded, name: str) -> str | None:
    """The call of a body that this outcome answers; None when that cannot be told any more."""
    node = recorded.state.nodes[name]
    if node.kind is NodeKind.SIDE_EFFECT:  # the body carries it out before anybody could tell it not to
        return None
    try:
        return recorded.values.call_hash(node)
    except CodecError:
        return None


def _given(changes: Changes, texts: Sequence[str]) -> dict[str, Kept]:
    found: dict[str, Kept] = {}
    position = 0
    for one in changes.given:
        if one.handle is not None:
            found[one.node] = Kept(rows=[(BranchTaken(one.node, 1, one.handle), None)])
            continue
        lines = texts[position : position + len(one.outputs)]
        position += len(one.outputs)
        ended = NodeEnded(one.node, 1, "completed", shape=one.shape, outputs=one.outputs, begun=False, cached_from="")
        found[one.node] = Kept(rows=[(ended, lines)])
    return found
