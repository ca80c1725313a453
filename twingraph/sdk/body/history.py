"""What a body did before, and whether it does the same again."""

from __future__ import annotations

import linecache
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from twingraph.core.bodies import Page, Past, PastCall, PastDecision
from twingraph.core.codec import hash_text
from twingraph.core.errors import CodecError, ReplayMismatch
from twingraph.core.plan import Argument, NodeKind

HOW_TO_GO_ON = (
    "a body must make the same calls whenever it is run: take time, chance and anything from outside through "
    "twingraph.now(), random(), uuid4() or side_effect(). Go on with the recorded code (`twingraph resume {id} --code "
    "recorded`), or as a new execution that keeps what still fits (`twingraph resume {id} --code current`)"
)


class Move(NamedTuple):
    """A call as history compares it."""

    id: str
    kind: NodeKind
    component: str
    arguments: Mapping[str, Argument]
    caller: str
    place: str | None
    signal: str | None = None


class History:
    """The past of one body: for each of its tasks what it called and decided, in order."""

    def __init__(
        self,
        execution: str,
        hear_until: Callable[[Callable[[], object]], None],
        end_with: Callable[[ReplayMismatch], NoReturn],
    ) -> None:
        self._execution = execution
        self._end_with = end_with  # stops the body for good
        self._hear_until = hear_until  # takes in what comes, until this holds; it may bring a page
        self._past: dict[str, deque[Past]] = {}
        self.complete = False

    def take(self, page: Page) -> None:
        for past in page.past:
            caller = past.node.caller if isinstance(past, PastCall) else past.caller
            self._past.setdefault(caller, deque()).append(past)
        self.complete = self.complete or page.last

    @property
    def used_up(self) -> bool:
        return self.complete and not self.ahead

    @property
    def ahead(self) -> bool:
        """Whether something that was done before, as far as it is known here, has not been done again."""
        return any(self._past.values())

    def left(self) -> list[Past]:
        """What was done before and has not been done again."""
        self._hear_until(lambda: self.complete)
        return [past for waiting in self._past.values() for past in waiting]

    def left_of(self, caller: str) -> list[Past]:
        self._hear_until(lambda: self.complete)
        return list(self._past.get(caller, ()))

    def _next(self, caller: str) -> Past | None:
        waiting = self._past.get(caller)
        if not waiting and not self.complete:
            self._hear_until(lambda: self.complete or self._past.get(caller))
            waiting = self._past.get(caller)
        return waiting.popleft() if waiting else None

    def call(self, move: Move) -> bool:
        """Whether this call was made before; raises when another one was."""
        past = self._next(move.caller)
        if past is None:
            return False
        if not isinstance(past, PastCall) or not _is_same(past, move):
            self.mismatch(past, f"calls {_words(move.component, move.id, move.arguments, move.signal)}", move.place)
        return True

    def decision(self, caller: str, what: str, place: str | None) -> PastDecision | None:
        past = self._next(caller)
        if past is not None and (type(past) is not PastDecision or past.what != what):
            self.mismatch(past, f"asks {what}()", place)
        assert not isinstance(past, PastCall)
        return past

    def mismatch(self, past: Past | None, now: str, place: str | None, cause: BaseException | None = None) -> NoReturn:
        if past is None:
            before, where = "ended here", None
        elif isinstance(past, PastCall):
            node = past.node
            words = _words(past.component, node.id, node.args or node.scope_args, node.signal)
            before, where = f"called {words}", node.place
        else:
            before, where = f"asked {past.what}()", past.place
        error = ReplayMismatch(
            f"the body does not do what it did before.\n"
            f"  its history: it {before}{_shown(where)}\n"
            f"  the code now: it {now}{_shown(place)}\n" + HOW_TO_GO_ON.format(id=self._execution)
        )
        error.__cause__ = cause
        self._end_with(error)


def _is_same(past: PastCall, move: Move) -> bool:
    """The same call; where only the spelling of an argument differs (the order of a dict), by its hash."""
    node = past.node
    if node.id != move.id or node.kind is not move.kind:
        return False
    if node.spec is not None and past.component != move.component:  # what has no spec is named by its kind alone
        return False
    if node.signal != move.signal:
        return False
    before, now = node.scope_args if node.kind is NodeKind.SCOPE else node.args, move.arguments
    if before == now:
        return True
    return before.keys() == now.keys() and all(_same_argument(before[name], now[name]) for name in before)


def _same_argument(before: Argument, now: Argument) -> bool:
    if before == now:
        return True
    if len(before) != 1 or len(now) != 1 or not isinstance(before[0], str) or not isinstance(now[0], str):
        return False
    try:
        return hash_text(before[0]) == hash_text(now[0])
    except CodecError:
        return False


def _words(component: str, node: str, arguments: Mapping[str, Argument], signal: str | None) -> str:
    told = [f"{name}={_argument_words(argument)}" for name, argument in arguments.items()]
    if signal is not None:
        told.append(repr(signal))
    return f"{component}({', '.join(told)}) as {node!r}"


def _argument_words(argument: Argument) -> str:
    text = "".join(part if isinstance(part, str) else f"<{part.sources[0].node}>" for part in argument)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _shown(place: str | None) -> str:
    """'file:line' with the line itself, where it can be read."""
    if place is None:
        return ""
    file, _, line = place.rpartition(":")
    text = linecache.getline(file, int(line)).strip() if line.isdigit() else ""
    return f"\n      {place}" + (f"\n        {text}" if text else "")
