"""`Workflow`: a drawn workflow, built in Python. Building makes data; compiling and running happen elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from twingraph.core.errors import NotFoundError, Problem, ValidationError
from twingraph.core.nearest import did_you_mean
from twingraph.core.policies import ErrorHandler
from twingraph.core.recordclass import recordclass
from twingraph.core.workflow import Definition, EdgeDef, JsonNode, NodeDef, edge_def, node_def, parse_definition
from twingraph.sdk.body.active import is_replayed
from twingraph.sdk.frames import short
from twingraph.sdk.registry import DEFAULT, Registry
from twingraph.sdk.workflow_settings import SETTING_KEYS, check_workflow_settings

if TYPE_CHECKING:  # needed once somebody compiles; drawing stays cheap
    from twingraph.core.plan import Plan
    from twingraph.core.records import Settings


@recordclass
class CompiledWorkflow:
    """A plan and the code that it needs: functions and classes to be sliced, and the texts of code nodes."""

    plan: Plan
    settings: Settings
    objects: Mapping[str, Any]
    sources: Mapping[str, str]
    workflow_id: str | None
    notifications: Mapping[str, Any]
    checks: Mapping[str, Callable[[Any], str | None]]  # what is expected of an input that does not fit


class Workflow:
    """Nodes and edges. Every `add_...` and `connect` gives the workflow back, so that calls can be chained."""

    def __init__(
        self,
        name: Any,
        *,
        id: str | None = None,  # noqa: A002 - its public name
        description: str | None = None,
        tags: list[str] | None = None,
        registry: Registry = DEFAULT,
        **settings: Any,
    ) -> None:
        """Further settings: `max_parallel`, `timeout`, `error_handler`, `error_config`, `notifications`."""
        if not isinstance(name, str) or not name.strip():
            raise ValidationError(f"the name of a workflow must be a text that is not empty, not {name!r}")
        unknown = [
            Problem(field=key, message=f"is not a setting of a workflow; {did_you_mean(key, SETTING_KEYS)}")
            for key in settings
            if key not in SETTING_KEYS
        ]
        if unknown:
            raise ValidationError(unknown)
        self.name = name
        self.id = id
        self.registry = registry
        self.live: dict[str, Any] = {}
        self._nodes: list[NodeDef] = []
        self._edges: list[EdgeDef] = []
        metadata = {"description": description, "tags": tags, **settings}
        given = {key: value for key, value in metadata.items() if value is not None or key == "timeout"}
        if "timeout" not in settings:
            given.pop("timeout", None)
        self._outer: dict[str, Any] = {"metadata": given} if given else {}
        self._inner: dict[str, Any] = {}

    # -- drawing ---------------------------------------------------------------------------------

    def add_component(self, id: str, component: Any, **config: Any) -> Self:  # noqa: A002 - its public name
        """A node that runs a component: an object, or a name. Keys of `config` are parameters, then settings."""
        return self._add(node_def(id, "component", self._name_of(component), config), component)

    def add_code(self, id: str, code: str, **config: Any) -> Self:  # noqa: A002
        return self._add(node_def(id, "code", None, {"code": code, **config}), None)

    def add_input(self, name: str, schema: Any = None, **default: Any) -> Self:
        """A named input of the workflow; without `default=` it must be given. `schema` is a JSON Schema."""
        if schema is not None:
            default["schema"] = dict(schema) if isinstance(schema, Mapping) else schema  # told at the door
        return self._add(node_def(name, "input", None, default), None)

    def add_branch(self, id: str, condition: str) -> Self:  # noqa: A002
        return self._add(node_def(id, "branch", None, {"condition": condition}), None)

    def add_map(
        self,
        id: str,  # noqa: A002
        component: Any = None,
        *,
        workflow: Any = None,
        over: Any = None,
        **config: Any,
    ) -> Self:
        """A node that runs a component or a workflow for each item of a list.

        `over` is the list itself, a node or 'node.output' that gives it, or the parameter that takes the item.
        """
        if over is not None:
            config["over"] = over
        if component is not None:
            config["component"] = self._name_of(component)
        if workflow is not None:
            config["workflow"] = workflow if isinstance(workflow, Mapping) else None
        live = component if workflow is None else None if isinstance(workflow, Mapping) else workflow
        return self._add(node_def(id, "map", None, config), live)

    def add_workflow(self, id: str, workflow: Any, *, inputs: Mapping[str, Any] | None = None) -> Self:  # noqa: A002
        """A node that opens another workflow: an object, or a definition."""
        given: dict[str, Any] = {"workflow": workflow if isinstance(workflow, Mapping) else None}
        if inputs is not None:
            given["inputs"] = dict(inputs)
        return self._add(node_def(id, "workflow", None, given), None if isinstance(workflow, Mapping) else workflow)

    def connect(self, source: str, target: str, output: str | None = None, input: str | None = None) -> Self:  # noqa: A002
        """An edge. Without names, equal names match; else the whole value goes to the one parameter that needs one."""
        self._edges.append(edge_def(source, target, output, input))
        return self

    def _add(self, node: NodeDef, live: Any) -> Self:
        self._nodes.append(node)
        if live is not None and not isinstance(live, str):
            self.live.setdefault(node.id, live)
        return self

    def _name_of(self, component: Any) -> str:
        if isinstance(component, str):
            return component
        name = getattr(component, "name", None) or getattr(component, "__name__", type(component).__name__)
        return str(name)

    # -- the definition --------------------------------------------------------------------------

    @property
    def definition(self) -> Definition:
        """What was drawn, with live values."""
        return Definition(
            name=self.name,
            nodes=tuple(self._nodes),
            edges=tuple(self._edges),
            outer=self._outer,
            inner=self._inner,
        )

    def to_dict(self) -> dict[str, Any]:
        """The REST definition, plain JSON: other values are written with their tags."""
        drawn = replace(self.definition, nodes=tuple(self._plain(node) for node in self._nodes))
        return drawn.to_dict()

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_dict(cls, raw: Any, *, registry: Registry = DEFAULT) -> Self:
        """A workflow from its definition; components are looked up by name when it is compiled."""
        parsed = parse_definition(raw)
        made = cls(parsed.name, registry=registry)
        made._nodes = list(parsed.nodes)
        made._edges = list(parsed.edges)
        made._outer, made._inner = dict(parsed.outer), dict(parsed.inner)
        given = made._outer.get("id")
        made.id = given if isinstance(given, str) else None
        return made

    def _plain(self, node: NodeDef) -> NodeDef:
        if isinstance(node.raw, JsonNode):
            return NodeDef(dict(node.raw))
        from twingraph.sdk.value_classes import ValueClasses

        encode = ValueClasses().encode
        config = dict(node.config)
        live = self.live.get(node.id)
        if "workflow" in config and isinstance(live, Workflow):
            config["workflow"] = live.to_dict()
        overrides = getattr(live, "overrides", None) if node.type == "component" else None
        for key, value in (overrides or {}).items():
            config.setdefault("platform_config" if key == "config" else key, value)
        config.pop("id", None) if overrides else None
        options = getattr(live, "config", None)
        if isinstance(options, dict) and node.type == "component":
            config.setdefault("options", options)
        if isinstance(config.get("retry_policy"), Mapping):
            config["retry_policy"] = _plain_retry(config["retry_policy"])
        workflow = config.pop("workflow", None)
        plain = {key: json.loads(encode(value).text) for key, value in config.items()}
        if workflow is not None:
            plain["workflow"] = workflow
        return NodeDef({**node.raw, "config": plain})

    # -- compiling and running -------------------------------------------------------------------

    @short
    def compile(self) -> CompiledWorkflow:
        """The plan. ValidationError with every problem of the definition, each with its node."""
        from twingraph.core.compile import compile_plan, handler_spec
        from twingraph.sdk.code_table import CodeTable
        from twingraph.sdk.library import LiveLibrary

        table = CodeTable()
        library = LiveLibrary(self.registry, table, self.live, (id(self),))
        definition = self.definition
        plan, problems, checks = compile_plan(definition, library)
        settings, more = check_workflow_settings(definition.metadata)
        problems = [*problems, *more]
        handler = (definition.metadata.get("error_config") or {}).get("handler") if not more else None
        if handler is not None and settings.error_handler == ErrorHandler.CUSTOM:
            try:
                plan, spec, info = handler_spec(plan, library, handler)
                declared = None if info.open else tuple(one.name for one in info.parameters)
                settings = replace(settings, handler_component=spec, handler_args=declared)
            except (NotFoundError, ValidationError) as error:
                problems.append(Problem(field="error_config.handler", message=str(error)))
        if problems:
            raise ValidationError(problems)
        return CompiledWorkflow(
            plan=plan,
            settings=settings,
            objects=table.objects,
            sources=table.sources,
            workflow_id=self.id,
            notifications=definition.metadata.get("notifications") or {},
            checks=checks,
        )

    @short
    def run(self, **inputs: Any) -> Any:
        """Run to the end and give the plain result. Blocks, also inside a running event loop."""
        self._refuse_in_a_body("run")
        from twingraph.sdk import inprocess

        return inprocess.run(self, self.compile(), inputs)

    @short
    def submit(self, **inputs: Any) -> Any:
        """Start, and give an execution handle at once."""
        self._refuse_in_a_body("submit")
        from twingraph.sdk import inprocess

        return inprocess.submit(self, self.compile(), inputs)

    def _refuse_in_a_body(self, verb: str) -> None:
        if is_replayed():
            raise ValidationError(
                f"{self.name}.{verb}(...) inside a pipeline would start it anew on each replay; "
                f"call its components, make it a pipeline, or start it once by side_effect(...)"
            )


def _plain_retry(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Exception classes by name."""
    raw = dict(policy)
    given = raw.get("exceptions")
    if isinstance(given, (list, tuple)):
        raw["exceptions"] = [one if isinstance(one, str) else f"{one.__module__}.{one.__qualname__}" for one in given]
    return raw
