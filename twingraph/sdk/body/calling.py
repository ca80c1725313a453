"""The calls that a body makes: bound, written down, compared with history, and told to the conductor."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FrameType
from typing import Any

from twingraph.core.bodies import Link, Opened
from twingraph.core.errors import PermanentError
from twingraph.core.events import GraphExtended
from twingraph.core.plan import Edge, NodeKind, PlanNode
from twingraph.core.recordclass import recordclass
from twingraph.sdk.body import frames
from twingraph.sdk.body.arguments import Coder, Edged, Writing
from twingraph.sdk.body.given import Given
from twingraph.sdk.body.handles import Handle, HashRef
from twingraph.sdk.body.hearing import Hearing
from twingraph.sdk.body.history import Move
from twingraph.sdk.body.targets import PARENTS, Target
from twingraph.sdk.sameness import closed_over


@recordclass(frozen=False, kw_only=False)
class Called:
    """What a body remembers of one of its calls."""

    target: Target | None
    edges: tuple[Edged, ...]
    ordinal: int


class Calling(Hearing):
    """The part of a body that makes nodes of calls."""

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
        super().__init__(opened, link)
        self.task = ""  # which task of the body runs: '' the body itself
        self.coder = coder
        self._calls: dict[str, Called] = {}
        self.given = Given(coder, self.over)
        self.kinds: dict[type, Callable[[Any], Any]] = {}  # what stands for a value in an argument, and for which
        self._learn = learn
        self._codes = codes
        self._targets: dict[int, tuple[Any, Target, Any]] = {}
        self._made: dict[str, list[str]] = {}  # by task: its calls, in order
        self._counts: dict[tuple[str, str], int] = {}
        self._forced: dict[str, None] = {}
        self._hashes: dict[str, str] = {}  # of those calls that were asked for it,
        self._latest: dict[str, tuple[int, str]] = {}  # and the latest of those that have the same
        self.let_go: set[str] = set()  # whoever awaited them was cancelled; what becomes of them concerns nobody

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
        handle = self.handle(name)
        if self._runs_at_once(what) and self._waits_at_once(frame):
            self.value(name, None)
        return handle

    def _record(
        self,
        move: Move,
        target: Target | None = None,
        edges: tuple[Edged, ...] = (),
        *,
        wait: float | None = None,
    ) -> None:
        """Make the call known, unless history has it."""
        self._calls[move.id] = Called(target, edges, len(self._calls))
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
            signal=move.signal,
            caller=move.caller,
            place=move.place,
            forced=forced,
            bounds=None if target is None else target.bounds,
        )
        self._link.feed(self.execution, GraphExtended((node,), scope=self.scope, driven=True), None)

    def _wait_node(self, name: str, kind: NodeKind, *, wait: float | None, signal: str | None = None) -> str:
        move = Move(self._name(name), kind, name, {}, self.task, place_of(author_frame()), signal)
        self._record(move, wait=wait)
        return move.id

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

    def _sources(self, node: str) -> Iterator[str]:
        return (source for source, _, _ in self._calls[node].edges) if node in self._calls else iter(())

    def _runs_at_once(self, target: Target | None) -> bool:
        """Whether plain Python would have run it when it was called: not a generator, nor what an async body awaits."""
        return target is None or not (target.generator or (target.coroutine and self.in_loop))

    def _waits_at_once(self, frame: FrameType | None) -> bool:
        """Whether the call stands in the `try` of a helper, which is not rewritten, or in a body without source."""
        return True if self._codes is None else frames.in_try_of_helper(frame, self._codes)

    # -- what arguments say of other calls -----------------------------------------------------------

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
            text = str(parent)  # equal calls have one hash: the latest is meant
            _, node = self._latest.get(text, (0, ""))
            if not node:
                raise PermanentError(
                    f"parent_hash {text[:80]!r} is not the hash of a call that this body made before; pass the "
                    "handle of that call, or its h['hash']"
                )
            writing.order_after(node)

    # -- what stands behind handles, in `holding` ------------------------------------------------------

    def handle(self, node: str) -> Handle:
        raise NotImplementedError

    def value(self, node: str, output: str | None) -> Any:
        raise NotImplementedError


def author_frame() -> FrameType | None:
    """The nearest frame that is neither ours nor that of `asyncio`, through which an awaited body comes to us."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(("twingraph.", "asyncio.")):
        frame = frame.f_back
    return frame


def place_of(frame: FrameType | None) -> str | None:
    return None if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
