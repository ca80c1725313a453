"""Components as classes, for those that carry a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twingraph.sdk.body.active import active


def _initialiser(kind: type) -> Any:
    return next(vars(one)["__init__"] for one in kind.__mro__ if "__init__" in vars(one))


class _WithConfig(type):
    """Gives `{}` to a constructor that takes `config` and was given none, also to those of subclasses."""

    def __call__(cls, /, *args: Any, **kwargs: Any) -> Any:
        code = getattr(_initialiser(cls), "__code__", None)
        names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount] if code is not None else ()
        if names and names[0] == "config" and args and args[0] is None:
            args = ({}, *args[1:])
        elif "config" in names and not args and kwargs.get("config") is None:
            kwargs["config"] = {}
        return super().__call__(*args, **kwargs)


class BaseComponent(metaclass=_WithConfig):
    """Subclass it and write `execute`. One instance is made per worker and configuration.

    `config` is always a dict, whatever the machinery or a caller was given.
    """

    config: dict[str, Any]

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self.config = dict(config or {})

    def validate_inputs(self, **kwargs: Any) -> None:
        """Raise for inputs that make no sense. Called before each `execute`, in the same process."""

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work; what is returned becomes the outputs."""
        raise NotImplementedError(f"{type(self).__name__} needs a method execute(self, ...)")

    def __call__(self, /, *args: Any, **inputs: Any) -> Any:
        """Act at once; inside a pipeline, a handle of the node that this becomes, with `config` as its options."""
        caller = active.caller
        if caller is not None:
            return caller.call(self, args, inputs)
        if args:
            raise TypeError(f"{type(self).__name__} takes its inputs by name")
        self.validate_inputs(**inputs)
        return self.execute(**inputs)
