"""`@component`: a plain function that can be a node. Declaring one checks and records, and does nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import update_wrapper
from types import MappingProxyType
from typing import Any, Generic, ParamSpec, TypeVar, overload

from twingraph.core.caching import problems_of_key
from twingraph.core.component_settings import DECORATOR_SETTINGS, check_settings, merge
from twingraph.core.errors import Problem, ValidationError
from twingraph.core.nearest import did_you_mean
from twingraph.core.signatures import Parameter
from twingraph.sdk import signature
from twingraph.sdk.body.active import active
from twingraph.sdk.registry import DEFAULT, Registry

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentDefinition:
    """What was declared. `settings` are checked fields of a node's spec."""

    name: str
    module: str
    qualname: str
    parameters: tuple[Parameter, ...]
    open: bool
    settings: Mapping[str, Any]
    id: str | None = None


class Component(Generic[P, R]):
    """A function that can be a node; called by itself it stays the plain function."""

    __name__: str
    __qualname__: str

    def __init__(
        self,
        function: Callable[P, R],
        definition: ComponentDefinition,
        *,
        base: Component[P, R] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        update_wrapper(self, function)
        self.fn = function
        self.definition = definition
        self.overrides: Mapping[str, Any] = MappingProxyType(dict(overrides or {}))
        self._base = base

    @property
    def name(self) -> str:
        return self.definition.name

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

    def __repr__(self) -> str:
        return f"<component {self.name} of {self.definition.module}:{self.definition.qualname}>"

    def __reduce__(self) -> Any:
        if self._base is not None:
            return _variant, (self._base, dict(self.overrides))
        return self.definition.qualname

    def __get__(self, instance: object, owner: type | None = None) -> Component[P, R]:
        if instance is None:
            return self
        raise ValidationError(_not_a_method(self.name))

    def options(self, **settings: Any) -> Component[P, R]:
        """A variant with other settings; `id` names the node that it becomes."""
        return _variant(self, {**self.overrides, **settings})

    def input_schema(self) -> dict[str, Any]:
        return signature.input_schema(self.fn)

    def output_schema(self) -> dict[str, Any]:
        return signature.output_schema(self.fn)


def _variant(component: Component[P, R], overrides: dict[str, Any]) -> Component[P, R]:
    base = component._base or component
    given = {key: value for key, value in overrides.items() if key != "id"}
    node = overrides.get("id")
    problems = _unknown(base.name, given, (*DECORATOR_SETTINGS, "id"))
    if node is not None and (not isinstance(node, str) or not node):
        problems.append(Problem(node=base.name, field="id", message=f"must be a text that is not empty, not {node!r}"))
    before = base.definition
    checked, more = check_settings(given, node=base.name, platform=before.settings.get("platform", "local"))
    if not more and not before.open:
        more = problems_of_key(checked.get("cache"), (known.name for known in before.parameters), node=base.name)
    if problems or more:
        raise ValidationError([*problems, *more])
    definition = ComponentDefinition(
        name=given.get("name", before.name),
        module=before.module,
        qualname=before.qualname,
        parameters=before.parameters,
        open=before.open,
        settings=MappingProxyType(merge(before.settings, checked)),
        id=node,
    )
    return Component(base.fn, definition, base=base, overrides=overrides)


def _unknown(name: str, given: Mapping[str, Any], known: tuple[str, ...]) -> list[Problem]:
    return [
        Problem(node=name, field=key, message=f"is not a setting of a component; {did_you_mean(key, known)}")
        for key in given
        if key not in known
    ]


def _not_a_method(name: str) -> str:
    return f"{name}: a component is a function, not a method; move it out of the class, or write a BaseComponent"


def define(function: Callable[P, R], settings: Mapping[str, Any], registry: Registry = DEFAULT) -> Component[P, R]:
    """Check everything, record it, register it."""
    target: Any = function
    if isinstance(target, (type, Component)) or not callable(target) or not hasattr(target, "__qualname__"):
        raise ValidationError(f"@component stands over a function, not over {function!r}")
    module, qualname = signature.address_of(function)
    name = settings.get("name") or function.__name__
    problems = _unknown(str(name), settings, DECORATOR_SETTINGS)
    if not isinstance(name, str) or not name.strip():
        problems.append(Problem(field="name", message=f"must be a text that is not empty, not {name!r}"))
    checked, more = check_settings(settings, node=str(name))
    problems += more
    parameters: tuple[Parameter, ...] = ()
    further = False
    try:
        parameters, further = signature.parameters_of(function)
        signature.outputs_of(function)
    except ValidationError as error:
        problems += error.problems
    if not problems and not further:
        problems += problems_of_key(checked.get("cache"), (known.name for known in parameters), node=str(name))
    inside = qualname.rpartition(".")[0]
    if parameters and parameters[0].name in ("self", "cls") and inside and not inside.endswith("<locals>"):
        problems.append(Problem(message=_not_a_method(str(name))))
    if problems:
        raise ValidationError(problems)
    definition = ComponentDefinition(
        name=name,
        module=module,
        qualname=qualname,
        parameters=parameters,
        open=further,
        settings=MappingProxyType(checked),
    )
    made = Component(function, definition)
    registry.add(name, made, (module, qualname))
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
