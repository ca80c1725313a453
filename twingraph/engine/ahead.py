"""Long values are put together ahead, by and by, so that nobody waits while a list of 100,000 parts is joined.

Each `before_...` is gone through before the value is asked for, with turns of others in between; then it is at hand.
What cannot be had is left to the asking, which tells why.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING

from twingraph.core import codec
from twingraph.core.errors import TwinGraphError
from twingraph.core.plan import Argument, NodeKind
from twingraph.core.statuses import NodeStatus
from twingraph.engine.kernel import Node, Scope
from twingraph.engine.sizes import USUAL
from twingraph.engine.values import Values, only_node, takes_item

if TYPE_CHECKING:
    from twingraph.core.codec_join import Joined

_UNPROTECTED = frozenset({NodeKind.MAP, NodeKind.BRANCH})  # these are never given secrets


class ValuesAhead(Values):
    """The values of an execution that is held. What is made of more than `long` parts is long."""

    long: int = USUAL.long_parts

    # The newest: the argument, whether names of secrets were made harmless in it, and its text.
    _filled: tuple[Argument, bool, str] | None = None

    def fill(self, argument: Argument, scope: Scope, node: Node | None) -> str:
        known = self._filled
        if known is not None and known[0] is argument and known[1] is self._protects:
            self._filled = None
            return known[2]
        return super().fill(argument, scope, node)

    def is_long(self, node: Node) -> bool:
        """Whether its arguments are made of many parts."""
        edges = node.plan.edges
        return len(edges) > self.long or any(self._is_wide(node.scope.nodes[edge.source]) for edge in edges)

    def before_arguments(self, nodes: Iterable[Node]) -> Iterator[None]:
        for node in nodes:
            for edge in node.plan.edges:
                yield from _as_far_as_possible(self._before_value(node.scope.nodes[edge.source]))
            for argument in node.plan.args.values():
                if len(argument) > self.long and not takes_item(argument):
                    protects = node.kind not in _UNPROTECTED
                    yield from _as_far_as_possible(self._before_filled(argument, node.scope, node, protects))

    def with_handed_over(self, node: Node, text: str) -> Generator[None, None, codec.Encoded]:
        """The list of a generator that ran again, by and by: what was handed over stands, whatever its last run gave
        in its place; what was not comes from `text`, the list of that run."""
        from twingraph.core.codec_join import Joined  # few generators run again

        joined = Joined(self._blobs)
        for _, seq, offset in node.given or ():
            yield from self._joining(joined, self.lines(seq)[offset:])
        count = codec.length(text)
        if count > node.items:
            own = codec.Elements(text, self._blobs)
            yield from self._joining(joined, (own[index] for index in range(node.items, count)))
        return joined.encoded()

    def _joining(self, joined: Joined, texts: Iterable[str]) -> Iterator[None]:
        for number, text in enumerate(texts, 1):
            joined.add(text, codec.stored_size(text))
            if not number % self.long or text.startswith('{"$":"ref"'):  # a large one is fetched
                yield
        yield

    def before_result(self) -> Iterator[None]:
        yield from _as_far_as_possible(self._before_scope(self._state.root))

    def _is_wide(self, giver: Node) -> bool:
        children = giver.children
        if not children or giver.id in self._lines:
            return False
        first = children[0]
        return len(children) > self.long or (isinstance(first, Scope) and len(first.nodes) > self.long)

    def _before_value(self, giver: Node) -> Iterator[None]:
        if not self._is_wide(giver) or giver.status is not NodeStatus.COMPLETED:
            return
        children = giver.children or []
        if giver.kind is NodeKind.MAP:
            texts: list[str] = []
            for number, child in enumerate(children, 1):
                texts.append(self._child(child))
                if isinstance(child, Scope) or not number % self.long:
                    yield
            text = codec.join_list(texts)
            yield
            self.keep(giver.id, ((yield from codec.compacting(text, self._blobs)),))
        elif isinstance(children[0], Scope):
            yield from self._before_scope(children[0])

    def _before_scope(self, scope: Scope) -> Iterator[None]:
        template = self._template(scope)
        argument = scope.result or (template.result if template else ())
        if not argument:
            for name in scope.last_nodes:
                yield from self._before_value(scope.nodes[name])
        elif (only := only_node(argument)) is not None:
            yield from self._before_value(scope.nodes[only])
        elif len(argument) > self.long:
            yield from self._before_filled(argument, scope, None, False)

    def _before_filled(self, argument: Argument, scope: Scope, node: Node | None, protects: bool) -> Iterator[None]:
        parts: list[str] = []
        for start in range(0, len(argument), self.long):
            self._protects = protects
            try:
                parts.append(super().fill(argument[start : start + self.long], scope, node))
            finally:
                self._protects = False
            yield
        self._filled = argument, protects, "".join(parts)


def _as_far_as_possible(steps: Iterator[None]) -> Iterator[None]:
    try:
        yield from steps
    except TwinGraphError:  # whoever asks for the value meets it again
        return
