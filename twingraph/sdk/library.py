"""Answers the compiler's questions: from live objects first, then by name from a registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from twingraph.core.errors import ValidationError
from twingraph.core.signatures import ComponentInfo
from twingraph.core.workflow import Definition, JsonNode, NodeDef, parse_definition
from twingraph.sdk.code_table import CodeTable
from twingraph.sdk.registry import Registry
from twingraph.sdk.value_classes import ValueClasses


class LiveLibrary:
    """A `Library` for one definition. `live` holds what Python code gave, by node id; `opened` the workflows around."""

    def __init__(
        self, registry: Registry, table: CodeTable, live: Mapping[str, Any], opened: tuple[int, ...] = ()
    ) -> None:
        self._registry = registry
        self._table = table
        self._live = live
        self._opened = opened

    def component(self, node: NodeDef) -> ComponentInfo:
        target = self._live.get(node.id)
        if target is not None:
            return self._table.info(target)
        name = node.component
        if name is None and isinstance(node.config, Mapping):
            name = node.config.get("component")
        if not isinstance(name, str) or not name:
            raise ValidationError(f"needs the name of a component, not {name!r}")
        return self._table.info(self._registry.find(name), None)

    def shipped(self, info: ComponentInfo, ship: str) -> ComponentInfo:
        return self._table.shipped(info, ship)

    def handler(self, name: str) -> ComponentInfo:
        return self._table.info(self._registry.find(name), None)

    def code(self, node: NodeDef) -> ComponentInfo:
        return self._table.code(node.id, node.config.get("code") if isinstance(node.config, Mapping) else None)

    def workflow(self, node: NodeDef) -> tuple[Definition, LiveLibrary]:
        inner = self._live.get(node.id)
        if inner is None:
            raw = node.config.get("workflow")
            if not isinstance(raw, Mapping):
                raise ValidationError(f"needs a workflow's definition, not {raw!r}")
            return parse_definition(raw), LiveLibrary(self._registry, self._table, {}, self._opened)
        if id(inner) in self._opened:
            raise ValidationError(f"the workflow {inner.name!r} opens itself")
        library = LiveLibrary(self._registry, self._table, inner.live, (*self._opened, id(inner)))
        return inner.definition, library

    def text(self, node: NodeDef, value: Any) -> str:
        classes = ValueClasses(self._table.objects)
        if not isinstance(node.raw, JsonNode):
            return classes.encode(value).text
        text = json.dumps(value, ensure_ascii=False)
        classes.take(text)
        return text
