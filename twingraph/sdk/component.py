"""`@component`: a plain function that can be a node. Declaring one checks and records, and does nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType, MethodType
from typing import Any, ParamSpec, Self, TypeVar, overload

from twingraph.core.caching import problems_of_key
from twingraph.core.component_settings import DECORATOR_SETTINGS, check_settings, merge
from twingraph.core.errors import Problem, ValidationError
from twingraph.core.recordclass import recordclass
from twingraph.sdk import signature
from twingraph.sdk.body.active import active
from twingraph.sdk.declared import Declared, Definition, describe, id_trouble, name_trouble, unknown_words
from twingraph.sdk.registry import DEFAULT, Registry

P = ParamSpec("P")
R = TypeVar("R")


@recordclass
class ComponentDefinition(Definition):
    """What was declared. `settings` are checked fields of a node's spec."""

    settings: Mapping[str, Any]


class Component(Declared[P, R]):
    """A function that can be a node; called by itself it stays the plain function."""

    kind = "component"
    definition: ComponentDefinition

    @property
    def version(self) -> str | None:
        return self.definition.settings.get("version")

    @property
    def outputs(self) -> tuple[str, ...] | None:
        """Declared output names; None when they are known only at run time."""
        return signature.outputs_of(self.fn)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """The plain function; inside a pipeline, a handle of the node that it becomes."""
        caller = active.caller
        if caller is None:
            return self.fn(*args, **kwargs)
        node: R = caller.call(self, args, kwargs)
        return node

    @classmethod
    def _variant(cls, base: Self, overrides: dict[str, Any]) -> Self:
        given = {key: value for key, value in overrides.items() if key != "id"}
        node = overrides.get("id")
        problems = unknown_words("a setting of a component", base.name, given, (*DECORATOR_SETTINGS, "id"))
        problems += [*id_trouble(base.name, node), *name_trouble(given.get("name"))]
        before = base.definition
        checked, more = check_settings(given, node=base.name, platform=before.settings.get("platform", "local"))
        if not more and not before.open:
            names = (known.name for known in before.parameters)
            more = problems_of_key(checked.get("cache"), names, node=base.name)
        if problems or more:
            raise ValidationError([*problems, *more])
        definition = replace(
            before,
            name=given.get("name") or before.name,
            settings=MappingProxyType(merge(before.settings, checked)),
            id=node,
        )
        return cls(base.fn, definition, base=base, overrides=overrides)

    @classmethod
    def _refuse_method(cls, name: str) -> str:
        return super()._refuse_method(name) + ", or write a BaseComponent"


def define(function: Callable[P, R], settings: Mapping[str, Any], registry: Registry = DEFAULT) -> Component[P, R]:
    """Check everything, record it, register it."""
    target: Any = function
    if isinstance(target, (type, Component)) or not callable(target) or not hasattr(target, "__qualname__"):
        raise ValidationError(f"@component stands over a function, not over {function!r}")
    problems = name_trouble(settings.get("name"))
    name: str = function.__name__ if problems else settings.get("name") or function.__name__
    if isinstance(function, MethodType):
        problems.append(Problem(message=Component._refuse_method(name)))
    problems += unknown_words("a setting of a component", name, settings, DECORATOR_SETTINGS)
    checked, more = check_settings(settings, node=name)
    found = describe(function, Component._refuse_method(name))
    problems += [*more, *found.problems]
    if not problems and not found.open:
        names = (known.name for known in found.parameters)
        problems += problems_of_key(checked.get("cache"), names, node=name)
    if problems:
        raise ValidationError(problems)
    definition = ComponentDefinition(
        name=name,
        module=found.module,
        qualname=found.qualname,
        parameters=found.parameters,
        open=found.open,
        settings=MappingProxyType(checked),
    )
    made = Component(function, definition)
    registry.add(name, made, (found.module, found.qualname))
    return made


@overload
def component(function: Callable[P, R], /) -> Component[P, R]: ...


@overload
def component(*, registry: Registry = ..., **settings: Any) -> Callable[[Callable[P, R]], Component[P, R]]: ...


def component(function: Callable[..., Any] | None = None, /, *, registry: Registry = DEFAULT, **settings: Any) -> Any:
    """Make a function a component.

    Settings: `platform`, `docker_image`, `config` (of the platform), `retry_policy`, `timeout` (seconds of user code,
    300), `start_timeout`, `resources`, `environment`, `labels`, `cache`, `version`, `limits`, `priority`, `name`,
    `ship`, `endless`. An explicit argument wins over `config`, `config` over `resources`.
    """
    if function is not None:
        return define(function, settings, registry)
    return lambda decorated: define(decorated, settings, registry)
