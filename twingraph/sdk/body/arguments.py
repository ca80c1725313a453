"""From the arguments of a call to what a plan says of them: texts with holes where handles stand, and the edges."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twingraph.core.codec import Encoded, encode
from twingraph.core.codec_base import dumps, loads
from twingraph.core.plan import Argument, Hole, Source
from twingraph.core.recordclass import recordclass

_HOLE = re.compile(r'\{"\$":"hole","v":([0-9]+)\}')
# (source, parameter, output): what an edge of a plan says.
Edged = tuple[str, str | None, str | None]

_SIMPLE = frozenset((int, float, bool, type(None)))
_SURE = 1 << 63  # smaller numbers are written as every JSON library writes them


@recordclass(kw_only=False)
class Reference:
    """A value that a node of this scope gives: the whole of it, or one output; with `element`, one element of that."""

    node: str
    output: str | None = None
    element: int | None = None


class Coder(Protocol):
    """How a host writes and reads values."""

    def encode(self, value: Any, path: str, special: dict[type, Callable[[Any], Any]] | None = None) -> Encoded: ...

    def decode(self, text: str) -> Any: ...

    def class_name(self, kind: type) -> str:
        """What a class is called ("module:qualname") where its values will be read."""


class Writing:
    """The arguments of one call. `refer(value)` gives the reference that a handle stands for; `given(value)` whether a
    plain value came out of a node of this scope, and may still be referred to."""

    def __init__(
        self,
        coder: Coder,
        kinds: Mapping[type, Callable[[Any], Reference | Any]],
        given: Callable[[Any, Encoded | None], tuple[Reference, bool] | None] | None,
    ) -> None:
        self._coder = coder
        self._kinds = kinds
        self._given = given
        self._sources: list[Source] = []
        self._parameter = ""
        self.edges: dict[Edged, None] = {}

    def argument(self, parameter: str, value: Any) -> Argument:
        self._parameter = parameter
        kind = type(value)
        if kind in _SIMPLE:
            return (_simple(value),)
        if kind in self._kinds:
            referred = self._kinds[kind](value)
            if isinstance(referred, Reference):
                return (self._filled(referred),)
            value = referred  # a handle whose value the body has changed since
        return self._plain(parameter, value)

    def _plain(self, parameter: str, value: Any) -> Argument:
        self._sources.clear()
        written = self._written(value, parameter)
        if self._given is not None:
            found = self._given(value, written)
            if found is not None:
                reference, large = found
                if large:  # it need not be read, nor written again
                    return (self._filled(reference),)
                self._edge(reference)
            elif type(value) in (list, tuple, dict):
                self._edges_within(value)
        return self._with_holes(written.text) if self._sources else (written.text,)

    def _written(self, value: Any, parameter: str) -> Encoded:
        return self._coder.encode(value, parameter, dict.fromkeys(self._kinds, self._hole))

    def _edges_within(self, value: Any) -> None:
        """Elements that came out of a node: the value goes along as it is, the edge tells where it came from."""
        assert self._given is not None
        for part in value.values() if type(value) is dict else value:
            found = None if type(part) in _SIMPLE else self._given(part, None)
            if found is not None:
                self._edge(found[0])

    def _with_holes(self, text: str) -> Argument:
        parts = _HOLE.split(text)
        return tuple(
            Hole(sources=(self._sources[int(part)],)) if at % 2 else part
            for at, part in enumerate(parts)
            if at % 2 or part
        )

    def _hole(self, value: Any) -> Any:
        """Stands in the tree for a handle somewhere inside an argument."""
        referred = self._kinds[type(value)](value)
        if not isinstance(referred, Reference):
            return loads(self._written(referred, self._parameter).text)
        self._edge(referred)
        self._sources.append(_source(referred))
        return {"$": "hole", "v": len(self._sources) - 1}

    def _filled(self, reference: Reference) -> Hole:
        self._edge(reference)
        return Hole(sources=(_source(reference),))

    def _edge(self, reference: Reference) -> None:
        self.edges[reference.node, self._parameter, reference.output] = None

    def order_after(self, node: str) -> None:
        """An edge without data: what `parent_hash` says."""
        if not any(source == node for source, _, _ in self.edges):
            self.edges[node, None, None] = None


def _source(reference: Reference) -> Source:
    return Source(node=reference.node, output=reference.output, index=reference.element)


def _simple(value: Any) -> str:
    """What most arguments are: nobody asks for its hash."""
    if type(value) is float or (value is not None and not -_SURE < value < _SURE):
        return encode(value).text
    return dumps(value)
