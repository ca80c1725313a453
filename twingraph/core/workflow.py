"""The definition of a drawn workflow, as JSON has it.

A record keeps the whole object that it was read from, so that what it does not know (positions, notes, keys of later
versions) is written back untouched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import field, replace
from typing import Any

from twingraph.core.errors import Problem, ValidationError
from twingraph.core.recordclass import recordclass

NODE_TYPES = ("component", "code", "input", "branch", "map", "workflow")
PLANNED_TYPES = ("approval", "stream")


class JsonNode(dict[str, Any]):
    """A node as it came from JSON: its constants are texts of values already, tags and all."""


@recordclass(kw_only=False)
class NodeDef:
    raw: Mapping[str, Any]

    @property
    def id(self) -> Any:
        return self.raw.get("id")

    @property
    def type(self) -> Any:
        return self.raw.get("type", "component")

    @property
    def component(self) -> Any:
        return self.raw.get("component")

    @property
    def config(self) -> Any:
        config = self.raw.get("config")
        return {} if config is None else config


@recordclass(kw_only=False)
class EdgeDef:
    raw: Mapping[str, Any]

    @property
    def source(self) -> Any:
        return self.raw.get("source")

    @property
    def target(self) -> Any:
        return self.raw.get("target")

    @property
    def source_handle(self) -> str | None:
        return self.raw.get("sourceHandle") or None

    @property
    def target_handle(self) -> str | None:
        return self.raw.get("targetHandle") or None


def node_def(id: str, type: str, component: str | None, config: Mapping[str, Any]) -> NodeDef:  # noqa: A002 - its name
    raw: dict[str, Any] = {"id": id, "type": type}
    if component is not None:
        raw["component"] = component
    return NodeDef({**raw, "config": dict(config)})


def edge_def(source: str, target: str, output: str | None, input: str | None) -> EdgeDef:  # noqa: A002 - its name
    raw = {"source": source, "target": target}
    if output is not None:
        raw["sourceHandle"] = output
    if input is not None:
        raw["targetHandle"] = input
    return EdgeDef(raw)


@recordclass
class Definition:
    """`outer` and `inner` are what else stood in the document, and in its `definition`."""

    name: str
    nodes: tuple[NodeDef, ...] = ()
    edges: tuple[EdgeDef, ...] = ()
    outer: Mapping[str, Any] = field(default_factory=dict)
    inner: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metadata(self) -> dict[str, Any]:
        """What is said about the workflow, wherever it stands; beside the definition wins."""
        merged: dict[str, Any] = {}
        for place in (self.inner, self.outer):
            if isinstance(place.get("metadata"), Mapping):
                merged.update(place["metadata"])
        return merged

    def to_dict(self) -> dict[str, Any]:
        inner = {
            "nodes": [deepcopy(dict(node.raw)) for node in self.nodes],
            "edges": [deepcopy(dict(edge.raw)) for edge in self.edges],
            **deepcopy(dict(self.inner)),
        }
        return {"name": self.name, "definition": inner, **deepcopy(dict(self.outer))}


def parse_definition(raw: Any) -> Definition:
    """A definition from its JSON; its shape is checked here, its sense when it is compiled."""
    problems: list[Problem] = []
    if not isinstance(raw, Mapping):
        raise ValidationError(f"a workflow is an object with 'name' and 'definition', not {type(raw).__name__}")
    name = raw.get("name")
    if not isinstance(name, str) or not name.strip():
        problems.append(Problem(field="name", message=f"must be a text that is not empty, not {name!r}"))
    inner = raw.get("definition")
    if not isinstance(inner, Mapping):
        problems.append(Problem(field="definition", message="must be an object with 'nodes' and 'edges'"))
        inner = {}
    for where, place in (("metadata", raw), ("definition.metadata", inner)):
        if place.get("metadata") is not None and not isinstance(place["metadata"], Mapping):
            problems.append(Problem(field=where, message="must be an object"))
    nodes = _objects(inner.get("nodes", []), "nodes", problems)
    edges = _objects(inner.get("edges", []), "edges", problems)
    problems.extend(_bad_edges(edges))
    if problems:
        raise ValidationError(problems)
    return Definition(
        name=str(name),
        nodes=tuple(NodeDef(JsonNode(node)) for node in nodes),
        edges=tuple(EdgeDef(edge) for edge in edges),
        outer=deepcopy({key: value for key, value in raw.items() if key not in ("name", "definition")}),
        inner=deepcopy({key: value for key, value in inner.items() if key not in ("nodes", "edges")}),
    )


def _objects(raw: Any, field: str, problems: list[Problem]) -> list[dict[str, Any]]:
    if not isinstance(raw, list):
        problems.append(Problem(field=field, message=f"must be a list, not {type(raw).__name__}"))
        return []
    for position, entry in enumerate(raw):
        if not isinstance(entry, Mapping):
            problems.append(Problem(field=f"{field}[{position}]", message=f"must be an object, not {entry!r}"))
    return [deepcopy(dict(entry)) for entry in raw if isinstance(entry, Mapping)]


def _bad_edges(edges: Iterable[Mapping[str, Any]]) -> Iterable[Problem]:
    for position, edge in enumerate(edges):
        for key in ("source", "target", "sourceHandle", "targetHandle"):
            if edge.get(key) is not None and not isinstance(edge[key], str):
                yield Problem(field=f"edges[{position}].{key}", message=f"must be a text, not {edge[key]!r}")


def with_lists_as_edges(definition: Definition) -> Definition:
    """The same workflow, where a map's `over` that names a node ('node' or 'node.output') is an edge."""
    known = {node.id for node in definition.nodes if isinstance(node.id, str)}
    nodes, edges = [], list(definition.edges)
    for node in definition.nodes:
        over = node.config.get("over") if node.type == "map" and isinstance(node.config, Mapping) else None
        if not isinstance(over, str):
            nodes.append(node)
            continue
        source, output = (over, "") if over in known else over.rpartition(".")[::2]
        if source not in known:
            nodes.append(node)
            continue
        edges.append(edge_def(source, node.id, output or None, "over"))
        config = {key: value for key, value in node.config.items() if key != "over"}
        nodes.append(NodeDef(type(node.raw)({**node.raw, "config": config})))  # type: ignore[call-arg]
    return replace(definition, nodes=tuple(nodes), edges=tuple(edges))
