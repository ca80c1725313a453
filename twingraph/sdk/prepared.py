"""A pipeline made ready to begin: its body, what that may call, and what bounds it. Nothing is compiled or called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twingraph.core.errors import NotFoundError, Problem, ValidationError
from twingraph.core.inputs import check_given
from twingraph.core.plan import NodeSpec
from twingraph.core.recordclass import recordclass
from twingraph.core.records import Settings
from twingraph.core.signatures import Parameter
from twingraph.sdk import signature
from twingraph.sdk.body.reach import reachable
from twingraph.sdk.code_table import CodeTable
from twingraph.sdk.sameness import name_body
from twingraph.sdk.value_classes import ValueClasses

if TYPE_CHECKING:
    from twingraph.sdk.pipeline import Pipeline


@recordclass
class CompiledPipeline:
    """What a runtime needs to begin an execution of it."""

    name: str
    entry: str
    pipeline: Any
    settings: Settings  # `handler_component` counts over `specs`
    specs: tuple[NodeSpec, ...]  # of the custom error handler, where there is one
    objects: Mapping[str, Any]  # what the body may call, and classes of values: for workers
    bodies: Mapping[str, Any]  # this body and those of pipelines that it may call: for hosts
    notifications: Mapping[str, Any]
    parameters: tuple[Parameter, ...]
    open: bool
    workflow_id: str | None = None

    def check(self, inputs: Mapping[str, Any]) -> None:
        """ValidationError with everything that is unknown, missing or of a wrong type."""
        check_given(self.name, self.parameters, inputs, open=self.open)

    def takes(self, name: str) -> bool:
        return self.open or any(one.name == name for one in self.parameters)

    def check_names(self, given: Mapping[str, str]) -> None:
        """ValidationError when what an earlier execution was given does not do any more."""
        missing = [one.name for one in self.parameters if one.required and one.name not in given]
        if missing:
            had = ", ".join(given) or "no inputs"
            message = f"is missing: it is taken now, and what was recorded has {had}; give it a value: -i "
            raise ValidationError(
                [Problem(node=self.name, field=name, message=f"{message}{name}=VALUE") for name in missing]
            )


def prepare(pipeline: Pipeline[..., Any]) -> CompiledPipeline:
    """ValidationError when its error handler is not known."""
    table = CodeTable()
    settings, specs = _with_handler(pipeline, table)
    bodies = _reach(pipeline, table)
    definition = pipeline.definition
    return CompiledPipeline(
        name=pipeline.name,
        entry=signature.entry_of(pipeline),
        pipeline=pipeline,
        settings=settings,
        specs=specs,
        objects=table.objects,
        bodies=bodies,
        notifications=pipeline.notifications,
        parameters=definition.parameters,
        open=definition.open,
    )


def handler_of(pipeline: Pipeline[..., Any], table: CodeTable) -> tuple[NodeSpec, tuple[str, ...] | None] | None:
    """How the component that hears of failures is run, and the parts of the error that it wants; None: all."""
    name = pipeline.definition.declared.handler
    if name is None:
        return None
    try:
        info = table.info(pipeline.registry.find(name))
    except (NotFoundError, ValidationError) as error:
        raise ValidationError(
            [Problem(node=pipeline.name, field="error_config.handler", message=str(error))]
        ) from error
    spec = NodeSpec(
        component=info.name,
        entry=info.entry,
        outputs=info.outputs,
        options=info.options,
        asynchronous=info.asynchronous,
        **info.settings,
    )
    return spec, None if info.open else tuple(one.name for one in info.parameters)


def _with_handler(pipeline: Pipeline[..., Any], table: CodeTable) -> tuple[Settings, tuple[NodeSpec, ...]]:
    found = handler_of(pipeline, table)
    if found is None:
        return pipeline.settings, ()
    spec, wanted = found
    return replace(pipeline.settings, handler_component=0, handler_args=wanted), (spec,)


def _reach(pipeline: Pipeline[..., Any], table: CodeTable) -> dict[str, Any]:
    """Fills the table; gives the bodies by entry."""
    found = reachable(pipeline)
    for component in found.components:
        try:
            table.info(component)
        except ValidationError:  # it is told when it is called; to be mentioned is no mistake
            continue
    classes = ValueClasses(table.objects)
    for kind in found.classes:
        classes.name(kind)
    bodies: dict[str, Any] = {}
    for one in (pipeline, *found.pipelines):
        name_body(bodies, one)
    return bodies
