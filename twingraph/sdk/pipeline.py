"""`@pipeline`: plain Python that orchestrates components. Declaring one checks and records, and does nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, overload

from twingraph.core.errors import Problem, ValidationError
from twingraph.core.recordclass import recordclass
from twingraph.core.signatures import Parameter
from twingraph.sdk.body.active import active, is_replayed
from twingraph.sdk.declared import Declared, Definition, describe, id_trouble, name_trouble, unknown_words
from twingraph.sdk.frames import short
from twingraph.sdk.pipeline_settings import OPTIONS, PipelineSettings, check_pipeline_settings
from twingraph.sdk.registry import DEFAULT, Registry
from twingraph.sdk.signature import signature_of

if TYPE_CHECKING:  # needed once it runs; declaring stays cheap
    from twingraph.core.records import Settings
    from twingraph.sdk.inprocess import Execution

P = ParamSpec("P")
R = TypeVar("R")


@recordclass
class PipelineDefinition(Definition):
    """What was declared; `detached` says that a call of a variant is an execution of its own."""

    is_async: bool
    declared: PipelineSettings
    detached: bool = False


class Pipeline(Declared[P, R]):
    """A function whose calls of components are remembered, run in parallel, and survive the process."""

    kind = "pipeline"
    is_pipeline = True
    definition: PipelineDefinition

    def __init__(
        self,
        function: Callable[P, R],
        definition: PipelineDefinition,
        registry: Registry = DEFAULT,
        *,
        base: Self | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(function, definition, base=base, overrides=overrides)
        self.registry = registry

    # -- what was declared -------------------------------------------------------------------------

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
        if is_replayed():
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
        declared = signature_of(self.fn)
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

    @classmethod
    def _variant(cls, base: Self, overrides: dict[str, Any]) -> Self:
        """`id` and `detached` of a call inside a pipeline, `name`, and what bounds it."""
        before = base.definition
        detached = overrides.get("detached", False)
        # What is not known here is complained about as an option; what was declared stays known.
        problems = unknown_words("an option of a pipeline", base.name, overrides, OPTIONS)
        changed = {key: value for key, value in overrides.items() if key in OPTIONS and key not in ("id", "detached")}
        kept = dict(before.declared.raw)
        if changed.get("error_handler", "custom") != "custom":
            kept.pop("error_config", None)  # it belongs to the one before
        declared, more = check_pipeline_settings({**kept, **changed}, pipeline=base.name)
        problems += [*more, *name_trouble(changed.get("name")), *id_trouble(base.name, overrides.get("id"))]
        if not isinstance(detached, bool):
            message = f"must be True or False, not {detached!r}"
            problems.append(Problem(node=base.name, field="detached", message=message))
        if problems:
            raise ValidationError(problems)
        definition = replace(
            before,
            name=changed.get("name") or before.name,
            declared=declared,
            id=overrides.get("id"),
            detached=detached,
        )
        return cls(base.fn, definition, base.registry, base=base, overrides=overrides)


# -- declaring ---------------------------------------------------------------------------------------


def define(function: Callable[P, R], settings: Mapping[str, Any], registry: Registry = DEFAULT) -> Pipeline[P, R]:
    """Check everything, record it, register it."""
    misuse = _misuse(function)
    if misuse is not None:
        raise ValidationError(misuse)
    given = settings.get("name")
    problems = name_trouble(given)
    name: str = function.__name__ if problems else given or function.__name__
    declared, more = check_pipeline_settings(settings, pipeline=name)
    found = describe(function, Pipeline._refuse_method(name))
    problems += [*more, *found.problems]
    if problems:
        raise ValidationError(problems)
    definition = PipelineDefinition(
        name=name,
        module=found.module,
        qualname=found.qualname,
        parameters=found.parameters,
        open=found.open,
        is_async=inspect.iscoroutinefunction(function),
        declared=declared,
    )
    made = Pipeline(function, definition, registry)
    registry.add(name, made, (found.module, found.qualname))
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
        return Pipeline._refuse_method(getattr(function, "__name__", "pipeline"))
    if isinstance(function, str):
        return f"@pipeline stands over a function; to name one, write @pipeline(name={function!r})"
    if not isinstance(function, FunctionType):
        return f"@pipeline stands over a function, not over {function!r}"
    if function.__name__ == "<lambda>":
        return "a lambda has no name that its executions could be found by; write the pipeline with def"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return f"{function.__name__}: a pipeline returns its result and cannot yield; collect a list and return it"
    return None


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
