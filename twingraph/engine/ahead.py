"""Long values are put together ahead, by and by, so that nobody waits while a list of 100,000 parts is joined.

Each `before_...` is gone through before the value is asked for, with turns of others in between; then it is at hand.
What cannot be had is left to the asking, which tells why.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from twingraph.core import codec
from twingraph.core.errors import TwinGraphError
from twingraph.core.hashing import hasher
from twingraph.core.plan import Argument, Hole, NodeKind
from twingraph.core.secrets import MARK
from twingraph.core.statuses import NodeStatus
from twingraph.engine.kernel import Node, Scope
from twingraph.engine.sizes import USUAL
from twingraph.engine.values import NULL, Named, Values, is_composed, is_shaped, takes_item

if TYPE_CHECKING:
    from twingraph.core.codec_join import Joined

_UNPROTECTED = frozenset({NodeKind.MAP, NodeKind.BRANCH})  # these are never given secrets
# Whether a value is long is looked up in so many of those that it is made of; one that is made of more is.
_LOOKED_AT = 20

# So many arguments that were put together ahead and that nobody has asked for yet are kept.
_LEFT = 8

# So many characters are hashed without a pause.
_PIECE = 1 << 17

# A list that comes to more than so many bytes is put into the store part by part, so many read at once.
_LARGE = 1 << 20
_READ_AT_ONCE = 8

# Gone through by `_gone_through`: gives None for a pause, or other steps whose result it is handed.
Steps = Generator[Any, Any, Any]


class ValuesAhead(Values):
    """The values of an execution that is held. What is made of more than `long` parts is long."""

    long: int = USUAL.long_parts

    # Long arguments by their identity, who takes them (a template's are those of all that are opened from it), and
    # whether names of secrets are made harmless; each with its text.
    _filled: dict[tuple[int, str, bool], tuple[Argument, str]] | None = None
    _ended: tuple[str, Mapping[str, str]] | None = None
    _call_hashes: dict[str, str] | None = None  # by node, of those with long arguments

    def fill(self, argument: Argument, scope: Scope, node: Node | None) -> str:
        taker = scope.path if node is None else node.id
        known = self._filled.pop((id(argument), taker, self._protects), None) if self._filled else None
        return super().fill(argument, scope, node) if known is None else known[1]

    def is_long(self, node: Node) -> bool:
        """Whether its arguments are made of many parts."""
        edges, nodes = node.plan.edges, node.scope.nodes
        return len(edges) > self.long or any(self.is_long_value(nodes[edge.source]) for edge in edges)

    def before_arguments(self, nodes: Iterable[Node], *, run: bool = True) -> Iterator[None]:
        """Of runs, else of whoever asks for them with their names of secrets."""
        left = self._filled = self._filled or {}
        while len(left) > _LEFT:
            del left[next(iter(left))]
        for node in nodes:
            protects = run and node.kind not in _UNPROTECTED
            yield from _as_far_as_possible(_gone_through(self._arguments(node, protects)))

    def argument_steps(self, argument: Argument, node: Node) -> Generator[None, None, str | None]:
        text: str | None = yield from _gone_through(self._argument_steps(argument, node))
        return text

    def before_given(self, node: Node) -> Iterator[None]:
        """What this node gave: its whole value, or its outputs by name."""
        return _as_far_as_possible(_gone_through(self._values([node])))

    def before_call_hash(self, node: Node) -> Iterator[None]:
        yield from _as_far_as_possible(self._hashing_call(node))

    def knows_call_hash(self, node: Node) -> bool:
        """Whether it is at hand, or a matter of few parts."""
        return (self._call_hashes is not None and node.id in self._call_hashes) or not self.is_long(node)

    def call_hash(self, node: Node) -> str:
        known = self._call_hashes.get(node.id) if self._call_hashes else None
        return super().call_hash(node) if known is None else known

    def _hashing_call(self, node: Node) -> Iterator[None]:
        parts: list[tuple[str, str]] = []
        for name, argument in (*node.plan.args.items(), *node.plan.scope_args.items()):
            text = yield from self.argument_steps(argument, node)
            if text is not None:
                parts.append((name, text))
        found = hasher()
        for piece in _json_pieces(self.called(node), node, parts):
            found.update(piece.encode())
            yield
        if self._call_hashes is None:
            self._call_hashes = {}
        self._call_hashes[node.id] = found.hexdigest()

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

    def is_long_value(self, giver: Node) -> bool:
        """Whether what this node gave is made of many parts and not put together yet."""
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
        yield from self._sources_of(chain(result, *(argument for _, argument in scope.outputs)), scope)

    def _sources_of(self, parts: Iterable[str | Hole], scope: Scope) -> Iterator[Node]:
        for part in parts:
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
                filled[id(argument), node.id, protects] = argument, text

    def _argument_steps(self, argument: Argument, node: Node) -> Steps:
        yield self._values(self._sources_of(argument, node.scope))
        if len(argument) > self.long:
            return (yield self._filling(argument, node.scope, node, False))
        return self._argument(argument, node)

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
            return (yield self._joined((yield self._last_values(scope))))
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

    def _joined(self, found: Mapping[str, str]) -> Steps:
        """The text of the dict with these values."""
        if "$" in found:
            return codec.join_dict(found.items())
        pairs, parts = iter(found.items()), []
        for _ in range(0, len(found), self.long):
            parts.append(codec.join_dict(islice(pairs, self.long))[1:-1])
            yield
        return "{" + ",".join(parts) + "}"

    def _filling(self, argument: Argument, scope: Scope, node: Node | None, protects: bool) -> Steps:
        if (yield self._is_large_list(argument, scope)):
            text = yield self._listed(argument, scope, node)
            if text is not None:
                return text
        parts: list[str] = []
        for start in range(0, len(argument), self.long):
            some = argument[start : start + self.long]
            self.read_ahead(self._sources_of(some, scope))
            self._protects = protects
            try:
                parts.append(super().fill(some, scope, node))
            finally:
                self._protects = False
            yield
        return "".join(parts)

    def _is_large_list(self, argument: Argument, scope: Scope) -> Steps:
        """Whether it is a list of what nodes gave that comes to megabytes."""
        if argument[0] != "[" or argument[-1] != "]":
            return False
        size = 0
        for number, part in enumerate(argument[1:-1]):
            if number % 2:
                if part != ",":
                    return False
            elif isinstance(part, str) or (name := part.sources[0].node) is None:
                return False
            else:
                size += sum(meta[2] for meta in scope.nodes[name].outputs)
            if not (number + 1) % self.long:
                yield
        return size > _LARGE

    def _listed(self, argument: Argument, scope: Scope, node: Node | None) -> Steps:
        """Such a list in the store, without its text ever being joined: what is as large takes long to copy. None:
        that is not so simple, since a part is in the store itself, or seems to name a secret."""
        from twingraph.core.codec_join import Joined

        holes = [part for part in argument[1:-1] if not isinstance(part, str)]
        joined, size = Joined(self._blobs), 0
        for number, hole in enumerate(holes):
            if not number % _READ_AT_ONCE:
                self.read_ahead(self._sources_of(holes[number : number + _READ_AT_ONCE], scope))
            text = self._first(hole.sources, scope, node)
            text = NULL if text is None else text
            if '"$":"ref"' in text or MARK in text:
                return None
            joined.add(text, len(text.encode("utf-8")))
            size += len(text) + 100
            if size > _PIECE:
                size = 0
                yield
        return (yield joined.encoding()).text

    def _ending(self) -> Steps:
        root = self._state.root
        text = yield self._scope(root)
        text = yield codec.compacting(text, self._blobs)
        if not root.driven and not root.result and len(root.last_nodes) > self.long:
            named = yield self._last_values(root)
        else:
            named = self.scope_outputs(root, lambda: text)
        self._ended = text, named


def _gone_through(steps: Steps) -> Generator[None, None, Any]:
    """Steps within steps, however deep: each pause of theirs, and what came of the outermost."""
    within, said = [steps], None
    while within:
        try:
            inner = within[-1].send(said)  # the first of each is sent None
        except StopIteration as end:
            within.pop()
            said = end.value
            continue
        said = None
        if inner is None:
            yield
        else:
            within.append(inner)
    return said


def _json_pieces(spec: str, node: Node, parts: list[tuple[str, str]]) -> Iterator[str]:
    """What `call_hash` writes, piece by piece."""
    said = json.dumps([spec, node.plan.signal, node.plan.wait])
    yield f"{said[:-1]}, ["
    for number, (name, text) in enumerate(sorted(parts)):
        yield f"{', ' if number else ''}[{json.dumps(name)}, " + '"'
        for start in range(0, len(text), _PIECE):
            yield json.dumps(text[start : start + _PIECE])[1:-1]
        yield '"]'
    yield "]]"


def _as_far_as_possible(steps: Iterator[None]) -> Iterator[None]:
    try:
        yield from steps
    except TwinGraphError:  # whoever asks for the value meets it again
        return
