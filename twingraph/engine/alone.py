"""One node of an earlier execution as a plan of its own, with the inputs that it had there."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from twingraph.core import codec
from twingraph.core.errors import CodecError, ConflictError, DamagedError, NotFoundError
from twingraph.core.plan import Argument, Hole, NodeKind, NodeSpec, Plan, PlanNode, Source, Template
from twingraph.core.recordclass import recordclass
from twingraph.core.records import Settings
from twingraph.core.statuses import NodeStatus
from twingraph.engine.detached import settings_of
from twingraph.engine.kernel import Node
from twingraph.engine.kernel.graph import why_skipped
from twingraph.engine.recorded import Recorded
from twingraph.engine.values import NULL, Values, takes_item
from twingraph.store.blobs.base import BlobStore

# What runs no code of its own, and what to do instead.
_INSTEAD = {
    NodeKind.INPUT: "an input is given with -i",
    NodeKind.BRANCH: "run what follows from it with --from, or choose its way with --output",
    NodeKind.SLEEP: "it only waits",
    NodeKind.SIGNAL: "it only waits for a signal; give it one with --output",
    NodeKind.SIDE_EFFECT: "the body of the pipeline carries it out; run that again with --from",
    NodeKind.DETACHED: "it is an execution of its own, which can be replayed by its own id",
    NodeKind.HANDLER: "an error handler runs for what fails",
}


@recordclass
class Alone:
    """What it takes to run one node: as a plan, or as the body of the pipeline that it stands for."""

    node: str
    component: str
    spec: NodeSpec | None
    plan: Plan | None
    body: str | None
    specs: tuple[NodeSpec, ...]
    inputs: Mapping[str, str]
    settings: Settings
    changed: tuple[str, ...] = ()  # inputs that it is given anew


def alone(recorded: Recorded, node_id: str, blobs: BlobStore, anew: Collection[str] = ()) -> Alone:
    """Raises where it has no code, or where its inputs cannot be found; those in `anew` are not looked for."""
    node = recorded.state.nodes[node_id]
    instead = _INSTEAD.get(node.kind)
    if instead is not None:
        raise ConflictError(f"{node_id} cannot be run alone: {instead}")
    _check_called(node, anew)
    inputs = _Inputs(recorded.values, node, blobs, anew)
    return _body(recorded, node, inputs) if _is_driven(node) else _planned(recorded, node, inputs)


class _Inputs:
    """What a node was given, each input alone, so that one that is gone can be named."""

    def __init__(self, values: Values, node: Node, blobs: BlobStore, anew: Collection[str]) -> None:
        self._values, self._node, self._blobs, self._anew = values, node, blobs, anew

    def is_anew(self, name: str) -> bool:
        return name in self._anew

    def of(self, arguments: Mapping[str, Argument], find: Callable[[Argument, Node], str | None]) -> dict[str, str]:
        return {
            name: text
            for name, argument in arguments.items()
            if name not in self._anew and (text := self.text(name, argument, find)) is not None
        }

    def text(self, name: str, argument: Argument, find: Callable[[Argument, Node], str | None]) -> str | None:
        """With every blob that it refers to, which stay there for the next hours."""
        try:
            text = find(argument, self._node)
            for digest in codec.refs(text, blobs=self._blobs) if text is not None else ():
                if not self._blobs.refresh(digest):
                    raise NotFoundError(f"it was in the blob {digest[:12]}, which is gone")
        except (CodecError, NotFoundError, DamagedError) as error:
            raise ConflictError(self._gone(name, argument, error)) from error
        return text

    def _gone(self, name: str, argument: Argument, error: Exception) -> str:
        sources = (source for part in argument if not isinstance(part, str) for source in part.sources)
        makers = dict.fromkeys(self._node.scope.nodes[one.node].id for one in sources if one.node is not None)
        again = f"run what made it again (--from {shlex.quote(next(iter(makers)))}), or " if makers else ""
        return (
            f"{self._node.id} cannot be run alone: its input {name!r} is not there any more ({error}); "
            f"{again}give it anew: -i {name}=VALUE"
        )


def _is_driven(node: Node) -> bool:
    return node.kind is NodeKind.SCOPE and node.plan.template is None


def _check_called(node: Node, anew: Collection[str]) -> None:
    """Whether it can be said what the node is called with: what it depends on has come, or is not needed."""
    sources = {edge: node.scope.nodes[edge.source] for edge in node.plan.edges}
    waited = [source for source in sources.values() if not source.over]
    if not waited and why_skipped(node) is None:
        return
    left = [source for edge, source in sources.items() if edge.param is None or edge.param not in anew]
    if len(left) < len(sources) and all(source.status is NodeStatus.COMPLETED for source in left):
        return
    missing = waited or [source for source in sources.values() if source.status is not NodeStatus.COMPLETED]
    told = ", ".join(f"{source.id} ({source.status})" for source in missing) or "a branch that went the other way"
    raise ConflictError(
        f"{node.id} cannot be run alone: it was never called, as its inputs did not come from {told}; "
        f"give them with -i, or run it with what comes before: --from"
    )


def _body(recorded: Recorded, node: Node, inputs: _Inputs) -> Alone:
    """A pipeline that was called in another becomes an execution of its own."""
    state = recorded.state
    spec = state.specs[node.spec] if node.spec is not None else NodeSpec(component=node.id)
    settings, specs = settings_of(node.plan, state.specs)
    return Alone(
        node=node.id,
        component=spec.component,
        spec=spec,
        plan=None,
        body=spec.entry,
        specs=specs,
        inputs=inputs.of(node.plan.scope_args, recorded.values.argument),
        settings=settings,
    )


def _planned(recorded: Recorded, node: Node, inputs: _Inputs) -> Alone:
    """Its arguments become inputs of the same names. What a run is given names no other secrets than its author did."""
    state, values = recorded.state, recorded.values
    find = values.protected if node.kind is NodeKind.TASK else values.argument
    given = inputs.of(node.plan.args, find)
    args = {name: _taken(name) for name in node.plan.args if name in given or inputs.is_anew(name)}
    scope_args = {
        name: _closed(node, name, argument, inputs, given, values) for name, argument in node.plan.scope_args.items()
    }
    plan = PlanNode(
        id=node.id,
        kind=node.kind,
        spec=node.spec,
        args=args,
        template=node.plan.template,
        key=node.plan.key,
        keep_item_errors=node.plan.keep_item_errors,
        scope_args={name: argument for name, argument in scope_args.items() if argument},
    )
    spec = state.specs[node.spec] if node.spec is not None else None
    component = spec.component if spec is not None and node.kind is NodeKind.TASK else str(node.kind)
    root = Template(nodes=(plan,), last_nodes=(node.id,))
    return Alone(
        node=node.id,
        component=component,
        spec=spec,
        plan=Plan(name=recorded.record.name, root=root, templates=dict(state.templates), specs=tuple(state.specs)),
        body=None,
        specs=(),
        inputs=given,
        settings=recorded.created.settings,
    )


def _taken(name: str) -> Argument:
    return (Hole((Source(input=name),)),)


def _closed(
    node: Node, name: str, argument: Argument, inputs: _Inputs, given: dict[str, str], values: Values
) -> Argument:
    """What is handed to the items of a map, or to a workflow: all but the item itself is known."""
    if not takes_item(argument):
        found = inputs.of({name: argument}, values.protected)
        given.update(found)
        return _taken(name) if found or inputs.is_anew(name) else ()
    parts: list[str | Hole] = []
    for position, part in enumerate(argument):
        if isinstance(part, str) or any(source.item for source in part.sources):
            parts.append(part)
            continue
        key = f"{name}.{position}"
        given[key] = inputs.text(name, (part,), values.protected) or NULL
        parts += _taken(key)
    return tuple(parts)


def with_spec(made: Alone, spec: NodeSpec) -> Alone:
    """The same node, carried out otherwise."""
    if made.plan is None or made.plan.root.nodes[0].spec is None:
        return replace(made, spec=spec)
    specs = list(made.plan.specs)
    specs[made.plan.root.nodes[0].spec] = spec
    return replace(made, spec=spec, plan=replace(made.plan, specs=tuple(specs)))
