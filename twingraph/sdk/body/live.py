"""The world of bodies whose functions live in this process: the one that declared them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twingraph.core.codec import Encoded
from twingraph.core.errors import NotFoundError
from twingraph.sdk.body.arguments import Coder
from twingraph.sdk.sameness import frozen, name_body
from twingraph.sdk.value_classes import ValueClasses, class_named


class LiveCode:
    """What one code version stands for here."""

    def __init__(self, bodies: Mapping[str, Any], objects: Mapping[str, Any], hashes: Mapping[str, str]) -> None:
        self.bodies = dict(bodies)
        self.objects = dict(objects)
        self.states = {entry: frozen(one) for entry, one in objects.items()}  # of what workers have
        self.classes = ValueClasses(dict(objects))
        self.hashes = dict(hashes)  # by entry
        self.late: dict[
            str, tuple[Any, str]
        ] = {}  # by entry: the state of what was not known at the start, and its version


class LiveCoder:
    """Values of bodies in this process. A `Coder`."""

    def __init__(self, classes: ValueClasses, decode: Callable[[str], Any], how: Mapping[str, Any]) -> None:
        self._classes = classes
        self._how = how
        self.decode = decode

    def encode(self, value: Any, path: str, special: dict[type, Callable[[Any], Any]] | None = None) -> Encoded:
        return self._classes.encode(value, path=path, special=special, **self._how)

    def class_name(self, kind: type) -> str:
        return self._classes.name(kind)


class LiveWorld:
    """A `host.World`. `pack(objects)` records late code and gives its version and the hashes of its entries; `how` is
    what `encode` is told besides."""

    def __init__(
        self,
        *,
        pack: Callable[[Mapping[str, Any]], tuple[str, Mapping[str, str]]],
        decode: Callable[[str], Any],
        how: Mapping[str, Any],
    ) -> None:
        self._pack = pack
        self._decode = decode
        self._how = how
        self._versions: dict[str | None, LiveCode] = {}
        self._codes: dict[str, LiveCode] = {}

    def know(
        self, version: str | None, bodies: Mapping[str, Any], objects: Mapping[str, Any], hashes: Mapping[str, str]
    ) -> None:
        """Executions of this version can be driven here; what stood under it before was the same."""
        self._versions[version] = LiveCode(bodies, objects, hashes)

    def knows(self, version: str) -> bool:
        """Whether executions of this version can be driven here."""
        return version in self._versions

    def takes(self, execution: str, version: str | None) -> bool:
        """Whether this process has what the execution was started with; then it is ready for it."""
        code = self._versions.get(version)
        if code is not None:
            self._codes[execution] = code
        return code is not None

    # -- of a world ----------------------------------------------------------------------------------

    def find(self, execution: str, entry: str, bundle: str | None) -> Callable[..., Any]:
        found: Any = self._codes[execution].bodies.get(entry)
        if found is None:  # nobody could see at the start that it would be called
            module, _, qualname = entry.partition("#")[0].partition(":")
            found = class_named(module, qualname)
        if found is None:
            raise NotFoundError(f"this process has no pipeline {entry!r}")
        function: Callable[..., Any] = getattr(found, "fn", found)
        return function

    def coder(self, execution: str) -> Coder:
        return LiveCoder(self._codes[execution].classes, self._decode, self._how)

    def locate(self, execution: str, objects: Mapping[str, Any]) -> str | None:
        code = self._codes[execution]
        version: str | None = None
        for entry, target in objects.items():
            state = frozen(target)
            if code.states.get(entry) == state:
                continue
            known = code.late.get(entry)
            if known is None or known[0] != state:
                packed, hashes = self._pack({entry: target, **_classes(code)})
                known = code.late[entry] = state, packed
                code.hashes.update(hashes)
            version = known[1]
        return version

    def body_entry(self, execution: str, pipeline: Any) -> str:
        return name_body(self._codes[execution].bodies, pipeline)

    def code_hash(self, execution: str, entry: str) -> str | None:
        return self._codes[execution].hashes.get(entry)

    def forget(self, execution: str) -> None:
        self._codes.pop(execution, None)


def _classes(code: LiveCode) -> dict[str, Any]:
    """Classes of values, which late code may be given too."""
    return {key: kind for key, kind in code.classes.found.items() if key.startswith("class ")}
