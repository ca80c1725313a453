"""A definition and the signatures of its components become a plan, or all problems with them at once.

Everything here is linear in nodes and edges, and knows nothing of code: a `Library` answers for components.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twingraph.core import compile_bind, compile_nodes
from twingraph.core.checks import check_edges, check_nodes, in_order
from twingraph.core.compile_ports import Library, Port
from twingraph.core.errors import Problem
from twingraph.core.plan import Argument, Edge, Hole, NodeKind, NodeSpec, Plan, PlanNode, Source, Template
from twingraph.core.recordclass import recordclass
from twingraph.core.signatures import ComponentInfo
from twingraph.core.workflow import Definition, EdgeDef, with_lists_as_edges

Inputs = dict[str, dict[str, Any]]
Checks = Mapping[str, Callable[[Any], str | None]]  # input -> what is expected of a value that does not fit


@recordclass(kw_only=False)
class Compiled:
    """One definition as a template, and what it asks from whoever opens it."""

    template: Template
    inputs: Inputs
    outputs: tuple[str, ...] | None
    checks: Checks


class Compiler:
    """What the definitions of one plan share: specs, templates, and the list of problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.specs: list[NodeSpec] = []
        self.templates: dict[str, Template] = {}
        self.entries: dict[str, str] = {}
        self._known: dict[Any, int] = {}

    def spec(self, info: ComponentInfo, settings: Mapping[str, Any], options: str | None) -> int:
        """The index of the spec for these settings; nodes with equal ones share it."""
        key = (info.entry, info.name, options, repr(sorted(settings.items())) if settings else "")
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = len(self.specs)
            self.specs.append(
                NodeSpec(
                    component=info.name,
                    entry=info.entry,
                    outputs=info.outputs,
                    options=options,
                    asynchronous=info.asynchronous,
                    **settings,
                )
            )
        return known

    def definition(self, definition: Definition, library: Library, prefix: str = "") -> Compiled:
        """Compile one definition; problems are noted under `prefix` + node id."""
        definition = with_lists_as_edges(definition)
        own: list[Problem] = []
        known = check_nodes(definition.nodes, own)
        edges = check_edges(definition, known, own)
        incoming: dict[str, list[EdgeDef]] = {}
        for edge in edges:
            incoming.setdefault(edge.target, []).append(edge)
        order = in_order(known, incoming, own)
        ports: dict[str, Port] = {}
        for name, node in known.items():
            port = compile_nodes.port_of(self, node, library, incoming.get(name, ()), own, prefix)
            if port is not None:
                ports[name] = port
        for name in order:
            if name in ports:
                usable = [edge for edge in incoming.get(name, ()) if edge.source in ports]
                compile_bind.bind(ports[name], usable, ports, own)
        self.problems.extend(Problem(node=_under(prefix, p.node), field=p.field, message=p.message) for p in own)
        return _assemble(self, ports, edges)


def _under(prefix: str, node: str | None) -> str | None:
    return f"{prefix}{node}" if node else prefix.rstrip("/") or None


def compile_plan(definition: Definition, library: Library) -> tuple[Plan, list[Problem], Checks]:
    """The plan of a definition, every problem, and what checks its inputs. With problems it is only good to look at."""
    compiler = Compiler()
    root = compiler.definition(definition, library)
    plan = Plan(
        name=definition.name,
        root=root.template,
        templates=compiler.templates,
        specs=tuple(compiler.specs),
        inputs=root.inputs,
    )
    return plan, compiler.problems, root.checks


def handler_spec(plan: Plan, library: Library, name: str) -> tuple[Plan, int, ComponentInfo]:
    """The plan with a spec for the custom error handler. NotFoundError when nobody registered it."""
    info = library.handler(name)
    spec = NodeSpec(
        component=info.name, entry=info.entry, outputs=info.outputs, asynchronous=info.asynchronous, **info.settings
    )
    widened = Plan(
        name=plan.name, root=plan.root, templates=plan.templates, specs=(*plan.specs, spec), inputs=plan.inputs
    )
    return widened, len(plan.specs), info


def _assemble(compiler: Compiler, ports: dict[str, Port], edges: Sequence[EdgeDef]) -> Compiled:
    inputs = _collect_inputs(ports)
    keys = {target: key for key, entry in inputs.items() for target in entry["targets"]}
    nodes = tuple(_plan_node(compiler, port, keys) for port in ports.values())
    sources = {edge.source for edge in edges}
    last = tuple(name for name in ports if name not in sources)
    return Compiled(Template(nodes=nodes, last_nodes=last), inputs, _outputs(ports, last), _checks(ports, inputs))


def _checks(ports: dict[str, Port], inputs: Inputs) -> Checks:
    found = {}
    for key, entry in inputs.items():
        node, _, name = entry["targets"][0].rpartition(".")
        parameter = ports[node].parameters.get(name) if node in ports else None
        if parameter is not None and parameter.accepts is not None:
            found[key] = parameter.accepts
    return found


def _outputs(ports: dict[str, Port], last: tuple[str, ...]) -> tuple[str, ...] | None:
    return ports[last[0]].outputs if len(last) == 1 else last


def _collect_inputs(ports: dict[str, Port]) -> Inputs:
    """Input nodes and unbound parameters. A name that several share is qualified by its node."""
    inputs: Inputs = {}
    unbound: list[tuple[Port, str]] = []
    times: dict[str, int] = {}
    for name, port in ports.items():
        if port.kind is NodeKind.INPUT:
            config = port.node.config
            inputs[name] = {
                "name": config.get("name") or name,
                "required": "default" not in config,
                "schema": config.get("schema"),
                "targets": [name],
            }
            if port.defaults:
                inputs[name]["default"] = port.defaults["default"][0]
            times[name] = times.get(name, 0) + 1
            continue
        for parameter in port.parameters:
            if parameter not in port.bound and parameter not in port.constants:
                unbound.append((port, parameter))
                times[parameter] = times.get(parameter, 0) + 1
    for port, parameter in unbound:
        target = f"{port.node.id}.{parameter}"
        key = parameter if times[parameter] == 1 else target
        inputs[key] = {
            "name": parameter,
            "required": port.parameters[parameter].required,
            "schema": None,
            "targets": [target],
        }
    return inputs


def _known(source: Source, keys: Mapping[str, str]) -> Source:
    """An input that a branch carries is known by the name that it has got meanwhile."""
    return source if source.input is None else source._replace(input=keys[source.input])


def _plan_node(compiler: Compiler, port: Port, keys: Mapping[str, str]) -> PlanNode:
    node = port.node.id
    args: dict[str, Argument] = dict(port.constants)
    edges: list[Edge] = []
    for name, incoming in port.bound.items():
        args[name] = (Hole(sources=tuple(_known(source, keys) for one in incoming for source in one.sources)),)
        edges.extend(one.edge for one in incoming)
    edges.extend(edge for edge, _ in port.order)
    for name in port.parameters:
        if name not in args:
            args[name] = (Hole(sources=(Source(input=keys[f"{node}.{name}"]),)),)
    return compile_nodes.finish(port, args, tuple(edges), compiler.templates)
