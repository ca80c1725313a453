"""One recorded node on the code as it is now: what its components are called by, what they take, what is shipped."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twingraph.core.errors import NotFoundError, Problem, ValidationError
from twingraph.core.plan import NodeKind, NodeSpec, Plan, PlanNode
from twingraph.core.signatures import Parameter
from twingraph.engine.alone import Alone
from twingraph.wiring.submissions import is_pipeline

if TYPE_CHECKING:
    from twingraph.sdk.prepared import CompiledPipeline
    from twingraph.sdk.workflow_builder import CompiledWorkflow


def as_it_is_now(
    made: Alone, compiled: CompiledWorkflow | CompiledPipeline
) -> tuple[Alone, Sequence[str] | None, dict[str, Any], Mapping[str, str]]:
    """The node on current code, with what that takes and what is to be shipped."""
    if not is_pipeline(compiled):
        specs = {spec.entry: spec for spec in compiled.plan.specs}
        named = {spec.component: spec for spec in compiled.plan.specs}
        found = {
            spec.entry: now
            for spec in (made.plan.specs if made.plan is not None else ())
            if (now := specs.get(spec.entry) or named.get(spec.component)) is not None
        }
        objects, sources = dict(compiled.objects), compiled.sources
    else:
        objects, found = _found_now(made, compiled)
        sources = {}
    own = made.spec
    if own is not None and own.entry not in found and not (own.entry or "").startswith("builtin:"):
        raise NotFoundError(
            f"the code now has no component {own.component!r}, which {made.node} ran",
            near=sorted({spec.component for spec in found.values()}),
        )
    assert made.plan is not None
    specs_now = tuple(found.get(spec.entry, spec) for spec in made.plan.specs)
    made = replace(made, plan=replace(made.plan, specs=specs_now))
    if own is not None and own.entry in found:
        made = replace(made, spec=found[own.entry])
    return (*_fitting(made, objects, made.changed), objects, sources)


def _found_now(made: Alone, compiled: CompiledPipeline) -> tuple[dict[str, Any], dict[str | None, NodeSpec]]:
    """The components by which the specs of a pipeline's nodes go now."""
    from twingraph.sdk.code_table import CodeTable

    table = CodeTable()
    found: dict[str | None, NodeSpec] = {}
    for spec in made.plan.specs if made.plan is not None else ():
        try:
            info = table.info(compiled.pipeline.registry.find(spec.component))
        except (NotFoundError, ValidationError):
            continue
        found[spec.entry] = NodeSpec(
            component=info.name,
            entry=info.entry,
            outputs=info.outputs,
            options=spec.options or info.options,
            asynchronous=info.asynchronous,
            **info.settings,
        )
    return table.objects, found


def _fitting(made: Alone, objects: Mapping[str, Any], given: Collection[str]) -> tuple[Alone, Sequence[str] | None]:
    """With those of its recorded inputs that the code of now takes, and the names of all that it takes, where these can
    be told. ValidationError for what it needs besides, and nobody gives."""
    assert made.plan is not None
    node, problems = made.plan.root.nodes[0], list[Problem]()
    for inner in _inside(made.plan, node):
        for name in _changed_shape(made.plan, inner, objects):
            message = (
                f"what is handed over under this name was recorded, and {_component(made.plan, inner)} is called "
                f"otherwise now; replay it with --from {shlex.quote(made.node)} instead of alone"
            )
            problems.append(Problem(node=made.node, field=name, message=message))
    takes = _takes(made.plan, node, objects)
    recorded = ", ".join(made.inputs) or "nothing"
    for one in takes or ():
        if one.required and one.name not in made.inputs and one.name not in given:
            message = (
                f"is missing: {made.component} takes it now, and was called with {recorded} when it was recorded; "
                f"give it with -i {one.name}=VALUE"
            )
            problems.append(Problem(node=made.node, field=one.name, message=message))
    if problems:
        raise ValidationError(problems)
    if takes is None:
        return made, None
    names = [one.name for one in takes]
    return replace(made, inputs={name: text for name, text in made.inputs.items() if name in names}), names


def _inside(plan: Plan, node: PlanNode) -> Iterator[PlanNode]:
    """The nodes that this one opens."""
    seen, todo = set[str](), [node.template]
    while todo:
        name = todo.pop()
        if name is not None and name not in seen:
            seen.add(name)
            for inner in plan.templates[name].nodes:
                yield inner
                todo.append(inner.template)


def _changed_shape(plan: Plan, node: PlanNode, objects: Mapping[str, Any]) -> list[str]:
    """The arguments of a recorded call that do not fit the parameters of now."""
    takes = _takes(plan, node, objects)
    if takes is None:
        return []
    names = [one.name for one in takes]
    missing = [one.name for one in takes if one.required and one.name not in node.args]
    return [*(name for name in node.args if name not in names), *missing]


def _component(plan: Plan, node: PlanNode) -> str:
    return plan.specs[node.spec].component if node.spec is not None else str(node.kind)


def _takes(plan: Plan, node: PlanNode, objects: Mapping[str, Any]) -> Sequence[Parameter] | None:
    """The parameters of a node's code as it is now; None where it takes any, or cannot be asked."""
    from twingraph.sdk import signature

    spec = plan.specs[node.spec] if node.spec is not None and node.kind is NodeKind.TASK else None
    target = objects.get(spec.entry or "") if spec is not None else None
    if target is None:
        return None
    try:
        found, further = signature.parameters_of(getattr(target, "execute", target), skip_self=isinstance(target, type))
    except ValidationError:
        return None
    return None if further else found
