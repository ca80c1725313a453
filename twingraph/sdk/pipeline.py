"""`@pipeline`: plain Python that orchestrates components. Declaring one checks and records, and does nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import update_wrapper
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from twingraph.core.errors import Problem, ValidationError
from twingraph.core.nearest import did_you_mean
from twingraph.core.signatures import Parameter
from twingraph.sdk import signature
from twingraph.sdk.body.active import active
from twingraph.sdk.frames import short
from twingraph.sdk.pipeline_settings import OPTIONS, PipelineSettings, check_pipeline_settings
from twingraph.sdk.registry import DEFAULT, Registry

if TYPE_CHECKING:  # needed once it runs; declaring stays cheap
    from twingraph.core.records import Settings
    from twingraph.sdk.inprocess import Execution

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineDefinition:
    """What was declared; `id` and `detached` say how one call of a variant becomes a part of another pipeline."""

    name: str
    module: str
    qualname: str
    parameters: tuple[Parameter, ...]
    open: bool
    is_async: bool
    declared: PipelineSettings
    id: str | None = None
    detached: bool = False


class Pipeline(Generic[P, R]):
    """A function whose calls of components are remembered, run in parallel, and survive the process."""

    __name__: str
    __qualname__: str
    is_pipeline = True

    def __init__(
        self,
        function: Callable[P, R],
        definition: PipelineDefinition,
        registry: Registry = DEFAULT,
        *,
        base: Pipeline[P, R] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        update_wrapper(self, function)
        self.fn = function
        self.definition = definition
        self.registry = registry
        self.overrides: Mapping[str, Any] = MappingProxyType(dict(overrides or {}))
        self._base = base

    # -- what was declared -------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.definition.parameters

    @property
    def is_async(self) -> bool:
        return self.definition.is_async

    @property
    def settings(self) -> Settings:
        """What bounds an execution of it."""
        return self.definition.declared.bounds

    @property
    def schedule(self) -> str | None:
        return self.definition.declared.schedule

    @property
    def graph_config(self) -> Mapping[str, Any]:
        return self.definition.declared.graph_config

    @property
    def notifications(self) -> Mapping[str, Any]:
        return self.definition.declared.notifications

    def input_schema(self) -> dict[str, Any]:
        return signature.input_schema(self.fn)

    def output_schema(self) -> dict[str, Any]:
        return signature.output_schema(self.fn)

    def options(self, **settings: Any) -> Pipeline[P, R]:
        """A variant: `id` and `detached` of a call inside a pipeline, `name`, and what bounds it."""
        return _variant(self, {**self.overrides, **settings})

    # -- running -----------------------------------------------------------------------------------

    @short
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it to the end and give its plain value; inside another pipeline, a handle of it at once."""
        caller = active.caller
        if caller is not None:
            part: R = caller.call(self, args, kwargs)
            return part
        from twingraph.sdk import inprocess

        value: R = inprocess.call_pipeline(self, self.bind(args, kwargs))
        return value

    @short
    def submit(self, /, *args: P.args, **kwargs: P.kwargs) -> Execution:
        """Start it, and give an execution handle once that is recorded."""
        if active.caller is not None:
            raise ValidationError(
                f"{self.name}.submit(...) inside a pipeline would start it anew on each replay; "
                f"call {self.name}.options(detached=True)(...) instead"
            )
        from twingraph.sdk import inprocess

        return inprocess.submit_pipeline(self, self.bind(args, kwargs))

    @short
    def compile(self) -> Any:
        """The plan as far as it can be told without running anything; what depends on data is one dynamic region."""
        from twingraph.sdk.body.tracing import compile_pipeline

        return compile_pipeline(self)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs by name, as Python itself binds them; TypeError where the signature does not fit."""
        declared = inspect.signature(self.fn)
        try:
            bound = declared.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{self.__qualname__}(): {error}") from None
        inputs: dict[str, Any] = {}
        for name, value in bound.items():
            if declared.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                inputs.update(value)
            else:
                inputs[name] = value
        return inputs

    # -- being an object ---------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<pipeline {self.name} of {self.definition.module}:{self.definition.qualname}>"

    def __reduce__(self) -> Any:
        if self._base is not None:
            return _variant, (self._base, dict(self.overrides))
        return self.definition.qualname

    def __get__(self, instance: object, owner: type | None = None) -> Pipeline[P, R]:
        if instance is None:
            return self
        raise ValidationError(_not_a_method(self.name))


def _variant(pipeline: Pipeline[P, R], overrides: dict[str, Any]) -> Pipeline[P, R]:
    base = pipeline._base or pipeline
    before = base.definition
    node, detached = overrides.get("id"), overrides.get("detached", False)
    # What is not known here is complained about as an option; what was declared stays known.
    unknown = [
        Problem(node=base.name, field=key, message=f"is not an option of a pipeline; {did_you_mean(key, OPTIONS)}")
        for key in overrides
        if key not in OPTIONS
    ]
    changed = {key: value for key, value in overrides.items() if key in OPTIONS and key not in ("id", "detached")}
    declared, problems = check_pipeline_settings({**before.declared.raw, **changed}, pipeline=base.name)
    problems = [*unknown, *problems, *_name_trouble(changed.get("name"))]
    if node is not None and (not isinstance(node, str) or not node):
        problems.append(Problem(node=base.name, field="id", message=f"must be a text that is not empty, not {node!r}"))
    if not isinstance(detached, bool):
        problems.append(Problem(node=base.name, field="detached", message=f"must be True or False, not {detached!r}"))
    if problems:
        raise ValidationError(problems)
    definition = PipelineDefinition(
        name=changed.get("name") or before.name,
        module=before.module,
        qualname=before.qualname,
        parameters=before.parameters,
        open=before.open,
        is_async=before.is_async,
        declared=declared,
        id=node,
        detached=detached,
    )
    return Pipeline(base.fn, definition, base.registry, base=base, overrides=overrides)


# -- declaring ---------------------------------------------------------------------------------------


def define(function: Callable[P, R], settings: Mapping[str, Any], registry: Registry = DEFAULT) -> Pipeline[P, R]:
    """Check everything, record it, register it."""
    misuse = _misuse(function)
    if misuse is not None:
        raise ValidationError(misuse)
    module, qualname = signature.address_of(function)
    given = settings.get("name")
    name = given if isinstance(given, str) and given.strip() else function.__name__
    declared, problems = check_pipeline_settings(settings, pipeline=name)
    problems += _name_trouble(given)
    parameters: tuple[Parameter, ...] = ()
    further = False
    try:
        parameters, further = signature.parameters_of(function)
        signature.outputs_of(function)
    except ValidationError as error:
        problems += error.problems
    inside = qualname.rpartition(".")[0]
    if parameters and parameters[0].name in ("self", "cls") and inside and not inside.endswith("<locals>"):
        problems.append(Problem(message=_not_a_method(name)))
    if problems:
        raise ValidationError(problems)
    definition = PipelineDefinition(
        name=name,
        module=module,
        qualname=qualname,
        parameters=parameters,
        open=further,
        is_async=inspect.iscoroutinefunction(function),
        declared=declared,
    )
    made = Pipeline(function, definition, registry)
    registry.add(name, made, (module, qualname))
    return made


def _misuse(function: Any) -> str | None:
    """What cannot be a pipeline, and what to write instead."""
    if getattr(function, "is_pipeline", False) is True:
        return f"{function!r} is a pipeline already; one @pipeline is enough, and .options(...) gives variants"
    if hasattr(function, "fn") and hasattr(function, "overrides"):
        return f"{function!r} is a component; a pipeline is a function of its own that calls it"
    if inspect.iscoroutine(function):
        function.close()  # nobody will await it
        return "@pipeline was given a coroutine; give it the async function itself, without calling it"
    if isinstance(function, type):
        return f"@pipeline stands over a function, not over the class {function.__qualname__}"
    if isinstance(function, (staticmethod, classmethod)) or inspect.ismethod(function):
        return _not_a_method(getattr(function, "__name__", "pipeline"))
    if isinstance(function, str):
        return f"@pipeline stands over a function; to name one, write @pipeline(name={function!r})"
    if not isinstance(function, FunctionType):
        return f"@pipeline stands over a function, not over {function!r}"
    if function.__name__ == "<lambda>":
        return "a lambda has no name that its executions could be found by; write the pipeline with def"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return f"{function.__name__}: a pipeline returns its result and cannot yield; collect a list and return it"
    return None


def _name_trouble(name: Any) -> list[Problem]:
    if name is None or (isinstance(name, str) and name.strip()):
        return []
    return [Problem(field="name", message=f"must be a text that is not empty, not {name!r}")]


def _not_a_method(name: str) -> str:
    return f"{name}: a pipeline is a function, not a method; move it out of the class"


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...


@overload
def pipeline(*, registry: Registry = ..., **settings: Any) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...


def pipeline(function: Callable[..., Any] | None = None, /, *, registry: Registry = DEFAULT, **settings: Any) -> Any:
    """Make a function, plain or async, a pipeline.

    Settings: `name`, `schedule` (a cron expression of five fields), `max_parallel` (10), `error_handler` ('fail',
    'continue', 'retry', 'custom'), `error_config`, `timeout` (seconds, 3600), `graph_config`, `notifications`,
    `description`, `tags`.
    """
    if function is not None:
        return define(function, settings, registry)
    return lambda decorated: define(decorated, settings, registry)
