"""What `@component` and `@pipeline` have in common: a function, what was declared of it, and variants of that."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import update_wrapper
from types import MappingProxyType
from typing import Any, ClassVar, Generic, NamedTuple, ParamSpec, Self, TypeVar

from twingraph.core.errors import Problem, ValidationError
from twingraph.core.nearest import did_you_mean
from twingraph.core.recordclass import recordclass
from twingraph.core.signatures import Parameter
from twingraph.sdk import signature
from twingraph.sdk.body.active import active

P = ParamSpec("P")
R = TypeVar("R")


@recordclass
class Definition:
    """Where the function stands, and what it takes; `id` names the node that a call of a variant becomes."""

    name: str
    module: str
    qualname: str
    parameters: tuple[Parameter, ...]
    open: bool
    id: str | None = None


class Declared(Generic[P, R]):
    """A function with what was declared of it."""

    __name__: str
    __qualname__: str
    kind: ClassVar[str]

    def __init__(
        self,
        function: Callable[P, R],
        definition: Definition,
        *,
        base: Self | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        update_wrapper(self, function)
        self.fn = function
        self.definition = definition
        self.overrides: Mapping[str, Any] = MappingProxyType(dict(overrides or {}))
        self._base = base

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        raise NotImplementedError

    @property
    def name(self) -> str:
        return self.definition.name

    def input_schema(self) -> dict[str, Any]:
        return signature.input_schema(self.fn)

    def output_schema(self) -> dict[str, Any]:
        return signature.output_schema(self.fn)

    def options(self, **settings: Any) -> Self:
        """A variant with other settings; `id` names the node that it becomes."""
        caller = active.caller
        given = settings if caller is None else caller.settings(settings)
        return self._variant(self._base or self, {**self.overrides, **given})

    @classmethod
    def _variant(cls, base: Self, overrides: dict[str, Any]) -> Self:
        raise NotImplementedError

    @classmethod
    def _refuse_method(cls, name: str) -> str:
        """What to say of one that stands in a class."""
        return f"{name}: a {cls.kind} is a function, not a method; move it out of the class"

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} of {self.definition.module}:{self.definition.qualname}>"

    def __reduce__(self) -> Any:
        if self._base is not None:
            return _variant, (self._base, dict(self.overrides))
        return self.definition.qualname

    def __get__(self, instance: object, owner: type | None = None) -> Self:
        if instance is None:
            return self
        raise ValidationError(self._refuse_method(self.name))


def _variant(base: Declared[P, R], overrides: dict[str, Any]) -> Declared[P, R]:
    return base.options(**overrides)


class Described(NamedTuple):
    """What a function says of itself, and what is wrong with it."""

    module: str
    qualname: str
    parameters: tuple[Parameter, ...]
    open: bool
    problems: list[Problem]


def describe(function: Callable[..., Any], as_method: str) -> Described:
    """`as_method`: what to say when it turns out to be one."""
    module, qualname = signature.address_of(function)
    parameters: tuple[Parameter, ...] = ()
    further = False
    problems: list[Problem] = []
    try:
        parameters, further = signature.parameters_of(function)
        signature.outputs_of(function)
    except ValidationError as error:
        problems += error.problems
    inside = qualname.rpartition(".")[0]
    if parameters and parameters[0].name in ("self", "cls") and inside and not inside.endswith("<locals>"):
        problems.append(Problem(message=as_method))
    return Described(module, qualname, parameters, further, problems)


def unknown_words(what: str, name: str, given: Iterable[str], known: tuple[str, ...]) -> list[Problem]:
    """`what`: 'a setting of a component'."""
    return [
        Problem(node=name, field=key, message=f"is not {what}{_where_it_is_one(key, known)}")
        for key in given
        if key not in known
    ]


def _where_it_is_one(key: str, known: tuple[str, ...]) -> str:
    from twingraph.sdk import pipeline_settings as pipelines  # few words are wrong

    if "platform" in known and key in (*pipelines.DECLARED, *pipelines.OPTIONS):
        return ", but of a pipeline"
    return f"; {did_you_mean(key, known)}"


def id_trouble(name: str, given: Any) -> list[Problem]:
    kept = _KEPT.search(given) if isinstance(given, str) else None
    if kept is not None:
        message = f"{given!r} holds {kept[0]!r}, with which the engine makes ids of its own; write another character"
        return [Problem(node=name, field="id", message=message)]
    return [] if given is None else _word_trouble(given, Problem(node=name, field="id", message=""))


def name_trouble(given: Any) -> list[Problem]:
    if isinstance(given, str) and given.isspace():
        given = ""
    return [] if given is None else _word_trouble(given, Problem(field="name", message=""))


# '/', '[' and ']' separate scopes, '!' names handlers and keys of caches.
_KEPT = re.compile(r"[/\[\]!]")
# Control characters and ends of lines, which tear tables and logs, and half a character, which no store takes.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _word_trouble(given: Any, place: Problem) -> list[Problem]:
    if not isinstance(given, str) or not given:
        return [place._replace(message=f"must be a text that is not empty, not {given!r}")]
    unfit = _UNFIT.search(given)
    if unfit is None:
        return []
    what = "half a character" if unfit[0] >= "\ud800" else "a control character or an end of line"
    return [place._replace(message=f"{given!r} holds {unfit[0]!r}, {what}; write it without")]
