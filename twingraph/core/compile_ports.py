"""What can be joined to what: the ports of each kind of node, while a definition is being compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Protocol

from twingraph.core.plan import Argument, Edge, NodeKind, Source
from twingraph.core.recordclass import recordclass
from twingraph.core.signatures import ComponentInfo, Parameter
from twingraph.core.workflow import Definition, NodeDef

# What must be true for a node to run: branch node -> handle.
Guards = Mapping[str, str]
NO_GUARDS: Guards = {}


class Library(Protocol):
    """Where the compiler finds what a definition names. Called on the caller's thread, any number of times."""

    def component(self, node: NodeDef) -> ComponentInfo:
        """The component of a node; NotFoundError, with near names, or ValidationError."""

    def code(self, node: NodeDef) -> ComponentInfo:
        """The function `run` of a code node; ValidationError when its text is wrong."""

    def shipped(self, info: ComponentInfo, ship: str) -> ComponentInfo:
        """The same component where its code travels in another way; ValidationError where it cannot."""

    def handler(self, name: str) -> ComponentInfo:
        """The component that is registered under this name."""

    def workflow(self, node: NodeDef) -> tuple[Definition, Library]:
        """The workflow that a node opens; ValidationError when there is none, or when it holds itself."""

    def text(self, node: NodeDef, value: Any) -> str:
        """A constant as the JSON text of a value."""


@recordclass(frozen=False, kw_only=False)
class Incoming:
    """One edge on its way into a parameter."""

    edge: Edge
    sources: tuple[Source, ...]
    guards: Guards


@recordclass(frozen=False, kw_only=False)
class Port:
    """A node being compiled. `parameters` are what edges can bind; `constants` are their literal texts."""

    node: NodeDef
    kind: NodeKind
    parameters: dict[str, Parameter] = field(default_factory=dict)
    open: bool = False
    outputs: tuple[str, ...] | None = None
    whole: bool = True
    info: ComponentInfo | None = None
    spec: int | None = None
    template: str | None = None
    constants: dict[str, Argument] = field(default_factory=dict)
    bound: dict[str, list[Incoming]] = field(default_factory=dict)
    order: list[tuple[Edge, Guards]] = field(default_factory=list)
    guards: Guards = field(default_factory=lambda: NO_GUARDS)
    item: str | None = None  # of a map: the parameter that takes the item
    key: str | None = None
    keep_item_errors: bool = False
    defaults: dict[str, Argument] = field(default_factory=dict)

    def free(self, guards: Guards) -> dict[str, Parameter]:
        """Parameters that an edge with these guards may still bind."""
        return {name: parameter for name, parameter in self.parameters.items() if self.takes(name, guards)}

    def takes(self, name: str, guards: Guards) -> bool:
        if name in self.constants:
            return False
        return all(exclusive(other.guards, guards) for other in self.bound.get(name, ()))


def exclusive(left: Guards, right: Guards) -> bool:
    """Whether two edges can never both be alive: some branch would have to go both ways."""
    if not left or not right:
        return False
    return any(right.get(branch, handle) != handle for branch, handle in left.items())


def guards_along(source: Port, handle: str | None) -> Guards:
    if handle is None:
        return source.guards
    return {**source.guards, source.node.id: handle}
