"""What the command line needs of the engine, as promises; `twingraph.wiring` keeps them in a real process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from twingraph.core.execution import (
    CacheStory,
    ExecutionRecord,
    ExecutionView,
    LogRecord,
    TreeSnapshot,
)
from twingraph.core.static_plan import StaticPlan
from twingraph.settings import Settings

if TYPE_CHECKING:  # one command's words; the others do not pay for them
    from twingraph.core.wishes import Wish
    from twingraph.dispatch.broker import BrokerHealth
    from twingraph.store.postgres.health import Health
    from twingraph.store.prune import Progress, Pruned, Retention


class Reader(Protocol):
    """Reads executions of a home from any process; needs no conductor. Used on one thread at a time."""

    def resolve(self, id_or_last: str) -> str:
        """The whole id of what was typed; raises NotFoundError with near ones."""

    def record(self, execution_id: str) -> ExecutionRecord:
        """What the list of executions says of this one."""

    def executions(
        self, *, limit: int = 20, offset: int = 0, status: str | None = None, workflow_id: str | None = None
    ) -> tuple[list[ExecutionRecord], int]:
        """Newest first, and how many there are in all."""

    def view(self, execution_id: str) -> ExecutionView:
        """Everything about one execution."""

    def plan(self, execution_id: str) -> StaticPlan | None:
        """What the body of a pipeline was to call; None for a drawn workflow."""

    def tree(self, execution_id: str, *, children: int = 20) -> TreeSnapshot:
        """What a live display draws; cheap enough to be asked for ten times a second."""

    def logs(
        self,
        execution_id: str,
        *,
        after: int = 0,
        node: str | None = None,
        level: str | None = None,
        limit: int = 1000,
    ) -> list[LogRecord]:
        """In order, those with a number above `after`; `level` means that level and above."""

    def value(self, text: str) -> object:
        """A stored value as people read it."""

    def close(self) -> None: ...

    def post(self, execution_id: str, kind: str) -> object:
        """Leave a wish ('pause') for the process that carries it out."""

    def send_signal(self, execution_id: str, name: str, text: str) -> None:
        """Leave a signal, with its value's text, for what waits or will wait; ConflictError when it is over."""


class RunHandle(Protocol):
    """One execution that this process waits for."""

    @property
    def id(self) -> str: ...

    def wait(self, timeout: float | None) -> bool:
        """True once it is over or paused."""

    def interrupt(self, *, kill: bool) -> None:
        """Start nothing new and pause; with `kill` end what runs at once."""

    def cancel(self) -> None: ...


class Runtime(Protocol):
    """A conductor in a thread of this process."""

    def submit(self, compiled: Any, inputs: dict[str, Any], *, target: str | None, refresh: bool) -> RunHandle:
        """Start it; returns once it is recorded. `target` is what `run` would be given to run it again."""

    def foresee(self, compiled: Any, inputs: dict[str, Any], *, target: str | None) -> Mapping[str, CacheStory]:
        """What a drawn workflow would find in the cache, by node."""

    def foresee_calls(
        self, compiled: Any, calls: Mapping[str, tuple[Any, Mapping[str, Any]]], *, target: str | None
    ) -> Mapping[str, CacheStory]:
        """What these calls of a pipeline's body would find in the cache, by node."""

    def resume(self, execution_id: str, *, code: str, compiled: Any = None) -> RunHandle:
        """Go on, attach or replay. With `code` 'current' the caller brings the workflow as it is now."""

    def replay(self, execution_id: str, wish: Wish, *, compiled: Any = None) -> RunHandle:
        """Run it, or a part of it, again as a new execution. With `compiled` on the workflow as it is now."""

    def cancel(self, execution_id: str) -> None: ...

    def close(self) -> None: ...


class Backend(Protocol):
    """How a command gets hold of the two."""

    def open_reader(self, settings: Settings) -> Reader: ...

    def runtime(self, settings: Settings) -> Runtime: ...

    def debugging(self, settings: Settings) -> Runtime:
        """One that runs nodes in this process, under a debugger."""

    def prune(self, settings: Settings, retention: Retention, *, dry_run: bool, progress: Progress) -> Pruned:
        """Remove what may go; with `dry_run` only say what would."""

    def check_blobs(self, settings: Settings) -> str:
        """Where large values are kept, having tried it; StoreError says what is wrong."""

    def blob_neighbours(self, settings: Settings) -> str | None:
        """Why a prune would be refused: who else keeps values there."""

    def check_database(self, settings: Settings) -> Health | None:
        """How the database stands, where one is configured; StoreError says why it cannot be reached."""

    def check_broker(self, settings: Settings) -> BrokerHealth | None:
        """How the broker stands, where one is configured; MissingExtraError without its client."""

    def work(self, settings: Settings, queues: Sequence[str], note: Callable[[str], object]) -> int:
        """Carry nodes out that come through the broker, until a signal ends it; the code to exit with."""

    def workers(self, settings: Settings) -> dict[str, Any]:
        """Those that the broker reaches, and how much waits in their queues."""

    def shrink(self, settings: Settings) -> None:
        """Make the database's file smaller; ConflictError while somebody else uses the home."""


class WiredHandle:
    """A handle of the engine that has been recorded; a fault of the engine is raised where it is waited for. `again`
    gives another one when the process that carried the execution out is gone."""

    def __init__(self, handle: Any, again: Callable[[], Any] | None = None) -> None:
        self._again = again
        self._take(handle)

    def _take(self, handle: Any) -> None:
        self._handle = handle
        self.id: str = handle.id
        if hasattr(handle, "wait_recorded"):
            handle.wait_recorded()
        self._raise_fault()

    def wait(self, timeout: float | None) -> bool:
        over = bool(self._handle.wait(timeout))
        if over and self._again is not None and getattr(self._handle, "deserted", False):
            self._take(self._again())
            return self.wait(None) if timeout is None else False
        if over:
            self._raise_fault()
        return over

    def interrupt(self, *, kill: bool) -> None:
        self._again = None
        self._handle.interrupt(kill=kill)

    def cancel(self) -> None:
        self._handle.cancel()

    def _raise_fault(self) -> None:
        fault = getattr(self._handle, "fault", None)
        if fault is not None:
            raise fault


class WiredRuntime:
    """The runtime of this process."""

    def __init__(self, runtime: Any, close: Callable[[], None]) -> None:
        self._runtime = runtime
        self._close = close
        self._runtime.is_script = False
        self._runtime.shows_prints = False  # stdout is for the result; the display shows what is logged

    def submit(self, compiled: Any, inputs: dict[str, Any], *, target: str | None, refresh: bool) -> RunHandle:
        return WiredHandle(self._runtime.submit(compiled, inputs, origin="run", target=target, refresh=refresh))

    def foresee(self, compiled: Any, inputs: dict[str, Any], *, target: str | None) -> Mapping[str, CacheStory]:
        stories: Mapping[str, CacheStory] = self._runtime.foresee(compiled, inputs, target=target)
        return stories

    def foresee_calls(
        self, compiled: Any, calls: Mapping[str, tuple[Any, Mapping[str, Any]]], *, target: str | None
    ) -> Mapping[str, CacheStory]:
        stories: Mapping[str, CacheStory] = self._runtime.foresee_calls(compiled, calls, target=target)
        return stories

    def resume(self, execution_id: str, *, code: str, compiled: Any = None) -> RunHandle:
        def resume() -> Any:
            return self._runtime.resume(execution_id, code=code, compiled=compiled)

        return WiredHandle(resume(), resume)

    def replay(self, execution_id: str, wish: Wish, *, compiled: Any = None) -> RunHandle:
        if not self._runtime.settings.inline and compiled is not None:
            from twingraph.dispatch.spawner import start_ahead

            start_ahead()  # the first worker comes up while the old execution is read; for recorded code the runtime
        return WiredHandle(self._runtime.replay(execution_id, wish, compiled=compiled))

    def cancel(self, execution_id: str) -> None:
        self._runtime.cancel(execution_id)

    def close(self) -> None:
        self._close()


class WiredBackend:
    """The real one. Wiring is imported by the command that needs it, so that the others stay quick."""

    def open_reader(self, settings: Settings) -> Reader:
        from twingraph import wiring

        return wiring.open_reader(settings=settings)

    def runtime(self, settings: Settings) -> Runtime:
        from twingraph import wiring

        return WiredRuntime(wiring.runtime(settings=settings), lambda: wiring.close_all(wait=False))

    def debugging(self, settings: Settings) -> Runtime:
        from twingraph import wiring
        from twingraph.executors.debugging import post_mortem

        runtime = wiring.Runtime(settings, on_error=post_mortem)
        return WiredRuntime(runtime, runtime.close)

    def prune(self, settings: Settings, retention: Retention, *, dry_run: bool, progress: Progress) -> Pruned:
        from twingraph.wiring.pruning import prune

        return prune(settings, retention, dry_run=dry_run, progress=progress)

    def check_blobs(self, settings: Settings) -> str:
        from twingraph import wiring

        return wiring.check_blobs(settings)

    def blob_neighbours(self, settings: Settings) -> str | None:
        from twingraph.wiring.makers import blob_neighbours

        return blob_neighbours(settings)

    def check_database(self, settings: Settings) -> Health | None:
        from twingraph.wiring.makers import check_database

        return check_database(settings)

    def check_broker(self, settings: Settings) -> BrokerHealth | None:
        from twingraph.wiring.makers import check_broker

        return check_broker(settings)

    def work(self, settings: Settings, queues: Sequence[str], note: Callable[[str], object]) -> int:
        from twingraph.wiring.workers import work

        return work(settings, queues, note)

    def workers(self, settings: Settings) -> dict[str, Any]:
        from twingraph.wiring.workers import workers

        return workers(settings)

    def shrink(self, settings: Settings) -> None:
        from twingraph.wiring.pruning import shrink

        shrink(settings)
