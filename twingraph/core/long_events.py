"""Events that say a lot: taken apart into pieces, each of which is soon written, sent, read or made again.

A graph of 100,000 nodes, a template of as many, a call with 100,000 arguments, a body that returns as many values: at
once each takes a tenth of a second and more, in which nothing else of a conductor goes on. A piece is a JSON array:
what it is, where it belongs (the name of a template; None: to the event itself), and some hundred parts. The last piece
is the rest of the event, so that what breaks off is no event. In the journal the pieces are the lines of a packed text.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Generator, Iterator
from typing import Any

from twingraph.core.codec_base import make_dumps
from twingraph.core.events import PACKED, Event, GraphClosed, GraphExtended, body_of, event_from
from twingraph.core.plan import Argument, Edge, NodeSpec, PlanNode, Template
from twingraph.core.plan_json import (
    argument_from_json,
    argument_to_json,
    edge_to_json,
    node_from_json,
    node_to_json,
    spec_from_json,
    spec_to_json,
)

# So many nodes, edges or parts of an argument are a piece.
_AT_ONCE = 200
_READ_AT_ONCE = 1 << 14
# More than any event that was written here; what says more of itself is not believed.
_LARGEST = 1 << 30

Piece = list[Any]
_dumps = make_dumps(allow_nan=True)


def pieces(event: GraphExtended | GraphClosed) -> Iterator[Piece]:
    """All of it, in the order in which `Gathered` wants it."""
    if isinstance(event, GraphExtended):
        yield from _nodes(None, event.nodes)
        for start in range(0, len(event.specs), _AT_ONCE):
            yield ["specs", None, [spec_to_json(spec) for spec in event.specs[start : start + _AT_ONCE]]]
        for name, template in event.templates.items():
            yield ["template", name]
            yield from _nodes(name, template.nodes)
            yield from _parts(["result", name], template.result)
            yield from _names(["last", name], template.last_nodes)
        rest: Event = event._replace(nodes=(), specs=(), templates={})
    else:
        yield from _parts(["result", None], event.result)
        yield from _names(["last", None], event.last_nodes)
        yield from _names(["met", None], event.met)
        for name, argument in event.outputs:
            yield ["output", None, name]
            yield from _parts(["part of output", None], argument)
        rest = event._replace(result=(), last_nodes=(), met=(), outputs=())
    yield ["rest", type(event).__name__, body_of(rest)]


def _nodes(place: str | None, nodes: tuple[PlanNode, ...]) -> Iterator[Piece]:
    start = 0
    for end, node in enumerate(nodes):
        wide = _is_wide(node)
        if wide or end - start >= _AT_ONCE:
            yield ["nodes", place, [node_to_json(one) for one in nodes[start:end]]]
            start = end
        if wide:
            yield from _wide(place, node)
            start = end + 1
    if start < len(nodes):
        yield ["nodes", place, [node_to_json(one) for one in nodes[start:]]]


def _is_wide(node: PlanNode) -> bool:
    if len(node.edges) > _AT_ONCE:
        return True
    arguments = (*node.args.values(), *node.scope_args.values())
    return any(len(argument) > _AT_ONCE for argument in arguments)


def _wide(place: str | None, node: PlanNode) -> Iterator[Piece]:
    yield ["nodes", place, [node_to_json(node._replace(edges=(), args={}, scope_args={}))]]
    for start in range(0, len(node.edges), _AT_ONCE):
        yield ["edges", place, [edge_to_json(edge) for edge in node.edges[start : start + _AT_ONCE]]]
    for field in ("args", "scope_args"):
        for name, argument in getattr(node, field).items():
            yield [field, place, name]
            yield from _parts([f"part of {field}", place], argument)


def _parts(start_of_piece: Piece, argument: Argument) -> Iterator[Piece]:
    for start in range(0, len(argument), _AT_ONCE):
        yield [*start_of_piece, argument_to_json(argument[start : start + _AT_ONCE])]


def _names(start_of_piece: Piece, names: tuple[str, ...]) -> Iterator[Piece]:
    step = 10 * _AT_ONCE
    for start in range(0, len(names), step):
        yield [*start_of_piece, names[start : start + step]]


class Gathered:
    """An event that comes in pieces. Raises whatever a piece that is none leads to, like all that reads raw JSON."""

    def __init__(self) -> None:
        self._places: dict[str | None, _Place] = {None: _Place()}
        self._specs: list[NodeSpec] = []
        self._met: list[str] = []
        self._outputs: list[tuple[str, list[Any]]] = []
        self.event: Event | None = None  # once all of it is there

    def add(self, piece: Piece) -> None:
        if self.event is not None:
            raise ValueError("an event goes on after its end")
        what, name, *told = piece
        if what == "rest":
            self.event = self._made(name, *told)
        elif what == "template":
            self._places[name] = _Place()
        elif what == "specs":
            self._specs += map(spec_from_json, *told)
        elif what == "met":
            self._met += told[0]
        elif what == "output":
            self._outputs.append((told[0], []))
        elif what == "part of output":
            self._outputs[-1][1].extend(argument_from_json(told[0]))
        else:
            self._places[name].add(what, *told)

    def _made(self, kind: str, rest: str) -> Event:
        of_event = self._places.pop(None)
        if kind == GraphExtended.__name__:
            event = event_from("graph_extended", rest)
            assert isinstance(event, GraphExtended)
            templates = {name: place.template() for name, place in self._places.items() if name is not None}
            return event._replace(nodes=of_event.nodes(), specs=tuple(self._specs), templates=templates)
        event = event_from("graph_closed", rest)
        assert isinstance(event, GraphClosed)
        return event._replace(
            result=tuple(of_event.result),
            last_nodes=tuple(of_event.last),
            met=tuple(self._met),
            outputs=tuple((name, tuple(parts)) for name, parts in self._outputs),
        )


class _Place:
    """What belongs to the event itself, or to one template."""

    def __init__(self) -> None:
        self.result: list[Any] = []
        self.last: list[str] = []
        self._nodes: list[PlanNode] = []
        # Of the node that came last, when it is wide:
        self._edges: list[Edge] = []
        self._arguments: dict[str, dict[str, list[Any]]] = {"args": {}, "scope_args": {}}
        self._parts: list[Any] = []  # of the argument that came last

    def add(self, what: str, told: Any) -> None:
        if what == "nodes":
            self._close()
            self._nodes += map(node_from_json, told)
        elif what == "edges":
            self._edges += [Edge(**edge) for edge in told]
        elif what in self._arguments:
            self._parts = self._arguments[what][told] = []
        elif what in ("part of args", "part of scope_args"):
            self._parts += argument_from_json(told)
        elif what == "result":
            self.result += argument_from_json(told)
        elif what == "last":
            self.last += told
        else:
            raise ValueError(f"{what!r} is no piece of an event")

    def _close(self) -> None:
        """The wide node, if there is one, has all that belongs to it."""
        if self._edges or any(self._arguments.values()):
            args, scope_args = (
                {name: tuple(parts) for name, parts in arguments.items()} for arguments in self._arguments.values()
            )
            self._nodes[-1] = self._nodes[-1]._replace(edges=tuple(self._edges), args=args, scope_args=scope_args)
            self._edges, self._arguments = [], {"args": {}, "scope_args": {}}

    def nodes(self) -> tuple[PlanNode, ...]:
        self._close()
        return tuple(self._nodes)

    def template(self) -> Template:
        return Template(nodes=self.nodes(), result=tuple(self.result), last_nodes=tuple(self.last))


# -- as one text of the journal --------------------------------------------------------------------


def writing(event: GraphExtended | GraphClosed) -> Generator[None, None, str]:
    """By and by. It is packed: a store takes a row at once, and 100,000 nodes are 10 MB."""
    packer, parts = zlib.compressobj(1), []
    for piece in pieces(event):
        parts.append(packer.compress((_dumps(piece) + "\n").encode("utf-8", "surrogatepass")))
        yield
    parts.append(packer.flush())
    return f'{PACKED}{b64encode(b"".join(parts)).decode("ascii")}"}}'


def reading(body: str) -> Generator[None, None, Event]:
    """By and by. Raises ValueError, and whatever a piece that is none leads to."""
    gathered = Gathered()
    for line in _lines(b64decode(body[len(PACKED) : -2], validate=True)):
        gathered.add(json.loads(line))
        yield
    if gathered.event is None:
        raise ValueError("it breaks off")
    return gathered.event


def _lines(data: bytes) -> Iterator[bytes]:
    unpacker, left = zlib.decompressobj(), _LARGEST
    begun: list[bytes] = []  # of the line that is not over yet
    for start in range(0, len(data), _READ_AT_ONCE):
        try:
            part = unpacker.decompress(data[start : start + _READ_AT_ONCE], left)
        except zlib.error as error:
            raise ValueError(f"it cannot be unpacked: {error}") from None
        left -= len(part)
        if left <= 0:
            raise ValueError("it is longer than any event that was written here")
        first, *others = part.split(b"\n")
        begun.append(first)
        for line in others:
            yield b"".join(begun)
            begun = [line]
    if not unpacker.eof or unpacker.unused_data or any(begun):
        raise ValueError("it breaks off")
