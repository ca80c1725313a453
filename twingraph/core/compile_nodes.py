"""One node of a definition: its config checked, its ports found, and the plan node that comes of it."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twingraph.core import expressions
from twingraph.core.caching import function_in, problems_of_key
from twingraph.core.compile_ports import Library, Port
from twingraph.core.component_settings import NODE_SETTINGS, check_settings, merge
from twingraph.core.errors import NotFoundError, Problem, SliceError, ValidationError
from twingraph.core.nearest import did_you_mean
from twingraph.core.plan import Argument, Edge, Hole, NodeKind, PlanNode, Source, Template
from twingraph.core.schemas import schema_problem
from twingraph.core.signatures import ComponentInfo, Parameter
from twingraph.core.workflow import EdgeDef, NodeDef

if TYPE_CHECKING:
    from twingraph.core.compile import Compiled, Compiler

BRANCH = ComponentInfo(name="branch", entry="builtin:branch", outputs=("output",))
EXPAND = ComponentInfo(name="map", entry="builtin:expand")
MAP_KEYS = ("over", "component", "workflow", "key", "item", "on_item_error", "inputs", "options")
WORKFLOW_KEYS = ("workflow", "inputs")
INPUT_KEYS = ("name", "schema", "default")


class _Maker:
    """Makes the port of one node, noting every problem with it."""

    def __init__(
        self,
        compiler: Compiler,
        node: NodeDef,
        library: Library,
        incoming: Sequence[EdgeDef],
        problems: list[Problem],
        prefix: str,
    ) -> None:
        self.compiler = compiler
        self.node = node
        self.library = library
        self.incoming = incoming
        self.problems = problems
        self.prefix = prefix
        self.config: dict[str, Any] = dict(node.config) if isinstance(node.config, Mapping) else {}

    def wrong(self, field: str | None, message: str) -> None:
        self.problems.append(Problem(node=self.node.id, field=field, message=message))

    def text(self, field: str, value: Any) -> Argument:
        try:
            return (self.library.text(self.node, value),)
        except (ValueError, TypeError, RecursionError) as error:
            self.wrong(field, f"cannot be stored: {error}")
        except ValidationError as error:
            self.problems.extend(Problem(node=self.node.id, field=field, message=p.message) for p in error.problems)
        return ("null",)

    # -- kinds -----------------------------------------------------------------------------------

    def component(self) -> Port | None:
        info = self._looked_up(self.library.component)
        return None if info is None else self._task(info, frozenset())

    def code(self) -> Port | None:
        info = self._looked_up(self.library.code)
        return None if info is None else self._task(info, frozenset({"code"}))

    def input(self) -> Port:
        port = Port(self.node, NodeKind.INPUT, outputs=("output",))
        self._only(INPUT_KEYS)
        name, schema = self.config.get("name"), self.config.get("schema")
        if name is not None and (not isinstance(name, str) or not name):
            self.wrong("name", f"must be a text that is not empty, not {name!r}")
        if schema is not None and not isinstance(schema, Mapping):
            self.wrong("schema", f"must be a JSON Schema object, not {schema!r}")
        elif "default" in self.config and (trouble := schema_problem(schema, self.config["default"])):
            self.wrong("default", trouble)
        if "default" in self.config:
            port.defaults["default"] = self.text("default", self.config["default"])
        return port

    def branch(self) -> Port:
        port = Port(self.node, NodeKind.BRANCH, outputs=HANDLE_NAMES, spec=self.compiler.spec(BRANCH, {}, None))
        self._only(("condition",))
        condition = self.config.get("condition")
        trouble = expressions.problem_of(condition)
        if trouble is not None:
            self.wrong("condition", trouble)
            port.open = True  # the names are unknown, so nothing can be said about edges
            return port
        names = expressions.names_used(str(condition))
        if "condition" in names:
            self.wrong("condition", "cannot use the name 'condition', which is the expression itself")
        port.parameters = {name: Parameter(name=name) for name in names if name != "condition"}
        port.constants["condition"] = (json.dumps(str(condition), ensure_ascii=False),)
        return port

    def map(self) -> Port | None:
        port = Port(self.node, NodeKind.MAP, outputs=("output",), spec=self.compiler.spec(EXPAND, {}, None))
        port.parameters["over"] = Parameter(name="over", accepts=_list_like)
        self._map_settings(port)
        if ("component" in self.config or self.node.component is not None) == ("workflow" in self.config):
            self.wrong("component", "a map needs either a component or a workflow to carry out for each item")
            return None
        return self._map_workflow(port) if "workflow" in self.config else self._map_component(port)

    def workflow(self) -> Port | None:
        inner = self._inner()
        if inner is None:
            return None
        port = Port(self.node, NodeKind.SCOPE, outputs=inner.outputs, template=self._template(inner.template))
        port.parameters = _inputs_as_parameters(inner)
        self._only(WORKFLOW_KEYS)
        self._inputs(port)
        self._defaults(port, inner)
        return port

    # -- components --------------------------------------------------------------------------------

    def _looked_up(self, find: Any) -> ComponentInfo | None:
        try:
            found: ComponentInfo = find(self.node)
        except NotFoundError as error:
            self.wrong("component", str(error))
        except ValidationError as error:
            self.problems.extend(
                Problem(node=self.node.id, field=p.field or "component", message=p.message) for p in error.problems
            )
        except SliceError as error:
            self.wrong("code", str(error))
        else:
            return found
        return None

    def _task(self, info: ComponentInfo, own: frozenset[str]) -> Port:
        port = Port(self.node, NodeKind.TASK, outputs=info.outputs, open=info.open, info=info)
        port.parameters = {parameter.name: parameter for parameter in info.parameters}
        port.spec = self._spec_of(info)
        self._constants(port, own)
        return port

    def _spec_of(self, info: ComponentInfo) -> int:
        taken = {parameter.name for parameter in info.parameters}
        own = taken - self._clashing(taken)
        given = {key: self.config[key] for key in NODE_SETTINGS if key in self.config and key not in own}
        settings: Mapping[str, Any] = info.settings
        if given:
            checked, problems = check_settings(
                given,
                node=self.node.id,
                platform=info.settings.get("platform", "local"),
                config_key="platform_config",
            )
            if not problems and function_in(checked.get("cache")) is not None:
                message = "a function stands in the decorator, @component(cache={'key': function}), or in .options(...)"
                problems = [Problem(node=self.node.id, field="cache.key", message=message)]
            if not problems and not info.open:
                problems = problems_of_key(checked.get("cache"), taken, node=self.node.id)
            self.problems.extend(problems)
            settings = info.settings if problems else merge(info.settings, checked)
        ship = settings.get("ship", "slice")
        if ship != info.settings.get("ship", "slice"):
            try:
                info = self.library.shipped(info, ship)
            except ValidationError as error:
                self.wrong("ship", str(error))
        options = info.options
        if info.has_options and "options" in self.config:
            options = str(self.text("options", self.config["options"])[0])
        return self.compiler.spec(info, settings, options)

    def _constants(self, port: Port, own: frozenset[str]) -> None:
        """Every key of the config is a parameter, a setting, or an error."""
        info, clashing = port.info, self._clashing(port.parameters)
        for key, value in self.config.items():
            if key in own:
                continue
            if key in port.parameters and key not in clashing:
                self._constant(port, key, value)
            elif key in NODE_SETTINGS:
                continue
            elif key == "inputs":
                self._inputs(port)
            elif key == "options" and info is not None and info.has_options:
                if not isinstance(value, Mapping):
                    self.wrong("options", f"must be a mapping, not {type(value).__name__}")
            elif port.open:
                self._constant(port, key, value)
            else:
                known = (*port.parameters, *NODE_SETTINGS, "inputs")
                self.wrong(key, f"is neither a parameter nor a setting; {did_you_mean(key, known)}")

    def _clashing(self, parameters: Container[str]) -> frozenset[str]:
        """Names of settings that `inputs` gives as parameters: beside it they stand for the settings."""
        given = self.config.get("inputs") if "inputs" not in parameters else None
        return frozenset(NODE_SETTINGS).intersection(given) if isinstance(given, Mapping) else frozenset()

    def _inputs(self, port: Port) -> None:
        given = self.config.get("inputs")
        if given is None:
            return
        if not isinstance(given, Mapping):
            self.wrong("inputs", f"must be a mapping of parameters to constants, not {type(given).__name__}")
            return
        for key, value in given.items():
            if key in port.parameters or port.open:
                self._constant(port, key, value)
            else:
                self.wrong(f"inputs.{key}", f"is not a parameter; {did_you_mean(str(key), port.parameters)}")

    def _constant(self, port: Port, name: str, value: Any) -> None:
        parameter = port.parameters.get(name)
        # A tagged value ({"$": ...}) is judged when it is decoded, where its type is at hand.
        tagged = isinstance(value, dict) and "$" in value
        if parameter is not None and parameter.accepts is not None and not tagged:
            expected = parameter.accepts(value)
            if expected is not None:
                self.wrong(name, f"must be {expected}, not {value!r:.80}")
        port.constants[name] = self.text(name, value)

    def _only(self, known: Sequence[str]) -> None:
        for key in self.config:
            if key not in known:
                self.wrong(key, f"is not a key of a node of type {self.node.type!r}; {did_you_mean(key, known)}")

    # -- containers ----------------------------------------------------------------------------------

    def _inner(self) -> Compiled | None:
        try:
            definition, library = self.library.workflow(self.node)
        except (ValidationError, NotFoundError) as error:
            found = error.problems if isinstance(error, ValidationError) else (Problem(message=str(error)),)
            self.problems.extend(Problem(node=self.node.id, field="workflow", message=p.message) for p in found)
            return None
        return self.compiler.definition(definition, library, f"{self.prefix}{self.node.id}/")

    def _template(self, template: Template) -> str:
        name = f"{self.prefix}{self.node.id}"
        self.compiler.templates[name] = template
        return name

    def _map_settings(self, port: Port) -> None:
        handling = self.config.get("on_item_error", "fail")
        if handling not in ("fail", "keep"):
            self.wrong("on_item_error", f"must be 'fail' or 'keep', not {handling!r}")
        port.keep_item_errors = handling == "keep"
        key = self.config.get("key")
        if key is None:
            return
        trouble = expressions.problem_of(key)
        if trouble is not None:
            self.wrong("key", trouble)
            return
        for name in expressions.names_used(key):
            if name not in ("item", "index"):
                self.wrong("key", f"uses {name!r}; a key is made of 'item' and 'index'")
        port.key = key

    def _map_component(self, port: Port) -> Port | None:
        info = self._looked_up(self.library.component)
        if info is None:
            return None
        port.info = info
        inner = {parameter.name: parameter for parameter in info.parameters}
        port.open = info.open
        self._item_of(port, inner)
        self._over(port, inner)
        self._constants(port, frozenset(MAP_KEYS) - {"inputs", "options"})
        port.template = f"{self.prefix}{self.node.id}"
        return port

    def _map_workflow(self, port: Port) -> Port | None:
        inner = self._inner()
        if inner is None:
            return None
        port.template = self._template(inner.template)
        parameters = _inputs_as_parameters(inner)
        self._item_of(port, parameters)
        self._over(port, parameters)
        self._constants(port, frozenset(MAP_KEYS) - {"inputs", "options"})
        self._defaults(port, inner)
        return port

    def _defaults(self, port: Port, inner: Compiled) -> None:
        for key, entry in inner.inputs.items():
            if "default" in entry:
                port.defaults[key] = (entry["default"],)

    def _item_of(self, port: Port, inner: dict[str, Parameter]) -> None:
        """Which parameter takes the item; the others become ports of the map."""
        over, item = self.config.get("over"), self.config.get("item")
        if item is None and isinstance(over, str) and over in inner:
            item = over
        if item is None:
            explicit = {edge.target_handle for edge in self.incoming}
            given = self.config.get("inputs")
            fixed = {*self.config, *(given if isinstance(given, Mapping) else ()), *explicit}
            left = [name for name in inner if name not in fixed]
            needed = [name for name in left if inner[name].required] or left
            if len(needed) != 1:
                choices = ", ".join(needed) or "no parameter is left"
                self.wrong("item", f"cannot tell which parameter takes the item ({choices}); name it with item=")
            item = needed[0] if needed else None
        elif item not in inner:
            self.wrong("item", f"{item!r} is not a parameter; {did_you_mean(str(item), inner)}")
        port.item = item
        for name, parameter in inner.items():
            if name != item:
                port.parameters.setdefault(name, parameter)

    def _over(self, port: Port, inner: Mapping[str, Parameter]) -> None:
        """A list is a constant; a text names the item's parameter, or was made an edge before."""
        over = self.config.get("over")
        if over is None or (isinstance(over, str) and over in inner):
            return
        if isinstance(over, str):
            self.wrong("over", f"{over!r} is neither a node nor a parameter; {did_you_mean(over, inner)}")
        else:
            self._constant(port, "over", over)


HANDLE_NAMES = ("true", "false")


def port_of(
    compiler: Compiler,
    node: NodeDef,
    library: Library,
    incoming: Sequence[EdgeDef],
    problems: list[Problem],
    prefix: str,
) -> Port | None:
    """The ports of a node, or None when they cannot be known; then problems say why."""
    maker = _Maker(compiler, node, library, incoming, problems, prefix)
    made: Port | None
    match node.type:
        case "component":
            made = maker.component()
        case "code":
            made = maker.code()
        case "input":
            made = maker.input()
        case "branch":
            made = maker.branch()
        case "map":
            made = maker.map()
        case "workflow":
            made = maker.workflow()
        case _:
            made = None
    if made is not None and made.kind is NodeKind.MAP and made.info is not None:
        made.spec = compiler.spec(EXPAND, {}, None)
        compiler.templates[str(made.template)] = _item_template(made, maker._spec_of(made.info))
    return made


def _item_template(port: Port, spec: int) -> Template:
    """The one node of a map over a component; what comes from outside it takes from the map. Filled in by `finish`."""
    args: dict[str, Argument] = {} if port.item is None else {port.item: (Hole(sources=(Source(item=True),)),)}
    return Template(nodes=(PlanNode(id="", spec=spec, args=args),), last_nodes=("",))


def finish(port: Port, args: dict[str, Argument], edges: tuple[Edge, ...], templates: dict[str, Template]) -> PlanNode:
    """The plan node of a port whose edges are bound."""
    node, scope_args = port.node.id, {}
    if port.kind is NodeKind.SCOPE:
        scope_args, args = _with_defaults(args, port), {}
    elif port.kind is NodeKind.MAP:
        scope_args = {name: text for name, text in args.items() if name != "over"}
        if port.info is not None and port.template is not None:
            _fill_item(port, scope_args, templates)
            scope_args = {name: text for name, text in scope_args.items() if not _is_literal(text)}
        else:
            scope_args = _with_defaults(scope_args, port)
            if port.item is not None:
                scope_args[port.item] = (Hole(sources=(Source(item=True),)),)
        args = {"items": args["over"]} if "over" in args else {}
        if port.key is not None:
            args["key"] = (json.dumps(port.key, ensure_ascii=False),)
    return PlanNode(
        id=node,
        kind=port.kind,
        spec=port.spec,
        edges=edges,
        args=args,
        template=port.template,
        key=port.key,
        keep_item_errors=port.keep_item_errors,
        scope_args=scope_args,
    )


def _with_defaults(args: dict[str, Argument], port: Port) -> dict[str, Argument]:
    return {**port.defaults, **args}


def _is_literal(argument: Argument) -> bool:
    return all(isinstance(part, str) for part in argument)


def _fill_item(port: Port, given: Mapping[str, Argument], templates: dict[str, Template]) -> None:
    old = templates[str(port.template)].nodes[0]
    args = dict(old.args)
    for name, argument in given.items():
        args[name] = argument if _is_literal(argument) else (Hole(sources=(Source(input=name),)),)
    templates[str(port.template)] = Template(nodes=(PlanNode(id="", spec=old.spec, args=args),), last_nodes=("",))


def _inputs_as_parameters(inner: Compiled) -> dict[str, Parameter]:
    return {key: Parameter(name=key, required=entry["required"]) for key, entry in inner.inputs.items()}


def _list_like(value: Any) -> str | None:
    good = isinstance(value, (list, tuple)) or (
        not isinstance(value, (str, bytes, dict, int, float, bool, type(None))) and hasattr(value, "__len__")
    )
    return None if good else "a list"
