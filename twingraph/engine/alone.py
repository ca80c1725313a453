"""One node of an earlier execution as a plan of its own, with the inputs that it had there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from twingraph.core import codec
from twingraph.core.errors import CodecError, ConflictError
from twingraph.core.plan import Argument, Hole, NodeKind, NodeSpec, Plan, PlanNode, Source, Template
from twingraph.core.records import Settings
from twingraph.core.statuses import NodeStatus
from twingraph.engine.detached import settings_of
from twingraph.engine.kernel import Node
from twingraph.engine.kernel.graph import why_skipped
from twingraph.engine.recorded import Recorded
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


@dataclass(frozen=True, slots=True, kw_only=True)
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


def alone(recorded: Recorded, node_id: str, blobs: BlobStore) -> Alone:
    """Raises where it has no code, or where its inputs cannot be found."""
    node = recorded.state.nodes[node_id]
    instead = _INSTEAD.get(node.kind)
    if instead is not None:
        raise ConflictError(f"{node_id} cannot be run alone: {instead}")
    _check_called(node)
    try:
        made = _body(recorded, node) if _is_driven(node) else _planned(recorded, node)
    except CodecError as error:
        raise ConflictError(f"{node_id} cannot be run alone: its inputs are not there any more: {error}") from error
    for name, text in made.inputs.items():
        for digest in codec.refs(text):
            if not blobs.refresh(digest):
                raise ConflictError(
                    f"{node_id} cannot be run alone: its input {name!r} was in the blob {digest[:12]}, which is gone; "
                    f"run what made it again with --from, or give another one: -i {name}=VALUE"
                )
    return made


def inputs_of(recorded: Recorded, node: Node) -> dict[str, str]:
    """What a component was called with, as texts that name no other secrets than its author did."""
    return dict(recorded.values.run_arguments(node))


def _is_driven(node: Node) -> bool:
    return node.kind is NodeKind.SCOPE and node.plan.template is None


def _check_called(node: Node) -> None:
    """Whether it can be said what the node is called with: what it depends on has come, or was not needed."""
    sources = [node.scope.nodes[edge.source] for edge in node.plan.edges]
    waited = [source for source in sources if not source.over]
    if not waited and why_skipped(node) is None:
        return
    missing = waited or [source for source in sources if source.status is not NodeStatus.COMPLETED]
    told = ", ".join(f"{source.id} ({source.status})" for source in missing) or "a branch that went the other way"
    raise ConflictError(
        f"{node.id} cannot be run alone: it was never called, as its inputs did not come from {told}; give them, "
        "or replay from there"
    )


def _body(recorded: Recorded, node: Node) -> Alone:
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
        inputs=dict(recorded.values.scope_arguments(node)),
        settings=settings,
    )


def _planned(recorded: Recorded, node: Node) -> Alone:
    state, values = recorded.state, recorded.values
    inputs: dict[str, str] = {}
    if node.kind is NodeKind.TASK:
        inputs.update(inputs_of(recorded, node))
        args: dict[str, Argument] = {name: _taken(name) for name in inputs}
    else:
        args = {}
        for name, argument in node.plan.args.items():
            if (text := values.argument(argument, node)) is not None:
                inputs[name], args[name] = text, _taken(name)
    scope_args = {
        name: _closed(recorded, node, name, argument, inputs) for name, argument in node.plan.scope_args.items()
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
        inputs=inputs,
        settings=recorded.created.settings,
    )


def _taken(name: str) -> Argument:
    return (Hole((Source(input=name),)),)


def _closed(recorded: Recorded, node: Node, name: str, argument: Argument, inputs: dict[str, str]) -> Argument:
    """What is handed to the items of a map, or to a workflow: all but the item itself is known."""
    if all(isinstance(part, str) or not any(source.item for source in part.sources) for part in argument):
        text = recorded.values.protected(argument, node)
        if text is None:
            return ()
        inputs[name] = text
        return _taken(name)
    parts: list[str | Hole] = []
    for position, part in enumerate(argument):
        if isinstance(part, str) or any(source.item for source in part.sources):
            parts.append(part)
            continue
        key = f"{name}.{position}"
        inputs[key] = recorded.values.protected((part,), node) or "null"
        parts += _taken(key)
    return tuple(parts)


def with_spec(made: Alone, spec: NodeSpec) -> Alone:
    """The same node, carried out otherwise."""
    if made.plan is None or made.plan.root.nodes[0].spec is None:
        return replace(made, spec=spec)
    specs = list(made.plan.specs)
    specs[made.plan.root.nodes[0].spec] = spec
    return replace(made, spec=spec, plan=replace(made.plan, specs=tuple(specs)))
