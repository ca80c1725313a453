"""Cached work, done: nodes ask for outcomes, wait for equal work in flight, and what they do is kept for others.

The store knows every outcome and who is at which work, over all conductors. Here stand the nodes that have no answer
yet, and what work belongs to this conductor's nodes. Those that want the same are asked for once.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from twingraph.core.caching import CachePolicy, policy_of
from twingraph.core.events import CacheAnswered, CacheOwnerLost, Event, NodeEnded
from twingraph.core.statuses import ExecutionStatus
from twingraph.engine.ground import Ground
from twingraph.engine.held import Held
from twingraph.engine.kernel import Node
from twingraph.engine.kernel.commands import SettleCache
from twingraph.engine.keying import Asking, Keying
from twingraph.store.base import CachedOutcome, Done, LogRow, Settled, Work
from twingraph.store.blobs.base import BlobStore

if TYPE_CHECKING:  # what is not cached needs none of it
    from twingraph.engine.cached_work import Described

# Who waits looks this often without being called: a conductor that dies tells nobody.
LOOK_SECONDS = 1.0
# So many are asked for at once, so that one turn of the loop stays short.
AT_ONCE = 100
# After everybody was looked after, they wait so many times as long before it is done again, but not for ever.
REST = 9
LONGEST_REST = 1.0

Place = tuple[int, str]  # (execution number, node)


class Asked:
    """One node that asks, and what it has been told."""

    __slots__ = ("described", "fresh_from", "told", "usable_from", "why")

    def __init__(self, described: Described, fresh_from: float) -> None:
        self.described = described
        self.fresh_from = fresh_from  # what was begun earlier does not count
        self.usable_from = 0.0  # an outcome that was found cannot be used; a later one may
        self.why: str | None = None
        self.told = False  # that equal work is in flight

    @property
    def group(self) -> tuple[object, ...]:
        """Equal for those whom one answer serves."""
        wanted = self.described
        return wanted.scope, wanted.key, self.fresh_from, self.usable_from


class Asker(NamedTuple):
    held: Held
    node: str
    asked: Asked

    @property
    def place(self) -> Place:
        return self.held.number, self.node


class Sharing:
    """`bring` tells an execution of an answer; `about` keeps what goes wrong with one from the others; `in_moments`
    does long work about one."""

    def __init__(
        self,
        ground: Ground,
        blobs: BlobStore,
        bring: Callable[[Held, Event, Sequence[str] | None], None],
        about: Callable[[Held, Callable[[], None]], None],
        in_moments: Callable[[Held, Iterator[None]], None],
        keying: Keying,
    ) -> None:
        self._ground = ground
        self._blobs = blobs
        self._bring = bring
        self._about = about
        self._in_moments = in_moments
        self._keying = keying
        self._asked: dict[Place, Asked] = {}
        self._line: deque[Place] = deque()  # whose turn it is to be looked after
        self._ours: dict[Place, tuple[Described, float]] = {}  # work that is done here, and when it was begun
        self._stirred: set[int] = set()  # executions with work that will be nobody's once it is committed
        self._looking = False
        self._changed = False  # since the last time that everybody was looked after
        self._began = 0.0  # the last time,
        self._spent = 0.0  # how long it took,
        self._rests_until = 0.0  # and when the next may be

    # -- what the kernel wants ---------------------------------------------------------------------

    def ask(self, held: Held, node: str) -> None:
        """Answered soon, together with others."""
        if held.state.nodes[node].asked != "cache":
            return  # it ended before that could be done
        if self._policy(held, node).function is not None:
            self._keying.ask(Asking(held, node, partial(self._told, held, node)))
            return
        self._ask(held, node, self._describe(held, held.state.nodes[node]))

    def _policy(self, held: Held, node: str) -> CachePolicy:
        spec = held.state.nodes[node].spec
        assert spec is not None
        return policy_of(held.state.specs[spec].cache)

    def _told(self, held: Held, node: str, said: str | None, why: str | None) -> None:
        self._about(held, lambda: self._said(held, node, said, why))

    def _said(self, held: Held, node: str, said: str | None, why: str | None) -> None:
        """What the author's function said; without its word the node goes on as if it were not cached."""
        if held.state.nodes[node].asked != "cache":
            return
        if said is None:
            why = f"the function that says its key failed: {why}"
            held.logs.append(LogRow(self._ground.clock.now(), "warning", node, None, None, "stderr", why))
            self._bring(held, CacheAnswered(node, "miss", why), None)
            return
        self._ask(held, node, self._describe(held, held.state.nodes[node], said))

    def _ask(self, held: Held, node: str, described: Described | None) -> None:
        if described is None:
            self._bring(held, CacheAnswered(node, "miss", "what it is called with cannot be read"), None)
            return
        place = held.number, node
        self._asked[place] = Asked(described, held.state.settings.fresh_from or 0.0)
        self._line.append(place)
        self._look_soon()

    def settle(self, held: Held, command: SettleCache, seq: int, at: float) -> None:
        """The work is nobody's with this event: what it gave goes into the same commit."""
        place = held.number, command.node
        self._keying.end(held, command.node)
        asked = self._asked.pop(place, None)
        if asked is not None and asked.told and not command.completed:
            return  # it is somebody else's; without an answer it may be its own, from a conductor that is dead
        node = held.state.nodes[command.node]
        known = self._ours.pop(place, None)
        described = known[0] if known is not None else self._describe(held, node)
        if described is None:
            return
        done = None
        if command.completed:
            from twingraph.engine.cached_work import parts_text

            done = Done(seq, at, described.component, parts_text(held.state, held.values, node))
        begun = known[1] if known is not None else 0.0
        held.settled.append(Settled(described.scope, described.key, command.node, begun, done))
        self._stirred.add(held.number)

    def _describe(self, held: Held, node: Node, said: str | None = None) -> Described | None:
        from twingraph.engine.cached_work import describe

        return describe(held.state, held.values, node, held.workflow, said)

    def drop(self, number: int) -> None:
        """The execution is not ours any more."""
        self._stirred.discard(number)
        self._keying.drop(number)
        for place in [place for place in self._asked if place[0] == number]:
            del self._asked[place]
        for place in [place for place in self._ours if place[0] == number]:
            del self._ours[place]

    # -- when to look ------------------------------------------------------------------------------

    def wrote(self, written: Sequence[Held]) -> None:
        """Everything of these executions is durable: others may go on."""
        if self._stirred:
            durable = {held.number for held in written}
            stirred = self._stirred & durable
            self._stirred -= durable
            if stirred:
                self.look(changed=True)

    def look(self, *, changed: bool) -> None:
        """See whether there is an answer for those who wait: when somebody has written, and now and then."""
        self._keying.look()
        if not self._asked:
            return
        now = self._ground.clock.now()
        self._changed = self._changed or changed or now - self._began > LOOK_SECONDS
        if self._changed and not self._line and now >= self._rests_until:
            self._changed, self._began = False, now
            self._line.extend(self._asked)
            self._look_soon()

    def _look_soon(self) -> None:
        if not self._looking:
            self._looking = True
            self._ground.moments.soon(self._look)

    def _look(self) -> None:
        """Look after some; then it is the turn of others."""
        self._looking = False
        began = self._ground.clock.now()
        groups: dict[tuple[object, ...], list[Asker]] = {}
        for _ in range(min(AT_ONCE, len(self._line))):
            place = self._line.popleft()
            held, asked = self._ground.roster.at(place[0]), self._asked.get(place)
            if held is not None and asked is not None and held.state.status is ExecutionStatus.RUNNING:
                groups.setdefault(asked.group, []).append(Asker(held, place[1], asked))
        if groups:
            works = [self._work(askers[0]) for askers in groups.values()]
            answers = self._ground.journal.ask_cache(works, self._ground.name)
            for askers, work, answer in zip(groups.values(), works, answers, strict=True):
                self._answer(askers, work, answer)
        now = self._ground.clock.now()
        self._spent += now - began
        if self._line:
            self._look_soon()
        else:
            self._rests_until, self._spent = now + min(REST * self._spent, LONGEST_REST), 0.0

    def _work(self, asker: Asker) -> Work:
        described, asked = asker.asked.described, asker.asked
        return Work(
            described.scope,
            described.key,
            asker.held.number,
            asker.node,
            self._ground.clock.now(),
            asked.fresh_from,
            asked.usable_from,
        )

    # -- answers -----------------------------------------------------------------------------------

    def _answer(self, askers: Sequence[Asker], work: Work, answer: CachedOutcome | bool) -> None:
        """What one is told may end others: those do not ask any more."""
        if answer is True:  # of all these, the first does it
            first, *askers = askers
            if self._stands(first):
                self._begin(first, work.at)
            else:
                self._give_back(first)
        for asker in askers:
            if isinstance(answer, CachedOutcome):
                self._about(asker.held, partial(self._hit, asker, answer))
            elif self._stands(asker) and not asker.asked.told:
                asker.asked.told = True
                self._tell(asker, CacheAnswered(asker.node, "wait", asker.asked.why), None)

    def _stands(self, asker: Asker) -> bool:
        return self._asked.get(asker.place) is asker.asked

    def _begin(self, first: Asker, at: float) -> None:
        node, asked = first.node, first.asked
        del self._asked[first.place]
        self._ours[first.place] = asked.described, at
        self._tell(first, CacheOwnerLost(node) if asked.told else CacheAnswered(node, "miss", asked.why), None)

    def _give_back(self, first: Asker) -> None:
        """The work is said to be its own, but an answer just now has ended it: others get it once that is durable."""
        held = first.held
        if self._ground.roster.has(held):  # else it went with the execution
            described = first.asked.described
            held.settled.append(Settled(described.scope, described.key, first.node, 0.0, None))
            self._stirred.add(held.number)

    def _hit(self, asker: Asker, outcome: CachedOutcome) -> None:
        if not self._stands(asker):
            return
        from twingraph.engine.cached_work import Unusable, check_age, hit

        held, node, asked = asker
        try:
            check_age(asked.described.policy, outcome, self._ground.clock.now())
            event, lines = hit(held.code, held.state.nodes[node], outcome, self._blobs)
        except Unusable as why:
            asked.usable_from, asked.why = math.nextafter(outcome.done_at, math.inf), str(why)
            self._line.append(asker.place)
            self._look_soon()
            return
        del self._asked[asker.place]
        if held.state.nodes[node].given:  # it has run here before
            self._in_moments(held, self._handed_over(held, event, lines[0]))
        else:
            self._bring(held, event, lines)

    def _handed_over(self, held: Held, event: NodeEnded, text: str) -> Iterator[None]:
        node = held.state.nodes[event.node]
        text, digest, size = yield from held.values.with_handed_over(node, text)
        self._bring(held, event._replace(outputs=(("output", digest, size),)), (text,))

    def _tell(self, asker: Asker, event: Event, lines: Sequence[str] | None) -> None:
        self._about(asker.held, lambda: self._bring(asker.held, event, lines))
