"""The values that a body has looked at: one object each, and known again when they are passed on.

What is kept of a node lives in a cell. Its handles hold it; without them the newest cells are kept for a while, since
parts of their values may be passed on. So a loop of a million calls does not hold a million values.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any
from weakref import WeakValueDictionary

from twingraph.core.bodies import Ended
from twingraph.core.codec import Encoded, hash_text
from twingraph.core.outputs import whole
from twingraph.sdk.body.arguments import Coder, Reference
from twingraph.sdk.body.handles import Handle, HashRef, Outputs

_CHANGELESS = frozenset((str, int, float, bool, bytes, complex, type(None)))
_SMALL_INTS = range(-5, 257)  # one object each, whatever they came from
# Stands for a handle that the body has put into a value: such a text has no hash.
_HOLES = dict.fromkeys((Handle, Outputs, HashRef), lambda _: {"$": "hole"})
_PARTS = 100_000  # a list with more elements is known as a whole only
# What is kept beyond its handles: so many nodes, of so many bytes in all.
_KEPT_NODES = 1_000
_KEPT_BYTES = 32_000_000


class Cell:
    """The values of one node."""

    __slots__ = ("__weakref__", "_given", "fresh", "node", "noted", "values")

    def __init__(self, node: str, given: Given) -> None:
        self.node = node
        self.values: dict[str | None, Any] = {}  # by output; None: the whole
        self.fresh: dict[str | None, Any] = {}  # the same again, as they came, to compare with
        self.noted: list[int] = []  # the objects by which its values are known
        self._given = given

    def __del__(self) -> None:
        self._given.forget(self.node, self.noted)


class Given:
    """Of one body. `over` holds what has ended, by node; what nobody can ask for any more loses its texts there."""

    def __init__(self, coder: Coder, over: dict[str, Ended], most: int = _KEPT_NODES) -> None:
        self._coder = coder
        self._most = most
        self._over = over
        self._gone: set[str] = set()  # nodes whose handles were gone before they ended
        self._cells: WeakValueDictionary[str, Cell] = WeakValueDictionary()
        self._kept: deque[tuple[Cell, int]] = deque()
        self._kept_bytes = 0
        self._known: dict[int, tuple[Any, Reference]] = {}

    # -- keeping -----------------------------------------------------------------------------------

    def cell(self, node: str) -> Cell:
        """Whoever will ask for the value of this node must hold its cell until then."""
        found = self._cells.get(node)
        if found is None:
            found = self._cells[node] = Cell(node, self)
            self._gone.discard(node)
        return found

    def forget(self, node: str, noted: Iterable[int]) -> None:
        """Nobody can ask for it any more. Any thread: that of the garbage collector."""
        for number in noted:
            self._known.pop(number, None)
        ended = self._over.get(node)
        if ended is None:
            self._gone.add(node)
        elif ended.texts:
            self._over[node] = _without_texts(ended)

    def arrived(self, ended: Ended) -> Ended:
        """What to remember of it: without its texts when its handles are gone."""
        return _without_texts(ended) if ended.node in self._gone else ended

    def _keep(self, cell: Cell) -> None:
        size = sum(meta[2] for meta in self._over[cell.node].outputs)
        self._kept.append((cell, size))
        self._kept_bytes += size
        while self._kept and (len(self._kept) > self._most or self._kept_bytes > _KEPT_BYTES):
            self._kept_bytes -= self._kept.popleft()[1]

    # -- looking -----------------------------------------------------------------------------------

    def value(self, cell: Cell, output: str | None) -> Any:
        """The value of a node that completed; the same object as long as anybody holds its handle."""
        if output in cell.values:
            return cell.values[output]
        if not cell.values:
            self._keep(cell)
        value = self._part_of_whole(cell, output) if output is not None else self._whole(cell)
        cell.values[output] = value
        self._remember(cell, value, output)
        return value

    def _text(self, node: str, output: str | None) -> str:
        ended = self._over[node]
        names = [meta[0] for meta in ended.outputs]
        if output is None:
            return whole(ended.shape, names, ended.texts)
        if output not in names:
            raise KeyError(f"{node} gave no output {output!r}; it gave {', '.join(names) or 'none'}")
        return ended.texts[names.index(output)]

    def _part_of_whole(self, cell: Cell, output: str) -> Any:
        """An output. It is the object in the whole value when that has been looked at."""
        text = self._text(cell.node, output)
        if None not in cell.values:
            return self._coder.decode(text)
        value = cell.values[None]
        if self._over[cell.node].shape in (None, "plain"):
            return value
        return value[output] if isinstance(value, dict) else getattr(value, output)

    def _whole(self, cell: Cell) -> Any:
        """The whole value, made of those outputs that have been looked at before."""
        parts = {name: part for name, part in cell.values.items() if name is not None}
        if parts and self._over[cell.node].shape in (None, "plain"):
            return next(iter(parts.values()))
        value = self._coder.decode(self._text(cell.node, None))
        if not parts:
            return value
        if isinstance(value, dict):
            value.update(parts)
        elif hasattr(value, "_replace"):
            value = value._replace(**parts)
        else:
            for name, part in parts.items():
                object.__setattr__(value, name, part)
        return value

    def _remember(self, cell: Cell, value: Any, output: str | None) -> None:
        node = cell.node
        self._note(cell, value, Reference(node, output))
        kind = type(value)
        if kind in (list, tuple) and len(value) <= _PARTS:
            for index, part in enumerate(value):
                self._note(cell, part, Reference(node, output, index))
        elif kind is dict and len(value) <= _PARTS:
            for part in value.values():
                self._note(cell, part, Reference(node, output))

    def _note(self, cell: Cell, value: Any, reference: Reference) -> None:
        kind = type(value)
        if value is None or kind is bool or (kind is int and value in _SMALL_INTS):
            return
        if kind in (str, tuple, bytes) and len(value) < 2:
            return
        if id(value) not in self._known:
            self._known[id(value)] = value, reference
            cell.noted.append(id(value))

    def handed_over(self, cell: Cell, value: Any, index: int) -> None:
        """An item of a generator."""
        self._note(cell, value, Reference(cell.node, None, index))

    # -- passing on --------------------------------------------------------------------------------

    def origin(self, value: Any, written: Encoded | None) -> tuple[Reference, bool] | None:
        """Where a plain value came from, if it came from a node and is as it was; and whether it is so large that a
        reference should go in its place."""
        found = self._known.get(id(value)) if self._known else None
        if found is None or found[0] is not value:
            return None
        reference = found[1]
        if type(value) not in _CHANGELESS and self._is_changed(value, reference, written):
            return None
        return reference, written is not None and written.text.startswith('{"$":"ref"') and reference.node in self._over

    def _is_changed(self, value: Any, reference: Reference, written: Encoded | None) -> bool:
        node, output, index = reference.node, reference.output, reference.element
        if node not in self._over:  # an item of a generator that still runs
            return True
        now = written or self._now(value)
        if not now.hash:
            return True  # a handle was put into it
        cell = self.cell(node)
        if index is None and value is cell.values.get(output):
            return now.hash != self._hash(node, output)
        if index is None:
            return True  # an entry of a dict: which one is not known
        if output not in cell.fresh:
            cell.fresh[output] = self._coder.decode(self._text(node, output))
        before = cell.fresh[output][index]
        return self._coder.encode(before, "value").hash != now.hash

    def _now(self, value: Any) -> Encoded:
        return self._coder.encode(value, "value", _HOLES)

    def _hash(self, node: str, output: str | None) -> str:
        ended = self._over[node]
        for name, digest, _ in ended.outputs:
            if name == output or (output is None and ended.shape in (None, "plain")):
                return digest
        return hash_text(self._text(node, output))

    def changed(self, node: str, output: str | None) -> bool:
        """Whether the body has changed, since it looked at it, what this handle stands for."""
        cell = self._cells.get(node)
        values = cell.values if cell is not None else None
        if not values or type(values.get(output, values)) in _CHANGELESS:
            return False
        looked = [name for name in (None, output) if name in values] or (list(values) if output is None else [])
        for name in looked:
            value = values[name]
            if type(value) not in _CHANGELESS and self._now(value).hash != self._hash(node, name):
                return True
        return False


def _without_texts(ended: Ended) -> Ended:
    """As `_replace` would, for the tens of thousands of calls of a loop."""
    node, order, status, shape, outputs, _, error, reason = ended
    return Ended(node, order, status, shape, outputs, (), error, reason)
