"""The values that a body has looked at: kept once each, and known again when they are passed on."""

from __future__ import annotations

from typing import Any

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


class Given:
    """Of one body. `over` holds what has ended, by node."""

    def __init__(self, coder: Coder, over: dict[str, Ended]) -> None:
        self._coder = coder
        self._over = over
        self._values: dict[tuple[str, str | None], Any] = {}
        self._known: dict[int, tuple[Any, Reference]] = {}
        self._fresh: dict[tuple[str, str | None], Any] = {}

    # -- looking -----------------------------------------------------------------------------------

    def value(self, node: str, output: str | None) -> Any:
        """The value of a node that completed; the same object every time."""
        key = (node, output)
        if key in self._values:
            return self._values[key]
        value = self._part_of_whole(node, output) if output is not None else self._whole(node)
        self._values[key] = value
        self._remember(value, Reference(node, output))
        return value

    def _text(self, node: str, output: str | None) -> str:
        ended = self._over[node]
        names = [meta[0] for meta in ended.outputs]
        if output is None:
            return whole(ended.shape, names, ended.texts)
        if output not in names:
            raise KeyError(f"{node} gave no output {output!r}; it gave {', '.join(names) or 'none'}")
        return ended.texts[names.index(output)]

    def _part_of_whole(self, node: str, output: str) -> Any:
        """An output. It is the object in the whole value when that has been looked at."""
        text = self._text(node, output)
        if (node, None) in self._values:
            value = self._values[node, None]
            if self._over[node].shape in (None, "plain"):
                return value
            return value[output] if isinstance(value, dict) else getattr(value, output)
        return self._coder.decode(text)

    def _whole(self, node: str) -> Any:
        """The whole value, made of those outputs that have been looked at before."""
        ended = self._over[node]
        parts = {name: self._values[node, name] for name, _, _ in ended.outputs if (node, name) in self._values}
        if ended.shape in (None, "plain"):
            return next(iter(parts.values())) if parts else self._coder.decode(self._text(node, None))
        value = self._coder.decode(self._text(node, None))
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

    def _remember(self, value: Any, reference: Reference) -> None:
        self._note(value, reference)
        kind = type(value)
        if kind in (list, tuple) and len(value) <= _PARTS:
            for index, part in enumerate(value):
                self._note(part, Reference(reference.node, reference.output, index))
        elif kind is dict and len(value) <= _PARTS:
            for part in value.values():
                self._note(part, reference)

    def _note(self, value: Any, reference: Reference) -> None:
        kind = type(value)
        if value is None or kind is bool or (kind is int and value in _SMALL_INTS):
            return
        if kind in (str, tuple, bytes) and len(value) < 2:
            return
        self._known.setdefault(id(value), (value, reference))

    def handed_over(self, value: Any, node: str, index: int) -> None:
        """An item of a generator."""
        self._note(value, Reference(node, None, index))

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
        if index is None and value is self._values.get((node, output)):
            return now.hash != self._hash(node, output)
        if index is None:
            return True  # an entry of a dict: which one is not known
        if (node, output) not in self._fresh:
            self._fresh[node, output] = self._coder.decode(self._text(node, output))
        before = self._fresh[node, output][index]
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
        values = self._values
        if type(values.get((node, output), values)) in _CHANGELESS:
            return False
        looked = [key for key in ((node, None), (node, output)) if key in values]
        if output is None and not looked:
            looked = [(node, name) for name, _, _ in self._over[node].outputs if (node, name) in values]
        for key in looked:
            value = values[key]
            if type(value) in _CHANGELESS:
                continue
            if self._now(value).hash != self._hash(*key):
                return True
        return False
