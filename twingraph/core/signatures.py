"""What the compiler has to know about a component: its parameters, its outputs, its settings. Never its code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from twingraph.core.recordclass import recordclass

# Names that a handle keeps for itself; a component that declares an output of such a name is refused.
RESERVED_OUTPUTS = frozenset({"outputs", "hash", "id", "result"})


@recordclass
class Parameter:
    """One input port. `accepts` gives what is expected when a value does not fit; None: any value is taken."""

    name: str
    required: bool = True
    accepts: Callable[[Any], str | None] | None = None


@recordclass
class ComponentInfo:
    """A component as the compiler sees it. `settings` are fields of `NodeSpec` that the author set."""

    name: str
    entry: str
    parameters: tuple[Parameter, ...] = ()
    open: bool = False  # takes any further name
    outputs: tuple[str, ...] | None = None  # None: known only at run time
    settings: Mapping[str, Any] = field(default_factory=dict)
    has_options: bool = False  # a BaseComponent, which takes `options`
    options: str | None = None
    asynchronous: bool = False

    def parameter(self, name: str) -> Parameter | None:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        return None
