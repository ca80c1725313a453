"""Where values come from when a node is dispatched: the conductor's side of arguments, results and outputs.

Values are JSON texts: found in the journal by (event, line), composed by joining texts, and never decoded here.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeGuard

from twingraph.core import codec, outputs
from twingraph.core.errors import CodecError
from twingraph.core.events import OutputMeta
from twingraph.core.hashing import content_hash
from twingraph.core.plan import Argument, NodeKind, Source, Template
from twingraph.core.secrets import MARK, mentioned_in, protect, protect_names
from twingraph.core.statuses import NodeStatus
from twingraph.engine.kernel import Node, Scope, State
from twingraph.engine.shared import Shared, by_execution, shared
from twingraph.store.blobs.base import BlobStore

# Texts are kept in memory up to this many characters per execution; beyond, the oldest are read from the journal again.
CACHE_LIMIT = 16_000_000

# Lists whose elements are read one by one are kept open, so many of them per execution.
OPEN_LISTS = 4

# From so many containers inside each other on, the innermost are put together first.
DEEP = 20

NULL = "null"


class Named(NamedTuple):
    """Where the named outputs are kept that a body returned."""

    scope: str


Key = int | str | Shared | Named


def takes_item(argument: Argument) -> bool:
    return any(not isinstance(part, str) and any(source.item for source in part.sources) for part in argument)


def _place(node: Node) -> Shared | None:
    """Where the values of what was kept from an earlier execution stand; None: with its own event."""
    if node.kept_at is None or node.cached_from is None:
        return None
    return Shared(node.cached_from, node.kept_at)


def _weight(lines: Sequence[str]) -> int:
    return sum(map(len, lines)) + 64 if lines else 0


def _meta(name: str, text: str) -> OutputMeta:
    return name, codec.hash_text(text), len(text.encode("utf-8", "surrogatepass"))


class ValueMissingError(CodecError):
    """A value that an argument needs is not there, though the node that gives it completed."""


class Given(NamedTuple):
    """What a node, or a scope, gave: its named outputs, and how they belong together."""

    shape: str | None = None
    outputs: tuple[OutputMeta, ...] = ()
    texts: Sequence[str] = ()


def only_node(argument: Argument) -> str | None:
    """The node whose whole value this is, when it is nothing else."""
    if len(argument) != 1 or isinstance(argument[0], str) or len(argument[0].sources) != 1:
        return None
    source = argument[0].sources[0]
    return source.node if source.output is None and source.index is None else None


def is_shaped(scope: Scope | Node) -> TypeGuard[Scope]:
    """Whether its body returned named outputs."""
    return isinstance(scope, Scope) and scope.shape is not None and scope.shape != "plain"


def is_composed(node: Node) -> bool:
    """Whether its value is made of those of nodes in it."""
    return node.kind is NodeKind.MAP or (node.kind is NodeKind.SCOPE and bool(node.children))


def _giver(node: Node) -> Node:
    """Who gave what this completed node gives: a body that gave another node's value gave that node's outputs."""
    while node.kind is NodeKind.SCOPE and node.children:
        inner = _passed_on(node.children[0])
        if inner is None:
            break
        node = inner
    return node


def _passed_on(scope: Scope | Node) -> Node | None:
    """The node whose outputs are those of the scope."""
    assert isinstance(scope, Scope)
    if is_shaped(scope):
        return None
    name = only_node(scope.result)
    return scope.nodes[name] if name is not None and scope.nodes[name].status is NodeStatus.COMPLETED else None


class Values:
    """The values of one execution. `read` fetches the data of a journaled event, `read_many` of several at once,
    `read_shared` of events of another execution."""

    def __init__(
        self,
        state: State,
        read: Callable[[int], str | None],
        blobs: BlobStore,
        read_many: Callable[[Sequence[int]], Mapping[int, str]] | None = None,
        most: int = CACHE_LIMIT,
        read_shared: Callable[[str, Sequence[int]], Mapping[int, str]] | None = None,
    ) -> None:
        self._most = most
        self._state = state
        self._read = read
        self._read_many = read_many
        self._read_shared = read_shared
        self._blobs = blobs
        # By the event that brought them, here or elsewhere; what was composed, by its container.
        self._lines: dict[Key, Sequence[str]] = {}
        self._held = 0
        self._lists: dict[str, codec.Elements] = {}
        self._protects = False  # what comes out of nodes shall name no secrets
        self._depth = 0  # containers inside each other whose values are being put together
        self._overheard: dict[str, tuple[set[str], set[str]]] = {}  # by scope: nodes that were looked at, and names

    # -- texts of events -------------------------------------------------------------------------

    def keep(self, seq: Key, lines: Sequence[str]) -> None:
        """Remember what an event's data says, since somebody will probably want it soon."""
        self._forget(seq)
        self._lines[seq] = lines
        self._held += _weight(lines)
        while self._held > self._most and len(self._lines) > 1:
            self._forget(next(iter(self._lines)))

    def _forget(self, seq: Key) -> None:
        self._held -= _weight(self._lines.pop(seq, ()))

    def lines(self, seq: int) -> Sequence[str]:
        known = self._lines.get(seq)
        if known is None:
            data = self._read(seq)
            if data is None:
                raise ValueMissingError(f"the journal has no values beside event {seq} of {self._state.execution}")
            known = data.split("\n") if data else ()
            self.keep(seq, known)
        place = shared(known)
        if place is not None:
            self._fetch({seq: place})
            known = self._lines[seq]
        return known

    def lines_of(self, node: Node) -> Sequence[str]:
        """The texts of what a node gave that has an event of its own."""
        place = _place(node)
        if place is None:
            assert node.seq is not None
            return self.lines(node.seq)
        if place not in self._lines:
            self._fetch({place: place})
        return self._lines[place]

    def read_ahead(self, nodes: Iterable[Node]) -> None:
        """What these gave will be asked for next: read what is not at hand in one go."""
        given = [node for node in nodes if node.seq is not None]
        places = [place for node in given if (place := _place(node)) is not None]
        self._fetch({place: place for place in places if place not in self._lines})
        wanted = [node.seq for node in given if node.kept_at is None and node.seq is not None]
        missing = [seq for seq in wanted if seq not in self._lines]
        if missing and self._read_many is not None:
            for seq, data in self._read_many(missing).items():
                self.keep(seq, data.split("\n"))
        self._fetch({seq: place for seq in wanted if (place := shared(self._lines.get(seq, ()))) is not None})

    def _fetch(self, places: Mapping[int | Shared, Shared]) -> None:
        """Bring what stands in the journals of other executions."""
        for execution, events in by_execution(places).items():
            found = self._read_shared(execution, list(events.values())) if self._read_shared is not None else {}
            for seq, there in events.items():
                if there not in found:
                    raise ValueMissingError(
                        f"{self._state.execution} keeps what event {there} of {execution} gave, which is there no more"
                    )
                self.keep(seq, found[there].split("\n"))

    # -- values of nodes -------------------------------------------------------------------------

    def whole(self, node: Node) -> str:
        """The value that the plain function would have returned."""
        if node.kind is NodeKind.MAP or node.kind is NodeKind.SCOPE:
            known = self._lines.get(node.id)
            if known is None:
                known = (self._container_text(node),)
                self.keep(node.id, known)
            return known[0]
        if node.kind is NodeKind.INPUT:
            return self._input(node.scope, node.plan.id) or NULL
        if node.seq is None or node.kind is NodeKind.SLEEP:
            return NULL
        return outputs.whole(node.shape, [meta[0] for meta in node.outputs], self.lines_of(node))

    def output(self, node: Node, name: str) -> str:
        """One named output; a container's or a plain value's parts are found inside its whole value."""
        if node.seq is not None and node.kind not in (NodeKind.MAP, NodeKind.SCOPE):
            for position, meta in enumerate(node.outputs):
                if meta[0] == name:
                    return self.lines_of(node)[position]
        if node.kind is NodeKind.SCOPE and node.children:
            named = self.scope_outputs(node.children[0], lambda: self.whole(node))
            if name in named:
                return named[name]
        declared = ", ".join(meta[0] for meta in node.outputs) or "none"
        raise ValueMissingError(f"{node.id} gave no output {name!r}; it gave {declared}")

    def _container_text(self, node: Node) -> str:
        self._depth += 1
        try:
            if self._depth > DEEP:
                self._inner_first(node)
            return codec.compact(self._container(node), self._blobs)
        finally:
            self._depth -= 1

    def _inner_first(self, node: Node) -> None:
        """Put together what it gives on of those in it, from the innermost outwards: recursion has no end of levels."""
        from twingraph.engine.passing import given_on

        asked, waiting = {node.id}, [node]
        while waiting:
            inner = [one for one in given_on(waiting[-1]) if one.id not in asked and one.id not in self._lines]
            if inner:
                asked.update(one.id for one in inner)
                waiting += inner
            elif (done := waiting.pop()) is not node:
                self.whole(done)

    def given(self, node: Node) -> Given:
        """What a completed node gave, output by output."""
        giver = _giver(node)
        if not is_composed(giver):
            gave = giver.seq is not None and giver.kind is not NodeKind.SLEEP
            return Given(giver.shape, giver.outputs, self.lines_of(giver)) if gave else Given()
        named = self._named(giver)
        scope = (giver.children or [giver])[0]
        shape = scope.shape if is_shaped(scope) else "plain"
        return Given(shape, tuple(_meta(name, text) for name, text in named.items()), list(named.values()))

    def _named(self, giver: Node) -> Mapping[str, str]:
        """The outputs of a completed node that gives on nobody else's."""
        if is_composed(giver):
            scope = (giver.children or [giver])[0]
            return self._shaped(scope) if is_shaped(scope) else {"output": self.whole(giver)}
        if giver.seq is None or giver.kind is NodeKind.SLEEP:
            return {}
        return {meta[0]: text for meta, text in zip(giver.outputs, self.lines_of(giver), strict=True)}

    def _shaped(self, scope: Scope) -> Mapping[str, str]:
        """The named outputs that a body returned."""
        key = Named(scope.path)
        known = self._lines.get(key)
        if known is None:
            known = [codec.compact(self.fill(argument, scope, None), self._blobs) for _, argument in scope.outputs]
            self.keep(key, known)
        return {name: text for (name, _), text in zip(scope.outputs, known, strict=True)}

    def _container(self, node: Node) -> str:
        children = node.children or []
        if node.kind is NodeKind.SCOPE:
            return self.scope_result(children[0])
        return codec.join_list([self._child(child) for child in children])

    def _child(self, child: Node | Scope) -> str:
        status = child.status if isinstance(child, Node) else child.outcome
        if status is NodeStatus.COMPLETED:
            return self.whole(child) if isinstance(child, Node) else self.scope_result(child)
        return outputs.error_text(child.error) if status is NodeStatus.FAILED else NULL

    def ending(self) -> tuple[str, Mapping[str, str]]:
        """What the execution gives, whole and by names."""
        text = codec.compact(self.scope_result(self._state.root), self._blobs)
        return text, self.scope_outputs(self._state.root, lambda: text)

    def scope_result(self, scope: Scope | Node) -> str:
        """What a scope gives: its `result`, else its one last node's value, else its last nodes' values by id."""
        assert isinstance(scope, Scope)
        if is_shaped(scope):
            named = self._shaped(scope)
            return outputs.whole(scope.shape, list(named), list(named.values()))
        result = self._result_of(scope)
        if result:
            return self.fill(result, scope, None)
        last = [scope.nodes[name] for name in scope.last_nodes]
        if len(last) == 1:
            return self.whole(last[0]) if last[0].status is NodeStatus.COMPLETED else NULL
        done = [(node.plan.id, self.whole(node)) for node in last if node.status is NodeStatus.COMPLETED]
        return codec.join_dict(done)

    def scope_outputs(self, scope: Scope | Node, whole: Callable[[], str]) -> Mapping[str, str]:
        """The same by names: the last node's outputs flat, or the last nodes by id. `whole` says the text of it all."""
        assert isinstance(scope, Scope)
        if is_shaped(scope):
            return self._shaped(scope)
        if scope.driven:
            inner = _passed_on(scope)
            return (self._named(_giver(inner)) if inner is not None else {}) or {"output": whole()}
        last = [scope.nodes[name] for name in scope.last_nodes]
        if scope.result:
            return {"output": whole()}
        if len(last) != 1:
            return {node.plan.id: self.whole(node) for node in last if node.status is NodeStatus.COMPLETED}
        node = last[0]
        if node.status is not NodeStatus.COMPLETED:
            return {}
        if node.kind is NodeKind.SCOPE and node.children:
            return self.scope_outputs(node.children[0], lambda: self.whole(node))
        if node.seq is None or node.kind is NodeKind.MAP:
            return {"output": self.whole(node)}
        return {meta[0]: text for meta, text in zip(node.outputs, self.lines_of(node), strict=True)}

    def _result_of(self, scope: Scope) -> Argument:
        template = self._template(scope)
        return scope.result or (template.result if template else ())

    def _template(self, scope: Scope) -> Template | None:
        parent = scope.parent
        return self._state.templates.get(parent.plan.template) if parent and parent.plan.template else None

    def _elements(self, text: str) -> codec.Elements:
        """The list with this text, opened once for all of its elements that are asked for one after another."""
        known = self._lists.pop(text, None) or codec.Elements(text, self._blobs)
        if len(self._lists) >= OPEN_LISTS:
            del self._lists[next(iter(self._lists))]
        self._lists[text] = known
        return known

    # -- arguments -------------------------------------------------------------------------------

    def arguments(self, node: Node) -> list[tuple[str, str]]:
        """What a node's function is called with."""
        return [
            (name, text) for name, part in node.plan.args.items() if (text := self._argument(part, node)) is not None
        ]

    def run_arguments(self, node: Node) -> list[tuple[str, str]]:
        """The same for a run. Only what the author wrote, or whoever started the execution, names secrets there."""
        self._protects = True
        try:
            return self.arguments(node)
        finally:
            self._protects = False

    def protected(self, argument: Argument, node: Node) -> str | None:
        """One argument, as a run is given it."""
        self._protects = True
        try:
            return self._argument(argument, node)
        finally:
            self._protects = False

    def scope_arguments(self, node: Node) -> list[tuple[str, str]]:
        """What the body that a node stands for is called with."""
        parts = node.plan.scope_args.items()
        return [(name, text) for name, part in parts if (text := self._argument(part, node)) is not None]

    def call_hash(self, node: Node) -> str:
        """What a call in a body asks for: equal for the same component with the same arguments."""
        spec = self._state.specs[node.spec].component if node.spec is not None else str(node.kind)
        parts = [*self.arguments(node), *self.scope_arguments(node)]
        said = [spec, node.plan.signal, node.plan.wait, sorted(parts)]
        return content_hash(json.dumps(said).encode())

    def shown(self, node: Node) -> dict[str, str]:
        """What a node was given, as people read it: by parameter, as far as it is known."""
        parts: dict[str, Argument] = {**node.plan.args, **node.plan.scope_args}
        if node.kind is NodeKind.MAP:
            over = parts.pop("items", None)
            parts.pop("key", None)
            parts = {name: part for name, part in parts.items() if not takes_item(part)}
            parts = {"over": over, **parts} if over is not None else parts
        found = {}
        for name, part in parts.items():
            try:
                text = self._argument(part, node)
            except CodecError:  # it failed for the want of this very value
                continue
            if text is not None:
                found[name] = text
        return found

    def _argument(self, argument: Argument, node: Node) -> str | None:
        """None: nothing fills it, so that the parameter's default stands."""
        if len(argument) == 1:
            part = argument[0]
            if isinstance(part, str):
                return self._words(part, node.scope)
            return self._first(part.sources, node.scope, node)
        return self.fill(argument, node.scope, node)

    argument = _argument  # one alone, for those who ask what an argument is

    def fill(self, argument: Argument, scope: Scope, node: Node | None) -> str:
        parts = []
        for part in argument:
            text = self._words(part, scope) if isinstance(part, str) else self._first(part.sources, scope, node)
            parts.append(NULL if text is None else text)
        return "".join(parts)

    def _words(self, text: str, scope: Scope) -> str:
        """What the author wrote. A body may have put together there what nodes have given it: that names no secrets."""
        if not self._protects or not scope.driven or MARK not in text:
            return text
        seen, names = self._overheard.setdefault(scope.path, (set(), set()))
        self._protects = False
        try:
            if scope.parent is not None and not seen:
                seen.add("")
                for argument in scope.parent.plan.scope_args.values():
                    if any(not isinstance(part, str) for part in argument):
                        names.update(mentioned_in(self._argument(argument, scope.parent) or ""))
            for node in scope.nodes.values():
                if node.over and node.id not in seen and node.kind is not NodeKind.INPUT:
                    seen.add(node.id)
                    given = self.whole(node) if node.status is NodeStatus.COMPLETED else ""
                    names.update(mentioned_in(given + (node.error.message if node.error is not None else "")))
        finally:
            self._protects = True
        return protect_names(text, names) if names else text

    def _first(self, sources: Sequence[Source], scope: Scope, node: Node | None) -> str | None:
        for source in sources:
            text = self._source(source, scope, node)
            if text is not None:
                return text
        return None

    def _source(self, source: Source, scope: Scope, node: Node | None) -> str | None:
        if any(scope.nodes[branch].branch != handle for branch, handle in source.branches):
            return None
        if source.item:
            return self._from_node(lambda: self.item(node, scope))
        if source.input is not None:
            return self._given(scope, node, source.input)
        assert source.node is not None
        giver = scope.nodes[source.node]
        if giver.status is not NodeStatus.COMPLETED:
            return None
        if giver.kind is NodeKind.INPUT:
            return self._given_by(giver, source)
        return self._from_node(lambda: self._given_by(giver, source))

    def _given_by(self, giver: Node, source: Source) -> str:
        text = self.whole(giver) if source.output is None else self.output(giver, source.output)
        try:
            return text if source.index is None else self._elements(text)[source.index]
        except IndexError:
            raise ValueMissingError(f"{giver.id} gave a list without an element {source.index}") from None

    def _from_node(self, find: Callable[[], str]) -> str:
        """What another node gave, protected once where it is to be. What is found on the way is kept as it is."""
        protects, self._protects = self._protects, False
        try:
            text = find()
        finally:
            self._protects = protects
        return protect(text) if protects and MARK in text else text

    def item(self, node: Node | None, scope: Scope) -> str:
        """The item of the nearest map around."""
        if node is not None and node.item_of is not None and node.index is not None:
            return self._item_text(node.item_of, node.index)
        while scope.parent is not None:
            if scope.index is not None:
                return self._item_text(scope.parent, scope.index)
            if scope.parent.item_of is not None and scope.parent.index is not None:
                return self._item_text(scope.parent.item_of, scope.parent.index)
            scope = scope.parent.scope
        raise ValueMissingError("an item was asked for outside of every map")

    def _item_text(self, container: Node, index: int) -> str:
        assert container.pages is not None
        start, seq = container.pages[bisect_right(container.pages, (index, 1 << 62)) - 1]
        return self.lines(seq)[index - start]

    def _given(self, scope: Scope, node: Node | None, name: str) -> str | None:
        """An input of the scope: of the execution for the root, else what the opening node was given."""
        if node is not None and node.item_of is not None:
            return self._scope_argument(node.item_of, node, name)
        return self._input(scope, name)

    def _input(self, scope: Scope, name: str) -> str | None:
        if scope.parent is None:
            inputs = self._state.inputs
            return self.lines(1)[inputs.index(name)] if name in inputs else None
        return self._scope_argument(scope.parent, None, name, scope)

    def _scope_argument(self, opener: Node, item: Node | None, name: str, scope: Scope | None = None) -> str | None:
        argument = opener.plan.scope_args.get(name)
        if argument is None:
            return None
        if takes_item(argument):
            inner = scope or opener.scope
            return self._fill_item(argument, inner, item, opener)
        return self._argument(argument, opener)

    def _fill_item(self, argument: Argument, scope: Scope, item: Node | None, opener: Node) -> str:
        parts = []
        for part in argument:
            if isinstance(part, str):
                parts.append(part)
            elif any(source.item for source in part.sources):
                parts.append(self._from_node(lambda: self.item(item, scope)))
            else:
                parts.append(self._first(part.sources, opener.scope, opener) or NULL)
        return "".join(parts)
