"""What a function's signature says: typed inputs, named outputs. Plain annotations are checked without pydantic."""

from __future__ import annotations

import builtins
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from twingraph.core.errors import Problem, ValidationError
from twingraph.core.signatures import RESERVED_OUTPUTS, Parameter
from twingraph.sdk.base_component import BaseComponent

_PLAIN: Mapping[Any, tuple[tuple[type, ...], str]] = {
    int: ((int,), "an int"),
    float: ((float, int), "a float"),
    str: ((str,), "a str"),
    bool: ((bool,), "a bool"),
    bytes: ((bytes,), "bytes"),
    list: ((list,), "a list"),
    tuple: ((tuple, list), "a tuple"),
    dict: ((dict,), "a dict"),
    set: ((set, frozenset), "a set"),
    None: ((type(None),), "None"),
    type(None): ((type(None),), "None"),
}
_UNKNOWN = object()


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Annotations as objects; what cannot be resolved is left out, and is then not checked."""
    found = {name: _hint_of(function, name) for name in getattr(function, "__annotations__", {})}
    return {name: hint for name, hint in found.items() if hint is not _UNKNOWN}


def _hint_of(function: Callable[..., Any], name: str) -> Any:
    """This annotation as an object, or _UNKNOWN."""
    hint = getattr(function, "__annotations__", {}).get(name, _UNKNOWN)
    if not isinstance(hint, str):
        return hint
    space = getattr(inspect.unwrap(function), "__globals__", {})
    for names in (space, vars(typing), vars(builtins)):
        if hint in names:
            return names[hint]
    try:
        return eval(hint, {**vars(typing), **space})
    except Exception:  # a name of a `TYPE_CHECKING` block, or one that is defined later: anything may be raised
        return _UNKNOWN


# What has been looked at, with what it was made of then: asked again at each call, and slow to find out.
_signatures: WeakKeyDictionary[FunctionType, tuple[CodeType, Any, inspect.Signature]] = WeakKeyDictionary()


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """As `inspect` has it, which is asked once."""
    if type(function) is not FunctionType:
        return inspect.signature(function)
    code, defaults, known = _signatures.get(function) or (None, None, None)
    if known is None or code is not function.__code__ or defaults is not function.__defaults__:
        known = inspect.signature(function)
        _signatures[function] = function.__code__, function.__defaults__, known
    return known


def parameters_of(function: Callable[..., Any], *, skip_self: bool = False) -> tuple[tuple[Parameter, ...], bool]:
    """The input ports, and whether further names are taken. ValidationError for what has no port."""
    hints = hints_of(function)
    declared = list(inspect.signature(function).parameters.values())[1 if skip_self else 0 :]
    name = getattr(function, "__name__", "component")
    ports: list[Parameter] = []
    further = False
    problems: list[Problem] = []
    for one in declared:
        if one.kind is one.VAR_POSITIONAL:
            message = f"*{one.name} has no name that an input could have; take a list instead"
            problems.append(Problem(node=name, field=one.name, message=message))
        elif one.kind is one.POSITIONAL_ONLY:
            message = "is positional-only, and inputs are given by name; remove the '/'"
            problems.append(Problem(node=name, field=one.name, message=message))
        elif one.kind is one.VAR_KEYWORD:
            further = True
        else:
            required = one.default is one.empty
            ports.append(Parameter(name=one.name, required=required, accepts=checker(hints.get(one.name))))
    if problems:
        raise ValidationError(problems)
    return tuple(ports), further


def outputs_of(function: Callable[..., Any]) -> tuple[str, ...] | None:
    """Declared output names; None when they are known only at run time. ValidationError for reserved ones."""
    hint = _hint_of(function, "return")
    names = None if hint is _UNKNOWN else _output_names(hint)
    reserved = sorted(RESERVED_OUTPUTS.intersection(names or ()))
    if reserved:
        raise ValidationError(
            [
                Problem(
                    node=getattr(function, "__name__", "component"),
                    field=name,
                    message="cannot be the name of an output: handles keep it for themselves; choose another",
                )
                for name in reserved
            ]
        )
    return names


def _output_names(hint: Any) -> tuple[str, ...] | None:
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _output_names(typing.get_args(hint)[0])
    if hint in (inspect.Signature.empty, Any, typing.NamedTuple, dict, tuple, object) or origin in (dict, Mapping):
        return None
    if origin in (typing.Union, types.UnionType):
        # The members may disagree about names, so only the value that comes can tell.
        return None if any(_output_names(part) != ("output",) for part in typing.get_args(hint)) else ("output",)
    if isinstance(hint, type):
        if issubclass(hint, tuple) and hasattr(hint, "_fields"):
            return tuple(hint._fields)
        if typing.is_typeddict(hint):
            return tuple(hint.__annotations__)
        for attribute in ("__dataclass_fields__", "model_fields"):
            fields = getattr(hint, attribute, None)
            if isinstance(fields, dict):
                return tuple(fields)
        if issubclass(hint, dict):
            return None
    return ("output",)


def checker(hint: Any) -> Callable[[Any], str | None] | None:
    """What says whether a value fits this annotation; None when anything may fit."""
    try:
        return _checker(hint)
    except TypeError:  # an annotation that cannot be hashed is none that we know
        return None


@cache
def _checker(hint: Any) -> Callable[[Any], str | None] | None:
    found = _kinds(hint)
    if found is None:
        return None
    kinds, words = found

    def accepts(value: Any) -> str | None:
        if isinstance(value, bool) and bool not in kinds:
            return words
        return None if isinstance(value, kinds) else words

    return accepts


def _kinds(hint: Any) -> tuple[tuple[type, ...], str] | None:
    if hint in _PLAIN and hint is not inspect.Signature.empty:
        return _PLAIN[hint] if hint is not None else None
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        parts = [_kinds(part) for part in typing.get_args(hint)]
        if all(part is not None for part in parts):
            known = [part for part in parts if part is not None]
            return tuple(kind for kinds, _ in known for kind in kinds), " or ".join(words for _, words in known)
        return None
    if origin in _PLAIN and origin is not None:
        return _PLAIN[origin]
    return None


def input_schema(function: Callable[..., Any], *, skip_self: bool = False) -> dict[str, Any]:
    """The JSON Schema of the inputs, made by pydantic."""
    from pydantic import ConfigDict, create_model

    hints = hints_of(function)
    fields: dict[str, Any] = {}
    for one in list(inspect.signature(function).parameters.values())[1 if skip_self else 0 :]:
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            fields[one.name] = (hints.get(one.name, Any), ... if one.default is one.empty else one.default)
    title = getattr(function, "__name__", "inputs")
    model = create_model(title, __config__=ConfigDict(arbitrary_types_allowed=True), **fields)
    schema: dict[str, Any] = model.model_json_schema()
    return schema


def output_schema(function: Callable[..., Any]) -> dict[str, Any]:
    """The JSON Schema of what is returned; `{}` where nothing is known."""
    hint = hints_of(function).get("return", Any)
    if hint is typing.NamedTuple:
        return {}
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError

    try:
        return TypeAdapter(hint).json_schema()
    except PydanticSchemaGenerationError:
        return {}


def address_of(target: Any) -> tuple[str, str]:
    """Module and qualified name; what a script calls `__main__` keeps that name here."""
    module = getattr(target, "__module__", None) or "__main__"
    if module not in sys.modules and not module:
        module = "__main__"
    return module, getattr(target, "__qualname__", type(target).__qualname__)


def code_of(target: Any) -> Any:
    """The function or class behind a component, an instance of one, a pipeline or a variant of them."""
    if isinstance(target, BaseComponent):
        return type(target)
    ours = type(target).__module__.partition(".")[0] == "twingraph"
    return target.fn if ours and "fn" in getattr(target, "__dict__", ()) else target


def is_asynchronous(function: Callable[..., Any]) -> bool:
    """Whether it waits on an event loop, so that many of it may wait in one process."""
    if type(function) is FunctionType:
        return bool(function.__code__.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR))
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def is_generator(function: Callable[..., Any]) -> bool:
    """Whether it gives its items one by one."""
    if type(function) is FunctionType:
        return bool(function.__code__.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR))
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def is_pipeline(value: Any) -> bool:
    """Asked of the type alone: a handle would answer for its value."""
    return getattr(type(value), "is_pipeline", False) is True


def is_handle(value: Any) -> bool:
    """What a call in a running body gave; it must not be asked anything, since it may wait to answer."""
    return type(value).__module__.startswith("twingraph.sdk.body")


def shipped_entry(entry: str, ship: str) -> str:
    """The key of code that travels in another way than as a slice: the same function may be needed in both."""
    plain = entry.rpartition(" ")[2]
    return plain if ship == "slice" else f"{ship} {plain}"


def entry_of(target: Any) -> str:
    """Key of its code in a bundle. A script is called there what it is shipped as, so that the process that runs it and
    one that loaded its recorded text agree."""
    module, qualname = address_of(code_of(target))
    if module == "__main__":
        from twingraph.sdk.slicing.sources import main_shipped_as

        module = main_shipped_as() or module
    return f"{module}:{qualname}"
