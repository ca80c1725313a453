"""What stands behind the handles of a body: values, failures, items of generators, hashes."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from datetime import timedelta
from typing import Any

from twingraph.core.bodies import Ended
from twingraph.core.errors import HandleMisused
from twingraph.core.events import NodeEnded
from twingraph.core.ids import detached_id
from twingraph.core.plan import NodeKind
from twingraph.core.statuses import NodeStatus
from twingraph.sdk.body.arguments import Reference
from twingraph.sdk.body.calling import Calling
from twingraph.sdk.body.given import Cell
from twingraph.sdk.body.handles import Handle, HashRef, Outputs, plain
from twingraph.sdk.body.hearing import COMPLETED

_UNKNOWN = Ended("", 0, "")


class Holding(Calling):
    """The part of a body that its handles ask."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.met: dict[str, None] = {}  # failed calls whose failure the body has seen
        self.kinds = {Handle: self._refer, Outputs: plain, HashRef: plain}

    def handle(self, node: str) -> Handle:
        return Handle(self, node, None, self.given.cell(node))

    def note_over(self, ended: Ended) -> None:
        super().note_over(self.given.arrived(ended))

    def _refer(self, handle: Handle) -> Any:
        """A reference for a handle of ours; the value itself when the body has changed it since."""
        if handle._tg_behind is not self:
            raise HandleMisused(
                f"the handle of {handle._tg_node!r} belongs to another pipeline's body: return its value "
                "from there, or pass it as an argument"
            )
        node, output = handle._tg_node, handle._tg_output
        if node in self.over and self.given.changed(node, output):
            return self.given.value(self.given.cell(node), output)
        return Reference(node, output)

    def value(self, node: str, output: str | None) -> Any:
        cell = self.given.cell(node)  # held while it waits
        ended = self.ended(node)
        self._forced[node] = None
        if ended.status != COMPLETED:
            raise self.failure(node)
        try:
            return self.given.value(cell, output)
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def value_within(self, node: str, output: str | None, timeout: float | timedelta) -> Any:
        """A timer and the node: what comes first in the journal decides, in every replay too."""
        from twingraph.sdk.body.durable import seconds_of  # few bodies wait so, and it loads much

        self._check()
        limit = seconds_of(timeout, "result(timeout=)", least=-math.inf)
        timer = self._wait_node("timeout", NodeKind.SLEEP, wait=max(0.0, limit))
        self.await_over((node, timer))
        ended, fired = self.over.get(node), self.over.get(timer)
        if ended is None or (fired is not None and fired.order < ended.order):
            raise TimeoutError(f"{self.absolute(node)} is not over after {limit:g} s")
        self.give_up(timer)
        return self.value(node, output)

    def give_up(self, node: str) -> None:
        """Nobody waits for this timer any more. A body that is let go unwinds too, and still wants it later."""
        if node not in self.over and self.stopped is None:
            self._link.feed(self.execution, NodeEnded(self.absolute(node), 1, "cancelled"), None)

    def expect(self, node: str, output: str) -> None:
        """Nobody looks at this output here, but there must be one. Where no declaration says so, only its node can."""
        if self.declared(node) is None:
            ended = self.ended(node)
            if ended.status == COMPLETED and all(name != output for name, _, _ in ended.outputs):
                self.value(node, output)  # says which there are

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

    def hash_of(self, node: str) -> str:
        """Known once the sources of the node are over."""
        self._check()
        found = self._hashes.get(node)
        if found is None:
            for source in self._sources(node):
                self.ended(source)
            found = self._hashes[node] = str(self.ask("hash", node))
            self._latest[found] = max(self._latest.get(found, (-1, "")), (self._calls[node].ordinal, node))
        return found

    def awaited(self, node: str, output: str | None) -> Generator[Any, None, Any]:
        raise TypeError("a handle can be awaited in an async pipeline only; here, use it or take .result()")

    def items_awaited(self, handle: Handle) -> AsyncIterator[Any]:
        raise TypeError("`async for` goes over the items of a handle in an async pipeline only; here, use `for`")

    # -- failures ----------------------------------------------------------------------------------

    def failure(self, node: str) -> BaseException:
        """What made the node fail, as an error for the body; it has met it now."""
        from twingraph.sdk.body.describing import failure_of

        culprit = self._culprit(node)
        self.met[node] = self.met[culprit] = None
        return failure_of(self, culprit, self.over[culprit], self.coder)

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
                if source not in seen and source in self.over and self.over[source].status != COMPLETED:
                    seen.add(source)
                    todo.append(source)
        return node

    def unwound(self, error: BaseException) -> BaseException:
        """What leaves the body, once what it called on the way out is over: that, or the failure of a clean-up."""
        for node in self._unwinding.before(error):
            if self.ended(node).status != COMPLETED and node not in self.met:
                failed = self.failure(node)
                failed.__context__ = error
                return failed
        return error

    # -- generators --------------------------------------------------------------------------------

    def items(self, node: str) -> Iterator[Any] | None:
        target = self._calls[node].target
        if target is None or not target.generator or self.over.get(node, _UNKNOWN).status == COMPLETED:
            return None
        return self._streamed(node, self.given.cell(node))

    def _streamed(self, node: str, cell: Cell) -> Iterator[Any]:
        """Each item as soon as the generator has handed it over."""
        index = 0
        while True:
            known = self._items.get(node, ())
            while index < len(known):
                value = self.coder.decode(known[index])
                self.given.handed_over(cell, value, index)
                self._forced[node] = None
                yield value
                index += 1
            self._check()
            if node not in self.over:
                self._await_more(node, index)
                continue
            if self.over[node].status != COMPLETED:
                raise self.failure(node)
            yield from itertools.islice(self.value(node, None), index, None)
            return
