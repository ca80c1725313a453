"""What a node's work is, whoever does it: its `cache_key`, and with its history its `hash`.

`cache_key` is of the code, the content of the arguments and the surroundings that were asked for; equal keys mean equal
work. `hash` is of the key and of the hashes of the node's parents: equal work that came about in the same way. Neither
holds an id, a time, or anything else of one execution, so that both are equal wherever the work is done again.

Both are None as long as a source of the node is not over. They stay None where nobody can say what a node would have
been called with, since what it takes did not come, and for what handles an error, which is told of one execution. They
are computed when asked for, from what the journal keeps, and remembered with the state.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from twingraph.core import codec
from twingraph.core.caching import policy_of
from twingraph.core.codec import hash_text
from twingraph.core.codec_base import dumps_sorted
from twingraph.core.errors import TwinGraphError
from twingraph.core.hashing import content_hash
from twingraph.core.plan import Argument, Hole, NodeKind, NodeSpec, PlanNode, Source
from twingraph.core.statuses import NodeStatus
from twingraph.engine.kernel import Node, State
from twingraph.engine.kernel.graph import why_skipped
from twingraph.engine.kernel.state import at_once
from twingraph.engine.values import Values

# So many parents, edges and parts are looked at without a pause.
_AT_ONCE = 1_000


class _Found:
    """What was found of one execution holds for good: the sources of these nodes are over."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.hashes: dict[str, str] = {}
        self.drawings: dict[str, str] = {}
        # Of arguments of many parts, by their identity and who takes them.
        self.digests: dict[tuple[int, str], tuple[Argument, str]] = {}


_FOUND: WeakKeyDictionary[State, _Found] = WeakKeyDictionary()


def hash_of(state: State, values: Values, node: Node) -> str | None:
    """The identity of a node's work and of everything that it came from."""
    return at_once(hashing(state, values, node))


def hashing(state: State, values: Values, node: Node) -> Generator[None, None, str | None]:
    """The same by and by, where there are many parents or arguments are made of many parts."""
    return _Search(state, values).hash_of(node)


def cache_key_of(state: State, values: Values, node: Node, said: str | None = None) -> str | None:
    """The identity of a node's work alone. Where its author chose the parameters that stand for all, or a function that
    says it, those alone count: not for the hash, which tells apart whatever differs. `said` is the text of what the
    function has said; nobody knows the key without it."""
    return at_once(keying(state, values, node, said))


def keying(state: State, values: Values, node: Node, said: str | None = None) -> Generator[None, None, str | None]:
    """The same by and by."""
    search, spec = _Search(state, values), None if node.spec is None else state.specs[node.spec]
    policy = policy_of(spec.cache) if spec is not None and spec.cache and node.kind is NodeKind.TASK else None
    if policy is None:
        return (yield from search.key_of(node))
    if policy.function is not None:
        return None if said is None else search.said(node, policy.function.hash, said)
    return (yield from search.key_of(node) if policy.key is None else search.chosen(node, policy.key))


def contents_of(state: State, values: Values, node: Node) -> Mapping[str, Any]:
    """The content hash of each argument of a node whose sources are over."""
    return at_once(_Search(state, values).contents(node.plan.args, node))


def _digest(*parts: Any) -> str:
    return content_hash(dumps_sorted(parts).encode("utf-8"))


class _Search:
    def __init__(self, state: State, values: Values) -> None:
        self._state = state
        self._values = values
        self._found = _FOUND.setdefault(state, _Found())

    # -- with history ----------------------------------------------------------------------------

    def hash_of(self, node: Node) -> Generator[None, None, str | None]:
        """Parents first, without recursion: chains are long."""
        hashes, todo, steps = self._found.hashes, [node], 0
        while todo:
            top = todo[-1]
            if top.id not in hashes:
                parents = yield from _parents(top)
                key = yield from self.key_of(top)
                if parents is None or key is None:
                    return None
                missing = [parent for parent in parents if parent.id not in hashes]
                if missing:
                    todo += missing
                    continue
                hashes[top.id] = yield from _history(key, [hashes[parent.id] for parent in parents])
            todo.pop()
            steps += 1
            if not steps % _AT_ONCE:
                yield
        return hashes[node.id]

    # -- alone -----------------------------------------------------------------------------------

    def key_of(self, node: Node) -> Generator[None, None, str | None]:
        known = self._found.keys.get(node.id)
        if known is None and (yield from _is_settled(node)):
            try:
                known = self._found.keys[node.id] = yield from self._key(node)
            except TwinGraphError:  # an argument is not there; the node failed for the want of it
                return None
        return known

    def chosen(self, node: Node, names: Collection[str]) -> Generator[None, None, str | None]:
        """The same, for which these parameters alone count."""
        key = f"{node.id} by choice"
        known = self._found.keys.get(key)
        if known is None and (yield from _is_settled(node)):
            args = {name: part for name, part in node.plan.args.items() if name in names}
            try:
                contents = yield from self.contents(args, node)
                known = self._found.keys[key] = _digest("chosen", self._work(node.plan, node.spec), contents)
            except TwinGraphError:
                return None
        return known

    def said(self, node: Node, function: str | None, text: str) -> str:
        """The same, for which a function of this hash has said what counts."""
        return _digest("said", self._work(node.plan, node.spec), function, hash_text(text))

    def _key(self, node: Node) -> Generator[None, None, str]:
        plan = node.plan
        args = {name: part for name, part in plan.args.items() if not (node.kind is NodeKind.MAP and name == "key")}
        return _digest(
            "key",
            self._work(plan, node.spec),
            (yield from self.contents(args, node)),
            (yield from self.contents(plan.scope_args, node)),
            hash_text(self._values.whole(node)) if node.kind is NodeKind.INPUT else None,
        )

    def _work(self, plan: PlanNode, spec: int | None) -> list[Any]:
        """What is done, whatever it is done with."""
        return [
            str(plan.kind),
            None if spec is None else _surroundings(self._state.specs[spec]),
            None if plan.template is None else self._drawing(plan.template),
            float(plan.wait or 0) if plan.kind is NodeKind.SLEEP else None,
            plan.signal,
            plan.keep_item_errors,
        ]

    def contents(self, args: Mapping[str, Argument], node: Node) -> Generator[None, None, dict[str, Any]]:
        """The content hash of each argument that there is; without one its default stands, which is code."""
        found: dict[str, Any] = {}
        for name, argument in args.items():
            digest = yield from self._content(argument, node)
            if digest is not None:
                found[name] = digest
        return found

    def _content(self, argument: Argument, node: Node) -> Generator[None, None, Any]:
        if node.kind is NodeKind.MAP and any(source.item for source in _sources(argument)):
            return (yield from self._per_item(argument, node))
        recorded = _recorded(argument, node)
        if recorded is not None:
            return recorded
        known = self._found.digests.get((id(argument), node.id))
        if known is not None:
            return known[1]
        text = yield from self._values.argument_steps(argument, node)
        if text is None:
            return None
        digest = yield from codec.hashing(text)
        if len(argument) > _AT_ONCE:
            self._found.digests[id(argument), node.id] = argument, digest
        return digest

    def _per_item(self, argument: Argument, node: Node) -> Generator[None, None, list[Any]]:
        """What a map hands to each of its items is a text with a gap, as far as the map itself goes."""
        found: list[Any] = []
        for part in argument:
            if isinstance(part, str) or _takes_item(part):
                found.append(part if isinstance(part, str) else None)
            else:
                found.append((yield from self._content((part,), node)))
        return found

    # -- templates -------------------------------------------------------------------------------

    def _drawing(self, name: str) -> str:
        """What a template's nodes do and how they hang together, by their places and not by their ids."""
        known = self._found.drawings.get(name)
        if known is None:
            template = self._state.templates[name]
            places = {node.id: place for place, node in enumerate(template.nodes)}
            known = self._found.drawings[name] = _digest(
                "template",
                [self._drawn(node, places) for node in template.nodes],
                _drawn_argument(template.result, places),
                # Several last nodes give their values by their ids.
                list(template.last_nodes) if len(template.last_nodes) > 1 else len(template.last_nodes),
            )
        return known

    def _drawn(self, node: PlanNode, places: Mapping[str, int]) -> list[Any]:
        return [
            self._work(node, node.spec),
            {name: _drawn_argument(part, places) for name, part in node.args.items()},
            {name: _drawn_argument(part, places) for name, part in node.scope_args.items()},
            sorted([places[e.source], e.param or "", e.output or "", e.handle or ""] for e in node.edges),
        ]


def _surroundings(spec: NodeSpec) -> list[Any]:
    """The code of a component and where it asks to be run."""
    return [
        spec.code_hash or f"entry:{spec.entry or spec.component}",
        spec.platform,
        spec.docker_image,
        spec.version,
        dict(spec.environment),
        None if spec.options is None else hash_text(spec.options),
    ]


def _history(key: str, parents: list[str]) -> Generator[None, None, str]:
    if len(parents) <= _AT_ONCE:
        return _digest("hash", key, sorted(parents))
    from twingraph.core.codec_long import digest_of, listed, sorting

    texts = [f'"{parent}"' for parent in (yield from sorting(parents))]
    return (yield from digest_of(listed(texts, f'["hash",{dumps_sorted(key)},', "]")))


def _is_settled(node: Node) -> Generator[None, None, bool]:
    """Whether it can be said what the node is called with."""
    if node.kind is NodeKind.HANDLER:
        return False
    carried = True
    for number, edge in enumerate(node.plan.edges, 1):
        source = node.scope.nodes[edge.source]
        if not source.over:
            return False
        carried = carried and source.status is NodeStatus.COMPLETED and edge.handle in (None, source.branch)
        if not number % _AT_ONCE:
            yield
    return carried or why_skipped(node) is None


def parents_of(node: Node) -> list[Node] | None:
    """In whose line a node stands; None while a source is not over.

    These are the sources of its edges that are alive, with data or without. What takes an item or an input of its
    scope stands in the line of the node that opened the scope, as does what a body called without passing on
    anything of its own: all that it knows came from there.
    """
    return at_once(_parents(node))


def _parents(node: Node) -> Generator[None, None, list[Node] | None]:
    found: dict[str, Node] = {}
    step: Node | None = node
    while step is not None:
        own = False
        for number, edge in enumerate(step.plan.edges, 1):
            source = step.scope.nodes[edge.source]
            if not source.over:
                return None
            if source.status is NodeStatus.COMPLETED and edge.handle in (None, source.branch):
                own, found[source.id] = True, source
            if not number % _AT_ONCE:
                yield
        step = yield from _line_goes_on(step, own)
    return list(found.values())


def _line_goes_on(node: Node, own: bool) -> Generator[None, None, Node | None]:
    """The node that opened the scope, where it passes something on to this one."""
    if node.item_of is not None:
        return node.item_of
    if node.scope.driven:
        return None if own else node.scope.parent
    if node.kind is NodeKind.INPUT:
        return node.scope.parent
    for argument in (*node.plan.args.values(), *node.plan.scope_args.values()):
        for number, source in enumerate(_sources(argument), 1):
            if source.item or source.input is not None:
                return node.scope.parent
            if not number % _AT_ONCE:
                yield
    return None


def _recorded(argument: Argument, node: Node) -> str | None:
    """The hash that was journaled beside the value, where an argument is one node's whole output and nothing else."""
    if len(argument) != 1 or isinstance(argument[0], str) or len(argument[0].sources) != 1:
        return None
    source = argument[0].sources[0]
    if source.node is None or source.index is not None or source.branches:
        return None
    giver = node.scope.nodes[source.node]
    if giver.status is not NodeStatus.COMPLETED or giver.seq is None or giver.kind in (NodeKind.MAP, NodeKind.SCOPE):
        return None
    if source.output is None:
        return giver.outputs[0][1] if giver.shape in (None, "plain") and len(giver.outputs) == 1 else None
    return next((digest for name, digest, _ in giver.outputs if name == source.output), None)


def _sources(argument: Argument) -> Iterable[Source]:
    return (source for part in argument if not isinstance(part, str) for source in part.sources)


def _takes_item(hole: Hole) -> bool:
    return any(source.item for source in hole.sources)


def _drawn_argument(argument: Argument, places: Mapping[str, int]) -> list[Any]:
    return [
        part if isinstance(part, str) else [_drawn_source(source, places) for source in part.sources]
        for part in argument
    ]


def _drawn_source(source: Source, places: Mapping[str, int]) -> list[Any]:
    went = [[places[branch], handle] for branch, handle in source.branches]
    place = None if source.node is None else places[source.node]
    return [place, source.output, source.item, source.input, source.index, went]
