"""What the bodies of one execution share: the components that they have called, with the specs of their nodes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from twingraph.core.bodies import Link
from twingraph.core.caching import policy_of
from twingraph.core.errors import PermanentError
from twingraph.core.events import GraphExtended
from twingraph.core.plan import NodeKind, NodeSpec, ScopeSettings
from twingraph.core.plan_json import spec_to_json
from twingraph.core.signatures import ComponentInfo
from twingraph.sdk import signature
from twingraph.sdk.base_component import BaseComponent
from twingraph.sdk.body.targets import Target, spec_of
from twingraph.sdk.code_table import CodeTable
from twingraph.sdk.pipeline import Pipeline

Locate = Callable[[Mapping[str, Any]], str | None]


class Known:
    """Of one execution in one host. `locate(objects)` makes sure that workers can load these, by entry: None when the
    execution's own code has them, else the code version that does."""

    def __init__(
        self,
        execution: str,
        locate: Locate,
        code_hash: Callable[[str], str | None],
        body_entry: Callable[[Any], str] = signature.entry_of,
    ) -> None:
        self._execution = execution
        self._locate = locate
        self._code_hash = code_hash
        self._body_entry = body_entry
        self._table = CodeTable()
        self._specs: dict[Any, int] = {}
        self._kept: list[Any] = []  # what the table knows by its id must stay alive
        self._lock = threading.Lock()

    def target(self, target: Any, link: Link) -> Target:
        with self._lock:
            self._kept.append(target)
            return self._pipeline(target, link) if isinstance(target, Pipeline) else self._component(target, link)

    def _component(self, target: Any, link: Link) -> Target:
        info = self._table.info(target)
        function = function_of(target)
        definition = getattr(target, "definition", None)
        return Target(
            info.name,
            function,
            spec=self._located(info, function, link),
            kind=NodeKind.TASK,
            outputs=info.outputs,
            node_id=getattr(definition, "id", None),
            method=isinstance(target, BaseComponent),
        )

    def _pipeline(self, target: Pipeline[Any, Any], link: Link) -> Target:
        entry = self._body_entry(target)
        outputs = signature.outputs_of(target.fn)
        info = ComponentInfo(name=target.name, entry=entry, parameters=target.parameters, open=False, outputs=outputs)
        detached = target.definition.detached
        return Target(
            target.name,
            target.fn,
            spec=self._number(spec_of(info, target.fn, None, self._code_hash), link),
            kind=NodeKind.DETACHED if detached else NodeKind.SCOPE,
            outputs=outputs,
            node_id=target.definition.id,
            bounds=self._bounds(target, link),
        )

    def _bounds(self, target: Pipeline[Any, Any], link: Link) -> ScopeSettings | None:
        """What the author said of this pipeline; what was not said is the execution's."""
        given = target.definition.declared.raw
        settings = target.settings
        own = [name for name in ("max_parallel", "timeout", "error_handler") if name in given]
        named: dict[str, Any] = {name: getattr(settings, name) for name in own}
        if "error_handler" in named:
            named["continue_on_error"] = settings.continue_on_error
        name = target.definition.declared.handler if "error_handler" in named else None
        if name is not None:
            handler = target.registry.find(name)
            info = self._table.info(handler)
            named["handler_component"] = self._located(info, function_of(handler), link)
            named["handler_args"] = None if info.open else tuple(one.name for one in info.parameters)
        return ScopeSettings(**named) if named else None

    def _located(self, info: ComponentInfo, function: Callable[..., Any], link: Link) -> int:
        key = policy_of(info.settings.get("cache")).function
        entries = [info.entry] if key is None else [info.entry, key.entry]
        code = self._locate({entry: self._table.objects[entry] for entry in entries})
        return self._number(spec_of(info, function, code, self._code_hash), link)

    def _number(self, spec: NodeSpec, link: Link) -> int:
        """The spec's place among those that this host has named; told before anything is said about it."""
        try:
            key = json.dumps(spec_to_json(spec), sort_keys=True)
        except (TypeError, ValueError) as error:  # the author hears of it here; the conductor could only give up
            raise PermanentError(
                f"the settings of {spec.component} must be plain data, such as texts, numbers, lists and dicts: {error}"
            ) from None
        known = self._specs.get(key)
        if known is None:
            known = self._specs[key] = len(self._specs)
            link.feed(self._execution, GraphExtended((), driven=True), None, (spec,))
        return known


def function_of(target: Any) -> Callable[..., Any]:
    """The plain function of a component."""
    found: Any = getattr(target, "fn", None) or target
    if isinstance(target, BaseComponent):
        found = type(target).execute
    return found  # type: ignore[no-any-return]
