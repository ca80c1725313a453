"""One run of one body: the calls it makes, what history answers, what it waits for.

All of it belongs to the body's thread. What comes from outside arrives in `inbox` and is looked at only when the body
has to wait, so nothing here needs a lock.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import SimpleQueue
from random import Random
from time import time
from types import CodeType, FrameType
from typing import Any
from uuid import UUID

from twingraph.core.bodies import BodyLog, Ended, Items, Link, Opened, Page
from twingraph.core.errors import PermanentError
from twingraph.core.events import DecisionMade, GraphExtended, NodeEnded
from twingraph.core.ids import detached_id
from twingraph.core.plan import Edge, NodeKind, PlanNode
from twingraph.core.statuses import NodeStatus
from twingraph.sdk.body import frames
from twingraph.sdk.body.arguments import Coder, Edged, Reference, Writing
from twingraph.sdk.body.describing import describe, failure_of
from twingraph.sdk.body.given import Given
from twingraph.sdk.body.handles import Handle, HandleMisused, HashRef, Outputs, plain
from twingraph.sdk.body.history import History, Move
from twingraph.sdk.body.stopping import BodyEvicted, BodyStopped
from twingraph.sdk.body.targets import PARENTS, Target
from twingraph.sdk.body.unwinding import Unwinding
from twingraph.sdk.sameness import closed_over

_COMPLETED = NodeStatus.COMPLETED.value


@dataclass(frozen=True, slots=True)
class Stop:
    why: str


@dataclass(frozen=True, slots=True)
class Evict:
    pass


@dataclass(frozen=True, slots=True)
class Answer:
    number: int
    value: Any


Message = Ended | Items | Page | Stop | Evict | Answer


@dataclass(slots=True)
class Called:
    """What a body remembers of one of its calls."""

    target: Target | None
    edges: tuple[Edged, ...]


class Body:
    """A `Caller` for the body's thread, and what stands behind its handles."""

    in_loop = False

    def __init__(
        self,
        opened: Opened,
        link: Link,
        coder: Coder,
        learn: Callable[[Any], Target],
        codes: frozenset[CodeType] | None,
    ) -> None:
        """`learn` makes a target known to the execution; `codes` are the code objects of the rewritten body, None when
        there is no source, so that every call waits."""
        self.execution, self.scope = opened.execution, opened.scope
        self.inbox: SimpleQueue[Message] = SimpleQueue()
        self.clock: Callable[[], float] = time
        self.waits_for: frozenset[str] | None = None
        self.evicted_for: frozenset[str] = frozenset()  # what it waited for when it was let go
        self.evicts_itself = False  # for tests: let go whenever it has to wait
        self.stopped: BodyStopped | None = None
        self.over: dict[str, Ended] = {}
        self.met: dict[str, None] = {}
        self._unwinding = Unwinding()
        self.task = ""  # which task of the body runs: '' the body itself
        self.history = History(opened.execution, self.receive)
        self.given = Given(coder, self.over)
        self.coder = coder
        self._link = link
        self._learn = learn
        self._codes = codes
        self._thread = threading.get_ident()
        self._targets: dict[int, tuple[Any, Target, Any]] = {}
        self._calls: dict[str, Called] = {}
        self._made: dict[str, list[str]] = {}  # by task: its calls, in order
        self._counts: dict[tuple[str, str], int] = {}
        self._forced: dict[str, None] = {}
        self._items: dict[str, list[Any]] = {}
        self._hashes: dict[str, str] = {}
        self._asked: dict[int, Any] = {}
        self._numbers = itertools.count()
        self._chances: dict[str, Random] = {}
        self.kinds: dict[type, Callable[[Any], Any]] = {Handle: self._refer, Outputs: plain, HashRef: plain}

    @property
    def replays(self) -> bool:
        """Whether history still answers: what is printed meanwhile was printed before. May wait for the next page."""
        while not self.history.complete and not self.history.ahead:
            self.receive()
        return not self.history.used_up

    def say(self, lines: Sequence[BodyLog]) -> None:
        """Lines for the execution's log."""
        self._link.log(self.execution, lines)

    # -- what comes in -----------------------------------------------------------------------------

    def receive(self) -> None:
        """Wait for one message from outside."""
        if self.evicts_itself and self.waits_for and self.history.complete and self.inbox.empty():
            self._evict()
        message = self.inbox.get()
        kind = type(message)
        if kind is Ended:
            self.note_over(message)  # type: ignore[arg-type]
        elif kind is Items:
            self._take_items(message)  # type: ignore[arg-type]
        elif kind is Page:
            self._take_page(message)  # type: ignore[arg-type]
        elif kind is Answer:
            self._asked[message.number] = message.value  # type: ignore[union-attr]
        elif kind is Evict:
            if self.waits_for:
                self._evict()
        else:
            self.stopped = BodyStopped(message.why)  # type: ignore[union-attr]
            raise self.stopped

    def refuse(self, why: str) -> None:
        """Any thread: it must not go on. It learns that at its next call, or where it waits."""
        if self.stopped is None:
            self.stopped = BodyStopped(why)
        self.inbox.put(Stop(why))

    def _evict(self) -> None:
        self.evicted_for = self.waits_for or frozenset()
        self.stopped = BodyEvicted("the host needed the room")
        raise self.stopped

    def note_over(self, ended: Ended) -> None:
        self.over[ended.node] = ended
        if ended.status == _COMPLETED:
            self._unwinding.completed(ended.node)

    def _take_page(self, page: Page) -> None:
        for ended in page.ended:
            self.note_over(ended)
        for items in page.items:
            self._take_items(items)
        self.history.take(page)

    def _take_items(self, items: Items) -> None:
        known = self._items.setdefault(items.node, [])
        known.extend(items.texts[len(known) - items.start :])

    def await_over(self, nodes: Iterable[str]) -> None:
        """Wait until one of these is over."""
        wanted = frozenset(nodes)
        over = self.over
        if any(node in over for node in wanted):
            return
        if self.stopped is not None:
            raise self.stopped
        self.waits_for = wanted
        try:
            while not any(node in over for node in wanted):
                self.receive()
        finally:
            self.waits_for = None

    def ended(self, node: str) -> Ended:
        self._check()
        if node not in self.over:
            self.await_over((node,))
        return self.over[node]

    def _check(self) -> None:
        if threading.get_ident() != self._thread:
            raise HandleMisused(
                "a handle, or a call of a component, came into a thread that is not its pipeline's: take the value "
                "with .result() in the body and give that to the thread, or make the thread's work a component"
            )
        if self.stopped is not None:
            raise self.stopped

    # -- calls -------------------------------------------------------------------------------------

    def call(self, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Handle:
        self._check()
        known = self._targets.get(id(target))
        if known is None or (known[2] is not None and known[2] != closed_over(target)):
            known = self._targets[id(target)] = target, self._learn(target), closed_over(target)
        what = known[1]
        parents = None
        if not kwargs.keys().isdisjoint(PARENTS) and not what.takes_parents:
            parents = [kwargs[name] for name in PARENTS if name in kwargs]
            kwargs = {name: value for name, value in kwargs.items() if name not in PARENTS}
        bound = what.bind(args, kwargs)
        frame = author_frame()
        writing = Writing(self.coder, self.kinds, self.given.origin)
        arguments = {name: writing.argument(name, value) for name, value in bound.items()}
        for parent in parents or ():
            self._order_after(writing, parent)
        name = self._name(what.node_id or what.name, given=what.node_id is not None)
        move = Move(name, what.kind, what.name, arguments, self.task, place_of(frame))
        self._made.setdefault(move.caller, []).append(name)
        self._unwinding.made(name)
        self._record(move, what, tuple(writing.edges))
        if self._waits_at_once(frame):
            self.value(name, None)
        return Handle(self, name)

    def _record(
        self,
        move: Move,
        target: Target | None = None,
        edges: tuple[Edged, ...] = (),
        *,
        wait: float | None = None,
        signal: str | None = None,
    ) -> None:
        """Make the call known, unless history has it."""
        self._calls[move.id] = Called(target, edges)
        forced = self._take_forced()
        if not self.history.used_up and self.history.call(move):
            return
        scoped = move.kind is NodeKind.SCOPE
        node = PlanNode(
            id=move.id,
            kind=move.kind,
            spec=None if target is None else target.spec,
            edges=tuple(Edge(source=source, param=param, output=output) for source, param, output in edges),
            args={} if scoped else move.arguments,
            scope_args=move.arguments if scoped else {},
            wait=wait,
            signal=signal,
            caller=move.caller,
            place=move.place,
            forced=forced,
            bounds=None if target is None else target.bounds,
        )
        self._link.feed(self.execution, GraphExtended((node,), scope=self.scope, driven=True), None)

    def _name(self, base: str, *, given: bool = False) -> str:
        """`name`, then `name-2`; a task's calls are told apart by its number. An id that was given must be free."""
        base = base if given else base.replace("/", "_")
        if self.task and not given:
            base = f"{base}@{self.task}"
        while True:
            count = self._counts[self.task, base] = self._counts.get((self.task, base), 0) + 1
            name = base if count == 1 else f"{base}-{count}"
            if name not in self._calls:
                return name

    def _take_forced(self) -> tuple[str, ...]:
        if not self._forced:
            return ()
        forced, self._forced = tuple(self._forced), {}
        return forced

    def _refer(self, handle: Handle) -> Any:
        """A reference for a handle of ours; the value itself when the body has changed it since."""
        if handle._tg_behind is not self:
            raise HandleMisused(
                f"the handle of {handle._tg_node!r} belongs to another pipeline's body: return its value "
                "from there, or pass it as an argument"
            )
        node, output = handle._tg_node, handle._tg_output
        if node in self.over and self.given.changed(node, output):
            return self.given.value(node, output)
        return Reference(node, output)

    def _order_after(self, writing: Writing, parent: Any) -> None:
        if type(parent) in (list, tuple, set, frozenset):
            for one in parent:
                self._order_after(writing, one)
        elif parent is None:
            return
        elif type(parent) is Handle:
            writing.order_after(parent._tg_node)
        elif type(parent) is HashRef:
            writing.order_after(parent._tg_handle._tg_node)
        else:
            node = self._hashes.get(str(parent))
            if node is None:
                raise PermanentError(
                    f"parent_hash {str(parent)[:80]!r} is not the hash of a call that this body made before; pass the "
                    "handle of that call, or its h['hash']"
                )
            writing.order_after(node)

    def _waits_at_once(self, frame: FrameType | None) -> bool:
        """Whether the call stands in the `try` of a helper, which is not rewritten, or in a body without source."""
        codes = self._codes
        if codes is None:
            return True
        while frame is not None and frame.f_code not in codes:
            if frames.in_try(frame):
                return True
            frame = frame.f_back
        return False

    # -- values ------------------------------------------------------------------------------------

    def value(self, node: str, output: str | None) -> Any:
        ended = self.ended(node)
        self._forced[node] = None
        if ended.status != _COMPLETED:
            raise self.failure(node)
        try:
            return self.given.value(node, output)
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def failure(self, node: str) -> BaseException:
        """What made the node fail, as an error for the body; it has met it now."""
        culprit = self._culprit(node)
        self.met[node] = self.met[culprit] = None
        return failure_of(self, culprit, self.over[culprit], self.coder)

    def unwound(self, error: BaseException) -> BaseException:
        """What leaves the body, once what it called on the way out is over: that, or the failure of a clean-up."""
        for node in self._unwinding.before(error):
            if self.ended(node).status != _COMPLETED and node not in self.met:
                failed = self.failure(node)
                failed.__context__ = error
                return failed
        return error

    def _culprit(self, node: str) -> str:
        """The node that failed, where this one was only skipped because of it."""
        todo, seen = [node], {node}
        while todo:
            name = todo.pop(0)
            ended = self.over.get(name)
            if ended is None:
                continue
            if ended.error is not None or ended.status == NodeStatus.FAILED:
                return name
            for source in self._sources(name):
                if source not in seen and source in self.over and self.over[source].status != _COMPLETED:
                    seen.add(source)
                    todo.append(source)
        return node

    def _sources(self, node: str) -> Iterator[str]:
        return (source for source, _, _ in self._calls[node].edges) if node in self._calls else iter(())

    def value_within(self, node: str, output: str | None, timeout: float) -> Any:
        """A timer and the node: what comes first in the journal decides, in every replay too."""
        self._check()
        timer = self._wait_node("timeout", NodeKind.SLEEP, wait=timeout)
        self.await_over((node, timer))
        ended, fired = self.over.get(node), self.over.get(timer)
        if ended is None or (fired is not None and fired.order < ended.order):
            raise TimeoutError(f"{self.absolute(node)} is not over after {timeout:g} s")
        self.give_up(timer)
        return self.value(node, output)

    def declared(self, node: str) -> tuple[str, ...] | None:
        target = self._calls[node].target
        return target.outputs if target is not None else None

    def absolute(self, node: str) -> str:
        return f"{self.scope}/{node}" if self.scope else node

    def identity(self, node: str) -> str:
        target = self._calls[node].target
        detached = target is not None and target.kind is NodeKind.DETACHED
        return detached_id(self.execution, self.absolute(node)) if detached else self.absolute(node)

    def repeated(self, node: str, output: str | None) -> str:
        if threading.get_ident() != self._thread:
            return f"<handle of {self.absolute(node)}>"
        return repr(self.value(node, output))

    def items(self, node: str) -> Iterator[Any] | None:
        target = self._calls[node].target
        if target is None or not target.generator or self.over.get(node, _UNKNOWN).status == _COMPLETED:
            return None
        return self._streamed(node)

    def _streamed(self, node: str) -> Iterator[Any]:
        """Each item as soon as the generator has handed it over."""
        index = 0
        while True:
            known = self._items.get(node, ())
            while index < len(known):
                value = self.coder.decode(known[index])
                self.given.handed_over(value, node, index)
                self._forced[node] = None
                yield value
                index += 1
            self._check()
            if node not in self.over:
                self._await_more(node, index)
                continue
            if self.over[node].status != _COMPLETED:
                raise self.failure(node)
            yield from itertools.islice(self.value(node, None), index, None)
            return

    def _await_more(self, node: str, known: int) -> None:
        self.waits_for = frozenset((node,))
        try:
            while node not in self.over and len(self._items.get(node, ())) <= known:
                self.receive()
        finally:
            self.waits_for = None

    def hash_of(self, node: str) -> str:
        """Known once the sources of the node are over."""
        self._check()
        for known, name in self._hashes.items():
            if name == node:
                return known
        for source in self._sources(node):
            self.ended(source)
        found = str(self.ask("hash", node))
        self._hashes[found] = node
        return found

    def ask(self, what: str, about: str) -> Any:
        number = next(self._numbers)
        self._link.ask(self.execution, self.scope, number, what, about)
        while number not in self._asked:
            self.receive()
        return self._asked.pop(number)

    def awaited(self, node: str, output: str | None) -> Generator[Any, None, Any]:
        raise TypeError("a handle can be awaited in an async pipeline only; here, use it or take .result()")

    # -- several -----------------------------------------------------------------------------------

    def gather(self, handles: Iterable[Any]) -> list[Any]:
        """The values, in this order; raises at the first failure."""
        wanted = list(handles)
        nodes = [handle._tg_node for handle in wanted if type(handle) is Handle]
        left = {node for node in nodes if node not in self.over}
        while True:
            failed = [node for node in nodes if node in self.over and self.over[node].status != _COMPLETED]
            if failed:
                first = min(failed, key=lambda node: self.over[node].order)
                self.met.update(dict.fromkeys(nodes))
                raise self.failure(first)
            if not left:
                return [plain(handle) for handle in wanted]
            self._check()
            self.await_over(left)
            left = {node for node in left if node not in self.over}

    def wait_any(self, handles: Iterable[Any]) -> Any:
        """The first that is over, completed or not."""
        return next(self.as_completed(handles))

    def as_completed(self, handles: Iterable[Any]) -> Iterator[Any]:
        """The handles in the order in which they are over, which is that of the journal."""
        wanted = list(handles)
        left: dict[str, Any] = {}
        for handle in wanted:
            if type(handle) is Handle:
                left[handle._tg_node] = handle
            else:
                yield handle
        if not wanted:
            raise ValueError("there is nothing to wait for")
        while left:
            self._check()
            self.await_over(left)
            first = min((node for node in left if node in self.over), key=lambda node: self.over[node].order)
            self._forced[first] = None
            yield left.pop(first)

    # -- durable functions -------------------------------------------------------------------------

    def sleep(self, seconds: float) -> Any:
        self._check()
        self.value(self._wait_node("sleep", NodeKind.SLEEP, wait=seconds), None)

    def wait_for_signal(self, name: str, timeout: float | None) -> Any:
        self._check()
        return self.value(self._wait_node("wait_for_signal", NodeKind.SIGNAL, wait=timeout, signal=name), None)

    def _wait_node(self, name: str, kind: NodeKind, *, wait: float | None, signal: str | None = None) -> str:
        move = Move(self._name(name), kind, name, {}, self.task, place_of(author_frame()))
        self._record(move, wait=wait, signal=signal)
        return move.id

    def give_up(self, node: str) -> None:
        """Nobody waits for this timer any more. A body that is let go unwinds too, and still wants it later."""
        if node not in self.over and self.stopped is None:
            self._link.feed(self.execution, NodeEnded(self.absolute(node), 1, "cancelled"), None)

    def now(self) -> datetime:
        self._check()
        place = place_of(author_frame())
        past = self.history.decision(self.task, "now", place)
        if past is not None:
            return datetime.fromtimestamp(past.answer, UTC)
        moment = self.clock()
        self._link.feed(self.execution, DecisionMade(self.scope, "now", moment, self.task, place), None)
        return datetime.fromtimestamp(moment, UTC)

    def random(self) -> Random:
        self._check()
        return self._chance("random")

    def uuid4(self) -> UUID:
        self._check()
        return UUID(int=self._chance("uuid4").getrandbits(128), version=4)

    def _chance(self, what: str) -> Random:
        key = f"{what}|{self.execution}|{self.scope}|{self.task}"
        known = self._chances.get(key)
        if known is None:
            known = self._chances[key] = Random(key)
        return known

    def side_effect(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run it here, once; a replay gives what it gave."""
        self._check()
        name = getattr(function, "__name__", "side_effect").strip("<>")
        node = Move(self._name(name), NodeKind.SIDE_EFFECT, name, {}, self.task, place_of(author_frame()))
        self._record(node)
        if not self.history.used_up and node.id not in self.over:
            while not self.history.complete:  # whether it ended before may stand on a later page
                self.receive()
        if node.id not in self.over:
            self._carry_out(node.id, function, args, kwargs)
        return self.value(node.id, None)

    def _carry_out(self, node: str, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        started = self.clock()
        name = self.absolute(node)
        try:
            written = self.coder.encode(function(*args, **kwargs), "side_effect")
            self._check()
        except Exception as error:
            self._check()
            record = describe(error, self.coder, node=name)
            event = NodeEnded(name, 1, "failed", started, self.clock(), error=record)
            self._link.feed(self.execution, event, None)
            self.note_over(Ended(node, 0, "failed", error=record))
            return
        outputs = (("output", written.hash, written.size),)
        event = NodeEnded(name, 1, "completed", started, self.clock(), shape="plain", outputs=outputs)
        self._link.feed(self.execution, event, [written.text])
        self.note_over(Ended(node, 0, "completed", "plain", outputs, (written.text,)))

    # -- what the rewritten body asks --------------------------------------------------------------

    def mark(self) -> list[int]:
        return [len(self._made.get(self.task, ()))]

    def _since(self, mark: list[int]) -> list[str]:
        """The calls of the task since then. Not those of generators: plain Python runs one when it is iterated."""
        made = self._made.get(self.task, [])
        since = made[mark[0] :]
        mark[0] = len(made)
        return [node for node in since if (target := self._calls[node].target) is None or not target.generator]

    def settle(self, mark: list[int]) -> None:
        since = self._since(mark)
        for node in since:
            self.ended(node)
        self._raise_first(since)

    def _raise_first(self, nodes: Iterable[str]) -> None:
        """The failure of the earliest call; the others have been met with it, for plain Python never gets to them. What
        was raised before, at an inner `try`, is not raised again."""
        failed = [node for node in nodes if self.over[node].status != _COMPLETED and node not in self.met]
        if failed:
            self.met.update(dict.fromkeys(failed))
            raise self.failure(failed[0])

    def plain(self, value: Any) -> Any:
        return plain(value)

    def settled(self, mark: list[int], value: Any) -> Any:
        self.settle(mark)
        return value

    def returned(self, mark: list[int], value: Any) -> Any:
        self.settle(mark)
        for handle in handles_in(value):
            plain(handle)
        return value


_UNKNOWN = Ended("", 0, "")


def handles_in(value: Any) -> Iterator[Handle]:
    """Handles in plain containers, at any depth."""
    kind = type(value)
    if kind is Handle:
        yield value
    elif kind in (list, tuple, set, frozenset):
        for part in value:
            yield from handles_in(part)
    elif kind is dict:
        for part in value.values():
            yield from handles_in(part)


def author_frame() -> FrameType | None:
    """The nearest frame that is not ours."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("twingraph."):
        frame = frame.f_back
    return frame


def place_of(frame: FrameType | None) -> str | None:
    return None if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


__all__ = ["Answer", "Body", "Evict", "Message", "Stop", "handles_in"]
