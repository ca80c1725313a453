"""One run of one body, as its author's code meets it: calls, several handles at once, durable functions, and what the
rewritten code asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from twingraph.core.bodies import Ended
from twingraph.core.events import DecisionMade, NodeEnded
from twingraph.core.plan import NodeKind
from twingraph.sdk.base_component import BaseComponent
from twingraph.sdk.body.calling import author_frame, place_of
from twingraph.sdk.body.handles import Handle, handles_in, plain, plain_within
from twingraph.sdk.body.hearing import COMPLETED
from twingraph.sdk.body.history import Move
from twingraph.sdk.body.holding import Holding
from twingraph.sdk.declared import Declared

if TYPE_CHECKING:  # few bodies take chances
    from random import Random
    from uuid import UUID


class Body(Holding):
    """A `Caller` for the body's thread."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._chances: dict[str, Random] = {}

    def finish(self, result: Any) -> Any:
        """What the body gives, from what its function gave."""
        return result

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Settings say how a node runs, so that none can wait for its turn: their values are needed now."""
        return {name: plain_within(value) for name, value in given.items()}

    # -- several handles ---------------------------------------------------------------------------

    def gather(self, handles: Iterable[Any]) -> list[Any]:
        """The values, in this order; raises at the first failure."""
        wanted = list(handles)
        nodes = [handle._tg_node for handle in wanted if type(handle) is Handle]
        left = {node for node in nodes if node not in self.over}
        while True:
            failed = [node for node in nodes if node in self.over and self.over[node].status != COMPLETED]
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
        return self.value(self._signal_node(name, timeout), None)

    def _signal_node(self, name: str, timeout: float | None) -> str:
        return self._wait_node("wait_for_signal", NodeKind.SIGNAL, wait=timeout, signal=plain(name))

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
        from uuid import UUID

        self._check()
        return UUID(int=self._chance("uuid4").getrandbits(128), version=4)

    def _chance(self, what: str) -> Random:
        key = f"{what}|{self.execution}|{self.scope}|{self.task}"
        known = self._chances.get(key)
        if known is None:
            from random import Random

            known = self._chances[key] = Random(key)
        return known

    def side_effect(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run it here, once; a replay gives what it gave."""
        self._check()
        if issubclass(type(function), (Declared, BaseComponent)):  # asked of the type: a handle would wait
            kind = getattr(function, "kind", "component")
            raise TypeError(
                f"side_effect takes a plain function, and {getattr(function, 'name', function)!r} is a {kind}: call it "
                "as it is, what it gives is recorded too"
            )
        name = getattr(function, "__name__", "side_effect").strip("<>")
        node = Move(self._name(name), NodeKind.SIDE_EFFECT, name, {}, self.task, place_of(author_frame()))
        self._record(node)
        if not self.history.used_up and node.id not in self.over:
            self.hear_until(lambda: self.history.complete)  # whether it ended before may stand on a later page
        if node.id not in self.over:
            self._carry_out(node.id, function, args, kwargs)
        return self.value(node.id, None)

    def _carry_out(self, node: str, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        started = self.clock()
        name = self.absolute(node)
        outer, self.in_side_effect = self.in_side_effect, True
        try:
            try:
                given = function(*args, **kwargs)
            finally:
                self.in_side_effect = outer
            if isinstance(given, CoroutineType):
                given.close()  # else Python warns that nobody has awaited it
                raise TypeError(
                    f"{name} gave a coroutine, and a side effect does not wait: give it a plain function, or make the "
                    "async one a component"
                )
            written = self.coder.encode(given, "side_effect")
            self._check()
        except Exception as error:
            self._check()
            from twingraph.sdk.body.describing import describe

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
        """The calls of the task since then, but those whose failure plain Python would not raise here: of generators,
        which it runs when they are iterated, and of coroutines in an async body, which it runs when they are awaited.
        """
        made = self._made.get(self.task, [])
        since = made[mark[0] :]
        mark[0] = len(made)
        return [node for node in since if node not in self.let_go and self._runs_at_once(self._calls[node].target)]

    def settle(self, mark: list[int]) -> None:
        since = self._since(mark)
        for node in since:
            self.ended(node)
        self._raise_first(since)

    def _raise_first(self, nodes: Iterable[str]) -> None:
        """The failure of the earliest call; the others have been met with it, for plain Python never gets to them. What
        was raised before, at an inner `try`, is not raised again."""
        failed = [node for node in nodes if self.over[node].status != COMPLETED and node not in self.met]
        if failed:
            self.met.update(dict.fromkeys(failed))
            raise self.failure(failed[0])

    def plain(self, value: Any) -> Any:
        return plain(value)

    looked_at = plain

    def settled(self, mark: list[int], value: Any) -> Any:
        self.settle(mark)
        return value

    def returned(self, mark: list[int], value: Any) -> Any:
        self.settle(mark)
        for handle in handles_in(value):
            plain(handle)
        return value
