"""`os.environ` where several runs share a process: each sees, changes and hands to its children its own. Python 3.8.

A thread sees what the run sees whose context it has; without one, what the process was started with.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from typing import Any, Callable, Dict, Iterator, Optional

from twingraph.executors.surroundings import STARTS, as_variable

_Environment = Dict[bytes, bytes]


class Layers(MutableMapping):  # type: ignore[type-arg]
    """Stands in for `os.environ._data` while entered. `own` gives the environment of the run around the caller."""

    def __init__(self, own: Callable[[], Optional[_Environment]]) -> None:  # noqa: UP045
        self._own = own
        self._environ: Any = os.environ
        self._base: _Environment = os.environ._data  # type: ignore[attr-defined]
        self._below: _Environment = {}  # what C code sees
        self._active = False
        sys.addaudithook(self._audit)

    def __enter__(self) -> None:
        self._below = dict(self._base)
        self._active = True
        self.put_back()

    def __exit__(self, *_: object) -> None:
        self._active = False
        self._make_right(self._base)
        self._environ._data = os.environb._data = self._base  # type: ignore[attr-defined]

    def put_back(self) -> None:
        """User code may have put another one in its place."""
        os.environ = self._environ  # noqa: B003
        self._environ._data = os.environb._data = self  # type: ignore[attr-defined]

    def made_for(self, current: Any, environment: Any) -> _Environment:
        own = {
            **self._base,
            b"TWINGRAPH_EXECUTION_ID": as_variable(current.execution_id),
            b"TWINGRAPH_NODE_ID": as_variable(current.node_id),
            b"TWINGRAPH_ATTEMPT": b"%d" % current.attempt,
            b"TWINGRAPH_IDEMPOTENCY_KEY": as_variable(current.idempotency_key),
        }
        for name, value in environment.items():
            text = str(value).encode("utf-8", "surrogateescape")
            if "\0" in name or "=" in name or b"\0" in text:
                raise ValueError(f"the environment variable {name!r} cannot be set: its name or value is none")
            own[os.fsencode(name)] = text
        return own

    def _here(self) -> _Environment:
        own = self._own()
        return self._base if own is None else own

    def _audit(self, event: str, _arguments: Any) -> None:
        if (
            self._active and event in STARTS
        ):  # C code and children see what all runs share: it is made right just before
            self._make_right(self._here())

    def _make_right(self, wanted: _Environment) -> None:
        below = self._below
        for name in [name for name in below if name not in wanted]:
            del below[name]
            os.unsetenv(name)
        for name, value in wanted.items():
            if below.get(name) != value:
                below[name] = value
                os.putenv(name, value)

    # `os.environ` tells C code of each change itself, just before it tells us.

    def __getitem__(self, name: bytes) -> bytes:
        return self._here()[name]

    def __setitem__(self, name: bytes, value: bytes) -> None:
        self._here()[name] = self._below[name] = value

    def __delitem__(self, name: bytes) -> None:
        self._below.pop(name, None)
        del self._here()[name]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._here())

    def __len__(self) -> int:
        return len(self._here())

    def __contains__(self, name: object) -> bool:
        return name in self._here()
