"""One row of the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """A pipeline, its inputs, and what else happens to it while it runs.

    The same source is run as plain Python, where components and pipelines are the functions that they were. Where that
    has no meaning, because the body uses what only handles have, `twin` says the same as a plain function.
    """

    run: Any
    inputs: Mapping[str, Any] = field(default_factory=dict)
    signals: tuple[tuple[str, Any], ...] = ()  # sent at once, in this order
    answers: tuple[tuple[str, Any], ...] = ()  # sent one by one, each when the body waits for a signal
    twin: Callable[..., Any] | None = None
    # A plain program stops at the first call that fails; in a pipeline the calls beside it have begun by then.
    eager: bool = False

    @property
    def name(self) -> str:
        return str(self.run.__name__)


@dataclass(frozen=True)
class Outcome:
    """How a run ended, in a form that can be compared over runs whose classes are not the same objects."""

    result: Any = None
    error: tuple[str, tuple[Any, ...]] | None = None  # the class of the user's exception, and its arguments

    @classmethod
    def of(cls, run: Callable[[], Any]) -> Outcome:
        try:
            return cls(result=comparable(run()))
        except Exception as error:
            return cls(error=(_authors_class(error).__name__, comparable(error.args)))


def _authors_class(error: Exception) -> type:
    """What the user's code raised, of which our errors are instances too."""
    kinds = [kind for kind in type(error).__mro__ if not kind.__module__.startswith("twingraph.")]
    return kinds[0] if kinds[0] is not Exception else type(error)


def comparable(value: Any) -> Any:
    """The value with its types told, down to the last part."""
    if isinstance(value, Exception):
        return _authors_class(value).__name__, comparable(value.args)
    name = type(value).__name__
    if isinstance(value, Mapping):
        return name, [(comparable(key), comparable(part)) for key, part in value.items()]
    if is_dataclass(value) and not isinstance(value, type):
        return name, [comparable(getattr(value, f.name)) for f in fields(value)]
    if isinstance(value, (list, tuple)):
        return (name, [comparable(part) for part in value]) if name != "tuple" else tuple(map(comparable, value))
    return name, repr(value)
