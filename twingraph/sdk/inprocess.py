"""Running what an author wrote in this very process: the one module of the SDK that knows the wiring."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from twingraph.dispatch import spawner

# Before the heavier imports below: the first worker comes up meanwhile.
if not os.environ.get("TWINGRAPH_INLINE") and os.environ.get("TWINGRAPH_DISPATCH") != "celery":
    spawner.start_ahead()

from twingraph import wiring
from twingraph.core.codec import encode
from twingraph.core.errors import ConflictError, ExecutionFailed
from twingraph.core.statuses import ExecutionStatus
from twingraph.engine.handle import Handle
from twingraph.engine.held import failure
from twingraph.sdk.frames import own_frames, short
from twingraph.sdk.standing import target_of

if TYPE_CHECKING:
    from twingraph.core.wishes import Wish
    from twingraph.sdk.pipeline import Pipeline
    from twingraph.sdk.prepared import CompiledPipeline
    from twingraph.sdk.workflow_builder import CompiledWorkflow, Workflow

Started = tuple[wiring.Runtime, Handle]


class _Start(Protocol):
    def __call__(self, *, drawn: bool) -> Started: ...


class Execution:
    """An execution that this process started."""

    def __init__(self, runtime: wiring.Runtime, handle: Handle) -> None:
        self._runtime = runtime
        self._handle = handle
        self.id = handle.id

    @property
    def status(self) -> str:
        return str(self._handle.status)

    @short
    def result(self, timeout: float | None = None) -> Any:
        """Wait for the result; raises what made the execution fail, or TimeoutError after `timeout` seconds."""
        if not self._handle.wait(timeout):
            raise TimeoutError(f"{self.id} is not over after {timeout:g} s; it goes on")
        return result_of(self._runtime, self._handle)

    def signal(self, name: str, value: Any = None) -> None:
        """Give it what it waits for, or will wait for: `twingraph signal ID NAME VALUE` in a program."""
        self._runtime.send_signal(self.id, name, encode(value).text)

    def cancel(self) -> None:
        """Stop it; returns once nothing of it runs any more."""
        self._runtime.cancel(self.id)

    @short
    def replay(self, **wish: Any) -> Execution:
        """Once it has ended: run it, or a part of it, again. See `twingraph.replay`, which takes the same."""
        from twingraph.sdk.replaying import replay

        return replay(self.id, **wish)

    def __repr__(self) -> str:
        return f"<Execution {self.id} {self.status}>"


def submit(workflow: Workflow, compiled: CompiledWorkflow, inputs: Mapping[str, Any]) -> Execution:
    """Start it and return once it is recorded."""
    _stop_if_loading(workflow)
    return _recorded(_start_workflow(workflow, compiled, inputs))


def run(workflow: Workflow, compiled: CompiledWorkflow, inputs: Mapping[str, Any]) -> Any:
    """Carry it out and give its result. Ctrl-C leaves it paused and resumable; a second one kills what runs."""
    _stop_if_loading(workflow)
    return _carried_out(_start_workflow(workflow, compiled, inputs))


def replay(execution: str, wish: Wish, code: Workflow | Pipeline[..., Any] | None) -> Execution:
    """Start a replay and return once it is recorded. On `code` as it is now, or as it was recorded."""
    compiled: CompiledWorkflow | CompiledPipeline | None = None
    if code is not None:
        from twingraph.sdk.pipeline import Pipeline
        from twingraph.sdk.prepared import prepare

        compiled = prepare(code) if isinstance(code, Pipeline) else code.compile()
    runtime = wiring.runtime()
    return _recorded((runtime, runtime.replay(execution, wish, compiled=compiled, same=True)))


def submit_pipeline(pipeline: Pipeline[..., Any], inputs: Mapping[str, Any]) -> Execution:
    return _recorded(_starter(pipeline, inputs)(drawn=False))


def call_pipeline(pipeline: Pipeline[..., Any], inputs: Mapping[str, Any]) -> Any:
    """Its value. Where an event loop runs, or is about to, an async pipeline gives an awaitable; else this blocks."""
    start = _starter(pipeline, inputs)
    if pipeline.is_async:
        from twingraph.sdk.awaiting import in_running_loop

        if in_running_loop() or _goes_to_a_loop():
            return _awaited(start)
    return _carried_out(start(drawn=True))


def _goes_to_a_loop() -> bool:
    from twingraph.sdk.given_to_loop import is_given_to_a_loop

    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("twingraph."):
        frame = frame.f_back
    return frame is not None and is_given_to_a_loop(frame)


def _start_workflow(workflow: Workflow, compiled: CompiledWorkflow, inputs: Mapping[str, Any]) -> Started:
    runtime = wiring.runtime()
    return runtime, runtime.submit(compiled, inputs, target=target_of(workflow))


def _starter(pipeline: Pipeline[..., Any], inputs: Mapping[str, Any]) -> _Start:
    """What is wrong with the inputs is told here, on the author's own thread."""
    from twingraph.sdk.prepared import prepare

    _stop_if_loading(pipeline)
    compiled = prepare(pipeline)
    compiled.check(inputs)
    target = target_of(pipeline)

    def start(*, drawn: bool) -> Started:
        runtime = wiring.runtime()
        # What is drawn shows the logs too, and prints in between would tear it.
        runtime.shows_prints = not (drawn and _draws(runtime))
        return runtime, runtime.submit(compiled, inputs, target=target)

    return start


def _recorded(started: Started) -> Execution:
    runtime, handle = started
    handle.wait_recorded()
    if handle.fault is not None:
        raise handle.fault
    return Execution(runtime, handle)


def _carried_out(started: Started) -> Any:
    runtime, handle = started
    with _shown(runtime, handle):
        _wait(runtime, handle)
    return result_of(runtime, handle)


async def _awaited(start: _Start) -> Any:
    def begin() -> Begun:
        runtime, handle = start(drawn=True)
        return Begun(runtime, handle, _shown(runtime, handle))

    from twingraph.sdk.awaiting import until_over

    over: Begun = await until_over(begin)
    return result_of(over.runtime, over.handle)


class Begun:
    """An execution that a coroutine waits for; used on threads beside its loop."""

    def __init__(self, runtime: wiring.Runtime, handle: Handle, shown: AbstractContextManager[None]) -> None:
        self.runtime = runtime
        self.handle = handle
        self._shown = shown
        self._shown.__enter__()
        self._closing = threading.Lock()

    def wait(self) -> None:
        """To its end, and to the last line of what is drawn, whichever thread draws that: a program that exits in the
        middle of a line would tear it."""
        self.handle.wait()
        with self._closing:
            shown, self._shown = self._shown, nullcontext()
            shown.__exit__(None, None, None)

    def stop(self, presses: int) -> None:
        if presses:
            _interrupt(self.runtime, self.handle, presses)
        else:
            with suppress(ConflictError):  # it has ended meanwhile
                self.runtime.cancel(self.handle.id)
        self.wait()


def _wait(runtime: wiring.Runtime, handle: Handle) -> None:
    """To its end. Each Ctrl-C is answered inside the `try`, because the next one may come meanwhile."""
    presses = answered = 0
    while True:
        try:
            if presses > answered:
                answered = presses
                _interrupt(runtime, handle, presses)
            # In slices, because an untimed wait cannot be interrupted on every system.
            while not handle.wait(3600):
                pass
        except KeyboardInterrupt:
            presses += 1
        else:
            break
    if presses and handle.status is ExecutionStatus.PAUSED:
        raise KeyboardInterrupt


def _interrupt(runtime: wiring.Runtime, handle: Handle, presses: int) -> None:
    runtime.interrupt(handle.id, kill=presses > 1)
    word = "killing what runs" if presses > 1 else "no new node starts; what runs has 10 s (Ctrl-C: kill)"
    print(f"\ntwingraph: {word}; go on with: twingraph resume {handle.id}", file=sys.stderr)


@contextmanager
def _shown(runtime: wiring.Runtime, handle: Handle) -> Iterator[None]:
    """Draw the run on a terminal or in a notebook. Elsewhere nothing of the display is even loaded."""
    if not _draws(runtime):
        yield
        return
    from twingraph.cli.display import NotebookWatch, attach

    handle.wait_recorded()
    if handle.fault is not None:
        yield
        return
    progress = runtime.settings.progress
    reader = wiring.read(runtime.home, runtime.settings)
    watch: Any
    if progress != "plain" and _in_notebook():
        watch = NotebookWatch(reader, handle.id)
    else:
        watch = attach(reader, handle.id, progress=progress, stopped_before=runtime.stopped_before(handle.id))
    try:
        yield
    finally:
        if watch is not None:
            watch.finish()
        reader.close()


def _draws(runtime: wiring.Runtime) -> bool:
    progress = runtime.settings.progress
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return progress in ("live", "plain") or (progress == "auto" and (terminal or _in_notebook()))


def _in_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    from twingraph.cli.display import in_kernel

    return in_kernel()


def result_of(runtime: wiring.Runtime, handle: Handle) -> Any:
    """The result as a Python value, or the error that a caller should see."""
    if handle.fault is not None:
        raise handle.fault
    error = failure(handle.id, handle.status, handle.error)
    if error is not None:
        raise _raised(runtime, handle, error)
    return runtime.values.decode(handle.result) if handle.result is not None else None


def _raised(runtime: wiring.Runtime, handle: Handle, error: ExecutionFailed) -> ExecutionFailed:
    record = handle.error
    if record is None:
        return error
    from twingraph.sdk.failures import enrich

    parts = runtime.values.decode_exception(record.exception) if record.exception else {}
    live = runtime.bodies.error_of(handle.id)
    shown = own_frames(live) if live is not None else None
    return enrich(error, record.types or (record.error_type,), parts, shown, record.message)


# -- loading a file for its workflow -----------------------------------------------------------------


class FoundWhileLoading(BaseException):
    """A file that is loaded for what it holds has reached the line that would run it: no need to go on."""

    def __init__(self, found: Workflow | Pipeline[..., Any]) -> None:
        self.found = found


_loading = threading.local()


@contextmanager
def loading() -> Iterator[None]:
    """While this is open, running a workflow or a pipeline on this thread raises FoundWhileLoading instead."""
    _loading.open = True
    try:
        yield
    finally:
        _loading.open = False


def _stop_if_loading(found: Workflow | Pipeline[..., Any]) -> None:
    if getattr(_loading, "open", False):
        raise FoundWhileLoading(found)
