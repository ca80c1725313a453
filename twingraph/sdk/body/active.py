"""Who makes nodes of calls on this thread: a running body, or a tracer of one; nobody outside of pipelines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # every declaration of a component loads this module
    from datetime import datetime
    from random import Random
    from uuid import UUID


class Caller(Protocol):
    """What stands behind every call, wait and durable function of a pipeline's body. Belongs to one thread."""

    in_loop: bool  # the body is an async function: what waits is given back as an awaitable
    in_side_effect: bool  # what happens now is recorded and not repeated by a replay

    def call(self, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """A component, an instance of a BaseComponent, or a pipeline was called; gives its handle at once."""

    def settings(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """What `.options()` was told, as it can be checked: with values where handles stand."""

    # -- durable functions -------------------------------------------------------------------------

    def sleep(self, seconds: float) -> Any: ...

    def now(self) -> datetime: ...

    def random(self) -> Random:
        """A generator whose state is kept from call to call, seeded by execution and scope."""

    def uuid4(self) -> UUID: ...

    def side_effect(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any: ...

    def wait_for_signal(self, name: str, timeout: float | None) -> Any: ...

    # -- handles -----------------------------------------------------------------------------------

    def gather(self, handles: Iterable[Any]) -> Any: ...

    def wait_any(self, handles: Iterable[Any]) -> Any: ...

    def as_completed(self, handles: Iterable[Any]) -> Iterator[Any]: ...

    # -- what the rewritten body asks (sdk/body/rewriting) -------------------------------------------

    def mark(self) -> Any:
        """Where the calls of a `try` or `with` begin."""

    def settle(self, mark: Any) -> None:
        """Wait for every call made since the mark was set or settled; raises the first failure in their order."""

    def plain(self, value: Any) -> Any:
        """The value behind a handle; everything else as it is."""

    def looked_at(self, value: Any) -> Any:
        """The same for what is not compared with None."""

    def settled(self, mark: Any, value: Any) -> Any:
        """`settle`, then the value unchanged."""

    def returned(self, mark: Any, value: Any) -> Any:
        """The same for what a `return` inside a `try` gives: handles inside it are waited for too."""


class _Active(threading.local):
    caller: Caller | None = None


active = _Active()


def is_replayed() -> bool:
    """Whether what is begun here would be begun anew by each replay of a body."""
    caller = active.caller
    return caller is not None and not caller.in_side_effect
