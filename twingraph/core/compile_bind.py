"""Edges become bindings: which output goes into which parameter.

The incoming edges of one node are bound in rounds, so that their order in the document does not matter: first those
that name a parameter, then equal names, then whole values, and last what branches carry.
"""

from __future__ import annotations

from collections.abc import Sequence

from twingraph.core.compile_ports import NO_GUARDS, Guards, Incoming, Port, exclusive, guards_along
from twingraph.core.errors import Problem
from twingraph.core.nearest import did_you_mean
from twingraph.core.plan import Edge, NodeKind, Source
from twingraph.core.workflow import EdgeDef

HANDLES = ("true", "false")


def bind(target: Port, edges: Sequence[EdgeDef], ports: dict[str, Port], problems: list[Problem]) -> None:
    """Bind all edges into one node, whose sources are bound already, and learn what must hold for it to run."""
    binder = _Binder(target, ports, problems)
    rest = [edge for edge in edges if not binder.named(edge)]
    rest = [edge for edge in rest if not binder.by_equal_names(edge)]
    rest = [edge for edge in rest if not binder.whole_value(edge)]
    for edge in rest:
        binder.from_branch(edge)
    _gate(target)
    target.guards = _guards(target)


class _Binder:
    def __init__(self, target: Port, ports: dict[str, Port], problems: list[Problem]) -> None:
        self.target = target
        self.ports = ports
        self.problems = problems

    def wrong(self, field: str, message: str) -> bool:
        self.problems.append(Problem(node=self.target.node.id, field=field, message=message))
        return True

    # -- rounds: each says whether the edge is dealt with ----------------------------------------

    def named(self, edge: EdgeDef) -> bool:
        source, handle = self.ports[edge.source], edge.source_handle
        if source.kind is NodeKind.BRANCH and handle not in HANDLES:
            return self.wrong(
                "edges", f"the edge from branch {edge.source!r} needs the handle 'true' or 'false', not {handle!r}"
            )
        parameter = self._parameter_of(edge)
        if parameter is None:
            return False
        if parameter not in self.target.parameters and not self.target.open:
            choices = did_you_mean(parameter, self.target.parameters)
            return self.wrong(parameter, f"the edge from {edge.source!r} names a parameter that is unknown; {choices}")
        if source.kind is NodeKind.BRANCH:
            return self._carry(edge, parameter)
        output = self._output_of(source, handle)
        if output == "":
            return self.wrong(
                "edges", f"{edge.source!r} has no output {handle!r}; {did_you_mean(handle or '', source.outputs or ())}"
            )
        return self._add(edge, parameter, output)

    def by_equal_names(self, edge: EdgeDef) -> bool:
        source = self.ports[edge.source]
        if source.kind is NodeKind.BRANCH or edge.source_handle or not source.outputs:
            return False
        free = self.target.free(source.guards)
        same = [name for name in source.outputs if name in free]
        for name in same:
            self._add(edge, name, name)
        return bool(same)

    def whole_value(self, edge: EdgeDef) -> bool:
        source, handle = self.ports[edge.source], edge.source_handle
        if source.kind is NodeKind.BRANCH:
            return False
        output = self._output_of(source, handle)
        if output == "":
            return self.wrong(
                "edges", f"{edge.source!r} has no output {handle!r}; {did_you_mean(handle or '', source.outputs or ())}"
            )
        if not self.target.parameters:
            self.target.order.append((Edge(source=edge.source), source.guards))
            return True
        name = self._single(source.guards)
        if name is None and output is not None and output in self.target.free(source.guards):
            name = output
        return self._undecided(edge) if name is None else self._add(edge, name, output)

    def from_branch(self, edge: EdgeDef) -> None:
        """The value that the branch decided about, where it fits; otherwise the edge only decides whether to run."""
        branch = self.ports[edge.source]
        guards = guards_along(branch, edge.source_handle)
        free = self.target.free(guards)
        names = [name for name in branch.parameters if name in free]
        if not names and len(branch.parameters) == 1 and (single := self._single(guards)) is not None:
            names = [single]
        if not names or not all(self._carry(edge, name) for name in names):
            self.target.order.append((Edge(source=edge.source, handle=edge.source_handle), guards))

    # -- parts -----------------------------------------------------------------------------------

    def _parameter_of(self, edge: EdgeDef) -> str | None:
        """The parameter that the edge names; 'input' may stand for the only one that is left."""
        name = edge.target_handle
        if name == "input" and name not in self.target.parameters and not self.target.open:
            return None
        return name

    def _output_of(self, source: Port, handle: str | None) -> str | None:
        """None: the whole value. '': there is no such output."""
        if handle is None:
            return None
        if source.outputs is not None and handle in source.outputs:
            return None if source.outputs == ("output",) else handle
        if handle == "output":
            return None
        return handle if source.outputs is None else ""

    def _single(self, guards: Guards) -> str | None:
        free = self.target.free(guards)
        if self.target.kind is NodeKind.MAP and "over" in free:
            return "over"
        # A parameter that nothing binds yet comes before one that an exclusive way binds too.
        for unmet in (True, False):
            required = [n for n, p in free.items() if p.required and (n not in self.target.bound) is unmet]
            if required:
                return required[0] if len(required) == 1 else None
        met = [name for name in free if name in self.target.bound]
        return met[0] if len(met) == 1 else None

    def _undecided(self, edge: EdgeDef) -> bool:
        source = self.ports[edge.source]
        free = self.target.free(source.guards)
        gives = ", ".join(source.outputs) if source.outputs else "outputs known only when it runs"
        if free:
            takes = f"takes {', '.join(free)}"
        else:
            return self.wrong(
                "edges",
                f"the edge from {edge.source!r} finds no parameter left: {', '.join(self.target.parameters)} have an "
                "edge or a constant already; two edges may meet in one only from exclusive branches",
            )
        return self.wrong(
            "edges",
            f"cannot tell what {edge.source!r} -> {self.target.node.id!r} passes on: {edge.source!r} gives {gives}, "
            f"{self.target.node.id!r} {takes}; name them with output= and input= (sourceHandle, targetHandle)",
        )

    def _carry(self, edge: EdgeDef, parameter: str) -> bool:
        branch = self.ports[edge.source]
        inner = parameter if parameter in branch.parameters else next(iter(branch.parameters), "")
        if parameter not in branch.parameters and len(branch.parameters) != 1:
            return self.wrong(
                parameter,
                f"branch {edge.source!r} carries {', '.join(branch.parameters) or 'nothing'}, not {parameter!r}",
            )
        sources = tuple(source for one in branch.bound.get(inner, ()) for source in one.sources)
        if not sources:
            sources = (Source(input=f"{edge.source}.{inner}"),)
        went = (edge.source, edge.source_handle or "")
        sources = tuple(source._replace(branches=(*source.branches, went)) for source in sources)
        return self._add(edge, parameter, None, sources)

    def _add(
        self, edge: EdgeDef, parameter: str, output: str | None, carried: tuple[Source, ...] | None = None
    ) -> bool:
        source = self.ports[edge.source]
        handle = edge.source_handle if source.kind is NodeKind.BRANCH else None
        guards = guards_along(source, handle)
        target = self.target
        if parameter in target.constants:
            return self.wrong(parameter, f"has a constant and an edge from {edge.source!r}; remove one of them")
        for other in target.bound.get(parameter, ()):
            if not exclusive(other.guards, guards):
                return self.wrong(
                    parameter,
                    f"takes edges from both {other.edge.source!r} and {edge.source!r}; two edges may meet in one "
                    "parameter only from exclusive branches",
                )
        declared = target.parameters.get(parameter)
        made = Edge(
            source=edge.source,
            param=parameter,
            output=output,
            handle=handle,
            optional=declared is not None and not declared.required,
        )
        sources = carried if carried is not None else (Source(node=edge.source, output=output),)
        target.bound.setdefault(parameter, []).append(Incoming(made, sources, guards))
        return True


def _gate(target: Port) -> None:
    """An edge out of a branch that carries nothing must be alive for the node to run, unless another way leads here.

    The kernel skips a node when a required parameter has no live source, so such edges share a parameter of no name.
    """
    everything = [one.guards for ways in target.bound.values() for one in ways] + [g for _, g in target.order]
    for position, (edge, guards) in enumerate(target.order):
        if edge.handle is not None and not any(exclusive(guards, other) for other in everything):
            target.order[position] = (Edge(source=edge.source, param="", handle=edge.handle), guards)


def _guards(target: Port) -> Guards:
    """What is known to hold whenever the node runs."""
    groups: dict[str | None, list[Guards]] = {}
    for ways in target.bound.values():
        for one in ways:
            if not one.edge.optional:
                groups.setdefault(one.edge.param, []).append(one.guards)
    for edge, guards in target.order:
        groups.setdefault(edge.param, []).append(guards)
    if any(name is not None for name in groups):
        groups.pop(None, None)
    merged: Guards = NO_GUARDS
    for several in groups.values():
        common = _common(several)
        if common and common is not merged:
            merged = {**merged, **common} if merged else common
    return merged


def _common(ways: list[Guards]) -> Guards:
    first = ways[0]
    if len(ways) == 1 or not first:
        return first
    return {branch: handle for branch, handle in first.items() if all(way.get(branch) == handle for way in ways[1:])}
