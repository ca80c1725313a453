"""Long values are put together ahead, by and by, so that nobody waits while a list of 100,000 parts is joined.

Each `before_...` is gone through before the value is asked for, with turns of others in between; then it is at hand.
What cannot be had is left to the asking, which tells why.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from twingraph.core import codec
from twingraph.core.errors import TwinGraphError
from twingraph.core.plan import Argument, NodeKind
from twingraph.core.statuses import NodeStatus
from twingraph.engine.kernel import Node, Scope
from twingraph.engine.sizes import USUAL
from twingraph.engine.values import Named, Values, is_composed, is_shaped, takes_item

if TYPE_CHECKING:
    from twingraph.core.codec_join import Joined

_UNPROTECTED = frozenset({NodeKind.MAP, NodeKind.BRANCH})  # these are never given secrets
# Whether a value is long is looked up in so many of those that it is made of; one that is made of more is.
_LOOKED_AT = 20

# Gone through by `_gone_through`: gives None for a pause, or other steps whose result it is handed.
Steps = Generator[Any, Any, Any]


class ValuesAhead(Values):
    """The values of an execution that is held. What is made of more than `long` parts is long."""

    long: int = USUAL.long_parts

    # Long arguments by their identity and whether names of secrets are made harmless, each with its text.
    _filled: dict[tuple[int, bool], tuple[Argument, str]] | None = None
    _ended: tuple[str, Mapping[str, str]] | None = None

    def fill(self, argument: Argument, scope: Scope, node: Node | None) -> str:
        known = self._filled.pop((id(argument), self._protects), None) if self._filled else None
        return super().fill(argument, scope, node) if known is None else known[1]

    def is_long(self, node: Node) -> bool:
        """Whether its arguments are made of many parts."""
        edges, nodes = node.plan.edges, node.scope.nodes
        return len(edges) > self.long or any(self._is_long_value(nodes[edge.source]) for edge in edges)

    def before_arguments(self, nodes: Iterable[Node], *, run: bool = True) -> Iterator[None]:
        """Of runs, else of whoever asks for them with their names of secrets."""
        self._filled = {}
        for node in nodes:
            protects = run and node.kind not in _UNPROTECTED
            yield from _as_far_as_possible(_gone_through(self._arguments(node, protects)))

    def before_result(self) -> Iterator[None]:
        self._ended = None
        yield from _as_far_as_possible(_gone_through(self._ending()))

    def ending(self) -> tuple[str, Mapping[str, str]]:
        known, self._ended = self._ended, None
        return super().ending() if known is None else known

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
        return (yield from joined.encoding())

    def _joining(self, joined: Joined, texts: Iterable[str]) -> Iterator[None]:
        for number, text in enumerate(texts, 1):
            joined.add(text, codec.stored_size(text))
            if not number % self.long or text.startswith('{"$":"ref"'):  # a large one is fetched
                yield
        yield

    # -- what is long ------------------------------------------------------------------------------

    def _is_long_value(self, giver: Node) -> bool:
        waiting: list[Node | Scope] = [giver] if self._is_missing(giver) else []
        for _ in range(_LOOKED_AT):
            if not waiting:
                return False
            one = waiting.pop()
            inner: Iterable[Node | Scope]
            if isinstance(one, Scope):
                inner, long = self._given_on(one), len(one.nodes) > self.long or len(self._result_of(one)) > self.long
            else:
                inner, long = one.children or (), len(one.children or ()) > self.long
            if long:
                return True
            waiting += [below for below in inner if isinstance(below, Scope) or self._is_missing(below)]
        return True

    def _is_missing(self, node: Node) -> bool:
        """Whether its value is to be put together, and can be."""
        return is_composed(node) and node.status is NodeStatus.COMPLETED and node.id not in self._lines

    def _given_on(self, scope: Scope) -> Iterator[Node]:
        """The nodes whose values are parts of what a scope gives."""
        result = self._result_of(scope)
        if not result and not scope.outputs:
            yield from (scope.nodes[name] for name in scope.last_nodes)
        for part in chain(result, *(argument for _, argument in scope.outputs)):
            for source in () if isinstance(part, str) else part.sources:
                if source.node is not None:
                    yield scope.nodes[source.node]

    # -- step by step ------------------------------------------------------------------------------

    def _arguments(self, node: Node, protects: bool) -> Steps:
        filled = self._filled = {} if self._filled is None else self._filled
        yield self._values(node.scope.nodes[edge.source] for edge in node.plan.edges)
        for argument in (*node.plan.args.values(), *node.plan.scope_args.values()):
            if len(argument) > self.long and not (yield self._takes_item(argument)):
                text = yield self._filling(argument, node.scope, node, protects)
                filled[id(argument), protects] = argument, text

    def _takes_item(self, argument: Argument) -> Steps:
        for start in range(0, len(argument), self.long):
            if takes_item(argument[start : start + self.long]):
                return True
            yield
        return False

    def _values(self, givers: Iterable[Node]) -> Steps:
        for number, giver in enumerate(givers, 1):
            if self._is_missing(giver):
                yield self._value(giver)
            if not number % self.long:
                yield

    def _value(self, giver: Node) -> Steps:
        children = giver.children or []
        if giver.kind is NodeKind.SCOPE:
            assert isinstance(children[0], Scope)
            text = yield self._scope(children[0])
        else:
            texts: list[str] = []
            for number, child in enumerate(children, 1):
                if isinstance(child, Scope) and child.outcome is NodeStatus.COMPLETED:
                    texts.append((yield self._scope(child)))
                else:
                    if isinstance(child, Node) and self._is_missing(child):
                        yield self._value(child)
                    texts.append(self._child(child))
                if not number % self.long:
                    yield
            text = codec.join_list(texts)
            yield
        self.keep(giver.id, ((yield codec.compacting(text, self._blobs)),))

    def _scope(self, scope: Scope) -> Steps:
        """What `scope_result` says."""
        yield self._values(self._given_on(scope))
        if is_shaped(scope):
            if Named(scope.path) not in self._lines:
                texts: list[str] = []
                for _, argument in scope.outputs:
                    text = yield self._filling(argument, scope, None, False)
                    texts.append((yield codec.compacting(text, self._blobs)))
                self.keep(Named(scope.path), texts)
            return self.scope_result(scope)
        result = self._result_of(scope)
        if len(result) > self.long:
            return (yield self._filling(result, scope, None, False))
        if not result and len(scope.last_nodes) > self.long:
            return codec.join_dict((yield self._last_values(scope)).items())
        return self.scope_result(scope)

    def _last_values(self, scope: Scope) -> Steps:
        """Those of its last nodes, by id."""
        found: dict[str, str] = {}
        for start in range(0, len(scope.last_nodes), self.long):
            some = [scope.nodes[name] for name in scope.last_nodes[start : start + self.long]]
            self.read_ahead(some)
            found.update((node.plan.id, self.whole(node)) for node in some if node.status is NodeStatus.COMPLETED)
            yield
        return found

    def _filling(self, argument: Argument, scope: Scope, node: Node | None, protects: bool) -> Steps:
        parts: list[str] = []
        for start in range(0, len(argument), self.long):
            some = argument[start : start + self.long]
            sources = chain.from_iterable(part.sources for part in some if not isinstance(part, str))
            self.read_ahead(scope.nodes[source.node] for source in sources if source.node is not None)
            self._protects = protects
            try:
                parts.append(super().fill(some, scope, node))
            finally:
                self._protects = False
            yield
        return "".join(parts)

    def _ending(self) -> Steps:
        root = self._state.root
        text = yield self._scope(root)
        text = yield codec.compacting(text, self._blobs)
        if not root.driven and not root.result and len(root.last_nodes) > self.long:
            named = yield self._last_values(root)
        else:
            named = self.scope_outputs(root, lambda: text)
        self._ended = text, named


def _gone_through(steps: Steps) -> Iterator[None]:
    """Steps within steps, however deep: each pause of theirs."""
    within, said = [steps], None
    while within:
        try:
            inner = within[-1].send(said)
        except StopIteration as end:
            within.pop()
            said = end.value
            continue
        said = None
        if inner is None:
            yield
        else:
            within.append(inner)


def _as_far_as_possible(steps: Iterator[None]) -> Iterator[None]:
    try:
        yield from steps
    except TwinGraphError:  # whoever asks for the value meets it again
        return
