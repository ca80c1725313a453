"""What can be called in a body, as far as a call needs to know it: how arguments bind, and the spec of its node."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import CodeType, FunctionType
from typing import Any

from twingraph.core.caching import with_hash
from twingraph.core.plan import NodeKind, NodeSpec, ScopeSettings
from twingraph.core.signatures import ComponentInfo
from twingraph.sdk.signature import is_generator, signature_of

PARENTS = ("parent_hash", "parent_hashes")


class Target:
    """One component or pipeline with its settings, known to an execution."""

    __slots__ = (
        "_exactly", "_known", "_method", "_names", "_open", "_required", "bounds", "coroutine", "generator", "kind",
        "name", "node_id", "outputs", "spec", "takes_parents",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        spec: int,
        kind: NodeKind,
        outputs: tuple[str, ...] | None,
        node_id: str | None = None,
        bounds: ScopeSettings | None = None,
        method: bool = False,
    ) -> None:
        parameters = list(signature_of(function).parameters.values())[1 if method else 0 :]
        self.name = name
        self.spec = spec
        self.kind = kind
        self.outputs = outputs
        self.node_id = node_id
        self.bounds = bounds
        self.coroutine = inspect.iscoroutinefunction(function)
        self.generator = kind is NodeKind.TASK and is_generator(function)
        # Of a BaseComponent, whose call takes names only.
        self._names = () if method else tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
        self._known = frozenset(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        self._required = frozenset(p.name for p in parameters if p.name in self._known and p.default is p.empty)
        self._open = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self._exactly = _stub(function, parameters)
        self._method = method
        self.takes_parents = frozenset(PARENTS) & self._known

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by name; a TypeError as Python words it for those that do not fit."""
        names = self._names
        if self._method and not args:
            return dict(kwargs)  # it looks at its inputs itself, before they are bound
        if len(args) <= len(names):
            bound = dict(zip(names, args, strict=False))
            for key, value in kwargs.items():
                if key in bound or not (self._open or key in self._known):
                    break
                bound[key] = value
            else:
                if self._required <= bound.keys():
                    return bound
        return self._exactly(args, kwargs)


def _stub(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> Callable[..., dict[str, Any]]:
    """Binds as Python would, with its own words for what is wrong."""
    made: list[FunctionType] = []

    def exactly(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        if not made:
            made.append(_bare(function, parameters))
        made[0](*args, **kwargs)
        found = inspect.Signature(parameters).bind(*args, **kwargs).arguments
        further = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
        found.update(found.pop(further, {}) if further is not None else {})
        return found

    return exactly


def _bare(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> FunctionType:
    """A function with this signature that does nothing."""
    plain = [p.replace(annotation=p.empty, default=p.default if p.default is p.empty else None) for p in parameters]
    space: dict[str, Any] = {}
    exec(f"def bare{inspect.Signature(plain)}: pass", space)
    bare: FunctionType = space["bare"]
    code: CodeType = bare.__code__
    name = getattr(function, "__qualname__", "component")
    bare.__code__ = code.replace(co_name=name.rpartition(".")[2], co_qualname=name)
    bare.__qualname__ = name
    return bare


def spec_of(
    info: ComponentInfo, function: Callable[..., Any], code: str | None, hash_of: Callable[[str], str | None]
) -> NodeSpec:
    spec = NodeSpec(
        component=info.name,
        entry=info.entry,
        outputs=info.outputs,
        options=info.options,
        generator=is_generator(function),
        asynchronous=info.asynchronous,
        code=code,
        code_hash=hash_of(info.entry),
    )
    if not info.settings:
        return spec
    spec = replace(spec, **info.settings)
    return spec if not spec.cache else replace(spec, cache=with_hash(spec.cache, hash_of))
