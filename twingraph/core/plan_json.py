"""Plans as JSON, and back. Defaults are left out, so that a plan of many plain nodes stays small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from twingraph.core.plan import (
    Argument,
    Edge,
    Hole,
    NodeKind,
    NodeSpec,
    Plan,
    PlanNode,
    ScopeSettings,
    Source,
    Template,
)
from twingraph.core.policies import Backoff, RetryPolicy


def _defaults(record: Any) -> dict[str, Any]:
    if hasattr(record, "_field_defaults"):
        return dict(record._field_defaults)
    found = {}
    for field in fields(record):
        if field.default is not MISSING:
            found[field.name] = field.default
        elif field.default_factory is not MISSING:
            found[field.name] = field.default_factory()
    return found


_DEFAULTS = {
    record: _defaults(record) for record in (Source, Edge, NodeSpec, PlanNode, ScopeSettings, Template, RetryPolicy)
}


def _names(record: Any) -> tuple[str, ...]:
    return getattr(record, "_fields", None) or tuple(field.name for field in fields(record))


_NAMES = {record: _names(record) for record in _DEFAULTS}


def _sparse(record: Any) -> dict[str, Any]:
    kind = type(record)
    defaults = _DEFAULTS[kind]
    found = {}
    for name in _NAMES[kind]:
        value = getattr(record, name)
        if name not in defaults or value != defaults[name]:
            found[name] = value
    return found


_OF_WHOLE_NODE = Source()[1:]


def _source_to_json(source: Source) -> dict[str, Any]:
    if source[1:] == _OF_WHOLE_NODE and source.node is not None:
        return {"node": source.node}
    return _sparse(source)


def edge_to_json(edge: Edge) -> dict[str, Any]:
    if edge.output is None and edge.handle is None and not edge.optional and edge.param is not None:
        return {"source": edge.source, "param": edge.param}
    return _sparse(edge)


def _is_call(node: PlanNode) -> bool:
    """Whether it is what bodies make many of: the call of a component."""
    return (
        node.kind is NodeKind.TASK
        and node.template is None
        and node.key is None
        and not node.keep_item_errors
        and node.wait is None
        and node.signal is None
        and not node.scope_args
        and node.bounds is None
    )


def _call_to_json(node: PlanNode) -> dict[str, Any]:
    raw: dict[str, Any] = {"id": node.id}
    if node.spec is not None:
        raw["spec"] = node.spec
    if node.place is not None:
        raw["place"] = node.place
    if node.edges:
        raw["edges"] = [edge_to_json(edge) for edge in node.edges]
    if node.args:
        raw["args"] = arguments_to_json(node.args)
    if node.caller:
        raw["caller"] = node.caller
    if node.forced:
        raw["forced"] = node.forced
    return raw


def argument_to_json(argument: Argument) -> list[Any]:
    return [
        part if isinstance(part, str) else [_source_to_json(source) for source in part.sources] for part in argument
    ]


def argument_from_json(raw: list[Any]) -> Argument:
    return tuple(
        [part if type(part) is str else Hole(tuple([_source_from_json(source) for source in part])) for part in raw]
    )


def _source_from_json(raw: Mapping[str, Any]) -> Source:
    if "branches" not in raw:
        return Source(**raw)
    return Source(**{**raw, "branches": tuple((node, handle) for node, handle in raw["branches"])})


def arguments_to_json(arguments: Mapping[str, Argument]) -> dict[str, Any]:
    return {name: argument_to_json(argument) for name, argument in arguments.items()}


def arguments_from_json(raw: Mapping[str, Any]) -> dict[str, Argument]:
    return {name: argument_from_json(argument) for name, argument in raw.items()}


def node_to_json(node: PlanNode) -> dict[str, Any]:
    if _is_call(node):
        return _call_to_json(node)
    raw = _sparse(node)
    if "edges" in raw:
        raw["edges"] = [edge_to_json(edge) for edge in node.edges]
    for key in ("args", "scope_args"):
        if key in raw:
            raw[key] = arguments_to_json(raw[key])
    if node.bounds is not None:
        raw["bounds"] = _sparse(node.bounds)
    return raw


def node_from_json(raw: Mapping[str, Any]) -> PlanNode:
    given = dict(raw)
    if "kind" in given:
        given["kind"] = NodeKind(given["kind"])
    if "edges" in given:
        given["edges"] = tuple(Edge(**edge) for edge in given["edges"])
    for key in ("args", "scope_args"):
        if key in given:
            given[key] = arguments_from_json(given[key])
    if "forced" in given:
        given["forced"] = tuple(given["forced"])
    if "bounds" in given:
        bounds = dict(given["bounds"])
        if bounds.get("handler_args") is not None:
            bounds["handler_args"] = tuple(bounds["handler_args"])
        given["bounds"] = ScopeSettings(**bounds)
    return PlanNode(**given)


def spec_to_json(spec: NodeSpec) -> dict[str, Any]:
    raw = _sparse(spec)
    if spec.retry is not None:
        raw["retry"] = _sparse(spec.retry)
    return raw


def spec_from_json(raw: Mapping[str, Any]) -> NodeSpec:
    given = dict(raw)
    if given.get("retry") is not None:
        retry = dict(given["retry"])
        if "backoff" in retry:
            retry["backoff"] = Backoff(retry["backoff"])
        if retry.get("exceptions") is not None:
            retry["exceptions"] = tuple(retry["exceptions"])
        given["retry"] = RetryPolicy(**retry)
    if given.get("outputs") is not None:
        given["outputs"] = tuple(given["outputs"])
    return NodeSpec(**given)


def template_to_json(template: Template) -> dict[str, Any]:
    return {
        "nodes": [node_to_json(node) for node in template.nodes],
        "result": argument_to_json(template.result),
        "last_nodes": list(template.last_nodes),
    }


def template_from_json(raw: Mapping[str, Any]) -> Template:
    return Template(
        nodes=tuple(node_from_json(node) for node in raw["nodes"]),
        result=argument_from_json(raw.get("result", [])),
        last_nodes=tuple(raw.get("last_nodes", ())),
    )


def plan_to_json(plan: Plan) -> dict[str, Any]:
    return {
        "name": plan.name,
        "root": template_to_json(plan.root),
        "templates": {name: template_to_json(template) for name, template in plan.templates.items()},
        "specs": [spec_to_json(spec) for spec in plan.specs],
        "inputs": dict(plan.inputs),
    }


def plan_from_json(raw: Mapping[str, Any]) -> Plan:
    return Plan(
        name=raw["name"],
        root=template_from_json(raw["root"]),
        templates={name: template_from_json(template) for name, template in raw["templates"].items()},
        specs=tuple(spec_from_json(spec) for spec in raw["specs"]),
        inputs=raw.get("inputs", {}),
    )
