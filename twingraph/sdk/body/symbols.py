"""Symbolic values: what stands for data while a body is followed without running anything.

Whatever is done with one gives another that depends on the same calls. Where Python insists on a real object, a
plausible one is given and the tracer is told.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from twingraph.sdk.body.handles import asked_by_machinery

if TYPE_CHECKING:
    from twingraph.sdk.body.following import Follower

_LONGEST = 60
HASH = "\0hash"  # the output of an origin that is a reference to a node's hash: order, no data


class Origin(NamedTuple):
    """A call that a value comes from, and which of its outputs."""

    node: str
    output: str | None = None


class Facts:
    """What is known of a symbolic value. Kept in one slot, so that every other name belongs to the user's data."""

    __slots__ = ("face", "follower", "item_of", "label", "origins", "whole")

    def __init__(
        self,
        follower: Follower,
        label: str,
        origins: tuple[Origin, ...] = (),
        *,
        face: str = "",
        item_of: Any = None,
        whole: bool = False,
    ) -> None:
        self.follower = follower
        self.label = label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"
        self.origins = origins
        self.face = face  # 'handle' or its 'outputs', whose names are outputs; '' any other value
        self.whole = whole  # made of all the items there are, not of one that stands for them
        self.item_of = item_of  # the region whose item this is, or is made of


def facts_of(value: Any) -> Facts | None:
    kind = type(value)
    return _known(value) if getattr(kind, "is_symbol", False) is True else None


def _known(symbol: Any) -> Facts:
    facts: Facts = object.__getattribute__(symbol, "_twingraph")
    return facts


def derived(facts: Facts, label: str, *others: Any, origins: tuple[Origin, ...] | None = None) -> Symbol:
    """A value made of this one and of others."""
    found = list(facts.origins if origins is None else origins)
    item_of, whole = facts.item_of, facts.whole
    for other in others:
        more = facts_of(other)
        if more is not None:
            found += more.origins
            item_of = item_of or more.item_of
            whole = whole or more.whole
    return Symbol(Facts(facts.follower, label, tuple(dict.fromkeys(found)), item_of=item_of, whole=whole))


def as_whole(value: Symbol) -> Symbol:
    _known(value).whole = True
    return value


def shown(value: Any) -> str:
    """A short text for an operand."""
    facts = facts_of(value)
    if facts is not None:
        return facts.label
    if value is None or isinstance(value, (bool, int, float, str)):
        text = repr(value)
        return text if len(text) <= 20 else text[:19] + "…"
    return type(value).__name__


def _binary(sign: str) -> Callable[[Any, Any], Symbol]:
    def operate(self: Any, other: Any) -> Symbol:
        facts = _known(self)
        return derived(facts, f"{facts.label} {sign} {shown(other)}", other)

    return operate


def _reflected(sign: str) -> Callable[[Any, Any], Symbol]:
    def operate(self: Any, other: Any) -> Symbol:
        facts = _known(self)
        return derived(facts, f"{shown(other)} {sign} {facts.label}", other)

    return operate


def _unary(word: str) -> Callable[..., Symbol]:
    def operate(self: Any, *others: Any) -> Symbol:
        facts = _known(self)
        return derived(facts, f"{word}{facts.label}", *others)

    return operate


def _number(kind: Callable[[int], Any], plausible: int) -> Callable[[Any], Any]:
    """Where Python takes nothing but a real number, what follows on this path rests on a guess."""

    def operate(self: Any) -> Any:
        facts = _known(self)
        facts.follower.guess(facts, f"{kind.__name__}({facts.label})")
        return kind(plausible)

    return operate


class Symbol:
    """Any value that only a run will know."""

    __slots__ = ("_twingraph",)
    is_symbol = True
    _twingraph: Facts

    def __init__(self, facts: Facts) -> None:
        object.__setattr__(self, "_twingraph", facts)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            return object.__getattribute__(self, name)
        return _attribute(_known(self), name)

    def __getitem__(self, key: Any) -> Any:
        return _item(_known(self), key)

    def __setattr__(self, name: str, value: Any) -> None:
        """A change of the value: it stays unknown."""

    def __delattr__(self, name: str) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def __delitem__(self, key: Any) -> None: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Symbol:
        facts = _known(self)
        inside = ", ".join(shown(one) for one in (*args, *kwargs.values()))
        return derived(facts, f"{facts.label}({inside})", *args, *kwargs.values())

    # -- where the body's own way depends on it --------------------------------------------------

    def __bool__(self) -> bool:
        facts = _known(self)
        return bool(facts.follower.decide_truth(facts))

    def __contains__(self, item: Any) -> bool:
        facts = _known(self)
        return bool(derived(facts, f"{shown(item)} in {facts.label}", item))

    def __iter__(self) -> Iterator[Any]:
        facts = _known(self)
        parts = _unpacked()
        if parts is not None:
            facts.follower.force(facts)
            return iter([_item(facts, at) for at in range(parts)])
        items: Iterator[Any] = facts.follower.each(facts)
        return items

    __reversed__ = __iter__

    def __aiter__(self) -> Any:
        facts = _known(self)
        return _AsyncItems(facts.follower.each(facts))

    def __next__(self) -> Any:
        facts = _known(self)
        facts.follower.force(facts)
        return derived(facts, f"next({facts.label})")

    def __await__(self) -> Iterator[Any]:
        return Ready(_waited(_known(self))).__await__()

    # -- where Python takes only the real thing ----------------------------------------------------

    def __str__(self) -> str:
        facts = _known(self)
        facts.follower.force(facts)
        return Text(facts)

    def __repr__(self) -> str:
        facts = _known(self)
        return f"<{facts.label}>"

    def __format__(self, _form: str) -> str:
        facts = _known(self)
        facts.follower.force(facts)
        return f"<{facts.label}>"

    def __hash__(self) -> int:
        if asked_by_machinery():  # `asyncio.gather` keeps what it was given in a dict
            return id(self)
        facts = _known(self)
        facts.follower.guess(facts, f"a key made of {facts.label}")
        return hash(facts.label)

    __int__ = _number(int, 1)
    __float__ = _number(float, 1)
    __complex__ = _number(complex, 1)

    def __index__(self) -> int:
        """A place in a sequence. To anything else, a file's number perhaps, no plausible one is given."""
        if "SUBSCR" not in _doing() and "SLICE" not in _doing():
            raise TypeError("a value that is not known cannot be interpreted as an integer")
        _known(self).follower.guess(_known(self), f"the index {_known(self).label}")
        return 0

    def __enter__(self) -> Symbol:
        return self

    def __exit__(self, *_: object) -> None: ...

    async def __aenter__(self) -> Symbol:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    def __copy__(self) -> Symbol:
        return self

    def __deepcopy__(self, _memo: Any) -> Symbol:
        return self

    def __eq__(self, other: object) -> Any:
        facts = _known(self)
        return derived(facts, f"{facts.label} == {shown(other)}", other)

    def __ne__(self, other: object) -> Any:
        facts = _known(self)
        return derived(facts, f"{facts.label} != {shown(other)}", other)


_SIGNS = {
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "add": "+", "sub": "-", "mul": "*", "truediv": "/",
    "floordiv": "//", "mod": "%", "pow": "**", "matmul": "@", "and": "&", "or": "|", "xor": "^", "lshift": "<<",
    "rshift": ">>", "divmod": "divmod",
}  # fmt: skip
_COMPARISONS = ("lt", "le", "gt", "ge")
for _name, _sign in _SIGNS.items():
    setattr(Symbol, f"__{_name}__", _binary(_sign))
    if _name not in _COMPARISONS:
        setattr(Symbol, f"__r{_name}__", _reflected(_sign))
for _name, _word in {"neg": "-", "pos": "+", "invert": "~", "abs": "abs of ", "round": "round of "}.items():
    setattr(Symbol, f"__{_name}__", _unary(_word))
for _name in ("trunc", "floor", "ceil"):
    setattr(Symbol, f"__{_name}__", _unary(f"{_name} of "))


class Ready:
    """A value where an async body awaits it: nothing is waited for."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Iterator[Any]:
        return self

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        raise StopIteration(self._value)


class _AsyncItems:
    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items

    def __aiter__(self) -> _AsyncItems:
        return self

    async def __anext__(self) -> Any:
        for item in self._items:
            return item
        raise StopAsyncIteration


class Text(str):
    """The text of a symbolic value: real where it must be, and still unknown in every comparison."""

    __slots__ = ("_twingraph",)
    is_symbol = True
    _twingraph: Facts

    def __new__(cls, facts: Facts) -> Text:
        made = super().__new__(cls, f"<{facts.label}>")
        object.__setattr__(made, "_twingraph", facts)
        return made

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            return object.__getattribute__(self, name)
        return _attribute(_known(self), name)


for _name in (
    *(f"__{name}__" for name in (*_COMPARISONS, "eq", "ne", "add", "radd", "mul", "rmul", "mod", "getitem")),
    *("__bool__", "__contains__", "__iter__", "__hash__", "__int__", "__float__", "__format__", "__str__"),
    *("__deepcopy__", "__copy__"),
):
    setattr(Text, _name, vars(Symbol)[_name])


# -- handles -------------------------------------------------------------------------------------------


def handle(follower: Follower, node: str) -> Symbol:
    """What a call gives."""
    return Symbol(Facts(follower, node.rpartition("/")[2], (Origin(node),), face="handle"))


def _attribute(facts: Facts, name: str) -> Any:
    if not facts.face:
        return derived(facts, f"{facts.label}.{name}")
    if facts.face == "handle":
        if name == "id":
            return facts.label
        if name == "outputs":
            return _with_face(facts, "outputs")
        if name == "result":
            return lambda timeout=None: _waited(facts, timeout)
    return _output(facts, name)


def _item(facts: Facts, key: Any) -> Any:
    if not facts.face or not isinstance(key, str) or facts_of(key) is not None:
        return derived(facts, f"{facts.label}[{shown(key)}]", key)
    if facts.face == "handle" and key == "outputs":
        return _with_face(facts, "outputs")
    if facts.face == "handle" and key == "hash":
        return derived(facts, f"hash of {facts.label}", origins=tuple(Origin(one.node, HASH) for one in facts.origins))
    return _output(facts, key)


def _with_face(facts: Facts, face: str) -> Symbol:
    return Symbol(Facts(facts.follower, facts.label, facts.origins, face=face, item_of=facts.item_of))


def _output(facts: Facts, name: str) -> Symbol:
    origins = tuple(Origin(one.node, name) for one in facts.origins)
    return Symbol(Facts(facts.follower, f"{facts.label}.{name}", origins, item_of=facts.item_of))


def _waited(facts: Facts, timeout: Any = None) -> Symbol:
    """The value behind a handle."""
    if timeout is not None:
        facts.follower.timer(timeout)
    facts.follower.force(facts)
    return _with_face(facts, "value" if facts.face else "")


def _doing() -> str:
    """The instruction in whose course a method of a symbol is called."""
    frame = sys._getframe(2)
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] if frame.f_lasti >= 0 else ""


def _unpacked() -> int | None:
    """How many parts `a, b = value` wants; None where this is any other kind of iteration."""
    frame = sys._getframe(2)
    if frame.f_lasti < 0:
        return None
    code = frame.f_code.co_code
    name, count = dis.opname[code[frame.f_lasti]], code[frame.f_lasti + 1]
    if name == "UNPACK_SEQUENCE":
        return count
    # `a, *rest = value`: the parts before the star, and one for the star itself.
    return count + 1 if name == "UNPACK_EX" else None
